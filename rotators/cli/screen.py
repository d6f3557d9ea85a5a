"""Prints the demo's output: with colours and tables at a terminal, as plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

_LABEL_STYLES = {"AWSCURRENT": "bold green", "AWSPENDING": "yellow", "AWSPREVIOUS": "cyan"}
_WIDTH = 108


class Screen:
    """The demo's output.

    Args:
        console: rich's console; by default standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._pretty = self._console.is_terminal

    def title(self, text: str, below: str) -> None:
        """Print the demo's heading."""
        if self._pretty:
            self._console.print(Panel(Text(below), title=f"[bold]{text}", width=_WIDTH, border_style="blue"))
        else:
            self._print(f"{text}: {below}")

    def chapter(self, text: str, below: str) -> None:
        """Print a part's heading, with a line that explains it."""
        if self._pretty:
            self._console.print()
            self._console.print(Rule(f"[bold]{text}", style="blue"), width=_WIDTH)
            self._console.print(Text(below, style="dim"), width=_WIDTH)
        else:
            self._print(f"\n== {text}\n{below}")

    def say(self, text: str, style: str = "") -> None:
        """Print a line."""
        self._print(text, style)

    def labels(self, step: str, versions: Sequence[tuple[str, Sequence[str]]], explanation: str) -> None:
        """Print the secret's versions and their labels after a step, and what the step did."""
        if not self._pretty:
            shown = ", ".join(f"{name} {'+'.join(stages)}" for name, stages in versions)
            self._print(f"{step}: {shown}. {explanation}")
            return
        line = Text(f"  {step:<13}", style="bold")
        for name, stages in versions:
            line.append(f"{name} ", style="dim")
            for stage in stages:
                line.append(f"{stage} ", style=_LABEL_STYLES.get(stage, ""))
        self._console.print(line)
        self._console.print(Text(f"{'':15}{explanation}", style="dim"))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table."""
        if not self._pretty:
            self._print(f"\n== {title}")
            for row in rows:
                pairs = (f"{column}: {cell}" for column, cell in zip(columns[1:], row[1:], strict=True))
                self._print(f"{row[0]}: {', '.join(pairs)}")
            return
        table = Table(title=title, title_style="bold", title_justify="left", border_style="blue")
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        self._console.print()
        self._console.print(table)

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text), style=style or None, soft_wrap=True)
