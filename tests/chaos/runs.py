"""One schedule after the other, each on the server of its engine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterator

from targets import KINDS

from chaos.instants import Instants
from chaos.outcomes import Outcome, Part, Ran
from chaos.trials import Trials
from chaos.worlds import opened


def run_schedules(parts: Iterator[Part], *, quiet: bool = True) -> Generator[Ran]:
    """Run parts; a server stays as long as they are of its engine.

    Args:
        parts: what to run.
        quiet: the functions' logs are not shown, and a failure of the harness is an outcome.
    """
    with contextlib.ExitStack() as stack:
        kind, trials = "", {}
        for part in parts:
            if part.kind != kind:
                stack.close()
                kind, trials = part.kind, {}
                server = KINDS[kind].servers()[-1][1]
                world = stack.enter_context(opened(kind, server, Instants(), quiet=quiet))
            if part.strategy not in trials:
                trials[part.strategy] = Trials(world, part.strategy)
            for seed in part.seeds:
                yield Ran(kind, part.strategy, seed, _run(trials[part.strategy], seed, quiet=quiet))


def _run(trials: Trials, seed: int, *, quiet: bool) -> Outcome:
    schedule = trials.draw(seed)
    if not quiet:
        sys.stderr.write(f"{schedule}\n")
    try:
        return trials.run(schedule)
    except Exception as error:  # the other schedules are run all the same
        if not quiet:
            raise
        return Outcome(violation=f"the harness failed: {type(error).__name__}: {error}")
