"""A secret as ListSecrets returns it, and what is wrong with its rotation.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_SecretListEntry.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from rotators.cli.failed_steps import FailedStep, FailedSteps
from rotators.due import GRACE, overdue
from rotators.engines.names import ENGINE_NAMES, serving
from rotators.settings import AUTO, STRATEGIES

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
UNKNOWN = "unknown"
# Names of secrets that a service manages:
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/
# service-linked-secrets.html
_MANAGED = re.compile(r"([a-z][a-z0-9-]*)!.*", re.DOTALL)
_OUR_HANDLER = re.compile(r"rotators[./]handlers[./](\w+)\.handler")


class State(StrEnum):
    """The state of a secret's rotation, by its staging labels."""

    CURRENT = "current"
    """No rotation is under way."""
    ROTATING = "rotating"
    """AWSPENDING is on a version that is not AWSCURRENT yet."""
    STUCK = "stuck"
    """The same, and a step has failed, or it takes too long."""
    OFF = "off"
    """Rotation is switched off."""
    MANAGED = "managed"
    """An AWS service rotates it."""
    COPY = "copy"
    """A replica: it rotates in its primary Region."""
    DELETED = "deleted"
    """It is scheduled for deletion."""
    MISSING = "missing"
    """There is no such secret."""
    UNKNOWN = "unknown"
    """The account or Region could not be read."""


@dataclass(frozen=True)
class Listed:
    """One entry of ListSecrets. Dates that it does not have are None.

    Args:
        arn: the secret's ARN.
        name: its name.
        tags: its tags.
        enabled: whether rotation is enabled.
        function_arn: the rotation function; None: there is none, or a service rotates it.
        pending: the version with AWSPENDING, unless that is AWSCURRENT too.
        changed: when it was last changed.
        rotated: when it last rotated.
        next: by when it should rotate next.
        deleted: when it was scheduled for deletion.
        managed_by: the service that rotates it.
        primary_region: the primary Region, if it is a replica.
    """

    arn: str
    name: str
    tags: Mapping[str, str]
    enabled: bool
    function_arn: str | None
    pending: str | None
    changed: datetime | None
    rotated: datetime | None
    next: datetime | None
    deleted: datetime | None
    managed_by: str | None
    primary_region: str | None

    @classmethod
    def read(cls, entry: Mapping[str, Any], region: str) -> Listed:
        """Read an entry.

        Args:
            entry: as ListSecrets returns it.
            region: where it was listed.
        """
        name = str(entry.get("Name", ""))
        stages: Mapping[str, list[str]] = entry.get("SecretVersionsToStages") or {}
        managed = _MANAGED.fullmatch(name)
        primary = entry.get("PrimaryRegion")
        return cls(
            arn=str(entry["ARN"]),
            name=name,
            tags={str(tag["Key"]): str(tag.get("Value", "")) for tag in entry.get("Tags") or ()},
            enabled=bool(entry.get("RotationEnabled")),
            function_arn=entry.get("RotationLambdaARN") or None,
            pending=next((id_ for id_, on in stages.items() if PENDING in on and CURRENT not in on), None),
            changed=_date(entry, "LastChangedDate") or _date(entry, "CreatedDate"),
            rotated=_date(entry, "LastRotatedDate"),
            next=_date(entry, "NextRotationDate"),
            deleted=_date(entry, "DeletedDate"),
            managed_by=entry.get("OwningService") or (managed[1] if managed else None),
            primary_region=primary if primary and primary != region else None,
        )

    @property
    def rotates(self) -> bool:
        """Whether a function in this Region, or a service, rotates it."""
        return self.enabled and self.deleted is None and self.primary_region is None

    @property
    def looked_after(self) -> bool:
        """Whether a function of the account should rotate it in this Region."""
        return self.rotates and self.managed_by is None

    def is_suspect(self, now: datetime) -> bool:
        """Whether its function's log may say what is wrong."""
        return self.looked_after and (self.pending is not None or overdue(self.next, now) is not None)


@dataclass
class Function:
    """What is known about a rotation function.

    Args:
        engine: the engine whose secrets it rotates.
        strategy: its strategy.
        log_group: its log group.
        problem: why it can't rotate anything; empty if no reason is known.
        failed: the newest failed steps of its secrets.
        unread: why its log was not read, or not to the end; empty if it was, or need not be.
    """

    log_group: str
    engine: str = UNKNOWN
    strategy: str = UNKNOWN
    problem: str = ""
    failed: FailedSteps = field(default_factory=dict)
    unread: str = ""

    @classmethod
    def named(cls, arn: str) -> Function:
        """A function of which only the ARN is known."""
        return cls(f"/aws/lambda/{arn.split(':')[6]}" if arn.count(":") >= 6 else "")  # noqa: PLR2004  # parts of an ARN

    @classmethod
    def read(cls, arn: str, configuration: Mapping[str, Any]) -> Function:
        """Read the answer of GetFunctionConfiguration. Only one of its variables is read: others may hold values."""
        function = cls.named(arn)
        function.log_group = (configuration.get("LoggingConfig") or {}).get("LogGroup") or function.log_group
        function.engine = _engine(configuration)
        environment = configuration.get("Environment") or {}
        strategy = (environment.get("Variables") or {}).get("ROTATION_STRATEGY")
        if strategy in STRATEGIES:
            function.strategy = strategy
        elif strategy is None and "Error" not in environment and function.engine != UNKNOWN:
            function.strategy = AUTO
        return function


