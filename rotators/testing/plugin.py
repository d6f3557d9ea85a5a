"""A pytest plugin: ``pytest_plugins = ["rotators.testing.plugin"]`` in ``conftest.py``.

Importing a rotator's module makes its handler, and with it a boto3 client, which needs a Region. So the plugin sets one
when it is loaded: from ``conftest.py``, that is before any test module.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from rotators.testing.context import FakeLambdaContext
from rotators.testing.service import RotationService

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

REGION = "eu-west-1"
os.environ.setdefault("AWS_DEFAULT_REGION", REGION)


@pytest.fixture
def rotation_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotationService]:
    """A simulated Secrets Manager with its rotation service, empty, for one test."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with RotationService() as service:
        yield service


@pytest.fixture
def secrets_manager(rotation_service: RotationService) -> SecretsManagerClient:
    """A boto3 client for the simulated service."""
    return rotation_service.client


@pytest.fixture
def lambda_context() -> FakeLambdaContext:
    """A context object for calling a handler by hand."""
    return FakeLambdaContext()
