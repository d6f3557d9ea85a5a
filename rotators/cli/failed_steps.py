"""Reads the failed steps from a function's log: the newest line for each secret, as rotator.py writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from rotators.checks.aws import AwsRefused
from rotators.cli.aws import Account
from rotators.errors import cut, one_line
from rotators.steps import STEPS

# A failed rotation is retried for hours. After that, the next one may be days away.
_LOOK_BACK = timedelta(days=7)
# FilterLogEvents returns the oldest lines first, up to 1 MB per page:
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
_MOST_PAGES = 20
_FAILED, _UNEXPECTED = "the step failed", "an unexpected error ended the step"
_PATTERN = f'{{ $.message = "{_FAILED}" || $.message = "{_UNEXPECTED}" }}'
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


@dataclass(frozen=True)
class FailedStep:
    """One line of a log.

    Args:
        at: when it was written.
        secret_arn: the secret.
        version_id: the version under rotation.
        step: one of the four.
        error: the error's name in ``rotators.errors``.
        reason: what happened, where, and what to do next, without secret values.
    """

    at: datetime
    secret_arn: str
    version_id: str
    step: str
    error: str
    reason: str

    def __str__(self) -> str:
        return f"{self.step} at {self.at:%Y-%m-%d %H:%M} UTC: {self.error}: {self.reason}"


def read(message: str, milliseconds: int) -> FailedStep | None:
    """Read a line of a function's log.

    Args:
        message: the line.
        milliseconds: when it was written, since 1970.

    Returns:
        The failed step; None if the line reports none.
    """
    try:
        line = json.loads(message)
    except ValueError:
        return None
    if not isinstance(line, dict) or line.get("message") not in {_FAILED, _UNEXPECTED}:
        return None
    secret, step = line.get("secret"), line.get("step")
    if not isinstance(secret, str) or step not in STEPS:
        return None
    if line["message"] == _FAILED:
        error, reason = str(line.get("error", "")), str(line.get("reason", ""))
    else:
        error, reason = "UnexpectedError", "a fault in the rotator's code: see the function's log"
    return FailedStep(
        at=datetime.fromtimestamp(milliseconds / 1000, UTC),
        secret_arn=secret,
        version_id=str(line.get("version", "")),
        step=step,
        # A user's own rotator may log anything.
        error=error if _NAME.fullmatch(error) else "RotationError",
        reason=cut(one_line(reason)),
    )


FailedSteps = dict[tuple[str, str], FailedStep]
"""The newest failed step of each secret and version, by their ids; for any version of it, by ``""``."""


def newest(account: Account, log_group: str, now: datetime, since: datetime | None = None) -> tuple[FailedSteps, bool]:
    """The newest failed steps, and whether the log was read to its end.

    Args:
        account: the function's.
        log_group: the function's log.
        now: the time.
        since: ignore older lines; by default those older than 7 days.

    Raises:
        AwsRefused: the log may not be read, or there is none.
    """
    start = int((since or now - _LOOK_BACK).timestamp() * 1000)
    pages = account.pages("logs", "filter_log_events", logGroupName=log_group, filterPattern=_PATTERN, startTime=start)
    found: FailedSteps = {}
    for page in islice(pages, _MOST_PAGES):
        for step in _read_all(page.get("events", ())):
            for key in ((step.secret_arn, step.version_id), (step.secret_arn, "")):
                if key not in found or found[key].at <= step.at:
                    found[key] = step
    return found, next(pages, None) is None


def why_unread(error: AwsRefused, log_group: str) -> str:
    """Why a log could not be read, in words."""
    if error.missing:
        return f"its function has no log {log_group}"
    if error.denied:
        return "you may not read its function's log (logs:FilterLogEvents)"
    return f"its function's log could not be read: {error.what}"


def _read_all(events: Iterable[dict[str, object]]) -> Iterable[FailedStep]:
    for event in events:
        step = read(str(event.get("message", "")), int(str(event.get("timestamp", 0))))
        if step is not None:
            yield step
