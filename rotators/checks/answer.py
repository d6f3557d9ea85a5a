"""A function's answers to the events ``check`` and ``plan``.

Nothing is changed: an inspected rotation can't move a staging label. A check reaches only what a rotation of the secret
would reach: the secret must name this function as its rotation function, and its rotation must be enabled.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rotators.checks import commands
from rotators.checks.finding import Finding, Outcome, failure, ok, subject_of, unknown, warning
from rotators.credentials import SecretValue
from rotators.errors import RequestError, RotationError, RotationNotEnabled, UnexpectedError
from rotators.logs import logger, redactor
from rotators.rotator import LambdaContext, Rotation, RotationEvent, budget, event_field
from rotators.versions import CURRENT, PENDING, PREVIOUS, SecretDescription, SecretVersions

if TYPE_CHECKING:
    from collections.abc import Callable

    from rotators.checks.plan import Plan

ValueT = TypeVar("ValueT", bound=SecretValue)

# arn, partition, lambda, Region, account, function, name. A version or an alias may follow.
_FUNCTION = 7
_LEAST = 0.5


class Rotates(Protocol[ValueT]):
    """The methods of a rotator that a check uses."""

    def parse(self, text: str, source: str) -> ValueT:
        """Make a value from a version's text."""

    def complete(self, value: ValueT, secret_arn: str) -> ValueT:
        """Add to a version's value what the function's settings say about its secret."""

    def check(self, rotation: Rotation[ValueT]) -> Iterable[Finding]:
        """Check everything that the next rotation needs."""

    def plan(self, rotation: Rotation[ValueT]) -> Plan:
        """Say what the next rotation would do."""


class Inspection(Rotation[ValueT]):
    """A rotation that can only be inspected: it never moves a staging label.

    Args:
        described: the secret's state.
        versions: its versions.
        parse: makes a value from a version's text.
        complete: adds to it what the settings say about the secret.
        deadline: when the answer must be there, on the clock of ``time.monotonic``.
        try_every_password: whether to try each different password, even if refused logins may lock the account.
    """

    def __init__(
        self,
        described: SecretDescription,
        versions: SecretVersions,
        parse: Callable[[str, str], ValueT],
        complete: Callable[[ValueT, str], ValueT],
        deadline: float,
        *,
        try_every_password: bool = False,
    ) -> None:
        self.described = described
        self.try_every_password = try_every_password
        current, pending = described.holder(CURRENT), described.holder(PENDING)
        self.pending_version = pending if pending != current else None
        """The version that has AWSPENDING and is not AWSCURRENT; None if there is none."""
        self.has_pending_value = self.pending_version is not None and versions.has_value(
            described.secret_arn, self.pending_version
        )
        event = RotationEvent("check", described.secret_arn, self.pending_version or current or "", None)
        super().__init__(event, versions, parse, complete, deadline)
        self.stages = described.stages

    def promote(self) -> None:
        """Refuse to move the label.

        Raises:
            UnexpectedError: always.
        """
        raise UnexpectedError("a check was about to move a label", "please report it")

    demote = promote


def answer(
    rotator: Rotates[Any], versions: SecretVersions, event: Mapping[str, Any], context: LambdaContext | None
) -> dict[str, Any]:
    """Answer ``{"Step": "check" or "plan", "SecretId": …}``.

    Args:
        rotator: the function's.
        versions: the secrets' versions.
        event: if its ``TryEveryPassword`` is true, passwords are tried although refused logins may lock the account.
        context: Lambda's context object. Its ``invoked_function_arn`` must be the secret's RotationLambdaARN.

    Returns:
        A JSON object without a secret value.

    Raises:
        RotationError: the event was refused.
    """
    started = time.monotonic()
    logger.clear_state()
    redactor.forget()
    try:
        question, secret_id = event_field(event, "Step"), event_field(event, "SecretId")
        redactor.show([question, secret_id, versions.endpoint])
        logger.append_keys(secret=secret_id, step=question)
        deadline = started + budget(context)
        versions.must_answer_by(deadline)
        described = versions.describe(secret_id)
        redactor.show([described.secret_arn])
        _require_ours(described, context)
        inspection = Inspection(
            described,
            versions,
            rotator.parse,
            rotator.complete,
            deadline,
            try_every_password=event.get("TryEveryPassword") is True,
        )
        if question == "check":
            findings = [found.redacted(redactor.redact) for found in _check(rotator, inspection)]
            logger.info("a check was made", outcomes=[found.outcome.value for found in findings])
            return {"secret": described.secret_arn, "findings": [found.to_json() for found in findings]}
        planned = _plan(rotator, inspection).redacted(redactor.redact)
        logger.info("a plan was made")
        return {"secret": described.secret_arn, **planned.to_json()}
    except RotationError as error:
        refused = redactor.clean(error)
        logger.error("the question was refused", error=type(error).__name__, reason=str(refused))
    except Exception as error:  # noqa: BLE001  # the last place to catch an error that may hold secrets
        logger.exception("an unexpected error ended a check")
        refused = UnexpectedError(
            f"the question ended with an unexpected {type(error).__name__}",
            "see the function's log, and report it: it is a fault of rotators",
        )
    finally:
        redactor.forget()
    raise refused from None