@dataclass
class Row:
    """A row of the output: a secret, or an account and Region that could not be read.

    Args:
        account: its account's name or number.
        region: its Region.
        secret: its name.
        state: its state.
        arn: its ARN.
        engine: its function's engine.
        strategy: its function's strategy.
        age: the time since its value was last rotated or changed.
        last: when it last rotated.
        next: by when it should rotate.
        failed: the failed step that explains its problem.
        problem: what is wrong; empty if nothing is.
        note: further information.
    """

    account: str
    region: str
    secret: str
    state: State
    arn: str = ""
    engine: str = ""
    strategy: str = ""
    age: timedelta | None = None
    last: datetime | None = None
    next: datetime | None = None
    failed: FailedStep | None = None
    problem: str = ""
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object. What is not known is null."""
        failed = self.failed
        return {
            "account": self.account or None,
            "region": self.region or None,
            "secret": self.secret or None,
            "arn": self.arn or None,
            "engine": self.engine or None,
            "strategy": self.strategy or None,
            "state": self.state.value,
            "age_seconds": None if self.age is None else round(self.age.total_seconds()),
            "last": None if self.last is None else self.last.isoformat(),
            "next": None if self.next is None else self.next.isoformat(),
            "step": None if failed is None else failed.step,
            "error": None if failed is None else failed.error,
            "reason": None if failed is None else failed.reason,
            "problem": self.problem or None,
            "note": self.note or None,
        }


def judge(listed: Listed, function: Function | None, now: datetime, account: str | None, region: str) -> Row:
    """Describe a secret's rotation.

    Args:
        listed: the secret.
        function: its rotation function; None: there is none, or a service rotates it.
        now: the current time.
        account: the account's name in the row; None: its number.
        region: its Region.
    """
    since = listed.rotated or listed.changed
    row = Row(
        account=account or listed.arn.split(":")[4],
        region=region,
        secret=listed.name,
        state=State.CURRENT,
        arn=listed.arn,
        age=None if since is None else now - since,
        last=listed.rotated,
        next=listed.next,
    )
    if function is not None and listed.managed_by is None:
        row.engine, row.strategy = function.engine, function.strategy
    if listed.deleted is not None:
        row.state = State.DELETED
        row.problem = f"it is scheduled for deletion since {listed.deleted:%Y-%m-%d}"
    elif listed.managed_by is not None:
        row.state, row.note = State.MANAGED, f"{listed.managed_by} manages it and rotates it itself"
    elif listed.primary_region is not None:
        row.state, row.note = State.COPY, f"it rotates in {listed.primary_region}"
    elif not listed.enabled:
        _switched_off(row, listed)
    else:
        _rotating(row, listed, function, now)
    return row


def _switched_off(row: Row, listed: Listed) -> None:
    row.state, row.note = State.OFF, "rotation is switched off"
    if listed.pending is not None:
        row.state, row.note = State.STUCK, ""
        row.problem = f"rotation was switched off half-way, see: rotators explain {listed.arn}"


def _rotating(row: Row, listed: Listed, function: Function | None, now: datetime) -> None:
    problems = [] if function is None or not function.problem else [function.problem]
    late = overdue(listed.next, now)
    failed = None if function is None else function.failed.get((listed.arn, listed.pending or ""))
    if listed.pending is not None:
        tired = listed.changed is not None and listed.changed + GRACE < now
        row.state = State.STUCK if failed is not None or tired else State.ROTATING
    elif failed is not None and (late is None or (listed.rotated is not None and failed.at < listed.rotated)):
        failed = None
    row.failed = failed
    if late is not None:
        problems.append(f"overdue: {late}")
    if failed is not None:
        problems.append(f"{'stuck' if row.state is State.STUCK else 'it failed'} at {failed}")
    elif row.state is State.STUCK:
        problems.append(f"stuck: AWSPENDING is half-done since {listed.changed:%Y-%m-%d %H:%M} UTC")
    row.problem = "; ".join(problems)
    if failed is None and function is not None and listed.is_suspect(now):
        row.note = function.unread or "its function's log has no failed step of the last 7 days"


def _date(entry: Mapping[str, Any], key: str) -> datetime | None:
    """A date in UTC: boto3 gives dates in the local time zone."""
    date = entry.get(key)
    return date.astimezone(UTC) if isinstance(date, datetime) else None


def _engine(configuration: Mapping[str, Any]) -> str:
    """The engine whose secrets a function rotates: from its handler, else from its description or name."""
    handler = _OUR_HANDLER.fullmatch(str(configuration.get("Handler", "")))
    if handler is not None and handler[1] in ENGINE_NAMES:
        return handler[1]
    # A packaged function's handler is function.handler for every engine.
    for key in ("Description", "FunctionName"):
        words = re.findall(r"[a-z0-9]+", str(configuration.get(key, "")).lower())
        engines = {serving(word) for word in words} - {None}
        if len(engines) == 1:
            return str(engines.pop())
    return UNKNOWN
