"""The report: what differs, and what does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Row:
    """A fact.

    Args:
        task: the function's task that tested it.
        name: the fact.
        page: the page that says so.
        expected: what the simulated service, or the suite on the doubles, does.
        seen: what AWS does.
    """

    task: str
    name: str
    page: str
    expected: Any
    seen: Any

    @property
    def differs(self) -> bool:
        """Whether AWS behaves differently."""
        # A skipped test says nothing.
        return bool(self.expected != self.seen) and self.seen != "skipped"


@dataclass
class Report:
    """The results.

    Args:
        rows: the facts.
        not_run: what could not be tested, each with the reason.
    """

    rows: list[Row] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)

    @property
    def differences(self) -> list[Row]:
        """The facts in which AWS differs."""
        return [row for row in self.rows if row.differs]


def show(report: Report, console: Console, where: str) -> None:
    """Print what differs, and the counts.

    Args:
        report: the results.
        console: where to print.
        where: what was tested, in words.
    """
    for reason in report.not_run:
        console.print(Text(f"not run: {reason}"), soft_wrap=True)
    if report.differences:
        _table(report.differences, console)
    counts = {task: sum(row.task == task for row in report.rows) for task in dict.fromkeys(r.task for r in report.rows)}
    looked = ", ".join(f"{task} {count}" for task, count in counts.items())
    number = len(report.differences)
    said = "no difference" if number == 0 else "1 difference" if number == 1 else f"{number} differences"
    console.print(Text(f"{said} in {len(report.rows)} facts ({looked or 'none'}), on {where}"), soft_wrap=True)


def _table(rows: Sequence[Row], console: Console) -> None:
    if not console.is_terminal:
        for row in rows:
            console.print(Text(f"DIFFERS {row.task}: {row.name}"), soft_wrap=True)
            for label, text in (("expected", _text(row.expected)), ("seen", _text(row.seen)), ("stated in", row.page)):
                console.print(Text(f"  {label}: {text}"), soft_wrap=True)
        return
    table = Table("fact", "expected by simulator or double", "seen", title="What differs", show_lines=True)
    for row in rows:
        table.add_row(Text(f"{row.name}\n{row.page}"), Text(_text(row.expected)), Text(_text(row.seen)))
    console.print(table)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
