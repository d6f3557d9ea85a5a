"""Chooses the secrets that a run rotates, how often each, and which of them share a database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rotators.checks import commands
from rotators.checks.aws import AwsRefused
from rotators.cli import fleet
from rotators.cli.fleet import Place
from rotators.cli.listed import UNKNOWN, Function, Listed
from rotators.cli.render import Report
from rotators.cli.rotate_outcome import Outcome, Result, Turn
from rotators.cli.status import FIND_IT, Choice, ask_function, list_all, missing
from rotators.due import overdue
from rotators.errors import ConfigurationError, RotationError

FUNCTION, HOST, TAG = "function", "host", "tag:"
# Someone who knows the old password may still log in after one rotation, unless it replaces a single user's only one.
_SINGLE = "single-user"
# A user can't see whether it has one: https://dev.mysql.com/doc/refman/8.4/en/password-management.html#dual-passwords
_SECOND = (
    "with MySQL, a second password that another strategy has kept before stays valid: ALTER USER … DISCARD OLD PASSWORD"
)


@dataclass
class Task:
    """A secret that is to be rotated, or is left out.

    Args:
        outcome: what became of it.
        place: its account and Region.
        at: the place's index.
        log_group: its function's log group; empty: none is known.
    """

    outcome: Outcome
    place: Place
    at: int
    log_group: str = ""

    @property
    def arn(self) -> str:
        """The secret's ARN."""
        return self.outcome.arn

    @property
    def quota(self) -> str:
        """The account and Region whose quotas its calls use."""
        return quota_of(self.arn)

    @property
    def group(self) -> tuple[str, ...]:
        """The group that it shares with secrets that should not rotate at the same time."""
        return self.quota, self.outcome.group

    @property
    def turn(self) -> Turn | None:
        """The rotation that was started and may not be over; None if there is none."""
        last = self.outcome.turns[-1] if self.outcome.turns else None
        return last if last is not None and last.ended is None else None

    @property
    def rotations(self) -> int:
        """How many rotations have succeeded."""
        return sum(turn.rotated for turn in self.outcome.turns)

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        one = self.outcome
        return {
            "arn": one.arn,
            "account": one.account,
            "region": one.region,
            "secret": one.secret,
            "result": one.result.value,
            "function": one.function,
            "group": one.group,
            "wanted": one.wanted,
            "cause": one.cause,
            "remedy": one.remedy,
            "note": one.note,
            "overdue_before": one.overdue_before,
            "named": one.named,
            "place": self.at,
            "log_group": self.log_group,
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any], places: Sequence[Place]) -> Task:
        """Read what :meth:`to_json` wrote.

        Raises:
            KeyError, IndexError, TypeError, ValueError: it is something else.
        """
        facts = dict(kept)
        for other in ("kind", "at"):
            facts.pop(other, None)
        at, log_group = facts.pop("place"), facts.pop("log_group")
        return cls(Outcome(**facts | {"result": Result(facts["result"])}), places[at], at, log_group)


@dataclass(frozen=True)
class Order:
    """How to rotate the secrets that are found.

    Args:
        revoke_old: whether earlier passwords must become invalid.
        stagger_by: which secrets share a database: those of one function, those with one value of a tag, or those whose
            value names one host.
    """

    revoke_old: bool = False
    stagger_by: str = FUNCTION


