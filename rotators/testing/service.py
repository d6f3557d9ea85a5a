"""A simulation of Secrets Manager's rotation service, which moto lacks, on moto's state.

How the real service behaves: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets.html
"""

from __future__ import annotations

import functools
import importlib
import json
import secrets
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

import boto3
import botocore.session
from botocore.config import Config
from moto import mock_aws
from moto.secretsmanager import models

from rotators.errors import ConfigurationError
from rotators.schedules import Rate, RotationRules
from rotators.steps import STEPS
from rotators.testing import labels
from rotators.testing.clock import Clock
from rotators.testing.context import FakeLambdaContext
from rotators.testing.faults import Crash, Faults
from rotators.testing.functions import functions
from rotators.testing.gateway import Call, Gateway, door
from rotators.testing.labels import CURRENT, PENDING, Refused

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

Handler = Callable[[Any, Any], Any]

_shared_loader = functools.cache(botocore.session.create_loader)
# Shared by the services' own clients: a new session took three quarters of a service's start-up time.
_session = functools.cache(boto3.Session)

# Seconds.
_MOMENT = 0.001
# The service retries a rotation a few times. How often is not documented.
ATTEMPTS = 5
_RETRY_AFTER_MINUTES = 5
_ACCOUNT = "123456789012"
_NOT_CONFIGURED = (
    "You tried to enable rotation on a secret that doesn't already have a Lambda function ARN configured and you "
    "didn't include such an ARN as a parameter in this call."
)
_INCOMPLETE = "A previous rotation isn't complete. That rotation will be reattempted."
_NOT_INVOCABLE = (
    "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to "
    "the principal secretsmanager.amazonaws.com."
)


@dataclass(frozen=True)
class Attempt:
    """One run of a rotation's steps.

    Args:
        failed_step: the step that failed; None if all four worked.
        error: what the function raised, or why the service counts it as failed.
    """

    failed_step: str | None = None
    error: BaseException | None = None

    @property
    def succeeded(self) -> bool:
        """Whether all four steps worked."""
        return self.error is None


