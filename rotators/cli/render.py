"""What sub-commands print: a table at a terminal, a line for each row elsewhere, JSON for programs.

Colour only at a terminal, and never where NO_COLOR is set (https://no-color.org).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rotators.cli.options import Output

if TYPE_CHECKING:
    from rotators.checks.finding import Finding

STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red", "unknown": "cyan"}


def chosen(output: Output | None) -> Output:
    """The way to print: what was asked for, else by where it goes."""
    return output or (Output.TABLE if Console().is_terminal else Output.TEXT)


def as_json(value: Any) -> None:
    """Print a value for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def findings(found: Sequence[Finding], output: Output | None, **more: Any) -> None:
    """Print findings.

    Args:
        found: what to print.
        output: how.
        more: what else belongs into the JSON object.
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


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, whose first column may be an outcome."""
    console = Console()
    made = Table(*columns, show_lines=True, border_style="dim")
    for first, *others in rows:
        made.add_row(Text(first, style=STYLES.get(first, "")), *map(Text, others))
    console.print(made)


def lines(texts: Iterable[str]) -> None:
    """Print lines, as they are."""
    for text in texts:
        typer.echo(text)
