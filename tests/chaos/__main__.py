"""``make chaos``: random schedules on every engine with every strategy, and a table at the end.

CHAOS_SCHEDULES=N runs so many of each (by default 2,000 on a real server, 500 on a double), CHAOS_SEED=S the one with
that seed. CHAOS_ENGINE and CHAOS_STRATEGY choose, CHAOS_JOBS=N run side by side. What is printed of a violation is
enough to run its schedule again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Generator

from targets import KINDS

from chaos.choices import Choices, UsageError, read
from chaos.jobs import side_by_side
from chaos.outcomes import Ran, parts_of
from chaos.runs import run_schedules
from chaos.tables import Row, written

_USAGE = 2
# Seconds between two lines of progress where nobody watches.
_NOW_AND_THEN = 60.0


def main() -> int:
    """Run them; 1 if a promise was broken or nothing could be run, 2 if a variable asks for what there is not."""
    try:
        choices = read(os.environ)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return _USAGE
    os.environ.update(
        {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    )
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rows = _rows(choices)
    progress = _Progress({pair: len(choices.seeds(pair[0])) for pair in rows})
    try:
        with contextlib.closing(_run(choices, rows)) as outcomes:
            for ran in outcomes:
                row = rows[ran.kind, ran.strategy]
                row.add(ran.seed, ran.outcome)
                progress.tell(ran, row)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted: the table is of what has run\n")
    progress.end()
    told = [row for row in rows.values() if row.schedules or row.violations]
    sys.stdout.write(written(told))
    return int(not told or any(row.violations for row in told))


def _rows(choices: Choices) -> dict[tuple[str, str], Row]:
    """A row for each engine that has a server, the newest of its kind."""
    rows, missing = {}, set()
    for kind, strategy in choices.pairs:
        found = KINDS[kind].servers()
        if found:
            server = found[-1][1]
            rows[kind, strategy] = Row(kind, getattr(server, "name", kind), strategy)
        elif kind not in missing:
            missing.add(kind)
            sys.stderr.write(f"{kind} is left out: {KINDS[kind].missing}\n")
    return rows


def _run(choices: Choices, rows: dict[tuple[str, str], Row]) -> Generator[Ran]:
    parts = [part for kind, strategy in rows for part in parts_of(kind, strategy, choices.seeds(kind))]
    if choices.seed is None:
        return side_by_side(parts, choices.jobs, run_schedules)
    return run_schedules(iter(parts), quiet=False)


class _Progress:
    """One line that is written over; where nobody watches, one now and then.

    Args:
        counts: how many schedules each engine and strategy will have.
    """

    def __init__(self, counts: dict[tuple[str, str], int]) -> None:
        self._left = dict(counts)
        self._done = self._violations = 0
        self._all = sum(counts.values())
        self._begun = self._told = time.monotonic()

    def tell(self, ran: Ran, row: Row) -> None:
        """A schedule has been run."""
        self._done += ran.seed is not None
        if ran.outcome.violation is not None:
            self._violations += 1
            self._write(f"{ran.kind} {ran.strategy} CHAOS_SEED={ran.seed}: {ran.outcome.violation}", stays=True)
        self._left[ran.kind, ran.strategy] -= ran.seed is not None
        if not self._left[ran.kind, ran.strategy]:
            self._write(f"{row.server}, {ran.strategy}: done, {len(row.violations)} violations", stays=True)
        now = time.monotonic()
        if sys.stderr.isatty() or now - self._told > _NOW_AND_THEN:
            self._told = now
            minutes = (now - self._begun) / max(1, self._done) * (self._all - self._done) / 60
            self._write(
                f"{self._done} of {self._all} schedules, {self._violations} violations, about {minutes:.0f} min left",
                stays=False,
            )

    def end(self) -> None:
        """Leave the line that is written over."""
        if sys.stderr.isatty():
            self._write("", stays=False)

    def _write(self, line: str, *, stays: bool) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{line}\033[K" + ("\n" if stays else ""))
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
