from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotators.errors import ConfigurationError
from rotators.schedules import RotationRules, parse_expression

NOON = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)  # a Sunday


def at(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("expression", "start"),
    [
        ("rate(10 days)", at(2026, 3, 11)),
        ("rate(1 day)", at(2026, 3, 2)),
        ("rate(4 hours)", at(2026, 3, 1, 16)),
        ("rate(999 days)", at(2028, 11, 24)),
        ("cron(0 8 1 * ? *)", at(2026, 4, 1, 8)),
        ("cron(0 8 * * ? *)", at(2026, 3, 2, 8)),
        ("cron(0 */8 * * ? *)", at(2026, 3, 1, 16)),
        ("cron(0 2/6 * * ? *)", at(2026, 3, 1, 14)),
        ("cron(0 16 1,15 * ? *)", at(2026, 3, 1, 16)),
        ("cron(0 0 L * ? *)", at(2026, 3, 31)),
        ("cron(0 0 15W * ? *)", at(2026, 3, 16)),
        ("cron(0 0 1W 8 ? *)", at(2026, 8, 3)),
        ("cron(0 0 31W 5 ? *)", at(2026, 5, 29)),
        ("cron(0 0 ? * MON-FRI *)", at(2026, 3, 2)),
        ("cron(0 0 ? * 1#2 *)", at(2026, 3, 8)),
        ("cron(0 0 ? * SUN#1 *)", at(2026, 4, 5)),
        ("cron(0 0 ? * 6L *)", at(2026, 3, 27)),
        ("cron(0 4 29 FEB ? *)", at(2028, 2, 29, 4)),
        ("cron(0 10 ? JAN,JUL sat *)", at(2026, 7, 4, 10)),
    ],
)
def test_the_next_window_begins_when_the_schedule_says(expression: str, start: datetime) -> None:
    assert parse_expression(expression).next_window(NOON) == start


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "is not a schedule"),
        ("every 3 days", "is not a schedule"),
        ("rate(3 hours)", "every 4 hours to every 999 days"),
        ("rate(1000 days)", "every 4 hours to every 999 days"),
        ("rate(1.5 days)", "is not a rate"),
        ("rate(10 minutes)", "is not a rate"),
        ("rate(-4 hours)", "is not a rate"),
        ("cron(0 8 1 * ?)", "has 5 fields"),
        ("cron(5 8 1 * ? *)", "minutes are not 0"),
        ("cron(0 8 1 * ? 2027)", "year is not *"),
        ("cron(0 8 1 * 2 *)", "must be ?"),
        ("cron(0 8 ? * ? *)", "must be ?"),
        ("cron(0 24 1 * ? *)", "the field '24' can't be read"),
        ("cron(0 8 32 * ? *)", "the field '32' can't be read"),
        ("cron(0 8 1 13 ? *)", "the field '13' can't be read"),
        ("cron(0 8 ? * 8 *)", "the field '8' can't be read"),
        ("cron(0 8 ? * FUNDAY *)", "the field 'FUNDAY' can't be read"),
        ("cron(0 8-4 1 * ? *)", "the field '8-4' can't be read"),
        ("cron(0 */0 1 * ? *)", "the field '*/0' can't be read"),
        ("cron(0 * 1 * ? *)", "more often than every 4 hours"),
        ("cron(0 1,23 * * ? *)", "more often than every 4 hours"),
    ],
)
def test_what_the_service_refuses_is_refused_with_the_reason(expression: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_expression(expression)
    assert says in str(caught.value)


def test_a_day_that_never_comes_is_an_error_and_no_endless_search() -> None:
    with pytest.raises(ConfigurationError, match="matches no day"):
        parse_expression("cron(0 0 31 2 ? *)").next_window(NOON)


@pytest.mark.parametrize(
    ("rules", "end"),
    [
        ({"expression": "rate(10 days)"}, timedelta(days=1)),
        ({"expression": "rate(4 hours)"}, timedelta(hours=1)),
        ({"expression": "cron(0 8 1 * ? *)"}, timedelta(hours=16)),
        ({"expression": "cron(0 */12 1 * ? *)"}, timedelta(hours=1)),
        ({"expression": "cron(0 8 1 * ? *)", "duration": "3h"}, timedelta(hours=3)),
        ({"days": 30, "duration": "24h"}, timedelta(hours=24)),
    ],
)
def test_a_window_closes_after_its_duration_or_with_the_day(rules: dict[str, str], end: timedelta) -> None:
    made = RotationRules.parse(**rules)  # type: ignore[arg-type]
    assert made.schedule is not None
    start = made.schedule.next_window(NOON)
    assert made.window_end(start) - start == end


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"days": 30, "expression": "rate(30 days)"}, "both"),
        ({"days": 0}, "from 1 to 1000"),
        ({"days": 1001}, "from 1 to 1000"),
        ({"expression": "rate(4 hours)", "duration": "5h"}, "into the next one"),
        ({"expression": "cron(0 20 1 * ? *)", "duration": "5h"}, "into the next UTC day"),
        ({"expression": "cron(0 8,16 1 * ? *)", "duration": "9h"}, "into the next one"),
        ({"expression": "cron(0 0,20 1 * ? *)", "duration": "5h"}, "into the next UTC day"),
        ({"days": 1, "duration": "25h"}, "not a number of hours"),
        ({"days": 1, "duration": "3 hours"}, "not a number of hours"),
        ({"duration": "3h"}, "without a schedule"),
    ],
)
def test_rules_that_the_service_refuses(rules: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RotationRules.parse(**rules)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_no_rules_mean_rotation_on_demand() -> None:
    assert RotationRules.parse().schedule is None


@given(
    hours=st.lists(st.integers(0, 23), min_size=1, max_size=4, unique=True),
    day=st.integers(1, 28),
    moment=st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1)),  # noqa: DTZ001  # the zone is added below
)
def test_windows_follow_each_other_at_the_hours_and_days_that_were_named(
    hours: list[int], day: int, moment: datetime
) -> None:
    try:
        cron = parse_expression(f"cron(0 {','.join(map(str, hours))} {day} * ? *)")
    except ConfigurationError:
        ordered = sorted(hours)
        gaps = [b - a for a, b in zip(ordered, [*ordered[1:], ordered[0] + 24], strict=True)]
        assert min(gaps) < 4
        return
    start = moment.replace(tzinfo=UTC)
    following = [start]
    for _ in range(4):
        following.append(cron.next_window(following[-1]))
    assert following == sorted(set(following))
    assert all(window.day == day and window.hour in hours for window in following[1:])


@given(days=st.integers(1, 999), since=st.integers(0, 3000))
def test_a_rate_counts_from_the_last_rotation(days: int, since: int) -> None:
    now = NOON + timedelta(days=since)
    start = parse_expression(f"rate({days} days)").next_window(now, NOON)
    assert start > now
    assert (start - at(2026, 3, 1)).days % days == 0
    assert start - now <= timedelta(days=days)
