"""Shows a run's progress on standard error: a live table at a terminal, a line for each event elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rotators.cli.failed_steps import FailedStep
from rotators.cli.rotate_choice import Task
from rotators.cli.rotate_outcome import Result
from rotators.errors import one_line

_REDRAW_EVERY = 0.25
_HEAD_LINES = 6


class Screen:
    """The progress of a run; a context manager.

    Args:
        tasks: all secrets of the run.
        console: where to print; by default standard error.
        quiet: show nothing.
    """

    def __init__(self, tasks: Sequence[Task], console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._total = sum(task.outcome.result is not Result.LEFT_OUT for task in tasks)
        self._quiet = quiet
        self._counts = dict.fromkeys(Result, 0)
        for task in tasks:
            self._counts[task.outcome.result] += 1
        self._under_way: dict[str, tuple[Task, datetime]] = {}
        self._failing: dict[str, FailedStep] = {}
        self._begun: datetime | None = None
        self._drawn: datetime | None = None
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def started(self, task: Task, at: datetime) -> None:
        """A rotation was started, or is followed again."""
        self._under_way[task.arn] = task, at
        turn = f" (rotation {task.rotations + 1} of {task.outcome.wanted})" if task.outcome.wanted > 1 else ""
        self._say(f"{task.outcome.secret}: started{turn}")

    def failing(self, task: Task, step: FailedStep) -> None:
        """A step has failed."""
        self._failing[task.arn] = step
        self._say(f"{task.outcome.secret}: {step}")

    def over(self, task: Task) -> None:
        """A secret is done."""
        outcome = task.outcome
        self._under_way.pop(task.arn, None)
        self._failing.pop(task.arn, None)
        self._counts[outcome.result] += 1
        if outcome.result is Result.ROTATED:
            seconds = "" if outcome.seconds is None else f" in {outcome.seconds:.0f} s"
            self._say(f"{outcome.secret}: rotated{seconds}")
        else:
            self._say(f"{outcome.secret}: {outcome.result}: {outcome.cause}")

    def tick(self, now: datetime) -> None:
        """Time has passed."""
        self._begun = self._begun or now
        if self._live is None or (self._drawn and (now - self._drawn).total_seconds() < _REDRAW_EVERY):
            return
        self._drawn = now
        self._live.update(self._draw(now), refresh=True)

    def _draw(self, now: datetime) -> RenderableType:
        done = self._counts[Result.ROTATED]
        bad = self._counts[Result.FAILED] + self._counts[Result.UNFINISHED]
        seconds = 0.0 if self._begun is None else (now - self._begun).total_seconds()
        head = Text(f"{done} of {self._total} rotated, {len(self._under_way)} under way, ")
        head.append(f"{bad} failed", style="bold red" if bad else "")
        head.append(f", {len(self._failing)} failing; {seconds:.0f} s")
        table = Table("secret", "function", "since", "state", border_style="dim", expand=True)
        # Failing rotations first, then the longest ones.
        rows = sorted(self._under_way.values(), key=lambda one: (one[0].arn not in self._failing, one[1]))
        for task, since in rows[: max(1, self._console.height - _HEAD_LINES)]:
            step = self._failing.get(task.arn)
            table.add_row(
                Text(one_line(task.outcome.secret), overflow="ellipsis", no_wrap=True),
                Text(one_line(task.outcome.function), overflow="ellipsis", no_wrap=True),
                f"{(now - since).total_seconds():.0f} s",
                Text(
                    f"{step.step}: {step.error}" if step else "rotating", "bold red" if step else "cyan", no_wrap=True
                ),
            )
        return Group(head, ProgressBar(total=max(1, self._total), completed=done + bad), table)

    def _say(self, text: str) -> None:
        if self._live is None and not self._quiet:
            self._console.print(Text(one_line(text)), soft_wrap=True)
