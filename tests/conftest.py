"""What every test has: the test kit's own plugin, and an AWS account that is none."""

import io
import logging
from collections.abc import Iterator

import pytest

from rotators.logs import logger

pytest_plugins = ["rotators.testing.plugin"]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a developer's credentials nor a function's settings may leak into a test."""
    for name in (
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
        "SECRETS_MANAGER_ENDPOINT",
        "ROTATION_STRATEGY",
        "ROTATION_TWIN",
        "ROTATION_ADMIN_SECRET",
        "ALLOW_ADMIN_RESET",
        "ROTATION_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the function's logger writes, through its own formatter."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger.registered_handler.formatter)
    logging.getLogger(logger.name).addHandler(handler)
    yield stream
    logging.getLogger(logger.name).removeHandler(handler)