def _require_ours(described: SecretDescription, context: LambdaContext | None) -> None:
    """Require that this function rotates the secret.

    A check outside Lambda has no function: there, the caller's own permissions decide.

    Raises:
        RequestError: another function rotates the secret, or it is a replica.
        RotationNotEnabled: rotation is not enabled.
    """
    invoked = getattr(context, "invoked_function_arn", None)
    if not isinstance(invoked, str):
        return
    secret = described.secret_arn
    if described.function_arn is None or not described.rotation_enabled:
        raise RotationNotEnabled(
            f"rotation is not enabled for secret {secret}",
            f"run: {commands.switch_on(secret, described.function_arn or unqualified(invoked))}",
        )
    if unqualified(described.function_arn) != unqualified(invoked):
        raise RequestError(
            f"secret {secret} is rotated by {described.function_arn}, and this is {invoked}", "ask that function"
        )
    region = secret.split(":")[3] if secret.startswith("arn:") else None
    if described.primary_region and region and described.primary_region != region:
        raise RequestError(f"secret {secret} is a replica", f"ask in its primary Region, {described.primary_region}")


def unqualified(function_arn: str) -> str:
    """A function's ARN without a version or an alias."""
    return ":".join(function_arn.split(":")[:_FUNCTION])


def _check(rotator: Rotates[Any], inspection: Inspection[Any]) -> Iterator[Finding]:
    yield from _labels(inspection)
    try:
        _ = inspection.current
    except RotationError as error:
        yield Finding.of(f"secret {CURRENT}", error)
        return
    yield ok(f"secret {CURRENT}", "its value can be read")
    try:
        for found in rotator.check(inspection):
            yield found
            if inspection.time_left < _LEAST:
                yield unknown(
                    "the rest",
                    "the invocation's time was over before it could be looked at",
                    "raise the function's time-out (60 s is usually enough), and see which of the above took the time",
                )
                return
    except RotationError as error:
        yield Finding.of(subject_of(error), error)


def _labels(inspection: Inspection[Any]) -> Iterator[Finding]:
    described, secret = inspection.described, inspection.secret_id
    version = inspection.pending_version
    if described.failed_replicas:
        yield warning(
            "replicas",
            f"the secret's replicas in {', '.join(described.failed_replicas)} are out of date",
            f"aws secretsmanager replicate-secret-to-regions --secret-id {secret} --force-overwrite-replica-secret "
            f"--add-replica-regions {' '.join(f'Region={one}' for one in described.failed_replicas)}",
        )
    if version is None:
        yield ok(PENDING, "no rotation is under way", "none")
    elif not inspection.has_pending_value:
        yield failure(
            PENDING,
            f"it is on version {version}, which has no value: a rotation stopped in createSecret, and RotateSecret is "
            "refused until Secrets Manager has tried it again or the label is gone",
            commands.remove_pending(secret, version),
            "empty",
        )
    else:
        yield warning(
            PENDING,
            f"it is on version {version}: a rotation is under way, or was interrupted",
            f"rotators explain {secret}",
            "value",
        )
    if described.holder(CURRENT) is None:
        yield failure(
            CURRENT,
            "no version of the secret has this label",
            commands.put_value(secret),
            "none",
        )
    if described.holder(PREVIOUS) is None:
        yield ok(PREVIOUS, "no version has this label: the secret has not rotated yet", "none")


def _plan(rotator: Rotates[Any], inspection: Inspection[Any]) -> Plan:
    from rotators.checks.plan import Plan  # noqa: PLC0415  # a check needs none

    try:
        return rotator.plan(inspection)
    except RotationError as error:
        return Plan(findings=(Finding.of("rotation", error, Outcome.FAILURE),))
