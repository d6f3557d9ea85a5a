"""The gateway between botocore and moto, through which every call to Secrets Manager passes.

It records calls, injects faults, throttles and delays. It answers the calls that moto answers wrongly, and passes the
others to moto. It is below botocore's serialisation, so a client gets real replies and real exceptions.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.handlers import BUILTIN_HANDLERS
from moto.core.models import botocore_stubber

from rotators.testing.clock import Clock
from rotators.testing.faults import THROTTLED, Crash, Fault, Faults, Refusal, no_answer
from rotators.testing.labels import Refused

_TARGET = "secretsmanager."
_SECRET_PARAMETERS = ("SecretString", "SecretBinary", "RotationToken")
_SECOND = timedelta(seconds=1)
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
_WRITES = frozenset(
    {
        "PutSecretValue", "UpdateSecretVersionStage", "UpdateSecret", "CreateSecret", "DeleteSecret",
        "RestoreSecret", "TagResource", "UntagResource",
    }
)  # fmt: skip
_QUOTAS: tuple[tuple[frozenset[str], int], ...] = (
    (_WRITES, 50),
    (frozenset({"RotateSecret", "CancelRotateSecret"}), 50),
    (frozenset({"GetSecretValue"}), 10_000),
    (frozenset({"DescribeSecret", "GetRandomPassword"}), 40_000),
)


@dataclass
class Call:
    """A call that was made.

    Args:
        operation: the operation, such as ``GetSecretValue``.
        parameters: the request, with ``***`` for secret values and tokens.
        step: the rotation's current step; None between steps.
        error: the answer's error code, ``NoAnswer`` or ``Crash``; None if the call succeeded.
    """

    operation: str
    parameters: dict[str, Any]
    step: str | None
    error: str | None = field(default=None)


Answer = Callable[[str, dict[str, Any], str], dict[str, Any] | None]
Amend = Callable[[str, dict[str, Any], str], dict[str, Any]]


class Gateway:
    """The entry to a simulated service.

    Args:
        clock: for throttling.
        answer: takes operation, parameters and Region, and returns the reply; None leaves the call to moto. It may
            raise ``Refused``.
        amend: takes operation, moto's reply and Region, and returns the reply that the service would give.
    """

    def __init__(self, clock: Clock, answer: Answer, amend: Amend) -> None:
        self.calls: list[Call] = []
        self.faults = Faults()
        self.throttle = False
        self._clock = clock
        self._answer = answer
        self._amend = amend
        self.lock = threading.RLock()
        """Held while state is read or changed: a test's applications call from their own threads."""
        self.before_reply: list[Callable[[], None]] = []
        """Work left for the current request, to be done without the lock: functions call from other threads."""
        self._failed: tuple[bytes, Fault] | None = None
        # By context, not by thread: a function may make its calls in other threads.
        self._step: ContextVar[str | None] = ContextVar("step", default=None)
        self._recent: dict[frozenset[str], deque[Any]] = {group: deque() for group, _ in _QUOTAS}

    @property
    def step(self) -> str | None:
        """The step to which the calls of this context belong."""
        return self._step.get()

    @step.setter
    def step(self, name: str | None) -> None:
        self._step.set(name)

    def handle(self, request: AWSPreparedRequest) -> AWSResponse:
        """Answer one request, or fail as planned."""
        target = request.headers["X-Amz-Target"]
        operation = _bytes(target).decode().removeprefix(_TARGET)
        parameters = json.loads(_bytes(request.body))
        shown = {key: "***" if key in _SECRET_PARAMETERS else value for key, value in parameters.items()}
        call = Call(operation, shown, self.step)
        self.calls.append(call)
        fault = self._fault(operation, request)
        self._hook(operation, "before")
        if fault is not None and fault.when == "before":
            return self._fail(fault, call, request)
        if self.throttle and self._over_quota(operation):
            call.error = THROTTLED.code
            return _refusal(request, THROTTLED)
        response = self._respond(operation, parameters, request)
        if response.status_code != 200:  # noqa: PLR2004
            call.error = json.loads(response.content).get("__type", "").rsplit("#", 1)[-1]
        self._hook(operation, "after")
        if fault is not None:
            return self._fail(fault, call, request)
        return response

    def _fault(self, operation: str, request: AWSPreparedRequest) -> Fault | None:
        """The failure of this request. botocore's retries of it fail too."""
        request_id = _bytes(request.headers.get("amz-sdk-invocation-id"))
        if self._failed is not None and self._failed[0] == request_id:
            return self._failed[1]
        fault = self.faults.at(operation, self.step)
        if fault is not None:
            self._failed = (request_id, fault)
        return fault

    def _respond(self, operation: str, parameters: dict[str, Any], request: AWSPreparedRequest) -> AWSResponse:
        try:
            with self.lock:
                reply = self._answer(operation, parameters, _region(request))
                left, self.before_reply = self.before_reply, []
            for work in left:
                work()
        except Refused as refused:
            return _refusal(request, Refusal(refused.code, refused.message))
        if reply is not None:
            return _response(request, 200, reply)
        with self.lock:
            answered = botocore_stubber.process_request(request)
        if answered is None:
            raise RuntimeError(f"moto does not know {request.url}: nothing leaves this machine")
        status, headers, body = answered
        if status == 200:  # noqa: PLR2004
            body = json.dumps(self._amend(operation, json.loads(_bytes(body)), _region(request)))
        return AWSResponse(request.url, status, HTTPHeaders.from_dict(headers), _Raw(_bytes(body)))

    def _fail(self, fault: Fault, call: Call, request: AWSPreparedRequest) -> AWSResponse:
        if isinstance(fault.kind, Refusal):
            call.error = fault.kind.code
            return _refusal(request, fault.kind)
        if fault.kind == "crash":
            call.error = "Crash"
            raise Crash(call.operation)
        call.error = "NoAnswer"
        raise no_answer(request.url)

    def _hook(self, operation: str, when: Any) -> None:
        for hook in self.faults.heard():
            hook(operation, when)

    def _over_quota(self, operation: str) -> bool:
        now = self._clock.now
        for group, limit in _QUOTAS:
            if operation in group:
                recent = self._recent[group]
                while recent and now - recent[0] >= _SECOND:
                    recent.popleft()
                if len(recent) >= limit:
                    return True
                recent.append(now)
        return False


class _Raw(BytesIO):
    """A body as urllib3 would give it."""

    def stream(self, **_: Any) -> Any:
        """The whole body at once."""
        yield self.read()


class _Door:
    """The handler that botocore calls for every client made after this module was imported."""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        if self.gateway is None:
            return None
        response = self.gateway.handle(request)
        # botocore calls every handler, and moto's would execute the call a second time.
        request.url = "https://answered.invalid/"
        return response


door = _Door()
BUILTIN_HANDLERS.insert(0, ("before-send.secretsmanager", door))


def _region(request: AWSPreparedRequest) -> str:
    parts = _bytes(request.headers.get("Authorization", b"")).decode().split("/")
    return parts[2] if len(parts) > 2 else "us-east-1"  # noqa: PLR2004  # Credential=KEY/DATE/REGION/…


def _response(request: AWSPreparedRequest, status: int, body: dict[str, Any]) -> AWSResponse:
    raw = json.dumps(body, default=_plain).encode()
    headers = HTTPHeaders.from_dict({"Content-Type": "application/x-amz-json-1.1"})
    return AWSResponse(request.url, status, headers, _Raw(raw))


def _refusal(request: AWSPreparedRequest, refusal: Refusal) -> AWSResponse:
    return _response(request, refusal.status, {"__type": refusal.code, "Message": refusal.message})


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value or b"")


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
