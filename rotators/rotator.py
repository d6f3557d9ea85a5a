"""The four steps of a rotation, for any kind of secret.

The protocol: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""

from __future__ import annotations

import copy
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from aws_lambda_powertools.metrics import MetricUnit

from rotators import blame
from rotators.credentials import SecretValue
from rotators.errors import (
    MalformedEvent,
    PasswordRefused,
    PendingUnusable,
    RequestError,
    RotationError,
    RotationNotEnabled,
    SecretMalformed,
    ServiceError,
    UnexpectedError,
    UnknownStep,
    VersionNotPending,
    VersionUnknown,
)
from rotators.logs import logger, metrics, redactor
from rotators.steps import STEPS
from rotators.versions import CURRENT, LARGEST_VALUE, PENDING, SecretDescription, SecretVersion, SecretVersions

if TYPE_CHECKING:
    from rotators.checks.finding import Finding
    from rotators.checks.plan import Plan

ValueT = TypeVar("ValueT", bound=SecretValue)

# Seconds of the invocation that are not used: the error must be reported before Lambda ends the function.
_RESERVE = 1.0
# Seconds for a call without Lambda's context (by hand).
_DEFAULT_BUDGET = 30.0
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class LambdaContext(Protocol):
    """The one method of Lambda's context object that a rotation uses.

    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""


@dataclass(frozen=True)
class RotationEvent:
    """What Secrets Manager sends.

    Args:
        step: ``createSecret``, ``setSecret``, ``testSecret`` or ``finishSecret``.
        secret_id: the secret's ARN.
        version_id: the ClientRequestToken, which is the id of the version under rotation.
        rotation_token: identifies the caller, for PutSecretValue; older events have none. Never shown.
    """

    step: str
    secret_id: str
    version_id: str
    rotation_token: str | None = field(repr=False)

    @classmethod
    def parse(cls, event: Any) -> RotationEvent:
        """Read the event that Lambda passes to the handler.

        Raises:
            MalformedEvent: a field is missing, or holds what Secrets Manager never sends.
            UnknownStep: the step is not one of the four.
        """
        if not isinstance(event, Mapping):
            raise MalformedEvent("the event is not a JSON object", _INVOKED_BY)
        step = event_field(event, "Step")
        spelled = step.replace("_", "").lower()
        if spelled not in _SPELLINGS:
            # Not echoed: a caller who may invoke the function must not be able to write into its log.
            raise UnknownStep("the event's Step is not one of the four", f"use one of {', '.join(STEPS)}")
        token = event_field(event, "RotationToken") if event.get("RotationToken") else None
        redactor.hide([token])
        return cls(_SPELLINGS[spelled], event_field(event, "SecretId"), event_field(event, "ClientRequestToken"), token)


QUESTIONS = ("check", "plan")
"""Steps that change nothing, for callers whom IAM allows to invoke the function. Secrets Manager never sends them."""
_SPELLINGS = {name.lower(): name for name in STEPS}
_INVOKED_BY = "the function is meant to be invoked by Secrets Manager, see docs/how-to/invoke-by-hand.md"


def event_field(event: Mapping[str, Any], name: str) -> str:
    """A field of an event.

    Raises:
        MalformedEvent: it is missing, or holds what Secrets Manager never sends.
    """
    value = event.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedEvent(f"the event has no {name}", _INVOKED_BY)
    if not _PRINTABLE.fullmatch(value):
        raise MalformedEvent(f"the event's {name} holds characters that no {name} has", _INVOKED_BY)
    return value