@dataclass
class Rotation:
    """One rotation, from RotateSecret to success or abandonment.

    Args:
        secret_arn: the secret.
        token: the ClientRequestToken, which is the new version's id.
        rotation_token: the RotationToken of its events.
        attempts: the attempts so far.
    """

    secret_arn: str
    token: str
    rotation_token: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(48))
    attempts: list[Attempt] = field(default_factory=list)
    abandoned: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the last attempt worked."""
        return bool(self.attempts) and self.attempts[-1].succeeded

    @property
    def error(self) -> BaseException | None:
        """Why the last attempt failed; None if it did not."""
        return self.attempts[-1].error if self.attempts else None

    @property
    def failed_step(self) -> str | None:
        """The step at which the last attempt failed; None if it did not."""
        return self.attempts[-1].failed_step if self.attempts else None

    def event(self, step: str) -> dict[str, str]:
        """The event that invokes the function for a step."""
        return {
            "Step": step,
            "SecretId": self.secret_arn,
            "ClientRequestToken": self.token,
            "RotationToken": self.rotation_token,
        }


@dataclass
class _Configuration:
    """What the service stores about a secret in addition to moto."""

    function_arn: str
    rules: RotationRules
    shown_rules: dict[str, Any]
    enabled: bool = True
    last_rotated: datetime | None = None
    last_changed: datetime | None = None
    next_window: datetime | None = None
    rotation: Rotation | None = None
    retry_at: datetime | None = None


class RotationService:
    """Secrets Manager with a rotation service that behaves like the real one; a context manager.

    ::

        with RotationService() as service:
            arn = service.create_secret("app", {"username": "app", "password": "first"}, handler)
            assert service.rotate(arn).succeeded

    In the ``with`` block, every boto3 client of this process calls moto, and nothing leaves the machine. Only one
    service may be active at a time.

    Args:
        clock: its clock; by default one that stands still at the current time.
        region: the Region of ``client``.
        timeout: seconds that an invocation of a function may take, according to its context object.
    """

    def __init__(self, *, clock: Clock | None = None, region: str = "eu-west-1", timeout: float = 30.0) -> None:
        self.clock = clock or Clock()
        self.region = region
        self.timeout = timeout
        self.events: list[dict[str, Any]] = []
        """The events that the service sends to EventBridge, oldest first."""
        self.consistency_lag = 0
        """How many reads after a write still see the state before it."""
        self.after_step: list[Callable[[Rotation, str], None]] = []
        """Called with the rotation and the step after each step that worked."""
        self.require_rotation_token = False
        """Whether PutSecretValue needs the event's RotationToken, as from an assumed role."""
        self._gateway = Gateway(self.clock, self._answer, self._amend)
        self._functions: dict[str, Handler] = {}
        self._configured: dict[str, _Configuration] = {}
        self._queue: deque[str] = deque()
        self._stale: dict[str, tuple[int, dict[str, Any]]] = {}
        self._mock = mock_aws()
        # moto's dates come from this clock.
        self._dates = patch.multiple(
            "moto.secretsmanager.models",
            time=_Dates(self.clock),
            utcnow=lambda: self.clock.now.replace(tzinfo=None),
        )
        self._lists = patch.object(models.SecretsManagerBackend, "list_secrets", _listed)
        # Otherwise each session reads botocore's descriptions of all of AWS again: 60 ms for each service.
        self._descriptions = patch.object(botocore.session, "create_loader", _shared_loader)
        self._client: SecretsManagerClient | None = None

    def __enter__(self) -> Self:
        if door.gateway is not None:
            raise RuntimeError("another RotationService is active: leave it first")
        self._mock.start()
        self._dates.start()
        self._lists.start()
        self._descriptions.start()
        door.gateway = self._gateway
        # No retries: a test that breaks a call needs the failure, without waiting.
        once = Config(retries={"mode": "standard", "total_max_attempts": 1})
        self._client = _session().client("secretsmanager", region_name=self.region, config=once)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        door.gateway = None
        functions.handlers = {}
        self._descriptions.stop()
        self._lists.stop()
        self._dates.stop()
        self._mock.stop()

    @property
    def client(self) -> SecretsManagerClient:
        """A client for Secrets Manager.

        Raises:
            RuntimeError: the service is not active.
        """
        if self._client is None:
            raise RuntimeError("enter the RotationService first: with RotationService() as service")
        return self._client

    @property
    def calls(self) -> list[Call]:
        """All calls so far, oldest first."""
        return self._gateway.calls

    @property
    def faults(self) -> Faults:
        """The planned failures."""
        return self._gateway.faults

    @property
    def throttle(self) -> bool:
        """Whether calls above the documented quotas per second are refused, by the service's clock."""
        return self._gateway.throttle

    @throttle.setter
    def throttle(self, on: bool) -> None:
        self._gateway.throttle = on

    def register(self, handler: Handler | str, name: str = "rotate") -> str:
        """Deploy a function.

        Args:
            handler: called with event and context; or its import path, ``package.module:name``.
            name: the function's name. A function of the same name is replaced.

        Returns:
            Its ARN, for RotateSecret.
        """
        if isinstance(handler, str):
            module, _, attribute = handler.partition(":")
            handler = getattr(importlib.import_module(module), attribute)
        arn = f"arn:aws:lambda:{self.region}:{_ACCOUNT}:function:{name}"
        self._functions[arn] = handler  # type: ignore[assignment]
        functions.handlers, functions.timeout = self._functions, self.timeout
        return arn

    def create_secret(self, name: str, value: Mapping[str, Any] | str | None, handler: Handler | str) -> str:
        """Make a secret whose rotation is configured, without rotating it.

        Args:
            name: the secret's name.
            value: its first value: a mapping, stored as JSON, or a string; None: it has no value yet.
            handler: see :meth:`register`.

        Returns:
            Its ARN.
        """
        text = value if value is None or isinstance(value, str) else json.dumps(value)
        parameters = {} if text is None else {"SecretString": text}
        arn = str(self.client.create_secret(Name=name, **parameters)["ARN"])  # type: ignore[arg-type]
        self.configure(arn, handler)
        return arn

    def configure(self, secret_id: str, handler: Handler | str, *, days: int | None = None) -> None:
        """Enable rotation for a secret, without rotating it.

        Args:
            secret_id: its name or ARN.
            handler: see :meth:`register`.
            days: AutomaticallyAfterDays.
        """
        secret = self._secret(secret_id)
        function = self.register(handler, name=f"rotate-{secret.name.replace('/', '-')}")
        shown = {} if days is None else {"AutomaticallyAfterDays": days}
        self._configured[secret.arn] = _Configuration(function, RotationRules.parse(days=days), shown)
        self._schedule(secret.arn)

    def rotate(self, secret_id: str, *, attempts: int = 1) -> Rotation:
        """Call RotateSecret and run the rotation.

        Args:
            secret_id: name or ARN of a secret whose rotation is configured.
            attempts: how often the service tries before this returns. A failed rotation can be retried later.

        Raises:
            botocore.exceptions.ClientError: RotateSecret was refused.
        """
        self.client.rotate_secret(SecretId=secret_id)
        return self.retry(secret_id, attempts=attempts)

    def retry(self, secret_id: str, *, attempts: int = 1) -> Rotation:
        """Run the next attempts of a rotation in progress, with the same token, without waiting.

        Raises:
            LookupError: no rotation of the secret is in progress.
        """
        arn = self._secret(secret_id).arn
        configuration = self._configured.get(arn)
        if configuration is None or configuration.rotation is None:
            raise LookupError(f"no rotation of {secret_id} is under way")
        rotation = configuration.rotation
        for _ in range(attempts):
            self._attempt(arn)
            if rotation.succeeded or rotation.abandoned:
                break
        return rotation

    def stage(self, secret_id: str) -> Rotation:
        """Begin a rotation by hand for :meth:`invoke`: make its empty pending version, and invoke nothing."""
        self.client.rotate_secret(SecretId=secret_id)
        rotation = self._configured[self._secret(secret_id).arn].rotation
        if rotation is None:
            raise AssertionError
        return rotation

    def invoke(self, rotation: Rotation, step: str) -> None:
        """Invoke the secret's function for one step of a rotation.

        Raises:
            Exception: what the function raises.
        """
        function = self._configured[rotation.secret_arn].function_arn
        self._gateway.step = step
        try:
            self._functions[function](rotation.event(step), FakeLambdaContext(self.timeout, function))
        finally:
            self._gateway.step = None

    def run(self) -> list[Rotation]:
        """Run what is due at the clock's time: requested and scheduled rotations, and retries.

        Returns:
            The rotations that ran.
        """
        for arn, configuration in self._configured.items():
            due = configuration.next_window
            if configuration.enabled and configuration.rotation is None and due is not None and due <= self.clock.now:
                self._begin(arn, str(uuid.uuid4()))
        worked = []
        for arn in [*self._queue, *(arn for arn in self._configured if arn not in self._queue)]:
            configuration = self._configured[arn]
            rotation = configuration.rotation
            if rotation is not None and (configuration.retry_at is None or configuration.retry_at <= self.clock.now):
                self._attempt(arn)
                worked.append(rotation)
        return worked

    def value(self, secret_id: str, stage: str = CURRENT) -> dict[str, Any]:
        """A version's JSON. Faults do not apply to this read, and it is not recorded.

        Raises:
            KeyError: no version has that label.
        """
        secret = self._secret(secret_id)
        found = labels.holder(secret, stage)
        if found is None or not labels.has_value(secret.versions[found]):
            raise KeyError(stage)
        value: dict[str, Any] = json.loads(secret.versions[found]["secret_string"])
        return value

    def labels(self, secret_id: str) -> dict[str, list[str]]:
        """The labels of every version that has one. Faults do not apply to this read, and it is not recorded."""
        return labels.stages(self._secret(secret_id))

    # The rotation itself.

    def _begin(self, arn: str, token: str) -> None:
        with self._gateway.lock:
            labels.stage_empty(self._secret(arn), token, self.clock.now.timestamp())
        configuration = self._configured[arn]
        configuration.rotation = Rotation(arn, token)
        configuration.retry_at = None
        self._queue.append(arn)

    def _attempt(self, arn: str) -> None:
        configuration = self._configured[arn]
        rotation = configuration.rotation
        if rotation is None:
            return
        if arn in self._queue:
            self._queue.remove(arn)
        if not rotation.attempts:
            self._emit("RotationStarted", arn)
        attempt = self._run_steps(rotation)
        # Somebody may call RotateSecret at this very moment.
        with self._gateway.lock:
            rotation.attempts.append(attempt)
            self._conclude(arn, configuration, rotation)

    def _conclude(self, arn: str, configuration: _Configuration, rotation: Rotation) -> None:
        """What follows from an attempt."""
        if configuration.rotation is not rotation:
            # Cancelled while its steps ran: it must not change the secret's state.
            return
        if rotation.succeeded:
            secret = self._secret(arn)
            labels.move(secret, PENDING, labels.holder(secret, PENDING), None)
            configuration.last_rotated = configuration.last_changed = self.clock.now
            configuration.rotation = None
            self._schedule(arn)
            self._emit("RotationSucceeded", arn)
            return
        self._emit("RotationFailed", arn)
        if len(rotation.attempts) >= ATTEMPTS:
            rotation.abandoned = True
            configuration.rotation = None
            self._schedule(arn)
            self._emit("RotationAbandoned", arn)
        else:
            now = Clock(self.clock.now)
            now.advance(minutes=_RETRY_AFTER_MINUTES)
            configuration.retry_at = now.now

    def _run_steps(self, rotation: Rotation) -> Attempt:
        for step in STEPS:
            try:
                self.invoke(rotation, step)
            except (Exception, Crash) as error:  # noqa: BLE001  # any exception of a function fails its step
                return Attempt(step, error)
            for watch in self.after_step:
                watch(rotation, step)
        secret = self._secret(rotation.secret_arn)
        if labels.holder(secret, CURRENT) != rotation.token or labels.holder(secret, PENDING) not in {
            None,
            rotation.token,
        }:
            return Attempt(STEPS[-1], RuntimeError("the function finished, and the new version is not AWSCURRENT"))
        return Attempt()

    def _test(self, arn: str) -> None:
        """Run testSecret on a temporary version with the current value, as for RotateImmediately=False."""
        secret = self._secret(arn)
        rotation = Rotation(arn, str(uuid.uuid4()))
        self._emit("TestRotationStarted", arn)
        with self._gateway.lock:
            found = labels.holder(secret, CURRENT)
            current = {} if found is None else secret.versions[found]
            labels.stage_empty(secret, rotation.token, self.clock.now.timestamp())
            secret.versions[rotation.token].update({k: v for k, v in current.items() if k.startswith("secret_")})
        try:
            self.invoke(rotation, "testSecret")
        except (Exception, Crash):  # noqa: BLE001
            self._emit("TestRotationFailed", arn)
        else:
            self._emit("TestRotationSucceeded", arn)
        finally:
            with self._gateway.lock:
                del secret.versions[rotation.token]

    def _schedule(self, arn: str) -> None:
        configuration = self._configured[arn]
        schedule = configuration.rules.schedule
        if schedule is not None:
            configuration.next_window = schedule.next_window(self.clock.now, configuration.last_changed)

    def _emit(self, name: str, arn: str) -> None:
        # https://docs.aws.amazon.com/secretsmanager/latest/userguide/monitoring-eventbridge.html
        self.events.append(
            {
                "detail-type": "AWS Service Event via CloudTrail",
                "source": "aws.secretsmanager",
                "account": _ACCOUNT,
                "region": self.region,
                "time": self.clock.now.isoformat(),
                "detail": {
                    "eventSource": "secretsmanager.amazonaws.com",
                    "eventName": name,
                    "additionalEventData": {"SecretId": arn},
                },
            }
        )

    # The calls that moto answers wrongly.

    def _answer(self, operation: str, parameters: dict[str, Any], region: str) -> dict[str, Any] | None:
        labels.require_size(parameters)
        handler = _ANSWERS.get(operation)
        if handler is None:
            return None
        secret = self._secret(parameters["SecretId"], region)
        if secret.is_deleted() and operation != "DescribeSecret":
            raise Refused(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            )
        if operation in _CHANGES:
            if not hasattr(secret, "rotation_requested"):
                raise Refused(
                    "InvalidRequestException",
                    "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
                )
            self._remember(secret)
        reply = handler(self, secret, parameters)
        if operation in _CHANGES:
            secret.last_changed_date = self.clock.now.timestamp()
        return reply

    def _amend(self, operation: str, reply: dict[str, Any], region: str) -> dict[str, Any]:
        """Add what moto's answers lack."""
        if operation != "ListSecrets":
            return reply
        listed = []
        for entry in reply["SecretList"]:
            described = self._described(self._secret(entry["ARN"], region))
            listed.append(described | {"SecretVersionsToStages": described.pop("VersionIdsToStages")})
        return reply | {"SecretList": listed}

    def _put(self, secret: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        configuration = self._configured.get(secret.arn)
        rotation = configuration.rotation if configuration else None
        given = parameters.get("RotationToken")
        if given is not None and (rotation is None or given != rotation.rotation_token):
            raise Refused("InvalidParameterException", "The RotationToken is not the one of the rotation under way.")
        if self.require_rotation_token and given is None and self._gateway.step is not None:
            raise Refused("AccessDeniedException", "An assumed role must send the RotationToken of the rotation.")
        token = parameters.get("ClientRequestToken") or str(uuid.uuid4())
        value: dict[labels.Kind, Any] = {}
        if "SecretString" in parameters:
            value["secret_string"] = parameters["SecretString"]
        if "SecretBinary" in parameters:
            value["secret_binary"] = parameters["SecretBinary"]
        labels.put(secret, token, value, parameters.get("VersionStages"), self.clock.now.timestamp())
        if configuration is not None and labels.holder(secret, CURRENT) == token:
            # For schedules in days, a value stored by hand counts as a rotation.
            configuration.last_changed = self.clock.now
            if isinstance(configuration.rules.schedule, Rate):
                self._schedule(secret.arn)
        return self._named(secret) | {"VersionId": token, "VersionStages": secret.versions[token]["version_stages"]}

    def _get(self, secret: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        seen = self._seen(secret)
        version = labels.read(seen, parameters.get("VersionId"), parameters.get("VersionStage"))
        reply = self._named(secret) | {
            "VersionId": version["version_id"],
            "VersionStages": version["version_stages"],
            "CreatedDate": version["createdate"],
        }
        if "secret_string" in version:
            return reply | {"SecretString": version["secret_string"]}
        return reply | {"SecretBinary": version["secret_binary"]}

    def _describe(self, secret: Any, _: dict[str, Any]) -> dict[str, Any]:
        return self._described(secret)

    def _described(self, secret: Any) -> dict[str, Any]:
        reply: dict[str, Any] = {key: value for key, value in secret.to_dict().items() if value is not None}
        for key in ("RotationEnabled", "RotationLambdaARN", "RotationRules", "LastRotatedDate", "NextRotationDate"):
            reply.pop(key, None)
        reply["VersionIdsToStages"] = labels.stages(self._seen(secret))
        configuration = self._configured.get(secret.arn)
        if configuration is not None:
            reply["RotationEnabled"] = configuration.enabled
            reply["RotationLambdaARN"] = configuration.function_arn
            reply["RotationRules"] = configuration.shown_rules
            if configuration.last_rotated is not None:
                reply["LastRotatedDate"] = configuration.last_rotated.timestamp()
            if configuration.enabled and configuration.next_window is not None:
                # The service shows the end of the window, by which the secret will have rotated.
                reply["NextRotationDate"] = configuration.rules.window_end(configuration.next_window).timestamp()
        return reply

    def _list_versions(self, secret: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        # What was made later has a later date, although the clock stands still.
        versions = [
            {
                "VersionId": token,
                "VersionStages": version["version_stages"],
                "CreatedDate": version["createdate"] + _MOMENT * number,
            }
            for number, (token, version) in enumerate(secret.versions.items())
            if labels.has_value(version) and (version["version_stages"] or parameters.get("IncludeDeprecated"))
        ]
        return self._named(secret) | {"Versions": versions}

    def _update_stage(self, secret: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        labels.update(
            secret,
            parameters["VersionStage"],
            parameters.get("RemoveFromVersionId"),
            parameters.get("MoveToVersionId"),
        )
        return self._named(secret)

    def _rotate(self, secret: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        configuration = self._configured.get(secret.arn)
        function = parameters.get("RotationLambdaARN") or (configuration.function_arn if configuration else None)
        if function is None:
            raise Refused("InvalidRequestException", _NOT_CONFIGURED)
        if function not in self._functions:
            raise Refused("AccessDeniedException", _NOT_INVOCABLE)
        immediately = parameters.get("RotateImmediately", True)
        if immediately and parameters.get("ClientRequestToken") in secret.versions:
            # A call that is retried because its answer was lost: the version is made only once.
            return self._named(secret) | {"VersionId": parameters["ClientRequestToken"]}
        pending = labels.holder(secret, PENDING)
        if immediately and pending is not None and pending != labels.holder(secret, CURRENT):
            raise Refused("InvalidRequestException", _INCOMPLETE)
        shown = parameters.get("RotationRules") or (configuration.shown_rules if configuration else {})
        try:
            rules = RotationRules.of(shown)
        except ConfigurationError as error:
            raise Refused("InvalidParameterException", str(error)) from None
        if configuration is None:
            configuration = self._configured[secret.arn] = _Configuration(function, rules, shown)
        configuration.function_arn, configuration.rules, configuration.shown_rules = function, rules, shown
        configuration.enabled = True
        self._schedule(secret.arn)
        if not immediately:
            self._gateway.before_reply.append(lambda: self._test(secret.arn))
            return self._named(secret)
        token = parameters.get("ClientRequestToken") or str(uuid.uuid4())
        if token not in secret.versions:
            # Otherwise the request was sent again after its rotation had ended.
            self._begin(secret.arn, token)
        return self._named(secret) | {"VersionId": token}

    def _cancel(self, secret: Any, _: dict[str, Any]) -> dict[str, Any]:
        configuration = self._configured.get(secret.arn)
        if configuration is None:
            raise Refused("InvalidRequestException", _NOT_CONFIGURED)
        # The labels stay where they are, which is how a secret gets stuck.
        configuration.enabled = False
        configuration.rotation = None
        configuration.next_window = None
        pending = labels.holder(secret, PENDING)
        under_way = pending is not None and pending != labels.holder(secret, CURRENT)
        return self._named(secret) | ({"VersionId": pending} if under_way else {})

    def _named(self, secret: Any) -> dict[str, Any]:
        return {"ARN": secret.arn, "Name": secret.name}

    def _secret(self, secret_id: str, region: str | None = None) -> Any:
        secret = _found(models.secretsmanager_backends[_ACCOUNT][region or self.region].secrets, secret_id)
        if secret is None:
            raise Refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return secret

    # Eventual consistency.

    def _remember(self, secret: Any) -> None:
        """Keep the old state, which reads still see for a while."""
        if self.consistency_lag:
            seen = self._stale.get(secret.arn, (0, {}))
            before = seen[1] if seen[0] else {token: _copy(version) for token, version in secret.versions.items()}
            self._stale[secret.arn] = (self.consistency_lag, before)

    def _seen(self, secret: Any) -> Any:
        """The secret as a read sees it."""
        left, before = self._stale.get(secret.arn, (0, {}))
        if not left:
            return secret
        self._stale[secret.arn] = (left - 1, before)
        return _Past(before)


def _found(store: Any, secret_id: str) -> Any:
    """A secret by its name or ARN. moto compares with each secret, so that rotating a thousand took seconds."""
    # A secret is stored under its name, a replica under its ARN. An ARN ends in a hyphen and six characters.
    for key in (secret_id, secret_id.partition(":secret:")[2][:-7]):
        secret = dict.get(store, key)
        if secret is not None and secret_id in {secret.arn, secret.name}:
            return secret
    return store.get(secret_id)


def _listed(
    backend: Any,
    filters: Any,
    max_results: int | None = None,
    next_token: str | None = None,
    include_planned_deletion: bool = False,  # noqa: FBT001, FBT002  # moto calls it so
) -> tuple[list[dict[str, Any]], str | None]:
    """moto's ListSecrets, except that a page describes only its own secrets, not all of them."""
    found = [
        secret
        for secret in backend.secrets.values()
        if (include_planned_deletion or not getattr(secret, "deleted_date", None)) and models._matches(secret, filters)  # noqa: SLF001
    ]
    page, further = backend._get_secret_values_page_and_next_token(found, max_results, next_token)  # noqa: SLF001
    return [secret.to_dict() for secret in page], further


@dataclass(frozen=True)
class _Dates:
    """The functions of ``time`` that moto uses, by the service's clock."""

    clock: Clock

    def time(self) -> float:
        """Seconds since 1970."""
        return self.clock.now.timestamp()


@dataclass
class _Past:
    """An earlier state of a secret's versions."""

    versions: dict[str, Any]


def _copy(version: dict[str, Any]) -> dict[str, Any]:
    return {**version, "version_stages": list(version["version_stages"])}


_ANSWERS: dict[str, Callable[[RotationService, Any, dict[str, Any]], dict[str, Any]]] = {
    "PutSecretValue": RotationService._put,  # noqa: SLF001
    "GetSecretValue": RotationService._get,  # noqa: SLF001
    "DescribeSecret": RotationService._describe,  # noqa: SLF001
    "ListSecretVersionIds": RotationService._list_versions,  # noqa: SLF001
    "UpdateSecretVersionStage": RotationService._update_stage,  # noqa: SLF001
    "RotateSecret": RotationService._rotate,  # noqa: SLF001
    "CancelRotateSecret": RotationService._cancel,  # noqa: SLF001
}
_CHANGES = {"PutSecretValue", "UpdateSecretVersionStage", "RotateSecret", "CancelRotateSecret"}
