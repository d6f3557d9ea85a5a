"""A few schedules on every kind of server. `make chaos` runs thousands."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from targets import ALTERNATING, DUAL, KINDS, SINGLE

from chaos import schedules
from chaos.instants import Instants
from chaos.outcomes import Outcome
from chaos.schedules import Abilities
from chaos.tables import Row, written
from chaos.trials import Trials
from chaos.worlds import World
from rotators.testing import RotationService

# A process of their own to fork from costs a second each: one strategy is enough here.
_CHOSEN = {
    "postgresql": ALTERNATING,
    "mysql": DUAL,
    "mariadb": SINGLE,
    "mongo": ALTERNATING,
    "sqlserver": SINGLE,
    "oracle": DUAL,
    "db2": SINGLE,
    "redshift": ALTERNATING,
}
_SEEDS = 2
_SERVERS = [
    pytest.param((kind, server), id=f"{kind}{version}")
    for kind in _CHOSEN
    for version, server in KINDS[kind].servers()[-1:] or [("", None)]
]
EVERYTHING = Abilities(network=True, restarts=True, promotes=True, hosts=True)


@pytest.fixture
def world(request: pytest.FixtureRequest, target: Any, rotation_service: RotationService) -> Iterator[World]:
    """A server that other tests use as well: it is not restarted."""
    kind = request.node.callspec.params["target"][0]
    with contextlib.ExitStack() as stack:
        yield World(kind, target, rotation_service, Instants(), stack, quiet=True, own=False)


@pytest.mark.parametrize("target", _SERVERS, indirect=True, scope="session")
def test_no_schedule_breaks_a_promise(world: World) -> None:
    trials = Trials(world, _CHOSEN[world.kind])
    row = Row(world.kind, world.kind, trials.strategy)
    for seed in range(_SEEDS):
        row.add(seed, trials.run(trials.draw(seed)))
    assert not row.violations, written([row])
    assert row.injected.total() > 0
    assert row.rotations >= 2 * _SEEDS


def test_a_seed_draws_the_same_schedule_each_time() -> None:
    first = [schedules.draw("postgresql", SINGLE, seed, EVERYTHING) for seed in range(50)]
    assert first == [schedules.draw("postgresql", SINGLE, seed, EVERYTHING) for seed in range(50)]
    assert len({repr(one.faults) for one in first}) > 45


def test_every_kind_of_fault_is_drawn() -> None:
    drawn = [schedules.draw("mysql", DUAL, seed, EVERYTHING) for seed in range(2_000)]
    kinds = {fault.kind for schedule in drawn for fault in schedule.faults}
    assert kinds == set(schedules.FAULTS)
    # They start servers: seldom is often enough.
    slow = [one for one in drawn if any(f.kind in {schedules.RESTARTED, schedules.PROMOTED} for f in one.faults)]
    assert 40 < len(slow) < 160


def test_nothing_is_drawn_that_a_server_can_not_do() -> None:
    plain = Abilities(network=False, restarts=False, promotes=False, hosts=False)
    drawn = [schedules.draw("oracle", DUAL, seed, plain) for seed in range(2_000)]
    network = {schedules.CUT, schedules.STALLED, schedules.SLOWED, schedules.RESTARTED, schedules.PROMOTED}
    assert not network & {fault.kind for schedule in drawn for fault in schedule.faults}
    assert not any(schedule.two_hosts for schedule in drawn)


def test_an_instant_is_a_number_of_crossings() -> None:
    instants, seen = Instants(), []
    instants.begin()
    instants.plan(3, lambda: seen.append(instants.count))
    # What an action does itself crosses nothing.
    instants.plan(3, instants.cross)
    instants.plan(9, lambda: seen.append("never"))
    for _ in range(5):
        instants.cross()
    instants.end()
    for _ in range(5):
        instants.cross()
    assert seen == [3]
    assert instants.count == 5


def test_the_table_tells_how_to_run_a_violation_again() -> None:
    row = Row("mariadb", "MariaDB 10.11.18", SINGLE)
    row.add(7, Outcome(violation="locked out: AWSCURRENT does not log in at the end"))
    row.add(8, Outcome(rotations=2))
    text = written([row])
    assert "| MariaDB 10.11.18 | single-user | 2 | 0 | 2 | 0 | 0 | none | 1 |" in text
    assert "make chaos CHAOS_ENGINE=mariadb CHAOS_STRATEGY=single-user CHAOS_SEED=7" in text
