"""The errors of every engine's driver, as the server or its double raises them, under every strategy that it has.

SQL Server, Oracle and Db2 are doubles here: SQL Server's behind the real driver and a real login, Oracle's and
Db2's at the driver's border.
"""

from __future__ import annotations

from typing import Any

import pytest
from targets.base import rotated
from test_helpers import Users

from rotators.client import Secret, connect_with
from rotators.testing import RotationService

pytestmark = pytest.mark.server


def survives(target: Any, service: RotationService, rotations: int) -> None:
    for strategy in sorted(target.strategies):
        state = rotated(target, service, strategy)
        secret = Secret(state.arn, service.client, max_age=60)

        def request(secret: Secret = secret) -> None:
            connect_with(secret, target.log_in)

        with Users(request, threads=1) as users:
            for _ in range(rotations):
                rotation = service.rotate(state.arn, attempts=2)
                assert rotation.succeeded, rotation.error
                users.wait(3)
        assert users.failures == [], strategy


def test_an_application_of_sql_server_goes_on_through_rotations(
    sqlserver: Any, rotation_service: RotationService
) -> None:
    survives(sqlserver, rotation_service, 2)


def test_an_application_of_oracle_goes_on_through_rotations(oracle: Any, rotation_service: RotationService) -> None:
    survives(oracle, rotation_service, 2)


def test_an_application_of_db2_goes_on_through_rotations(db2: Any, rotation_service: RotationService) -> None:
    survives(db2, rotation_service, 2)


@pytest.mark.long
def test_an_application_of_any_engine_goes_on_through_five_rotations(
    target: Any, rotation_service: RotationService
) -> None:
    survives(target, rotation_service, 5)
