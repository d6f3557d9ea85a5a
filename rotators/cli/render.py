"""Prints the output of sub-commands: a table at a terminal, a line for each row elsewhere, JSON for programs.

Colour is used only at a terminal, and not if NO_COLOR is set (https://no-color.org).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from rotators.cli.options import Output

if TYPE_CHECKING:
    from rotators.checks.finding import Finding

_GOOD, _BAD, _UNSURE = "green", "bold red", "cyan"
STYLES = {"ok": _GOOD, "warning": "yellow", "failure": _BAD, "unknown": _UNSURE}
STYLES |= {"rotated": _GOOD, "failed": _BAD, "unfinished": "yellow", "not started": "yellow"}
STYLES |= {"current": _GOOD, "rotating": _UNSURE, "stuck": _BAD, "missing": _BAD, "deleted": _BAD}


def chosen(output: Output | None) -> Output:
    """The output format: the requested one, else a table at a terminal, and lines elsewhere."""
    return output or (Output.TABLE if Console().is_terminal else Output.TEXT)


def as_json(value: Any) -> None:
    """Print a value for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def findings(found: Sequence[Finding], output: Output | None, **more: Any) -> None:
    """Print findings.

    Args:
        found: the findings.
        output: the format; None: see :func:`chosen`.
        more: further keys of the JSON object.
    """
    way = chosen(output)
    if way is Output.JSON:
        as_json({**more, "findings": [one.to_json() for one in found]})
    elif way is Output.TEXT:
        for one in found:
            typer.echo(str(one))
    else:
        rows = [(one.outcome.value, one.subject, one.cause, one.remedy) for one in found]
        table(("", "what", "cause", "what to do"), rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], coloured: int = 0) -> None:
    """Print a table.

    Args:
        columns: the columns' headings.
        rows: the rows' cells.
        coloured: the index of the column to colour by its outcome or state.
    """
    console = Console()
    made = Table(*columns, show_lines=True, border_style="dim")
    for row in rows:
        made.add_row(*(Text(cell, style=STYLES.get(cell, "") if at == coloured else "") for at, cell in enumerate(row)))
    console.print(made)


Report = Callable[[str, int, int | None], None]
"""Called with what is being done, how much is done, and the total; None: the total is not known."""


@contextmanager
def progress() -> Iterator[Report]:
    """A progress bar on standard error if that is a terminal; otherwise nothing."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda *_: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def lines(texts: Iterable[str]) -> None:
    """Print lines, as they are."""
    for text in texts:
        typer.echo(text)
