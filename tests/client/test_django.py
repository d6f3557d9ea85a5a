"""Django goes on through rotations: with persistent connections, and with its pool."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from targets import ALTERNATING, DUAL, SINGLE
from targets.base import Rotated, rotated

from rotators.testing import RotationService
from rotators.testing.endpoint import served
from rotators.testing.servers.postgres import available as postgres_available

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("django_application.py")
NEWEST = postgres_available()[-1:] or [None]


@contextlib.contextmanager
def program(kind: str, state: Rotated, max_age: float) -> Iterator[Any]:
    with served(state.service) as url:
        environment = os.environ | {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "PYTHONPATH": str(ROOT),
            "SECRET": state.arn,
            "CA_FILE": str(state.target.server.ca_file),
            "MAX_AGE": str(max_age),
        }
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), kind],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None

            def requests(order: str = "go") -> dict[str, Any]:
                process.stdin.write(f"{order}\n")
                process.stdin.flush()
                answer: dict[str, Any] = json.loads(process.stdout.readline())
                assert answer["failures"] == []
                return answer

            try:
                yield requests
            finally:
                process.stdin.close()
                process.wait(60)


def survives(kind: str, state: Rotated, rotations: int) -> None:
    with program(kind, state, max_age=60) as requests:
        sessions = set(requests()["sessions"])
        for _ in range(rotations):
            rotation = state.service.rotate(state.arn, attempts=2)
            assert rotation.succeeded, rotation.error
            sessions |= set(requests()["sessions"])
            # As when the value's age is over, and at no moment that depends on the machine.
            sessions |= set(requests("refresh")["sessions"])
        # Kept between rotations, and replaced after them.
        assert 1 < len(sessions) <= 3 * (rotations + 1)


@pytest.mark.parametrize("postgres_server", NEWEST, indirect=True)
@pytest.mark.parametrize("kind", ["persistent", "pool"])
def test_django_on_postgres_goes_on_through_rotations(
    kind: str, postgres: Any, rotation_service: RotationService
) -> None:
    survives(kind, rotated(postgres, rotation_service, SINGLE), 2)


@pytest.mark.long
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
@pytest.mark.parametrize("kind", ["persistent", "pool"])
def test_django_on_postgres_goes_on_through_five_rotations(
    kind: str, strategy: str, postgres: Any, rotation_service: RotationService
) -> None:
    survives(kind, rotated(postgres, rotation_service, strategy), 5)


@pytest.mark.long
@pytest.mark.parametrize("strategy", [SINGLE, DUAL, ALTERNATING])
def test_django_on_mysql_goes_on_through_five_rotations(
    strategy: str, mysql_family: Any, rotation_service: RotationService
) -> None:
    survives("mysql", rotated(mysql_family, rotation_service, strategy), 5)
