"""How the faults of an engine are shared out among its servers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from targets import shares


def server(kind: str | None = None, *, named: bool = False) -> Any:
    more = {"kind": kind} if kind else {}
    return SimpleNamespace(named=named, **more)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    monkeypatch.delenv(shares.SHARES, raising=False)
    found = {
        "postgres": [server(named=True), server(), server(named=True), server(), server(named=True)],
        "mysql": [server("mariadb"), server("mariadb", named=True), server("mysql")],
    }
    for one in found["postgres"] + found["mysql"]:
        one.number = id(one)  # each its own: equal ones would be taken for one another
    monkeypatch.setattr(shares.postgres, "available", lambda: tuple(found["postgres"]))
    monkeypatch.setattr(shares.mysql, "available", lambda: tuple(found["mysql"]))
    return found


def test_the_machines_own_servers_begin_at_different_points(servers: dict[str, list[Any]]) -> None:
    own = [one for one in servers["postgres"] if not one.named]
    assert [shares.share_of(one) for one in own] == [slice(0, None, 20), slice(1, None, 20)]
    assert [shares.share_of(one) for one in servers["mysql"] if not one.named] == [slice(0, None, 20)] * 2


def test_what_one_fault_leaves_out_another_breaks(servers: dict[str, list[Any]]) -> None:
    alone = shares.share_of(servers["mysql"][2])
    points = [point for number in range(20) for point in range(99)[shares.staggered(alone, number)]]
    assert sorted(points) == list(range(99))
    assert shares.staggered(slice(1, None, 2), 1) == slice(0, None, 2)
    assert shares.staggered(slice(3, None, 4), 1) == slice(0, None, 4)
    assert shares.staggered(slice(0, None, 1), 1) == slice(0, None, 1)


def test_those_that_are_named_break_a_share_each_beside_that(servers: dict[str, list[Any]]) -> None:
    named = [one for one in servers["postgres"] if one.named]
    assert [shares.share_of(one) for one in named] == [slice(0, None, 5), slice(2, None, 5), slice(4, None, 5)]
    assert shares.share_of(servers["mysql"][1]) == slice(1, None, 2)


def test_the_share_is_to_choose(servers: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    everyone = servers["postgres"] + servers["mysql"]
    monkeypatch.setenv(shares.SHARES, "1")
    assert {(one.start, one.step) for one in map(shares.share_of, everyone)} == {(0, 1)}
    assert shares.share_of_one(6) == slice(0, None, 1)
    assert not any(shares.is_left_out(one, number) for one in everyone for number in range(20))
    monkeypatch.setenv(shares.SHARES, "10")
    assert shares.share_of(servers["postgres"][4]) == slice(4, None, 10)


def test_a_whole_test_is_left_to_others_outside_of_the_share(servers: dict[str, list[Any]]) -> None:
    last = servers["postgres"][4]
    assert [number for number in range(12) if not shares.is_left_out(last, number)] == [4, 9]
