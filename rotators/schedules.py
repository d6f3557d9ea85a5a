"""Schedule expressions and rotation windows, by Secrets Manager's rules. All times are UTC.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from rotators.errors import ConfigurationError

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_SHORTEST = 4 * _HOUR
_LONGEST = 999 * _DAY
_MOST_DAYS = 1000
_HOURS_A_DAY = 24
# Far enough to find a 29 February on a given weekday.
_HORIZON_YEARS = 41

_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}


class Schedule(Protocol):
    """When rotation windows begin."""

    def next_window(self, after: datetime, last_rotation: datetime | None = None) -> datetime:
        """The start of the first window after a moment.

        Args:
            after: the moment.
            last_rotation: when the secret last rotated. A rate counts from it.
        """

    @property
    def in_hours(self) -> bool:
        """Whether the schedule is in hours. Its window then lasts an hour by default, otherwise until the day ends."""


@dataclass(frozen=True)
class Rate:
    """``rate(10 days)``, ``rate(12 hours)``, or a number of days."""

    interval: timedelta
    in_hours: bool

    def next_window(self, after: datetime, last_rotation: datetime | None = None) -> datetime:
        """One interval after the last rotation. Windows in days begin at midnight, those in hours on the hour."""
        due = (last_rotation or after) + self.interval
        due = due.replace(minute=0, second=0, microsecond=0)
        if not self.in_hours:
            due = due.replace(hour=0)
        while due <= after:
            due += self.interval
        return due


@dataclass(frozen=True)
class Cron:
    """``cron(Minutes Hours Day-of-month Month Day-of-week Year)``."""

    hours: frozenset[int]
    days: _DayOfMonth | None
    months: frozenset[int]
    weekdays: _Weekday | None

    @property
    def in_hours(self) -> bool:
        """Whether it fires more than once a day."""
        return len(self.hours) > 1

    def next_window(self, after: datetime, last_rotation: datetime | None = None) -> datetime:
        """The first match after a moment; the last rotation does not matter.

        Raises:
            ConfigurationError: no day ever matches.
        """
        del last_rotation
        for day in self._days_from(after.date()):
            for hour in sorted(self.hours):
                start = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
                if start > after:
                    return start
        raise ConfigurationError("the cron expression matches no day", "correct its day and month")

    def _days_from(self, first: date) -> Iterator[date]:
        day = first
        while day.year < first.year + _HORIZON_YEARS:
            if day.month in self.months and self._matches(day):
                yield day
            day += _DAY

    def _matches(self, day: date) -> bool:
        if self.days is not None:
            return self.days.matches(day)
        return self.weekdays is None or self.weekdays.matches(day)


@dataclass(frozen=True)
class _DayOfMonth:
    numbers: frozenset[int]
    last: bool = False
    nearest_weekday: int | None = None

    def matches(self, day: date) -> bool:
        length = calendar.monthrange(day.year, day.month)[1]
        if self.last:
            return day.day == length
        if self.nearest_weekday is not None:
            return self.nearest_weekday <= length and day.day == _nearest_weekday(day, self.nearest_weekday, length)
        return day.day in self.numbers


@dataclass(frozen=True)
class _Weekday:
    numbers: frozenset[int]
    last: int | None = None
    nth: tuple[int, int] | None = None

    def matches(self, day: date) -> bool:
        weekday = day.isoweekday() % 7 + 1
        if self.last is not None:
            return weekday == self.last and day.day + 7 > calendar.monthrange(day.year, day.month)[1]
        if self.nth is not None:
            return (weekday, (day.day - 1) // 7 + 1) == self.nth
        return weekday in self.numbers


class WindowRefused(ConfigurationError):
    """The window's length is wrong, not its start."""


