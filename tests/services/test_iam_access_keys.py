"""The access keys of an IAM user, on moto's IAM with its limit of two; keys that are gone are refused here."""

from __future__ import annotations

import io
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from moto.iam.models import iam_backends

from rotators.errors import LoginRefused, PermissionRefused, ServiceFailed, Unreachable, UserNotRotatable
from rotators.services import iam_access_keys
from rotators.services.iam_access_keys import STATEMENT, IamAccessKeys
from rotators.testing import RotationService, assert_survives_faults
from rotators.versions import SecretVersions

# Whole rotations are broken at every call.
pytestmark = pytest.mark.slow

USER = "reports"


@pytest.fixture
def admin(rotation_service: RotationService) -> Any:
    return boto3.client("iam")


@pytest.fixture
def first(admin: Any) -> dict[str, str]:
    admin.create_user(UserName=USER)
    made = admin.create_access_key(UserName=USER)["AccessKey"]
    return {"UserName": USER, "AccessKeyId": made["AccessKeyId"], "SecretAccessKey": made["SecretAccessKey"]}


@pytest.fixture(autouse=True)
def _keys_that_are_gone_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As AWS refuses them, and moto does not."""
    asked = iam_access_keys.call

    def refusing(secret: Any, service: str, operation: str, **parameters: str) -> Any:
        key = secret["AccessKeyId"]
        if key not in live():
            raise LoginRefused(f"{key} is not known")
        return asked(secret, service, operation, **parameters)

    monkeypatch.setattr(iam_access_keys, "call", refusing)
    monkeypatch.setattr(iam_access_keys, "_LONGEST_WAIT", 0.0)


def live() -> set[str]:
    return {key.access_key_id for key in iam_backends["123456789012"]["aws"].users[USER].access_keys}


@pytest.fixture
def rotator(rotation_service: RotationService) -> IamAccessKeys:
    return IamAccessKeys(SecretVersions(rotation_service.client, patience=0.05))


@pytest.fixture
def secret(rotation_service: RotationService, rotator: IamAccessKeys, first: dict[str, str]) -> str:
    return rotation_service.create_secret("iam", first, rotator)


def test_each_rotation_leaves_the_keys_of_awscurrent_and_awsprevious(
    rotation_service: RotationService, secret: str, first: dict[str, str], log: io.StringIO
) -> None:
    seen = {first["SecretAccessKey"]}
    for _ in range(3):
        assert rotation_service.rotate(secret).error is None
        values = [rotation_service.value(secret, stage) for stage in ("AWSCURRENT", "AWSPREVIOUS")]
        assert live() == {value["AccessKeyId"] for value in values}
        assert values[0]["UserName"] == USER
        seen |= {value["SecretAccessKey"] for value in values}
    assert len(seen) == 4
    assert first["AccessKeyId"] not in live()
    written = log.getvalue()
    assert rotation_service.value(secret)["AccessKeyId"] in written
    assert not [key for key in seen if key in written]


@pytest.mark.parametrize(
    ("when", "kind"),
    [
        ("after", "network"),
        pytest.param("before", "network", marks=pytest.mark.long),
        pytest.param("before", "crash", marks=pytest.mark.long),
        pytest.param("after", "crash", marks=pytest.mark.long),
    ],
)
def test_every_call_to_iam_and_to_secrets_manager_may_fail(
    rotation_service: RotationService,
    rotator: IamAccessKeys,
    first: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    when: str,
    kind: str,
) -> None:
    monkeypatch.setattr("rotators.testing.survival._KINDS", ((when, kind),))

    def nothing_leaks(arn: str) -> None:
        stages = ("AWSCURRENT", "AWSPREVIOUS")
        assert live() <= {rotation_service.value(arn, stage)["AccessKeyId"] for stage in stages}

    survived = assert_survives_faults(
        rotator,
        first,
        service=rotation_service,
        calls=["rotators.services.iam_access_keys.call"],
        overlap=True,
        holds=nothing_leaks,
    )
    assert survived.service >= 5


def test_a_key_that_somebody_uses_is_never_deleted(rotation_service: RotationService, admin: Any, secret: str) -> None:
    made = admin.create_access_key(UserName=USER)["AccessKey"]
    theirs = made["AccessKeyId"]
    boto3.client("iam", aws_access_key_id=theirs, aws_secret_access_key=made["SecretAccessKey"]).list_access_keys()
    refused = rotation_service.rotate(secret)
    assert isinstance(refused.error, UserNotRotatable)
    assert f"delete {theirs} if it is not in use" in str(refused.error)
    assert theirs in live()


def test_the_statement_is_for_the_users_own_keys_alone() -> None:
    assert STATEMENT["Resource"] == "arn:aws:iam::*:user/${aws:username}"
    assert set(STATEMENT["Action"]) == {
        "iam:CreateAccessKey",
        "iam:DeleteAccessKey",
        "iam:GetAccessKeyLastUsed",
        "iam:ListAccessKeys",
    }


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ClientError({"Error": {"Code": "InvalidClientTokenId"}}, "ListAccessKeys"), LoginRefused),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "CreateAccessKey"), PermissionRefused),
        (ClientError({"Error": {"Code": "LimitExceeded"}}, "CreateAccessKey"), ServiceFailed),
        (ConnectTimeoutError(endpoint_url="https://iam.amazonaws.com"), Unreachable),
    ],
)
def test_a_refusal_is_told_in_our_words(
    rotation_service: RotationService,
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    kind: type[Exception],
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise raised

    monkeypatch.setattr("rotators.services.iam_access_keys.make_client", refuse)
    error = rotation_service.rotate(secret).error
    assert isinstance(error, kind)
    assert rotation_service.value(secret)["SecretAccessKey"] not in str(error)
