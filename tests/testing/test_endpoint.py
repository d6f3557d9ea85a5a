"""The simulated service over HTTP."""

from __future__ import annotations

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from rotators.aws import make_client
from rotators.testing import INTERNAL, RotationService
from rotators.testing.endpoint import served


def test_a_call_that_a_fault_leaves_without_an_answer_was_carried_out(rotation_service: RotationService) -> None:
    arn = rotation_service.create_secret("app", {"n": 1}, lambda *_: None)
    once = Config(retries={"mode": "standard", "total_max_attempts": 1})
    with served(rotation_service) as url:
        client = make_client("secretsmanager", endpoint_url=url, config=once)
        rotation_service.faults.fail("PutSecretValue", when="after", kind="network")
        with pytest.raises(ConnectionClosedError):
            client.put_secret_value(SecretId=arn, SecretString='{"n": 2}')
        assert client.get_secret_value(SecretId=arn)["SecretString"] == '{"n": 2}'


def test_a_refusal_keeps_its_status(rotation_service: RotationService) -> None:
    arn = rotation_service.create_secret("app", {"n": 1}, lambda *_: None)
    once = Config(retries={"mode": "standard", "total_max_attempts": 1})
    with served(rotation_service) as url:
        client = make_client("secretsmanager", endpoint_url=url, config=once)
        rotation_service.faults.fail("GetSecretValue", kind=INTERNAL)
        with pytest.raises(ClientError) as refused:
            client.get_secret_value(SecretId=arn)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert refused.value.response["Error"]["Code"] == INTERNAL.code
