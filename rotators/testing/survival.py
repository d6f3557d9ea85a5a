"""``assert_survives_faults``: breaks a rotator's rotations at every call that they make."""

from __future__ import annotations

import functools
import inspect
import pkgutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from unittest.mock import patch

from rotators.errors import RotationError
from rotators.logs import redactor
from rotators.rotator import Rotation as Step
from rotators.rotator import RotationEvent, Rotator
from rotators.testing.faults import Crash, Fault, Faults, When
from rotators.testing.labels import CURRENT, PREVIOUS
from rotators.testing.service import Rotation, RotationService
from rotators.versions import SecretVersions

_KINDS: tuple[tuple[When, Literal["network", "crash"]], ...] = (
    ("before", "network"),
    ("after", "network"),
    ("before", "crash"),
    ("after", "crash"),
)
_MOST_CALLS = 1_000
# Seconds. The simulated service lags only if a test asks for it.
_PATIENCE = 0.05
_VERIFY_SECONDS = 30.0
# Other calls change nothing.
_WRITES = frozenset({"PutSecretValue", "UpdateSecretVersionStage"})


@dataclass
class Survival:
    """What ``assert_survives_faults`` broke.

    Args:
        secrets_manager: the number of faults at calls to Secrets Manager.
        service: the number of faults at calls of the service's own client.
        calls: the broken calls, each once, in the order of the rotation.
    """

    secrets_manager: int = 0
    service: int = 0
    calls: list[str] = field(default_factory=list)


def assert_survives_faults(
    rotator: Rotator[Any],
    secret: Mapping[str, Any] | str,
    *,
    service: RotationService,
    calls: Sequence[str] = (),
    error: Callable[[], Exception] = lambda: ConnectionResetError("broken by a test"),
    stages: Sequence[str] = (CURRENT,),
    overlap: bool = False,
    holds: Callable[[str], None] | None = None,
    name: str = "survives-faults",
) -> Survival:
    """Break a rotation at every call that it makes, one at a time, and check that each rotation still succeeds.

    Each call fails in four rotations: the request never arrives, its answer is lost, and both again with the process
    killed, so that the next attempt runs in a new process. After each call and each step, AWSCURRENT must log in
    (:meth:`Rotator.verify`). Secrets Manager retries the broken rotation, which must succeed before it is abandoned.
    The version under rotation must then be AWSCURRENT.

    Args:
        rotator: an instance. After a killed process, a copy of it in its present state takes its place.
        secret: the first value of a secret that is made for this.
        service: the simulated service (the fixture ``rotation_service``).
        calls: the functions through which the service's own client makes its calls, as for ``unittest.mock.patch``:
            ``"urllib.request.urlopen"``, ``"my_service.Api.send"``. These calls are broken too.
        error: what such a call raises instead of its answer.
        stages: the labels of which at least one must log in at any time. For a service with one credential at a time:
            ``("AWSCURRENT", "AWSPENDING")``.
        overlap: whether AWSPREVIOUS must log in too after each successful rotation.
        holds: your own assertion, for example that no key has leaked. Called with the secret's ARN after each
            successful rotation.
        name: the secret's name.

    Returns:
        What was broken.

    Raises:
        AssertionError: a check failed. The text names the call, and no secret value.
    """
    if not isinstance(rotator, Rotator):
        raise TypeError(f"give an instance of a Rotator: {rotator!r} is none")
    trial = _Trial(rotator, service, error, tuple(stages), also=PREVIOUS if overlap else None, holds=holds)
    with trial.watched(calls):
        return trial.run(name, secret, calls)


