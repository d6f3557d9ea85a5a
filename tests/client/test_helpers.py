"""Each helper's application goes on through rotations of a real server's secret."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from applications import (
    of_aiomysql,
    of_async_psycopg_pool,
    of_asyncpg,
    of_mysql_connector,
    of_psycopg,
    of_psycopg2,
    of_psycopg_pool,
    of_pymongo,
    of_pymysql,
    of_sqlalchemy_asyncio,
    of_sqlalchemy_mysql,
    of_sqlalchemy_postgres,
)
from targets import ALTERNATING, DUAL, SINGLE
from targets.base import Rotated, rotated

from rotators.client import Event, Secret
from rotators.testing import RotationService
from rotators.testing.servers.postgres import available as postgres_available

# Drivers leave their socket to the collector where a login is refused: mysql-connector and pymongo do.
pytestmark = [
    pytest.mark.server,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
Application = Callable[[Secret, Any], Any]
POSTGRES = (
    of_psycopg2,
    of_psycopg,
    of_sqlalchemy_postgres,
    of_sqlalchemy_asyncio,
    of_psycopg_pool,
    of_async_psycopg_pool,
    of_asyncpg,
)
MYSQL = (of_pymysql, of_mysql_connector, of_sqlalchemy_mysql, of_aiomysql)
POOLS = (of_sqlalchemy_postgres, of_sqlalchemy_asyncio, of_psycopg_pool, of_async_psycopg_pool, of_asyncpg)
MYSQL_POOLS = (of_sqlalchemy_mysql, of_aiomysql)
NEWEST = postgres_available()[-1:] or [None]


class Users:
    """Threads that make one request after the other."""

    def __init__(self, request: Callable[[], Any], threads: int = 2) -> None:
        self.failures: list[BaseException] = []
        self.done = 0
        self._request = request
        self._stop = threading.Event()
        self._seen = threading.Condition()
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]

    def __enter__(self) -> Users:
        for thread in self._threads:
            thread.start()
        self.wait(4)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait(self, more: int) -> None:
        with self._seen:
            goal = self.done + more
            assert self._seen.wait_for(lambda: self.done >= goal, 60)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self._request()
            except Exception as error:  # noqa: BLE001  # what an application meets is what is looked for
                self.failures.append(error)
            with self._seen:
                self.done += 1
                self._seen.notify_all()


def survives(application: Application, state: Rotated, rotations: int, max_age: float = 60) -> list[Event]:
    """Rotate under the application."""
    events: list[Event] = []
    secret = Secret(state.arn, state.service.client, max_age=max_age, on_event=events.append)
    with application(secret, state.target.server) as request, Users(request) as users:
        for _ in range(rotations):
            rotation = state.service.rotate(state.arn, attempts=2)
            assert rotation.succeeded, rotation.error
            users.wait(6)
    assert users.failures == []
    # Here, where a driver's socket that is left open is no error.
    gc.collect()
    return events


def refused(events: list[Event]) -> int:
    return sum(event.kind == "refused" for event in events)


@pytest.mark.parametrize("postgres_server", NEWEST, indirect=True)
@pytest.mark.parametrize("application", POSTGRES)
def test_an_application_of_postgres_goes_on_through_rotations(
    application: Application, postgres: Any, rotation_service: RotationService
) -> None:
    assert refused(survives(application, rotated(postgres, rotation_service, SINGLE), 2)) <= 2


@pytest.mark.parametrize("application", MYSQL)
def test_an_application_of_mysql_goes_on_through_rotations(
    application: Application, mysql_family: Any, rotation_service: RotationService
) -> None:
    assert refused(survives(application, rotated(mysql_family, rotation_service, SINGLE), 2)) <= 2


def test_an_application_of_mongo_goes_on_through_rotations(mongo: Any, rotation_service: RotationService) -> None:
    survives(of_pymongo, rotated(mongo, rotation_service, SINGLE), 2)


@pytest.mark.long
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
@pytest.mark.parametrize("application", POSTGRES)
def test_an_application_of_postgres_goes_on_through_five_rotations(
    application: Application, strategy: str, postgres: Any, rotation_service: RotationService
) -> None:
    survives(application, rotated(postgres, rotation_service, strategy), 5, max_age=1)


@pytest.mark.long
@pytest.mark.parametrize("strategy", [SINGLE, DUAL, ALTERNATING])
@pytest.mark.parametrize("application", MYSQL)
def test_an_application_of_mysql_goes_on_through_five_rotations(
    application: Application, strategy: str, mysql_family: Any, rotation_service: RotationService
) -> None:
    survives(application, rotated(mysql_family, rotation_service, strategy), 5, max_age=1)


@pytest.mark.long
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
def test_an_application_of_mongo_goes_on_through_five_rotations(
    strategy: str, mongo: Any, rotation_service: RotationService
) -> None:
    survives(of_pymongo, rotated(mongo, rotation_service, strategy), 5, max_age=1)


def replaces(application: Application, state: Rotated) -> None:
    """After a promotion the pool's connection is another one, and before it and after it always the same one."""
    secret = Secret(state.arn, state.service.client, max_age=3600)
    with application(secret, state.target.server) as request:
        before = {request() for _ in range(3)}
        assert len(before) == 1
        assert state.service.rotate(state.arn).succeeded
        # Known by its age, or by another login that was refused.
        secret.refresh()
        deadline = time.monotonic() + 10
        while (after := request()) in before:
            assert time.monotonic() < deadline
        assert after not in before
        assert {request() for _ in range(3)} == {after}


@pytest.mark.parametrize("postgres_server", NEWEST, indirect=True)
@pytest.mark.parametrize("application", POOLS)
def test_a_pool_replaces_its_connections_after_a_promotion(
    application: Application, postgres: Any, rotation_service: RotationService
) -> None:
    replaces(application, rotated(postgres, rotation_service, SINGLE))


@pytest.mark.parametrize("application", MYSQL_POOLS)
def test_a_pool_of_mysql_replaces_its_connections_after_a_promotion(
    application: Application, mysql_family: Any, rotation_service: RotationService
) -> None:
    replaces(application, rotated(mysql_family, rotation_service, SINGLE))


@pytest.mark.parametrize("postgres_server", NEWEST, indirect=True)
@pytest.mark.parametrize("application", POOLS)
def test_a_pool_keeps_its_connections_where_no_new_one_could_be_made(
    application: Application, postgres: Any, rotation_service: RotationService
) -> None:
    state = rotated(postgres, rotation_service, SINGLE)
    secret = Secret(state.arn, rotation_service.client, max_age=3600)
    with application(secret, postgres.server) as request:
        before = request()
        for wrong in ("wrong", "also wrong"):
            value = state.value | {"password": wrong}
            rotation_service.client.put_secret_value(SecretId=state.arn, SecretString=json.dumps(value))
        secret.refresh()
        assert {request() for _ in range(5)} == {before}
