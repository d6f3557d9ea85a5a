"""``rotators rotate --fleet``: starts a state machine that rotates, follows it, and reads its results.

docs/how-to/rotate-a-fleet.md says what it takes and what it writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rotators.checks.aws import Aws
from rotators.cli.aws import Account
from rotators.cli.render import Report
from rotators.cli.rotate_follow import Time
from rotators.cli.rotate_look import CURRENT, holder
from rotators.cli.rotate_outcome import Evidence, Outcome, Result, Turn
from rotators.cli.status import Choice
from rotators.due import overdue
from rotators.errors import ConfigurationError

MACHINE = re.compile(r"arn:[a-z-]+:states:[a-z0-9-]+:\d{12}:stateMachine:[\w.-]+", re.ASCII)
EXECUTION = re.compile(r"arn:[a-z-]+:states:[a-z0-9-]+:\d{12}:execution:[\w.-]+:[\w.-]+", re.ASCII)
_PAUSE = 5.0
_RESULTS = {
    "rotated": Result.ROTATED,
    "would rotate": Result.PLANNED,
    "skipped": Result.LEFT_OUT,
    "unfinished": Result.UNFINISHED,
    "failed": Result.FAILED,
}
_REMEDIES = {
    Result.FAILED: "see: rotators explain {}",
    Result.UNFINISHED: "see: rotators check {}",
    Result.LEFT_OUT: "to switch it on: aws secretsmanager rotate-secret --secret-id {}",
}


@dataclass(frozen=True)
class Orders:
    """The orders to an execution.

    Args:
        choice: which secrets.
        dry_run: whether to rotate nothing.
        concurrency: the most rotations at a time.
        max_failures: start no more rotations once this many have failed.
        wait_seconds: how long to wait for the end of each rotation.
    """

    choice: Choice
    dry_run: bool
    concurrency: int
    max_failures: int
    wait_seconds: int

    def to_input(self) -> dict[str, Any]:
        """The execution's input.

        Raises:
            ConfigurationError: the state machine can't choose like this.
        """
        choice = self.choice
        if choice.named or len(choice.tags) > 1:
            raise ConfigurationError(
                "a fleet's state machine takes --name-prefix, one --tag, or all of its secrets", "use one of these"
            )
        filters = next(choice.calls()).get("Filters", [])
        if choice.prefix and not any(one["Key"] == "name" for one in filters):
            # The state machine does not compare names itself: it would rotate more than was requested.
            raise ConfigurationError(f"ListSecrets can't filter by a name like '{choice.prefix}'", "use another prefix")
        tags = [{"Key": key, "Value": value} for key, value in choice.tags.items()]
        return {
            "dry_run": self.dry_run,
            "filters": filters,
            "tag": tags[0] if tags else None,
            "concurrency": self.concurrency,
            "max_failures": self.max_failures - 1,
            "wait_seconds": self.wait_seconds,
        }


def begin(account: Aws, machine: str, orders: Orders, name: str) -> str:
    """Start an execution.

    Args:
        account: the state machine's account.
        machine: its ARN.
        orders: what to rotate, and how.
        name: the execution's name. The same name does not start a second execution.

    Returns:
        The execution's ARN.

    Raises:
        ConfigurationError: the state machine can't choose like this.
        AwsRefused: it can't be started.
    """
    given = json.dumps(orders.to_input())
    started = account.call("stepfunctions", "start_execution", stateMachineArn=machine, name=name, input=given)
    return str(started["executionArn"])


def follow(account: Account, execution: str, clock: Time, report: Report) -> Evidence:
    """Wait until an execution has ended, and read its results. Ctrl-C ends only the waiting.

    Args:
        account: the execution's account.
        execution: its ARN.
        clock: the time.
        report: called with the progress.

    Returns:
        What became of each secret.

    Raises:
        AwsRefused: the execution can't be read.
        ConfigurationError: it does not belong to a fleet, or its input is wrong.
    """
    while (told := account.call("stepfunctions", "describe_execution", executionArn=execution))["status"] == "RUNNING":
        report("rotating", *_progress(account, execution))
        clock.wait(set(), _PAUSE)
    if told.get("error") == "WrongInput":
        raise ConfigurationError(str(told.get("cause", "the input is wrong")), "deploy the fleet again")
    bucket, functions = _machine(account, execution)
    name, region, number = execution.rsplit(":", 1)[1], execution.split(":")[3], execution.split(":")[4]
    ended = told.get("stopDate") or clock.now
    asked = json.loads(told["input"])
    results = {one["secret"]: one for one in _objects(account, bucket, f"runs/{name}/results/")}
    listed = {
        entry["ARN"]: entry
        for page in _objects(account, bucket, f"runs/{name}/secrets/")
        for entry in page
        if entry.get("RotationLambdaARN") in functions and asked.get("tag") in [None, *entry.get("Tags", ())]
    }
    outcomes = [
        _outcome(entry, results.get(arn), (number, region), (told["startDate"], ended)) for arn, entry in listed.items()
    ]
    what = f"the fleet of {execution.split(':')[6]}, started with {told['input']}"
    return Evidence(name, what, [execution], told["startDate"], ended, sorted(outcomes, key=lambda one: one.secret))


def _progress(account: Account, execution: str) -> tuple[int, int]:
    runs = account.call("stepfunctions", "list_map_runs", executionArn=execution)["mapRuns"]
    if not runs:
        return 0, 0
    counts = account.call("stepfunctions", "describe_map_run", mapRunArn=runs[0]["mapRunArn"])["itemCounts"]
    return counts["total"] - counts["pending"] - counts["running"], counts["total"]


def _machine(account: Account, execution: str) -> tuple[str, set[str]]:
    """The bucket and the functions that the state machine's definition names."""
    told = account.call("stepfunctions", "describe_state_machine_for_execution", executionArn=execution)
    try:
        states = json.loads(told["definition"])["States"]
        rules = states["EachSecret"]["ItemProcessor"]["States"]["Ours"]["Choices"][0]["And"][1]["Or"]
        return states["WritePage"]["Parameters"]["Bucket"], {rule["StringEquals"] for rule in rules}
    except (LookupError, TypeError, ValueError):
        raise ConfigurationError(f"{execution} is not a fleet's", "name the MachineArn of the stack") from None


