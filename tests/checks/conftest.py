from __future__ import annotations

from collections.abc import Iterator

import pytest
from targets import PostgresTarget

from rotators.testing.servers.fixtures import require_postgres
from rotators.testing.servers.postgres import PostgresServer

# A user that pg_hba.conf does not admit.
HBA = ("hostssl all refused all reject",)


@pytest.fixture(scope="session")
def own_server() -> Iterator[PostgresTarget]:
    """The newest PostgreSQL, for these tests alone: they change its certificate."""
    with PostgresServer(require_postgres(), hba=HBA) as server:
        yield PostgresTarget(server)
