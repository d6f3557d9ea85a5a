"""A pytest plugin: ``pytest_plugins = ["rotators.testing.plugin"]``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from rotators.testing.context import FakeLambdaContext
from rotators.testing.service import RotationService

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


@pytest.fixture
def rotation_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotationService]:
    """A simulated Secrets Manager with its rotation service, empty, for one test."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with RotationService() as service:
        yield service


@pytest.fixture
def secrets_manager(rotation_service: RotationService) -> SecretsManagerClient:
    """A boto3 client for the same."""
    return rotation_service.client


@pytest.fixture
def lambda_context() -> FakeLambdaContext:
    """A context object for calling a handler by hand."""
    return FakeLambdaContext()