def _objects(account: Account, bucket: str, prefix: str) -> Iterator[Any]:
    for page in account.pages("s3", "list_objects_v2", Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", ()):
            yield json.loads(account.call("s3", "get_object", Bucket=bucket, Key=one["Key"])["Body"].read())


def _outcome(
    entry: Mapping[str, Any],
    result: Mapping[str, Any] | None,
    place: tuple[str, str],
    times: tuple[datetime, datetime],
) -> Outcome:
    begun, ended = times
    outcome = Outcome(
        *place,
        entry["Name"],
        Result.NOT_STARTED,
        arn=entry["ARN"],
        function=entry["RotationLambdaARN"].rsplit(":function:", maxsplit=1)[-1],
        overdue_before=overdue(_moment(entry.get("NextRotationDate")), begun) or "",
    )
    if result is None:
        outcome.cause, outcome.remedy = "the execution ended before its turn", "start another one"
        return outcome
    outcome.result = _RESULTS[result["outcome"]]
    if outcome.result is not Result.ROTATED:
        outcome.cause = result["reason"]
        outcome.remedy = _REMEDIES.get(outcome.result, "").format(outcome.secret)
        outcome.overdue_after = overdue(_moment(entry.get("NextRotationDate")), ended) or ""
    if result["version"] in result["versions_after"]:
        outcome.turns = [
            Turn(
                result["version"],
                holder(result["versions_before"], CURRENT),
                _moment(result["started"]) or begun,
                _moment(result["ended"]) if outcome.result is not Result.UNFINISHED else None,
                outcome.result is Result.ROTATED,
                result["rotated_before"],
            )
        ]
    return outcome


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