class Rotation(Generic[ValueT]):
    """One step of one rotation, as a rotator sees it. Values are read when they are first used.

    Args:
        event: the event.
        versions: the secret's versions.
        parse: makes a value from a version's text.
        complete: adds to a version's value what the settings say about the secret with this ARN.
        deadline: when the step must have ended, on the clock of ``time.monotonic``.
    """

    def __init__(
        self,
        event: RotationEvent,
        versions: SecretVersions,
        parse: Callable[[str, str], ValueT],
        complete: Callable[[ValueT, str], ValueT],
        deadline: float,
    ) -> None:
        self.event = event
        self.deadline = deadline
        self.stages: Mapping[str, frozenset[str]] = {}
        """The staging labels of each version, as DescribeSecret gave them when the step began."""
        self._versions = versions
        self._parse = parse
        self._complete = complete

    @property
    def secret_id(self) -> str:
        """The secret as the event names it: its ARN."""
        return self.event.secret_id

    @property
    def secret_arn(self) -> str:
        """The secret's whole ARN, as Secrets Manager returns it."""
        return self._current_version.secret_arn

    @property
    def time_left(self) -> float:
        """Seconds left for the step; never negative."""
        return max(0.0, self.deadline - time.monotonic())

    @cached_property
    def current(self) -> ValueT:
        """The value of AWSCURRENT. After a promotion in an earlier attempt, this is the pending value."""
        return self._value(self._current_version, CURRENT)

    @cached_property
    def pending(self) -> ValueT:
        """The value of the version under rotation."""
        try:
            return self._value(self._rotating_version, PENDING)
        except SecretMalformed as error:
            raise PendingUnusable(error.what, error.advice) from None

    @cached_property
    def previous(self) -> ValueT | None:
        """The value of AWSPREVIOUS; None if the secret has none."""
        version = self._versions.previous(self.secret_id)
        return None if version is None else self._value(version, "AWSPREVIOUS")

    def unlabelled(self) -> Iterator[ValueT]:
        """The values of the versions without a label, the newest first; what can't be read as one is left out.

        Raises:
            SecretsManagerDenied: the function may not list them.
            SecretsManagerError: a call failed.
        """
        for version in self._versions.unlabelled(self.secret_id):
            try:
                value = self._value(version, f"version {version.version_id}, without a label")
            except SecretMalformed:
                continue
            yield value

    @property
    def current_version_id(self) -> str:
        """The id of the version whose value is ``current``."""
        return self._current_version.version_id

    @property
    def promoted(self) -> bool:
        """Whether the version under rotation is already AWSCURRENT."""
        return self.current_version_id == self.event.version_id

    def promote(self) -> None:
        """Move AWSCURRENT to the version under rotation, and verify it. Does nothing if it is there already.

        For rotators that change the label and the password at the same moment. The others leave this to finishSecret.

        Raises:
            SecretsManagerError: the label could not be moved.
        """
        current = self._current_version.version_id
        if current != self.event.version_id:
            self._versions.promote(self.secret_id, self.event.version_id, current)

    def demote(self) -> None:
        """Undo what :meth:`promote` did in this invocation.

        Raises:
            SecretsManagerError: the label could not be moved.
        """
        current = self._current_version.version_id
        if current != self.event.version_id:
            self._versions.promote(self.secret_id, current, self.event.version_id)

    @cached_property
    def stored(self) -> bool:
        """Whether an earlier attempt stored a value in the version under rotation, according to one read."""
        return self._versions.has_value(self.secret_id, self.event.version_id)

    def admin(self, secret_id: str) -> ValueT:
        """The current value of another secret, the admin's.

        Raises:
            SecretNotFound: there is no such secret, or it has no value.
            SecretMalformed: its value is not the JSON that is needed.
            SecretsManagerError: it may not be read.
        """
        redactor.show([secret_id])
        return self._parse_hidden(self._versions.admin(secret_id).text, f"the admin secret {secret_id}")

    @cached_property
    def _current_version(self) -> SecretVersion:
        return self._versions.current(self.secret_id)

    @cached_property
    def _rotating_version(self) -> SecretVersion:
        return self._versions.rotating(self.secret_id, self.event.version_id)

    def _value(self, version: SecretVersion, stage: str) -> ValueT:
        redactor.show([version.secret_arn])
        value = self._parse_hidden(version.text, f"secret {self.secret_id} ({stage})")
        whole = self._complete(value, version.secret_arn)
        if whole is not value:
            learn(whole)
        return whole

    def _parse_hidden(self, text: str, source: str) -> ValueT:
        # A text that can't be parsed may still be a password.
        redactor.hide_unknown([text])
        value = self._parse(text, source)
        learn(value)
        return value


def learn(value: SecretValue) -> None:
    """Make the redactor hide a secret's values, except for the public ones."""
    redactor.show(value.shown_values())
    redactor.hide(value.secret_values())
    redactor.hide_unknown(value.hidden_values())


