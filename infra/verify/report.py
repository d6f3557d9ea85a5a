"""What differs, and what does not, for people."""

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
        task: which of the function's tasks looked at it.
        name: the fact.
        page: where it stands.
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
        """Whether AWS does something else."""
        # A test that is skipped there has nothing to say.
        return bool(self.expected != self.seen) and self.seen != "skipped"


@dataclass
class Report:
    """What was looked at.

    Args:
        rows: the facts.
        not_run: what could not be looked at, each with the reason.
    """

    rows: list[Row] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)

    @property
    def differences(self) -> list[Row]:
        """Where AWS does something else."""
        return [row for row in self.rows if row.differs]


def show(report: Report, console: Console, where: str) -> None:
    """Print what differs, and the counts.

    Args:
        report: what was looked at.
        console: where to print.
        where: what was looked at, in words.
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
