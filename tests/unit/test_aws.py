"""Clients of botocore alone."""

from __future__ import annotations

import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import DataNotFoundError

from rotators.aws import make_client


@pytest.mark.parametrize("region", ["eu-west-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "us-iso-east-1"])
@pytest.mark.parametrize("service", ["secretsmanager", "rds", "redshift", "redshift-serverless", "iam", "sts"])
def test_a_client_is_what_boto3_makes(service: str, region: str) -> None:
    mine = make_client(service, region_name=region)
    theirs = boto3.client(service, region_name=region)  # type: ignore[call-overload]
    assert mine.meta.endpoint_url == theirs.meta.endpoint_url
    assert mine.meta.region_name == theirs.meta.region_name
    assert mine.meta.service_model.operation_names == theirs.meta.service_model.operation_names


def test_a_service_that_is_none() -> None:
    with pytest.raises(DataNotFoundError):
        make_client("no-such-service")


def test_a_function_imports_neither_boto3_nor_its_transfer_manager() -> None:
    code = "import sys, rotators.handlers.postgres; print({'boto3', 's3transfer'} & sys.modules.keys())"
    environment = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert ran.stdout.strip() == "set()"