class Rotator(ABC, Generic[ValueT]):
    """A Lambda handler that rotates a secret. Subclass it, write three methods, and make an instance.

    ::

        class ApiKey(Rotator[SecretValue]):
            def propose(self, rotation):
                return rotation.current.replace(key=secrets.token_urlsafe(32))

            def apply(self, rotation):
                Api(rotation.current["key"]).add_key(rotation.pending["key"])

            def verify(self, rotation):
                Api(rotation.pending["key"]).ping()

        handler = ApiKey()

    After a failure, each method may be called again with the same values. It must then give the same result.

    Args:
        versions: the secret's versions; by default those of the function's own account and Region.
    """

    value_type: ClassVar[type[SecretValue]] = SecretValue

    def __init__(self, versions: SecretVersions | None = None) -> None:
        # Made with the instance, which a function makes at import: Lambda does not charge for start-up time.
        self._versions = SecretVersions() if versions is None else versions
        self._tested: tuple[str, str] | None = None
        self._worked_from: tuple[str, str, str] | None = None

    def restarted(self, *, patience: float | None = None) -> Self:
        """A copy that remembers no earlier invocation, like a new process.

        Args:
            patience: seconds to wait until a write becomes visible; by default as before.
        """
        made = copy.copy(self)
        made._versions = self._versions.restarted(patience=patience)  # noqa: SLF001  # the same class
        made._tested = made._worked_from = None  # noqa: SLF001
        return made

    @abstractmethod
    def propose(self, rotation: Rotation[ValueT]) -> ValueT:
        """Make the next value from ``rotation.current``. Do not change anything yet.

        Check here for whatever would stop the rotation, before anything is written.

        Returns:
            The next value, to be stored as AWSPENDING.
        """

    @abstractmethod
    def apply(self, rotation: Rotation[ValueT]) -> None:
        """Make ``rotation.pending`` valid in the database or service.

        Raises:
            PasswordRefused: the new value can never be accepted. It is discarded, and the next rotation makes another.
        """

    @abstractmethod
    def verify(self, rotation: Rotation[ValueT]) -> None:
        """Log in with ``rotation.pending``.

        Raises:
            RotationError: the login fails.
        """

    def dismiss(self, rotation: Rotation[ValueT], proposed: ValueT) -> None:
        """Undo :meth:`propose`, whose value is not used because an earlier attempt stored one. Does nothing by default.

        Args:
            rotation: the step.
            proposed: what propose returned.
        """

    def require_unedited(self, rotation: Rotation[ValueT]) -> None:
        """Raise an error if AWSCURRENT was edited after ``rotation.pending`` was made from it.

        Called in finishSecret if AWSCURRENT is not the version that setSecret saw. By default nothing is compared.

        Raises:
            PendingUnusable: it was edited, and the pending version can be discarded without loss.
            EditedMeanwhile: it was edited, and the pending value is in use already.
        """

    def may_repeat(self, error: RotationError) -> bool:
        """Whether Secrets Manager may retry a rotation that has stored nothing yet. False if a retry could do harm.

        Args:
            error: what :meth:`propose` raised.
        """
        del error
        return True

    def parse(self, text: str, source: str) -> ValueT:
        """Make a value from a version's text.

        Args:
            text: the version's SecretString.
            source: names the version in errors.

        Raises:
            SecretMalformed: the text is not what this rotator needs.
        """
        return self.value_type.from_json(text, source)  # type: ignore[return-value]

    def complete(self, value: ValueT, secret_arn: str) -> ValueT:
        """Add to a version's value what the function's settings say about its secret. By default nothing is added.

        Args:
            value: the version's value.
            secret_arn: the secret's whole ARN.
        """
        del secret_arn
        return value

    def check(self, rotation: Rotation[ValueT]) -> Iterable[Finding]:
        """Check everything that the next rotation needs, without a change. By default nothing is checked.

        Called for the event ``{"Step": "check", …}``, which Secrets Manager never sends. A RotationError that this
        method raises becomes a finding.

        Args:
            rotation: its labels can't be moved, and ``pending`` can only be read if AWSPENDING has a value.

        Returns:
            The findings: see :mod:`rotators.checks.finding`.
        """
        del rotation
        return ()

    def plan(self, rotation: Rotation[ValueT]) -> Plan:
        """Say what the next rotation would do, without a change. Called for the event ``{"Step": "plan", …}``.

        Args:
            rotation: as for :meth:`check`.
        """
        del rotation
        from rotators.checks.plan import STEPS_IN_WORDS, Plan  # noqa: PLC0415  # no rotation pays for it

        return Plan(strategy=type(self).__name__, steps=STEPS_IN_WORDS)

    def __call__(self, event: Any, context: LambdaContext | None = None) -> dict[str, Any] | None:
        """Run one step, or answer ``check`` or ``plan``.

        Args:
            event: ``Step``, ``SecretId``, ``ClientRequestToken`` and, from the service, ``RotationToken``. For the
                steps ``check`` and ``plan``, only ``Step`` and ``SecretId``.
            context: Lambda's context object.

        Returns:
            None for the four steps; the answer, which can be written as JSON, for ``check`` and ``plan``.

        Raises:
            RotationError: the step failed. Secrets Manager retries the rotation later.
        """
        if isinstance(event, Mapping) and event.get("Step") in QUESTIONS:
            from rotators.checks.answer import answer  # noqa: PLC0415  # no rotation pays for it

            return answer(self, self._versions, event, context)
        self._step(event, context)
        return None

    def _step(self, event: Any, context: LambdaContext | None) -> None:
        started = time.monotonic()
        logger.clear_state()
        # Values of the last invocation may belong to another secret, and must not hide anything in this one's log.
        redactor.forget()
        try:
            request = RotationEvent.parse(event)
        except RequestError as error:
            logger.error("the event was refused", error=type(error).__name__, reason=str(error))
            redactor.forget()
            raise
        redactor.show([request.secret_id, request.step, request.version_id])
        logger.append_keys(secret=request.secret_id, step=request.step, version=request.version_id)
        failure: RotationError | None = None
        try:
            self._run(request, started + budget(context))
        except RotationError as error:
            failure = redactor.clean(error)
            code = {"code": failure.code} if isinstance(failure, ServiceError) and failure.code else {}
            logger.error("the step failed", error=type(error).__name__, reason=str(failure), extra=code)
        except Exception as error:  # noqa: BLE001  # the last place to catch an error that may hold secrets
            # Its text may hold secrets: it goes only into the log, which is redacted.
            logger.exception("an unexpected error ended the step")
            failure = blame.unexpected(f"{request.step} ended with an unexpected", error, type(self))
        finally:
            _measure(request, failure, time.monotonic() - started)
            redactor.forget()
        if failure is not None:
            raise failure from None
        logger.info("the step is done", milliseconds=round((time.monotonic() - started) * 1000))

    def _run(self, request: RotationEvent, deadline: float) -> None:
        redactor.show([self._versions.endpoint])
        self._versions.must_answer_by(deadline)
        self._versions.keep_only(request.secret_id, request.version_id)
        rotation = Rotation[ValueT](request, self._versions, self.parse, self.complete, deadline)
        steps: dict[str, Callable[[Rotation[ValueT]], None]] = {
            "createSecret": self._create,
            "setSecret": self._set,
            "testSecret": self._test,
            "finishSecret": self._finish,
        }
        steps[request.step](rotation)

    def _create(self, rotation: Rotation[ValueT]) -> None:
        event = rotation.event
        described = self._describe(rotation)
        self._tested = None
        if CURRENT in described.stages[event.version_id]:
            logger.info("the version is AWSCURRENT already; nothing to create")
            return
        try:
            proposed = self.propose(rotation)
            _must_be_a_value(proposed, type(self))
            learn(proposed)
            text = _storable(proposed)
        except RotationError as error:
            # What stops a new rotation may be what completing the interrupted one repairs.
            if self._versions.has_value(event.secret_id, event.version_id):
                logger.warning("the new value could not be prepared again; the stored one is kept")
                return
            if self.may_repeat(error) or not self._versions.is_empty(event.secret_id, event.version_id):
                raise
            # Without a label, retries end before they do anything, and RotateSecret is not refused.
            self._versions.discard_pending(event.secret_id, event.version_id)
            raise error.reworded(
                error.what,
                f"{error.advice}; then call RotateSecret, or wait for the schedule: this rotation is not retried, "
                "because the server may block a user after wrong passwords",
            ) from None
        if not self._versions.put_pending(event.secret_id, event.version_id, text, event.rotation_token):
            logger.info("an earlier attempt stored a value already; it is kept")
            self.dismiss(rotation, proposed)

    def _set(self, rotation: Rotation[ValueT]) -> None:
        event = rotation.event
        current = self._describe(rotation).holder(CURRENT)
        self._tested = self._worked_from = None
        with self._discarding(rotation):
            _ = rotation.pending
            self.apply(rotation)
        self._worked_from = (event.secret_id, event.version_id, current or "")

    @contextmanager
    def _discarding(self, rotation: Rotation[ValueT]) -> Iterator[None]:
        """Discard the pending version if the block finds that it can't be used."""
        try:
            yield
        except (PasswordRefused, PendingUnusable):
            # It would block every later rotation: RotateSecret is refused while a version is AWSPENDING.
            if not rotation.promoted:
                self._versions.discard_pending(rotation.secret_id, rotation.event.version_id)
                logger.warning("the pending value can't be used and was discarded; the next rotation makes another")
            raise

    def _test(self, rotation: Rotation[ValueT]) -> None:
        self._describe(rotation)
        self.verify(rotation)
        self._tested = (rotation.secret_id, rotation.event.version_id)
        self._versions.forget_pending()

    def _finish(self, rotation: Rotation[ValueT]) -> None:
        event = rotation.event
        described = self._describe(rotation)
        tested, self._tested = self._tested, None
        if described.failed_replicas:
            logger.warning("replicas of the secret are out of date", regions=list(described.failed_replicas))
        if CURRENT in described.stages[event.version_id]:
            logger.info("the version is AWSCURRENT")
            return
        current = described.holder(CURRENT)
        if current is None:
            raise VersionNotPending(f"secret {event.secret_id} has no {CURRENT} version", "rotate the secret again")
        worked_from, self._worked_from = self._worked_from, None
        if worked_from != (event.secret_id, event.version_id, current):
            with self._discarding(rotation):
                self.require_unedited(rotation)
        # finishSecret may be called out of order: test first, so that only a working version becomes AWSCURRENT.
        if tested != (event.secret_id, event.version_id):
            self.verify(rotation)
            self._versions.forget_pending()
        self._versions.promote(event.secret_id, event.version_id, current)
        logger.info("the version is AWSCURRENT now", former=current)

    def _describe(self, rotation: Rotation[ValueT]) -> SecretDescription:
        event = rotation.event
        described = self._versions.describe(event.secret_id, event.version_id)
        rotation.stages = described.stages
        region = event.secret_id.split(":")[3] if event.secret_id.startswith("arn:") else None
        if described.primary_region and region and described.primary_region != region:
            raise RequestError(
                f"secret {event.secret_id} is a replica", f"rotate it in its primary Region, {described.primary_region}"
            )
        if described.rotation_enabled is False:
            raise RotationNotEnabled(
                f"rotation is not enabled for secret {event.secret_id}", "call RotateSecret with this function's ARN"
            )
        if event.version_id not in described.stages:
            if self._versions.has_value(event.secret_id, event.version_id):
                raise VersionNotPending(
                    f"version {event.version_id} of secret {event.secret_id} has a value and no label: an earlier "
                    "attempt discarded it because its value could not be used, or it is an old version",
                    "further attempts with it change nothing: correct what the first attempt's error says, and call "
                    "RotateSecret, or wait for the schedule: the next rotation makes another version",
                )
            raise VersionUnknown(
                f"secret {event.secret_id} has no version {event.version_id} under rotation",
                "start a rotation with RotateSecret: the service makes the version and invokes this function; if an "
                "earlier attempt said that it is not retried, first correct what it names",
            )
        _must_be_pending(event, described.stages[event.version_id])
        return described