class _Trial:
    def __init__(
        self,
        rotator: Rotator[Any],
        service: RotationService,
        error: Callable[[], Exception],
        stages: tuple[str, ...],
        *,
        also: str | None,
        holds: Callable[[str], None] | None,
    ) -> None:
        self._rotator = rotator
        self._process = _new_process(rotator, service)
        self._service = service
        self._error = error
        self._stages = stages
        self._also = also
        self._holds = holds
        self._own = Faults()
        self._arn = ""
        self._step: str | None = None
        self._looking = False
        self._passed = False
        self._broken_promise: str | None = None

    @contextmanager
    def watched(self, calls: Sequence[str]) -> Iterator[None]:
        """Intercept the client's calls, and check the labels after each call and step."""
        service = self._service

        def after_call(operation: str, when: When) -> None:
            if when == "after" and operation in _WRITES and self._step is not None:
                self._look(f"after {operation} in {self._step}")

        def after_step(_: Rotation, step: str) -> None:
            self._look(f"after {step}")

        service.faults.hooks.append(after_call)
        service.after_step.append(after_step)
        try:
            with ExitStack() as patches:
                for target in calls:
                    patches.enter_context(_replaced(target, functools.partial(self._pass, target)))
                yield
        finally:
            service.faults.hooks.remove(after_call)
            service.after_step.remove(after_step)

    def run(self, name: str, secret: Mapping[str, Any] | str, calls: Sequence[str]) -> Survival:
        """Rotate without a fault, then with each fault."""
        survival = Survival()
        self._arn = self._service.create_secret(name, secret, self._invoke)
        self._rotate(None)
        if calls and not self._passed:
            raise AssertionError(f"no step has called {' or '.join(calls)}: name what the client's calls pass through")
        for when, kind in _KINDS:
            survival.secrets_manager += self._break_each(self._service.faults, when, kind, survival.calls)
            survival.service += self._break_each(self._own, when, kind, survival.calls) if calls else 0
        return survival

    def _break_each(self, faults: Faults, when: When, kind: Literal["network", "crash"], seen: list[str]) -> int:
        # The first call to Secrets Manager is RotateSecret, which is not the rotator's.
        others = 1 if faults is self._service.faults else 0
        for nth in range(1, _MOST_CALLS):
            fault = faults.fail(when=when, kind=kind, nth=nth + others)
            self._rotate(fault, faults)
            if fault.call is None:
                return nth - 1
            if fault.call not in seen:
                seen.append(fault.call)
        raise AssertionError(f"a rotation makes more than {_MOST_CALLS} calls: it never ends")

    def _rotate(self, fault: Fault | None, faults: Faults | None = None) -> None:
        """Run a rotation with its retries, and check what must hold then."""
        rotation = self._service.rotate(self._arn)
        while not rotation.succeeded:
            self._must_hold(fault)
            if rotation.abandoned or fault is None or fault.call is None:
                how = "was abandoned" if rotation.abandoned else "failed"
                said = f"{rotation.failed_step}: {_told(rotation.error)}"
                raise AssertionError(f"{_described(fault)}: the rotation {how} ({said})")
            self._service.retry(self._arn)
        self._must_hold(fault)
        if self._service.labels(self._arn).get(rotation.token) != [CURRENT]:
            raise AssertionError(f"{_described(fault)}: the version under rotation is not {CURRENT}")
        if fault is not None and faults is not None:
            faults.forget(fault)
        refused = None if self._also is None else self._refusal(self._also)
        if refused is not None:
            raise AssertionError(f"{_described(fault)}: once the rotation has ended, {refused}")
        if self._holds is not None:
            try:
                self._holds(self._arn)
            except AssertionError as broken:
                broken.add_note(f"{_described(fault)}, once the rotation has ended")
                raise

    def _must_hold(self, fault: Fault | None) -> None:
        self._look("after the attempt")
        if self._broken_promise is not None:
            raise AssertionError(f"{_described(fault)}: {self._broken_promise}")

    def _invoke(self, event: Any, context: Any) -> None:
        self._step = event["Step"]
        try:
            self._process(event, context)
        except Crash:
            self._process = _new_process(self._rotator, self._service)
            raise
        finally:
            self._step = None

    def _pass(self, target: str, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make a call of the service's own client."""
        if self._step is None or self._looking:
            return original(*args, **kwargs)
        self._passed = True
        fault = self._own.at(target, self._step)
        if fault is None or fault.when == "after":
            answer = original(*args, **kwargs)
            self._look(f"after {target} in {self._step}")
            if fault is None:
                return answer
            if callable(close := getattr(answer, "close", None)):
                close()
        if fault.kind == "crash":
            raise Crash(target)
        raise self._error()

    def _look(self, moment: str) -> None:
        """Note if no label logs in. It is raised later: raised here, a rotator could catch it as its own error."""
        if self._looking or self._broken_promise is not None:
            return
        self._looking = True
        try:
            with self._service.faults.paused():
                refusals = [self._refusal(stage) for stage in self._stages]
        finally:
            self._looking = False
        if all(refusals):
            self._broken_promise = f"{moment} {'; '.join(filter(None, refusals))}"

    def _refusal(self, stage: str) -> str | None:
        """Why a label's value does not log in; None if it does."""
        holders = [version for version, stages in self._service.labels(self._arn).items() if stage in stages]
        if not holders:
            return f"{stage} is on no version"
        versions = SecretVersions(self._service.client, patience=_PATIENCE)
        event = RotationEvent("testSecret", self._arn, holders[0], None)
        process = self._process
        step = Step(event, versions, process.parse, process.complete, time.monotonic() + _VERIFY_SECONDS)
        try:
            process.verify(step)
        except Exception as error:  # noqa: BLE001  # any exception of verify means that it does not log in
            return f"{stage} does not log in: {redactor.redact(_told(error))}"
        return None


def _new_process(rotator: Rotator[Any], service: RotationService) -> Rotator[Any]:
    """The rotator as in a new process: it remembers no earlier invocation."""
    return rotator.restarted(patience=None if service.consistency_lag else _PATIENCE)


@contextmanager
def _replaced(target: str, wrapper: Callable[..., Any]) -> Iterator[None]:
    """Pass calls of a function or method to a wrapper, which takes the function as its first argument."""
    owner_name, _, name = target.rpartition(".")
    owner = pkgutil.resolve_name(owner_name)
    found = inspect.getattr_static(owner, name)
    function = found.__func__ if isinstance(found, staticmethod | classmethod) else found

    @functools.wraps(function)
    def passing(*args: Any, **kwargs: Any) -> Any:
        return wrapper(function, *args, **kwargs)

    new = type(found)(passing) if isinstance(found, staticmethod | classmethod) else passing
    with patch.object(owner, name, new):
        yield


def _described(fault: Fault | None) -> str:
    if fault is None or fault.call is None:
        return "without any fault"
    how = "it never arrived" if fault.when == "before" else "its answer was lost"
    killed = ", and the process was killed" if fault.kind == "crash" else ""
    return f"{fault.call} was broken ({how}{killed})"


def _told(error: BaseException | None) -> str:
    """An error's class; for a RotationError, also its redacted text."""
    return f"{type(error).__name__}: {error}" if isinstance(error, RotationError) else type(error).__name__