@dataclass(frozen=True)
class RotationRules:
    """A schedule and its window, checked as Secrets Manager checks them.

    Args:
        schedule: when windows begin; None: rotation on demand only.
        duration: how long a window lasts; None: until the end of the UTC day, or an hour for a schedule in hours.
    """

    schedule: Schedule | None
    duration: timedelta | None

    @classmethod
    def of(cls, rules: Mapping[str, Any]) -> RotationRules:
        """Read RotationRules of AWS's API: AutomaticallyAfterDays, ScheduleExpression, Duration.

        Raises:
            ConfigurationError: see :meth:`parse`.
        """
        return cls.parse(
            days=rules.get("AutomaticallyAfterDays"),
            expression=rules.get("ScheduleExpression"),
            duration=rules.get("Duration"),
        )

    @classmethod
    def parse(
        cls, *, days: int | None = None, expression: str | None = None, duration: str | None = None
    ) -> RotationRules:
        """Check the values that RotateSecret takes as RotationRules.

        https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotationRulesType.html

        Args:
            days: AutomaticallyAfterDays.
            expression: ScheduleExpression.
            duration: Duration, such as ``3h``.

        Raises:
            ConfigurationError: the service would refuse the values.
            WindowRefused: the service would refuse the duration.
        """
        if days is not None and expression is not None:
            raise ConfigurationError(
                "both AutomaticallyAfterDays and ScheduleExpression are given", "give one of the two"
            )
        if days is not None and not 1 <= days <= _MOST_DAYS:
            raise ConfigurationError(f"AutomaticallyAfterDays is {days}", f"write a number from 1 to {_MOST_DAYS}")
        schedule: Schedule | None = None
        if days is not None:
            schedule = Rate(days * _DAY, in_hours=False)
        elif expression is not None:
            schedule = parse_expression(expression)
        window = None if duration is None else _duration(duration)
        if window is not None:
            _check_window(schedule, window)
        return cls(schedule, window)

    def window_end(self, start: datetime) -> datetime:
        """When a window that begins at ``start`` ends."""
        if self.duration is not None:
            return start + self.duration
        if self.schedule is not None and self.schedule.in_hours:
            return start + _HOUR
        return start.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY


def parse_expression(expression: str) -> Schedule:
    """Read a ScheduleExpression.

    Args:
        expression: ``rate(…)`` or ``cron(…)``.

    Raises:
        ConfigurationError: it is neither, or the service would refuse it.
    """
    match = re.fullmatch(r"(rate|cron)\((.*)\)", expression.strip())
    if match is None:
        raise ConfigurationError(
            f"'{expression}' is not a schedule", "write rate(10 days), rate(12 hours) or cron(0 8 1 * ? *)"
        )
    return _rate(expression, match[2]) if match[1] == "rate" else _cron(expression, match[2])


def _rate(expression: str, inside: str) -> Rate:
    match = re.fullmatch(r"(\d{1,6}) (hour|hours|day|days)", inside)
    if match is None:
        raise ConfigurationError(f"'{expression}' is not a rate", "write rate(12 hours) or rate(10 days)")
    number, in_hours = int(match[1]), match[2].startswith("hour")
    interval = number * (_HOUR if in_hours else _DAY)
    if not _SHORTEST <= interval <= _LONGEST:
        raise ConfigurationError(f"'{expression}' is out of range", "rotate every 4 hours to every 999 days")
    return Rate(interval, in_hours)


def _cron(expression: str, inside: str) -> Cron:
    fields = inside.split()
    if len(fields) != 6:  # noqa: PLR2004  # minutes, hours, day of month, month, day of week, year
        raise ConfigurationError(
            f"'{expression}' has {len(fields)} fields",
            "write six: cron(Minutes Hours Day-of-month Month Day-of-week Year)",
        )
    minutes, hours, day, month, weekday, year = (field.upper() for field in fields)

    def refuse(what: str, advice: str) -> ConfigurationError:
        return ConfigurationError(f"'{expression}': {what}", advice)

    if minutes != "0":
        raise refuse("the minutes are not 0", "windows begin on the hour: write 0")
    if year != "*":
        raise refuse("the year is not *", "write *")
    if (day == "?") == (weekday == "?"):
        raise refuse("one of day of month and day of week must be ?", "write ? for the one that does not matter")
    try:
        cron = Cron(
            _numbers(hours, 0, 23),
            None if day == "?" else _day_of_month(day),
            _numbers(month, 1, 12, _MONTHS),
            None if weekday == "?" else _weekday(weekday),
        )
    except ValueError as error:
        raise refuse(
            f"the field '{error}' can't be read", "see the user guide's page on schedule expressions"
        ) from None
    starts = sorted(cron.hours)
    gaps = [later - earlier for earlier, later in zip(starts, [*starts[1:], starts[0] + _HOURS_A_DAY], strict=True)]
    if min(gaps) * _HOUR < _SHORTEST:
        raise refuse("it rotates more often than every 4 hours", "leave 4 hours between the hours")
    return cron


