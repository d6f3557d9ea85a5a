"""Schedules side by side: each is run once, whatever becomes of the processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from chaos.jobs import side_by_side
from chaos.outcomes import Outcome, Part, Ran, parts_of

pytestmark = pytest.mark.slow

_PARTS = [*parts_of("mysql", "single-user", range(25)), *parts_of("db2", "single-user", range(100, 118))]


def _names_itself(parts: Iterator[Part]) -> Generator[Ran]:
    for part in parts:
        for seed in part.seeds:
            yield Ran(part.kind, part.strategy, seed, Outcome(violation=str(os.getpid())))


def _dies_of_a_seed(parts: Iterator[Part]) -> Generator[Ran]:
    for part in parts:
        for seed in part.seeds:
            if seed == 3:
                os._exit(7)
            yield Ran(part.kind, part.strategy, seed, Outcome())


def _waits_for_its_end(parts: Iterator[Part]) -> Generator[Ran]:
    """As a schedule that is under way, whose server must be stopped."""
    part = next(parts)
    try:
        yield Ran(part.kind, part.strategy, part.seeds[0], Outcome(violation=str(os.getpid())))
        while True:
            signal.pause()
    finally:
        Path(part.strategy).touch()


def test_each_schedule_is_run_once_and_not_in_one_process() -> None:
    ran = list(side_by_side(_PARTS, 2, _names_itself))
    assert sorted((one.kind, one.seed) for one in ran) == sorted(
        (part.kind, seed) for part in _PARTS for seed in part.seeds
    )
    assert {one.outcome.violation for one in ran}.isdisjoint({str(os.getpid())})


def test_a_process_that_ends_is_told_of_and_the_others_go_on() -> None:
    ran = list(side_by_side(_PARTS, 2, _dies_of_a_seed))
    [lost] = [one for one in ran if one.seed is None]
    assert lost.kind == "mysql"
    assert "a job ended with code 7" in (lost.outcome.violation or "")
    assert {one.seed for one in ran if one.kind == "db2"} == set(range(100, 118))
    assert {one.seed for one in ran if one.kind == "mysql"} == {None, 0, 1, 2, *range(10, 25)}


def test_who_is_interrupted_stops_what_runs(tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    ran = side_by_side(parts_of("mysql", str(stopped), range(1)), 1, _waits_for_its_end)
    process = int(next(ran).outcome.violation or "")
    with pytest.raises(KeyboardInterrupt):
        ran.throw(KeyboardInterrupt)
    assert stopped.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
