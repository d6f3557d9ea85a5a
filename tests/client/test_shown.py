"""What was to be shown, on real servers: eight threads that log in all the while, one user, a cache of a minute."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import psycopg
import pymysql
import pytest
from applications import libpq_tls, tls
from fakes import Ticking
from targets import SINGLE
from targets.base import Rotated, rotated
from test_helpers import NEWEST, Users

from rotators.client import CredentialsRefused, Event, Secret
from rotators.client.dbapi import connect
from rotators.testing import RotationService

pytestmark = pytest.mark.server


def logs_in(secret: Secret, server: Any, driver: Any, **options: Any) -> Any:
    return lambda: connect(secret, driver, **options).close()


def through_rotations(state: Rotated, driver: Any, options: dict[str, Any], rotations: int) -> tuple[int, int]:
    """Gives the failed requests, and the logins that were refused."""
    events: list[Event] = []
    secret = Secret(state.arn, state.service.client, max_age=60, on_event=events.append)
    with Users(logs_in(secret, state.target.server, driver, **options), threads=8) as users:
        for _ in range(rotations):
            rotation = state.service.rotate(state.arn, attempts=2)
            assert rotation.succeeded, rotation.error
            users.wait(24)
    assert users.failures == []
    return len(users.failures), sum(event.kind == "refused" for event in events)


def sleep_for_20_ms(_operation: str, _when: str) -> None:
    time.sleep(0.01)


@pytest.mark.parametrize("postgres_server", NEWEST, indirect=True)
@pytest.mark.parametrize("rotations", [2, pytest.param(15, marks=pytest.mark.long)])
def test_no_request_fails_on_postgres_and_one_login_more_is_made_for_a_rotation(
    rotations: int, postgres: Any, rotation_service: RotationService
) -> None:
    state = rotated(postgres, rotation_service, SINGLE)
    failed, refused = through_rotations(state, psycopg.connect, libpq_tls(postgres.server), rotations)
    assert failed == 0
    assert refused <= rotations


@pytest.mark.parametrize("rotations", [2, pytest.param(15, marks=pytest.mark.long)])
def test_no_request_fails_on_mysql_though_its_password_changes_before_the_label(
    rotations: int, mysql_family: Any, rotation_service: RotationService
) -> None:
    rotation_service.faults.hooks.append(sleep_for_20_ms)
    state = rotated(mysql_family, rotation_service, SINGLE)
    failed, refused = through_rotations(state, pymysql.connect, {"ssl": tls(mysql_family.server)}, rotations)
    assert failed == 0
    assert refused <= rotations


@pytest.mark.parametrize("postgres_server", NEWEST, indirect=True)
def test_secrets_manager_may_be_silent_for_an_hour(postgres: Any, rotation_service: RotationService) -> None:
    state = rotated(postgres, rotation_service, SINGLE)
    clock = Ticking()
    failures: list[Event] = []

    def note(event: Event) -> None:
        if event.kind == "fetch-failed":
            failures.append(event)

    secret = Secret(state.arn, rotation_service.client, max_age=60, clock=clock, on_event=note)
    log_in = logs_in(secret, postgres.server, psycopg.connect, **libpq_tls(postgres.server))
    log_in()
    for _ in range(60):
        rotation_service.faults.fail("GetSecretValue")
        clock.now += 60
        log_in()
    assert len(failures) == 60


@pytest.mark.parametrize("postgres_server", NEWEST, indirect=True)
def test_a_wrong_password_put_by_hand_costs_no_more_than_the_budget_and_its_repair_works_a_second_later(
    postgres: Any, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Ticking()
    monkeypatch.setattr("rotators.client.steps.time", clock)
    state = rotated(postgres, rotation_service, SINGLE)
    right = state.value
    for wrong in ("wrong", "also wrong"):
        put(rotation_service, state.arn, right | {"password": wrong})
    secret = Secret(state.arn, rotation_service.client, max_age=60, clock=clock)
    log_in = logs_in(secret, postgres.server, psycopg.connect, **libpq_tls(postgres.server))
    mark = postgres.log_mark()

    def request() -> None:
        with contextlib.suppress(CredentialsRefused):
            log_in()
        time.sleep(0.01)

    with Users(request, threads=8) as users:
        users.wait(200)
        assert postgres.failed_logins(postgres.log_since(mark)) == 2
        put(rotation_service, state.arn, right)
        clock.sleep(1)
        log_in()
    assert users.failures == []
    assert postgres.failed_logins(postgres.log_since(mark)) == 2


def put(service: RotationService, arn: str, value: dict[str, Any]) -> None:
    service.client.put_secret_value(SecretId=arn, SecretString=json.dumps(value))