def _day_of_month(field: str) -> _DayOfMonth:
    if field == "L":
        return _DayOfMonth(frozenset(), last=True)
    if match := re.fullmatch(r"(\d{1,2})W", field):
        [number] = _numbers(match[1], 1, 31)
        return _DayOfMonth(frozenset(), nearest_weekday=number)
    return _DayOfMonth(_numbers(field, 1, 31))


def _weekday(field: str) -> _Weekday:
    if match := re.fullmatch(r"(\w+)#([1-5])", field):
        [number] = _numbers(match[1], 1, 7, _WEEKDAYS)
        return _Weekday(frozenset(), nth=(number, int(match[2])))
    if match := re.fullmatch(r"([1-7]|[A-Z]{3})L", field):
        [number] = _numbers(match[1], 1, 7, _WEEKDAYS)
        return _Weekday(frozenset(), last=number)
    return _Weekday(_numbers(field, 1, 7, _WEEKDAYS))


def _numbers(field: str, lowest: int, highest: int, names: dict[str, int] | None = None) -> frozenset[int]:
    """A field's numbers: ``*``, ``5``, ``1-5``, ``*/4``, ``2/6``, ``1-9/2`` and lists of these.

    Raises:
        ValueError: with the part that can't be read.
    """
    found: set[int] = set()
    for part in field.split(","):
        match = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part)
        if match is None or (match[1] == "*" and match[2]):
            raise ValueError(part)
        step = int(match[3] or 1)
        if match[1] == "*":
            first, last = lowest, highest
        else:
            first = _number(match[1], part, names)
            # A number without an end means itself, and with a step, all numbers from it on.
            last = _number(match[2], part, names) if match[2] else (highest if match[3] else first)
        if step < 1 or not lowest <= first <= last <= highest:
            raise ValueError(part)
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(text: str, part: str, names: dict[str, int] | None) -> int:
    if names and text in names:
        return names[text]
    if not text.isdecimal():
        raise ValueError(part)
    return int(text)


def _nearest_weekday(month: date, number: int, length: int) -> int:
    """The weekday nearest to a day of the month, within the month."""
    weekday = month.replace(day=number).isoweekday()
    if weekday == 6:  # noqa: PLR2004  # Saturday
        return number - 1 if number > 1 else number + 2
    if weekday == 7:  # noqa: PLR2004  # Sunday
        return number + 1 if number < length else number - 2
    return number


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9]\d?)h", text)
    if match is None or int(match[1]) > _HOURS_A_DAY:
        raise WindowRefused(f"the duration '{text}' is not a number of hours", "write 1h to 24h")
    return int(match[1]) * _HOUR


def _check_window(schedule: Schedule | None, window: timedelta) -> None:
    if schedule is None:
        raise WindowRefused("a Duration is given without a schedule", "add a ScheduleExpression")
    start = schedule.next_window(datetime(2024, 1, 1, tzinfo=UTC))
    if start + window > schedule.next_window(start, start):
        raise WindowRefused("the window reaches into the next one", "make the Duration shorter")
    last_of_day = start.replace(hour=max(schedule.hours)) if isinstance(schedule, Cron) else start
    if last_of_day + window > start.replace(hour=0) + _DAY:
        raise WindowRefused("the window reaches into the next UTC day", "make the Duration shorter")
