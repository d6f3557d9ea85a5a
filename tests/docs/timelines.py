"""A rotation, looked at in each of its moments, and the picture of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from html import escape
from typing import Any

from targets.base import Rotated

from rotators.steps import STEPS


@dataclass(frozen=True)
class Moment:
    """What an application meets in one moment.

    Args:
        step: the step that has begun last.
        stored: whether the new value is in AWSPENDING, or was.
        former: whether the database accepts the former user and password.
        new: whether it accepts the new ones.
        current: whether AWSCURRENT is the new version.
    """

    step: str
    stored: bool
    former: bool
    new: bool
    current: bool


def recorded(subject: Rotated) -> list[Moment]:
    """Rotate once, and look around each call to Secrets Manager and after each step; equal moments are one."""
    first = subject.value
    known: dict[str, Any] = {}
    found: list[Moment] = []

    def accepts(value: Any) -> bool:
        try:
            subject.target.log_in(value)
        except subject.target.refusals:
            return False
        return True

    def look(step: str) -> None:
        for stage in ("AWSPENDING", "AWSCURRENT"):
            try:
                value = subject.service.value(subject.arn, stage)
            except KeyError:
                continue
            if value["password"] != first["password"]:
                known["new"] = value
        new = known.get("new")
        is_current = subject.value["password"] != first["password"]
        moment = Moment(step, new is not None, accepts(first), new is not None and accepts(new), is_current)
        if not found or (moment.stored, moment.former, moment.new, moment.current) != (
            found[-1].stored, found[-1].former, found[-1].new, found[-1].current,
        ):  # fmt: skip
            found.append(moment)

    rotation = subject.service.stage(subject.arn)
    look("before")
    for step in STEPS:
        hook = lambda _operation, _when, step=step: look(step)  # noqa: E731
        subject.service.faults.hooks.append(hook)
        subject.service.invoke(rotation, step)
        subject.service.faults.hooks.remove(hook)
        look(step)
    return found


_WIDTH, _LEFT, _TOP, _ROW, _GAP = 150, 232, 70, 30, 8
_GOOD, _BAD, _NEUTRAL, _INK = "#2e7d32", "#c62828", "#546e7a", "#1f2328"


def picture(title: str, moments: list[Moment]) -> str:
    """Draw moments side by side, each with what works in it; as SVG, not to scale."""
    rows = [
        (
            "The database: former password",
            [("accepted", _GOOD) if one.former else ("refused", _BAD) for one in moments],
        ),
        ("The database: new password", [_new(one) for one in moments]),
        ("AWSCURRENT holds", [("the new one" if one.current else "the former one", _NEUTRAL) for one in moments]),
        (
            "Reads before each login",
            [_login(one.new if one.current else one.former) for one in moments],
        ),
        ("Still has the former value", [_login(one.former) for one in moments]),
    ]
    width = _LEFT + _WIDTH * len(moments) + 12
    height = _TOP + len(rows) * (_ROW + _GAP) + 12
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(12, 22, title, weight="bold"),
    ]
    for column, (step, change) in enumerate(_headings(moments)):
        parts += [
            _text(_LEFT + column * _WIDTH + 4, 44, step, weight="bold"),
            _text(_LEFT + column * _WIDTH + 4, 61, change),
        ]
    for number, (name, cells) in enumerate(rows):
        y = _TOP + number * (_ROW + _GAP)
        parts.append(_text(12, y + 20, name))
        for column, (word, color) in enumerate(cells):
            x = _LEFT + column * _WIDTH
            parts.append(f'<rect x="{x}" y="{y}" width="{_WIDTH - 4}" height="{_ROW}" rx="3" fill="{color}"/>')
            parts.append(_text(x + 8, y + 20, word, color="#ffffff"))
    return "\n".join([*parts, "</svg>", ""])


def _new(moment: Moment) -> tuple[str, str]:
    if not moment.stored:
        return "not made yet", _NEUTRAL
    return ("accepted", _GOOD) if moment.new else ("refused", _BAD if moment.current else _NEUTRAL)


def _login(works: bool) -> tuple[str, str]:
    return ("logs in", _GOOD) if works else ("refused", _BAD)


def _headings(moments: list[Moment]) -> list[tuple[str, str]]:
    found = [("before", "")]
    for last, now in itertools.pairwise(moments):
        if now.stored > last.stored:
            change = "new value stored"
        elif now.current > last.current:
            change = "AWSCURRENT moves"
        else:
            change = "commit" if last.current else "password set"
        found.append((now.step, change))
    return found


def _text(x: int, y: int, text: str, *, weight: str = "normal", color: str = _INK) -> str:
    return f'<text x="{x}" y="{y}" fill="{color}" font-weight="{weight}">{escape(text)}</text>'
