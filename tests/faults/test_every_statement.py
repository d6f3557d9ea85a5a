"""A rotation whose process is killed before and after every statement to the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from recovery import goes_on, recovers, survives
from targets import ALTERNATING, SINGLE, PostgresTarget, rotated
from targets.shares import staggered

from rotators.engines.libpq.connection import LibpqConnection
from rotators.testing import Crash, RotationService

WHEN = ("before", "after")


class Killer:
    """Kills the process at the n-th statement."""

    def __init__(self, execute: Callable[..., Any]) -> None:
        self._execute = execute
        self.count = 0
        self.nth: int | None = None
        self.when = "before"

    def __call__(self, connection: LibpqConnection, *arguments: Any, **options: Any) -> Any:
        if connection._connection.closed:
            return self._execute(connection, *arguments, **options)
        self.count += 1
        due = self.count == self.nth
        if due and self.when == "before":
            self._kill(connection)
        result = self._execute(connection, *arguments, **options)
        if due:
            self._kill(connection)
        return result

    def _kill(self, connection: LibpqConnection) -> None:
        # The kernel closes a killed process's connections, and the server rolls back.
        connection._connection.close()
        raise Crash("killed at a statement")


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
@pytest.mark.parametrize("when", WHEN)
def test_every_statement(
    postgres: PostgresTarget,
    rotation_service: RotationService,
    record_property: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    strategy: str,
    when: str,
) -> None:
    killer = Killer(LibpqConnection.execute)

    def execute(connection: LibpqConnection, *arguments: Any, **options: Any) -> Any:
        return killer(connection, *arguments, **options)

    monkeypatch.setattr(LibpqConnection, "execute", execute)
    subject = rotated(postgres, rotation_service, strategy)
    assert rotation_service.rotate(subject.arn).succeeded
    killer.count = 0
    assert rotation_service.rotate(subject.arn).succeeded
    statements = killer.count
    killer.when = when
    numbers = range(1, statements + 1)[staggered(postgres.part, WHEN.index(when))]
    for nth in numbers:
        killer.count, killer.nth = 0, nth
        rotation = rotation_service.rotate(subject.arn)
        reached = killer.count >= nth
        killer.nth = None
        where = f"{when} statement {nth} of {statements} ({strategy})"
        # One direction of a pair takes a statement more than the other.
        assert isinstance(rotation.error, Crash) or not reached, where
        found = ("AWSCURRENT", "AWSPENDING")
        survives(subject, (*found, "AWSPREVIOUS") if strategy == SINGLE else found, where)
        recovers(subject, rotation, where)
    goes_on(subject)
    record_property("faults", (f"{strategy}: statements to PostgreSQL", len(numbers)))
