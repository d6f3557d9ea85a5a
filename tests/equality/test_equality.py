"""The second user can do exactly what the first one can: with 200 random sets of rights, on every server.

`make test` tries a share of the sets, `make test-long` all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from targets import ALTERNATING, KINDS

from equality.base import MOST_REFUSED, SETS, Draw, World, draws, examine, is_refusable
from equality.mongo import MongoWorld
from equality.mysql import MysqlWorld
from equality.postgres import PostgresWorld
from equality.redshift import RedshiftWorld
from rotators.testing import RotationService

WORLDS: dict[str, Any] = {
    "postgresql": PostgresWorld,
    "mysql": MysqlWorld,
    "mariadb": MysqlWorld,
    "redshift": RedshiftWorld,
    "mongo": MongoWorld,
}
# Those of `make test`, which tries each on every server.
SHARE = 2
_SERVERS = [
    pytest.param((kind, server), id=f"{kind}{version}")
    for kind in WORLDS
    for version, server in KINDS[kind].servers() or [("", None)]
]


@pytest.fixture
def world(request: pytest.FixtureRequest, target: Any) -> Iterator[World]:
    """The world of an engine, in which nothing is left afterwards."""
    made = WORLDS[request.node.callspec.params["target"][0]](target)
    yield made
    made.end()


@pytest.mark.parametrize("target", _SERVERS, indirect=True, scope="session")
@pytest.mark.parametrize("strategy", [ALTERNATING])
@pytest.mark.parametrize(
    "seed", [number if number < SHARE else pytest.param(number, marks=pytest.mark.long) for number in range(SETS)]
)
def test_the_second_user_can_do_what_the_first_one_can(
    world: World,
    target: Any,
    rotation_service: RotationService,
    request: pytest.FixtureRequest,
    record_property: Any,
    *,
    seed: int,
    strategy: str,  # servers that can't alternate are left out by it
) -> None:
    kind, server = request.node.callspec.params["target"]
    count = examine(world, target, rotation_service, Draw(world, seed, kind))
    record_property("equality", (getattr(server, "name", kind), count.rotated, count.refused, count.probes))


@pytest.mark.parametrize("target", _SERVERS, indirect=True, scope="session")
@pytest.mark.parametrize("strategy", [ALTERNATING])
def test_what_is_tried_tells_a_user_with_rights_from_one_without(
    world: World,
    target: Any,
    request: pytest.FixtureRequest,
    *,
    strategy: str,  # as above
) -> None:
    """Else that both can do the same would mean nothing."""
    draw = Draw(world, 1, request.node.callspec.params["target"][0])
    secret = target.secret(draw.application, **world.keys())
    able = world.probe(secret)
    for feature in list(draw.present):
        draw.take(feature)
    assert len([name for name, outcome in world.probe(secret).items() if able.get(name) != outcome]) >= len(able) // 40


@pytest.mark.parametrize("kind", WORLDS)
def test_few_sets_are_refused(kind: str) -> None:
    """Which sets hold something that is refused, is drawn before anything else of them: no server is asked."""
    refused = [seed for seed in range(SETS) if is_refusable(draws(kind, seed))]
    assert 0 < len(refused) <= SETS * MOST_REFUSED
