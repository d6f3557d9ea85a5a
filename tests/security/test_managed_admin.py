"""An admin's secret that RDS manages has a user and a password only: where its server is, is asked of the right side.

The other two ways (the admin secret's own host, ROTATION_ADMIN_HOST) are in the conformance suite, for every engine.
"""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from targets import ALTERNATING, PostgresTarget

from rotators.errors import ConfigurationError
from rotators.testing import RotationService

pytestmark = pytest.mark.server


@pytest.fixture
def managed(postgres: PostgresTarget, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch) -> str:
    """The secret of an admin, as RDS makes it for a DB instance that is the real server here."""
    made = boto3.client("rds").create_db_instance(
        DBInstanceIdentifier="orders",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        MasterUsername="postgres",
        AllocatedStorage=20,
        ManageMasterUserPassword=True,
    )
    arn = str(made["DBInstance"]["MasterUserSecret"]["SecretArn"])
    known = postgres.admin_secret()
    value = {key: known[key] for key in ("username", "password")}
    rotation_service.client.put_secret_value(SecretId=arn, SecretString=json.dumps(value))
    real = BaseClient._make_api_call  # type: ignore[attr-defined]  # what every call goes through

    def call(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        reply = real(client, operation, parameters)
        if operation == "DescribeDBInstances":
            for one in reply["DBInstances"]:
                one["Endpoint"] = {"Address": known["host"], "Port": int(known["port"])}
        return reply

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return arn


def test_rds_itself_says_where_its_admin_works(
    postgres: PostgresTarget, rotation_service: RotationService, managed: str
) -> None:
    rotator = postgres.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING)
    application = postgres.make_application()
    arn = rotation_service.create_secret("app", postgres.secret(application, masterarn=managed), rotator)
    for name in (f"{application.username}_clone", application.username):
        assert rotation_service.rotate(arn).error is None
        assert rotation_service.value(arn)["username"] == name
        postgres.work(rotation_service.value(arn))


def test_a_secret_that_only_looks_managed_is_not_asked_for(
    postgres: PostgresTarget, rotation_service: RotationService, managed: str
) -> None:
    """Tags that begin with aws: are AWS's own, and so is the owner; a customer's look-alikes count for nothing."""
    known = postgres.admin_secret()
    look_alike = rotation_service.client.create_secret(
        Name="rds!db-look-alike",
        SecretString=json.dumps({key: known[key] for key in ("username", "password")}),
        Tags=[{"Key": "rds:primaryDBInstanceArn", "Value": "arn:aws:rds:eu-west-1:123456789012:db:orders"}],
    )["ARN"]
    assert look_alike != managed
    rotator = postgres.rotator(rotation_service, ROTATION_STRATEGY=ALTERNATING)
    secret = postgres.secret(postgres.make_application(), masterarn=look_alike)
    arn = rotation_service.create_secret("app", secret, rotator)
    failed = rotation_service.rotate(arn)
    assert isinstance(failed.error, ConfigurationError)
    assert "names no host" in str(failed.error)