def read_names(file: Path) -> list[str]:
    """Read the secrets of a file. A line holds a name or an ARN; a line that begins with ``#`` is a comment.

    Raises:
        ConfigurationError: the file can't be read, or names no secret.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} could not be read ({type(error).__name__})", "name a text file") from None
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise ConfigurationError(f"{file} names no secret", "write the name or ARN of one in each line")
    return names


def quota_of(arn: str) -> str:
    """The account and Region of an ARN, to which quotas apply."""
    return " ".join(arn.split(":")[3:5])


def find(places: Sequence[Place], choice: Choice, order: Order, now: datetime, report: Report) -> list[Task]:
    """Find the secrets, and decide for each whether it is rotated.

    Args:
        places: accounts and Regions.
        choice: which secrets.
        order: how to rotate them.
        now: the current time.
        report: called with the progress.

    Raises:
        AwsRefused: there is only one place, and it can't be read. If there are several, that is an outcome.
    """
    tasks: list[Task] = []
    listed: dict[str, tuple[int, Listed]] = {}
    for at, (place, result) in enumerate(list_all(places, choice, report)):
        if isinstance(result, RotationError):
            # Its secrets are unknown: the report must not look as if all were rotated.
            tasks.append(Task(_unseen(place, result), place, at))
            continue
        for one in result:
            listed.setdefault(one.arn, (at, one))
    functions = _functions(places, list(listed.values()), report)
    for at, one in listed.values():
        function = functions.get((at, one.function_arn or ""))
        outcome = _outcome(places[at], one, function, order, now)
        outcome.named = bool(choice.named)
        tasks.append(Task(outcome, places[at], at, "" if function is None else function.log_group))
    _group(tasks, [one for _, one in listed.values()], order, report)
    tasks += [Task(_missing(name, places), places[0], 0) for name in choice.absent(one for _, one in listed.values())]
    return sorted(tasks, key=lambda task: (task.outcome.account, task.outcome.region, task.outcome.secret))


def _unseen(place: Place, error: RotationError) -> Outcome:
    return Outcome(place.name or "", place.region, "", Result.FAILED, cause=error.what, remedy=error.advice)


def _missing(name: str, places: Sequence[Place]) -> Outcome:
    account, region, cause = missing(name, places)
    return Outcome(account, region, name, Result.LEFT_OUT, cause=cause, remedy=FIND_IT, named=True)


def _functions(
    places: Sequence[Place], listed: Sequence[tuple[int, Listed]], report: Report
) -> dict[tuple[int, str], Function]:
    wanted = list(dict.fromkeys((at, one.function_arn) for at, one in listed if one.function_arn and one.looked_after))
    looked = fleet.side_by_side(lambda one: ask_function(places[one[0]], one[1]), wanted, report, "asking functions")
    return {key: one for key, one in zip(wanted, looked, strict=True) if isinstance(one, Function)}


def _outcome(place: Place, listed: Listed, function: Function | None, order: Order, now: datetime) -> Outcome:
    outcome = Outcome(
        account=place.name or listed.arn.split(":")[4],
        region=place.account.region,
        secret=listed.name,
        result=Result.NOT_STARTED,
        arn=listed.arn,
        function=(listed.function_arn or "").rsplit(":function:", maxsplit=1)[-1],
        overdue_before=overdue(listed.next, now) or "",
    )
    reason = _why_left_out(listed)
    if reason is not None:
        outcome.result = Result.LEFT_OUT
        outcome.cause, outcome.remedy = reason
    elif order.revoke_old:
        outcome.wanted = rotations_to_revoke(function)
        if outcome.wanted == 1 and function is not None and function.engine in {"mysql", UNKNOWN}:
            outcome.note = _SECOND
    return outcome


def rotations_to_revoke(function: Function | None) -> int:
    """How many rotations make every earlier password invalid.

    One is enough for a single user with one password. With two users, the first rotation changes the other user's
    password; with two passwords, the current one stays valid. These need two, and so does an unknown strategy.

    Args:
        function: the rotation function; None: it is not known.
    """
    return 1 if function is not None and function.strategy == _SINGLE else 2


def _why_left_out(listed: Listed) -> tuple[str, str] | None:
    if listed.deleted is not None:
        return f"it is scheduled for deletion since {listed.deleted:%Y-%m-%d}", (
            "its password is still valid: change it in the database"
        )
    if listed.managed_by is not None:
        return f"{listed.managed_by} manages it and rotates it itself", (
            f"have {listed.managed_by} rotate it: for RDS, aws rds modify-db-instance --rotate-master-user-password"
        )
    if listed.primary_region is not None:
        return f"it is a replica, which rotates in {listed.primary_region}", f"name --region {listed.primary_region}"
    if listed.function_arn is None:
        return "no function rotates it", "change its credential where it was issued, and store the new one in it"
    if not listed.enabled:
        return "rotation is switched off", commands.switch_on(listed.arn)
    return None


def _group(tasks: Sequence[Task], listed: Sequence[Listed], order: Order, report: Report) -> None:
    by_arn = {one.arn: one for one in listed}
    chosen = [task for task in tasks if task.arn and task.outcome.result is Result.NOT_STARTED]
    for task in chosen:
        task.outcome.group = task.outcome.function
        if order.stagger_by.startswith(TAG):
            task.outcome.group = by_arn[task.arn].tags.get(order.stagger_by.removeprefix(TAG)) or task.outcome.function
    if order.stagger_by != HOST:
        return
    hosts = fleet.side_by_side(_host, chosen, report, "reading hosts")
    for task, host in zip(chosen, hosts, strict=True):
        if isinstance(host, str) and host:
            task.outcome.group = host
        else:
            task.outcome.note = "its host is not known: it is staggered with those of its function"


def _host(task: Task) -> str:
    """The host in a secret's value; empty if it names none. Nothing else of the value is kept."""
    reply = task.place.account.call("secretsmanager", "get_secret_value", SecretId=task.arn)
    try:
        value = json.loads(reply.get("SecretString", ""))
        return str(value["host"]).lower()
    except (ValueError, LookupError, TypeError):
        return ""


def callers(places: Sequence[Place]) -> list[str]:
    """Who makes the calls: an ARN for each identity, or why it is not known."""
    found = fleet.side_by_side(_caller, places, lambda *_: None, "asking who calls")
    return list(dict.fromkeys(str(one) for one in found))


def _caller(place: Place) -> str:
    try:
        return str(place.account.call("sts", "get_caller_identity")["Arn"])
    except AwsRefused as error:
        return f"unknown ({error.what})"
