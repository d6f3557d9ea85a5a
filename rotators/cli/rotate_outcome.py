"""What became of each secret of a run: the rows of every report, for runs of this command and of a state machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class Result(StrEnum):
    """How a secret's rotation ended, as far as is known."""

    PLANNED = "planned"
    """A dry run: it would be rotated."""
    ROTATED = "rotated"
    """The new version is AWSCURRENT, and the rotation is over."""
    FAILED = "failed"
    """It was refused, given up, or failed at a step."""
    UNFINISHED = "unfinished"
    """It was started, and continues in Secrets Manager; the run did not wait longer."""
    NOT_STARTED = "not started"
    """The run ended before its turn came."""
    LEFT_OUT = "left out"
    """No rotation could be started: rotation is off, a service rotates it, it is a replica, or it does not exist."""


def moment(when: datetime | None) -> str:
    """A time as reports show it; empty if there is none."""
    return "" if when is None else f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@dataclass
class Turn:
    """One rotation of a secret.

    Args:
        token: the ClientRequestToken, which is the new version's id.
        before: the version that was AWSCURRENT when it was started; None: there was none.
        started: when RotateSecret was called.
        ended: when it was seen to be over.
        rotated: whether it succeeded.
        rotated_before: LastRotatedDate before this rotation, from DescribeSecret; None: never.
    """

    token: str
    before: str | None
    started: datetime
    ended: datetime | None = None
    rotated: bool = False
    rotated_before: str | None = None

    @property
    def seconds(self) -> float | None:
        """How many seconds it took; None if it is not over."""
        return None if self.ended is None else (self.ended - self.started).total_seconds()

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; what is not known is null."""
        return {
            "version_id": self.token,
            "version_id_before": self.before,
            "started": self.started.isoformat(),
            "ended": None if self.ended is None else self.ended.isoformat(),
            "seconds": self.seconds,
            "rotated": self.rotated,
        }


@dataclass
class Outcome:
    """What became of one secret, or of an account and Region that could not be read.

    Args:
        account: its account's number or name.
        region: its Region.
        secret: its name.
        result: how it ended.
        arn: its ARN.
        function: the name of its rotation function.
        group: the group of secrets that are not rotated at the same time.
        wanted: how many rotations it needs.
        turns: the rotations that were started.
        step: the step that failed.
        cause: why it is not rotated, in a line.
        remedy: what to do, in a line.
        note: further information.
        overdue_before: how late it was when the run began; empty if it was not overdue.
        overdue_after: how late it is at the end.
        named: whether the user named it.
    """

    account: str
    region: str
    secret: str
    result: Result
    arn: str = ""
    function: str = ""
    group: str = ""
    wanted: int = 1
    turns: list[Turn] = field(default_factory=list)
    step: str = ""
    cause: str = ""
    remedy: str = ""
    note: str = ""
    overdue_before: str = ""
    overdue_after: str = ""
    named: bool = False

    @property
    def started(self) -> datetime | None:
        """When its first rotation was started."""
        return self.turns[0].started if self.turns else None

    @property
    def ended(self) -> datetime | None:
        """When its last rotation was over."""
        return self.turns[-1].ended if self.turns else None

    @property
    def seconds(self) -> float | None:
        """Seconds from its first rotation's start to its last one's end; None if there are not both."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()

    @property
    def versions_before(self) -> set[str | None]:
        """The versions that were AWSCURRENT before its last rotation, as far as is known."""
        return {turn.before for turn in self.turns} | {turn.token for turn in self.turns[:-1]}

    @property
    def wrong(self) -> bool:
        """Whether the user must act. A secret that was left out counts only if the user named it."""
        if self.result is Result.LEFT_OUT:
            return self.named
        return self.result not in {Result.ROTATED, Result.PLANNED}

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; what is not known is null."""
        return {
            "account": self.account or None,
            "region": self.region or None,
            "secret": self.secret or None,
            "arn": self.arn or None,
            "function": self.function or None,
            "group": self.group or None,
            "result": self.result.value,
            "rotations_wanted": self.wanted,
            "rotations": [turn.to_json() for turn in self.turns],
            "seconds": self.seconds,
            "step": self.step or None,
            "cause": self.cause or None,
            "remedy": self.remedy or None,
            "note": self.note or None,
            "overdue_before": self.overdue_before or None,
            "overdue_after": self.overdue_after or None,
        }


@dataclass(frozen=True)
class Evidence:
    """A run as reports show it.

    Args:
        run: its id.
        what: what to rotate, in words.
        callers: who made the calls: an ARN for each account.
        begun: when it began.
        ended: when it ended.
        outcomes: what became of each secret.
        journal: the file from which it can be resumed; empty: none.
    """

    run: str
    what: str
    callers: Sequence[str]
    begun: datetime
    ended: datetime
    outcomes: Sequence[Outcome]
    journal: str = ""

    @property
    def counts(self) -> Mapping[Result, int]:
        """The number of secrets for each result that occurred."""
        return {result: count for result in Result if (count := sum(one.result is result for one in self.outcomes)) > 0}

    @property
    def summary(self) -> str:
        """The run in one line."""
        counted = ", ".join(f"{count} {result}" for result, count in self.counts.items())
        return f"{len(self.outcomes)} secrets: {counted}" if counted else "no secret was chosen"

    @property
    def wrong(self) -> list[Outcome]:
        """The outcomes for which the user must act."""
        return [one for one in self.outcomes if one.wrong]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "run": self.run,
            "what": self.what,
            "callers": list(self.callers),
            "begun": self.begun.isoformat(),
            "ended": self.ended.isoformat(),
            "journal": self.journal or None,
            "counts": {result.value: count for result, count in self.counts.items()},
            "secrets": [one.to_json() for one in self.outcomes],
        }
