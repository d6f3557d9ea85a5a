"""``make chaos``: random schedules on every engine with every strategy, and a table at the end.

CHAOS_SCHEDULES=N runs so many of each (by default 2,000 on a real server, 500 on a double), CHAOS_SEED=S the one with
that seed. CHAOS_ENGINE and CHAOS_STRATEGY choose. What is printed of a violation is enough to run its schedule again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from targets import KINDS

from chaos.cases import Outcome
from chaos.instants import Instants
from chaos.tables import Row, written
from chaos.trials import Trials
from chaos.worlds import World, opened

_REAL, _DOUBLE = 2_000, 500
_NOW_AND_THEN = 50
_OF_DOUBLES = frozenset({"sqlserver", "oracle", "db2", "redshift"})


def main() -> int:
    """Run them; 1 if a promise was broken."""
    os.environ.update(
        {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    )
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"
    rows: list[Row] = []
    try:
        for kind, server in _servers():
            with opened(kind, server, Instants(), quiet="CHAOS_SEED" not in os.environ) as world:
                rows += (_run(world, strategy, getattr(server, "name", kind)) for strategy in _strategies(kind))
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted: the table is of what has run\n")
    sys.stdout.write(written(rows))
    return int(not rows or any(row.violations for row in rows))


def _servers() -> Iterator[tuple[str, Any]]:
    """The newest server of each kind."""
    chosen = os.environ.get("CHAOS_ENGINE")
    for kind, known in KINDS.items():
        if chosen and kind not in chosen.split(","):
            continue
        found = known.servers()
        if found:
            yield kind, found[-1][1]
        else:
            sys.stderr.write(f"{kind} is left out: {known.missing}\n")


def _strategies(kind: str) -> list[str]:
    chosen = os.environ.get("CHAOS_STRATEGY")
    return sorted(one for one in KINDS[kind].strategies if not chosen or one in chosen.split(","))


def _run(world: World, strategy: str, server: str) -> Row:
    one = os.environ.get("CHAOS_SEED")
    count = int(os.environ.get("CHAOS_SCHEDULES") or (_DOUBLE if world.kind in _OF_DOUBLES else _REAL))
    first = int(os.environ.get("CHAOS_FIRST") or 0)
    seeds = [int(one)] if one else range(first, first + count)
    row = Row(world.kind, server, strategy)
    trials = Trials(world, strategy)
    begun = time.monotonic()
    for number, seed in enumerate(seeds, start=1):
        schedule = trials.draw(seed)
        if one:
            sys.stderr.write(f"{schedule}\n")
        try:
            outcome = trials.run(schedule)
        except Exception as error:  # the other schedules are run all the same
            if one:
                raise
            outcome = Outcome(violation=f"the harness failed: {type(error).__name__}: {error}")
        row.add(seed, outcome)
        if outcome.violation is not None:
            sys.stderr.write(f"\n{world.kind} {strategy} CHAOS_SEED={seed}: {outcome.violation}\n")
        _progress(
            f"{world.kind} {strategy}: {number} of {len(seeds)}, {len(row.violations)} violations, "
            f"{(time.monotonic() - begun) / number:.2f} s each",
            number=number,
            count=len(seeds),
        )
    return row


def _progress(line: str, *, number: int, count: int) -> None:
    """One line that is written over; where nobody watches, one now and then."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line}\033[K" + ("\n" if number == count else ""))
    elif number == count or number % _NOW_AND_THEN == 0:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