def _must_be_a_value(proposed: object, rotator: type) -> None:
    if not isinstance(proposed, SecretValue):
        raise UnexpectedError(
            f"{rotator.__name__}.propose returned a {type(proposed).__name__}, not a SecretValue",
            "end it with: return rotation.current.replace(key=…)",
        )


def _storable(value: SecretValue) -> str:
    text = value.to_json()
    size = len(text.encode(errors="surrogatepass"))
    if size > LARGEST_VALUE:
        raise SecretMalformed(
            f"{value.source}: with the new value it would have {size:,} bytes, and Secrets Manager stores at most "
            f"{LARGEST_VALUE:,}",
            "shorten what the secret holds beside the credential; nothing was changed",
        )
    return text


def _must_be_pending(event: RotationEvent, stages: frozenset[str]) -> None:
    if not stages & {PENDING, CURRENT}:
        raise VersionNotPending(
            f"version {event.version_id} of secret {event.secret_id} is neither {PENDING} nor {CURRENT}",
            "start a new rotation with RotateSecret",
        )


def budget(context: LambdaContext | None) -> float:
    """Seconds that an invocation may take before its answer must be ready.

    Args:
        context: Lambda's context object; None for a call by hand.
    """
    if context is None:
        return _DEFAULT_BUDGET
    remaining = context.get_remaining_time_in_millis() / 1000
    return max(remaining - _RESERVE, remaining / 2)


def _measure(request: RotationEvent, failure: RotationError | None, seconds: float) -> None:
    # If metrics are disabled, Powertools keeps what was added.
    metrics.clear_metrics()
    metrics.add_dimension("step", request.step)
    metrics.add_metric("StepDuration", MetricUnit.Milliseconds, seconds * 1000)
    metrics.add_metric("StepFailed", MetricUnit.Count, 0 if failure is None else 1)
    metrics.add_metadata("secret", request.secret_id)
    if failure is not None:
        metrics.add_metadata("error", type(failure).__name__)
    metrics.flush_metrics()
