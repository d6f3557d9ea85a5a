"""A secret's schedule, as RotateSecret takes it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from infra.config.model import Secret
from rotators.errors import ConfigurationError
from rotators.schedules import RotationRules, WindowRefused

_EVERY = re.compile(r"(\d+) (hour|day)s?")
_CRON = re.compile(r"cron\((\S+) (\d+) (.*)\)")
_HOURS_A_DAY = 24


@dataclass(frozen=True)
class Rules:
    """When a secret rotates.

    Args:
        expression: the ScheduleExpression; None: on demand only.
        duration: the window's length, ``3h``; None: Secrets Manager's default.
    """

    expression: str | None
    duration: str | None


class ScheduleMistake(ConfigurationError):
    """A schedule that is not allowed.

    Args:
        key: the secret's key that is wrong; None: several together, or one that is missing.
        what: what is wrong with it.
        advice: what is allowed.
    """

    def __init__(self, key: str | None, what: str, advice: str) -> None:
        super().__init__(what, advice)
        self.key = key


def rules(secret: Secret) -> Rules:
    """The rules for a secret, checked as Secrets Manager checks them.

    Raises:
        ScheduleMistake: Secrets Manager would refuse them.
    """
    if secret.every is not None and secret.schedule is not None:
        raise ScheduleMistake(None, "has both every and schedule", "give one of the two")
    expression = secret.schedule if secret.every is None else _rate(secret.every)
    if expression is None and secret.every is None:
        raise ScheduleMistake(None, "has no schedule", "give every: 30 days, a schedule, or every: never")
    if secret.stagger is not None:
        expression = _staggered(expression, secret)
    _check(expression, secret)
    return Rules(expression, secret.window)


def _check(expression: str | None, secret: Secret) -> None:
    """Make sure that Secrets Manager accepts the schedule with the secret's window."""
    try:
        RotationRules.parse(expression=expression, duration=secret.window)
    except WindowRefused as error:
        raise ScheduleMistake("window", f"is '{secret.window}': {error.what}", error.advice) from None
    except ConfigurationError as error:
        key = "every" if secret.schedule is None else "schedule"
        raise ScheduleMistake(key, f"is '{getattr(secret, key)}': {error.what}", error.advice) from None


def _rate(every: str) -> str | None:
    if every == "never":
        return None
    match = _EVERY.fullmatch(every)
    if match is None:
        raise ScheduleMistake("every", f"is '{every}'", "write a number of days or hours (30 days), or never")
    number, unit = int(match[1]), match[2]
    if number == 0:
        raise ScheduleMistake("every", f"is '{every}'", "for rotation on demand only, write every: never")
    return f"rate({number} {unit}{'s' if number > 1 else ''})"


def _staggered(expression: str | None, secret: Secret) -> str:
    """The schedule some hours later, always the same for the same name, so that a fleet does not begin at once."""
    match = _CRON.fullmatch(expression or "")
    if match is None:
        raise ScheduleMistake(None, "has stagger without a cron of one hour", "write schedule: cron(0 2 * * ? *)")
    hours = re.fullmatch(r"(\d+)h", str(secret.stagger))
    if hours is None or not 1 <= int(hours[1]) < _HOURS_A_DAY:
        raise ScheduleMistake("stagger", f"is '{secret.stagger}'", "write a number of hours from 1h to 23h")
    first, most = int(match[2]), int(hours[1])
    if first + most >= _HOURS_A_DAY:
        raise ScheduleMistake(None, "has a stagger that reaches into the next day", "begin earlier, or make it shorter")
    # Secrets Manager must accept the windows at both ends, whichever the name gives.
    _check(f"cron({match[1]} {first + most} {match[3]})", secret)
    digest = hashlib.sha256(secret.label.encode()).digest()
    return f"cron({match[1]} {first + int.from_bytes(digest[:4]) % (most + 1)} {match[3]})"
