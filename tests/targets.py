"""What the suites know of a database: an engine joins them by giving them one of these."""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg2
import pymysql
from psycopg2 import sql
from pymysql.constants import ER

from rotators.database import DatabaseRotator
from rotators.engines.mysql import MariadbEngine, MysqlEngine
from rotators.engines.mysql.accounts import native_hash
from rotators.engines.postgres import PostgresEngine
from rotators.environment import Environment
from rotators.testing import RotationService
from rotators.testing.servers.mysql import MysqlServer
from rotators.testing.servers.postgres import PostgresServer
from rotators.versions import SecretVersions

SINGLE, ALTERNATING, DUAL = "single-user", "alternating-users", "dual-password"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Application:
    """An application's user, with something to work on."""

    username: str
    password: str


class Target(Protocol):
    """A server of an engine, as the suites use it."""

    strategies: frozenset[str]
    refusals: tuple[type[Exception], ...]
    passwords: set[str]

    def make_application(self) -> Application:
        """A new user made by the admin, with a table of its own and one that it may read."""

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        """The JSON of its secret."""

    def admin_secret(self) -> dict[str, Any]:
        """The JSON of the admin's secret."""

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        """A function for this engine."""

    def log_in(self, secret: Mapping[str, Any]) -> None:
        """Log in and out; raises one of ``refusals`` where it is refused."""

    def work(self, secret: Mapping[str, Any]) -> None:
        """Log in and do all that the application does: read what was granted, write and alter what it owns."""

    def set_password(self, username: str, password: str) -> None:
        """Change a password behind Secrets Manager's back."""

    def log_mark(self) -> int:
        """A place in the server's log."""

    def log_since(self, mark: int) -> str:
        """What the server has logged since."""

    def failed_logins(self, log: str) -> int:
        """How many refused passwords a piece of the log tells of."""


class PostgresTarget:
    """PostgreSQL."""

    strategies = frozenset({SINGLE, ALTERNATING})
    refusals = (psycopg2.OperationalError,)

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.passwords = {server.admin.password}

    def make_application(self, username: str | None = None, options: str = "") -> Application:
        name = username or f"app{next(_numbers)}_{secrets.token_hex(3)}"
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

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        return self.server.secret(application.username, application.password, **extra)

    def admin_secret(self) -> dict[str, Any]:
        return self.server.admin_secret()

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        versions = SecretVersions(service.client, patience=0.5)
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

    def failed_logins(self, log: str) -> int:
        return log.count("password authentication failed")


class MysqlTarget:
    """MySQL or MariaDB."""

    strategies = frozenset({SINGLE, ALTERNATING, DUAL})
    refusals = (pymysql.err.OperationalError,)

    def __init__(self, server: MysqlServer) -> None:
        self.server = server
        self.kind = server.installation.kind
        self.passwords: set[str] = set()

    def make_application(self, username: str | None = None) -> Application:
        name = username or f"app{next(_numbers)}_{secrets.token_hex(3)}"
        password = secrets.token_urlsafe(18)
        self.passwords.add(password)
        database, own = self.database(name), f"{self.database(name)[:-1]}_own`"
        account = f"{self.text(name)}@'%'"
        for statement in (
            f"CREATE DATABASE {database}",
            f"CREATE TABLE {database}.granted AS SELECT 42 AS answer",
            f"CREATE DATABASE {own}",
            f"CREATE USER {account} {self._identified(password)}",
            f"GRANT SELECT ON {database}.granted TO {account}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX ON {own}.* TO {account}",
        ):
            self.as_admin(statement)
        return Application(name, password)

    def _identified(self, password: str) -> str:
        if self.kind == "mariadb":
            # As a hash: MariaDB would log the password, and the log is scanned.
            return f"IDENTIFIED BY PASSWORD '{native_hash(password)}'"
        return f"IDENTIFIED BY {self.text(password)}"

    @staticmethod
    def text(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"

    @staticmethod
    def database(username: str) -> str:
        return "`" + f"of_{username.removesuffix('_clone')}".replace("`", "``") + "`"

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        return self.server.secret(application.username, application.password, **extra)

    def admin_secret(self) -> dict[str, Any]:
        return self.server.admin_secret()

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        versions = SecretVersions(service.client, patience=0.5)
        environment = Environment({"ROTATION_CA_BUNDLE": str(self.server.ca_file), **variables})
        engine = MariadbEngine() if self.kind == "mariadb" else MysqlEngine()
        return DatabaseRotator(engine, versions, environment)

    @contextlib.contextmanager
    def session(self, secret: Mapping[str, Any]) -> Iterator[Any]:
        connection = self.server.connect(secret["username"], secret["password"])
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor

    def log_in(self, secret: Mapping[str, Any]) -> None:
        self.server.connect(secret["username"], secret["password"]).close()

    def work(self, secret: Mapping[str, Any]) -> None:
        database = self.database(secret["username"])
        own = f"{database[:-1]}_own`"
        with self.session(secret) as cursor:
            for statement in (
                f"SELECT answer FROM {database}.granted",
                f"CREATE TABLE IF NOT EXISTS {own}.own (n int)",
                f"ALTER TABLE {own}.own ALTER n SET DEFAULT 7",
                f"INSERT INTO {own}.own VALUES (1)",
            ):
                cursor.execute(statement)

    def set_password(self, username: str, password: str) -> None:
        self.passwords.add(password)
        identified = self._identified(password)
        if self.kind == "mariadb":
            identified = f"IDENTIFIED VIA mysql_native_password USING '{native_hash(password)}'"
        self.server.query(f"ALTER USER {self.text(username)}@'%' {identified}")

    # What is granted to one user reaches the other at the next rotation.
    grants_follow_at_once = False

    def share(self, application: Application) -> None:
        self.server.query(f"CREATE TABLE {self.database(application.username)}.shared AS SELECT 1 AS n")

    def grant_shared(self, application: Application) -> None:
        database = self.database(application.username)
        self.as_admin(f"GRANT SELECT ON {database}.shared TO {self.text(application.username)}@'%'")

    def revoke_shared(self, application: Application) -> None:
        database = self.database(application.username)
        with contextlib.suppress(pymysql.err.ProgrammingError, pymysql.err.OperationalError):  # there is no such grant
            self.as_admin(f"REVOKE SELECT ON {database}.shared FROM {self.text(application.username)}@'%'")

    def limit_connections(self, application: Application, limit: int) -> None:
        account = f"{self.text(application.username)}@'%'"
        self.as_admin(f"ALTER USER {account} WITH MAX_USER_CONNECTIONS {limit}")

    def create_table(self, secret: Mapping[str, Any], number: int) -> None:
        self._run(secret, f"CREATE TABLE {self.database(secret['username'])[:-1]}_own`.t{number} (n int)")

    def alter_table(self, secret: Mapping[str, Any], number: int) -> None:
        own = f"{self.database(secret['username'])[:-1]}_own`"
        self._run(secret, f"ALTER TABLE {own}.t{number} ALTER n SET DEFAULT {number}")

    def reads_shared(self, secret: Mapping[str, Any]) -> bool:
        try:
            self._run(secret, f"SELECT n FROM {self.database(secret['username'])}.shared")
        except pymysql.err.OperationalError as error:
            if error.args[0] != ER.TABLEACCESS_DENIED_ERROR:
                raise
            return False
        return True

    def _run(self, secret: Mapping[str, Any], statement: str) -> None:
        with self.session(secret) as cursor:
            cursor.execute(statement)

    def as_admin(self, statement: str) -> Any:
        admin = self.server.admin
        with self.session({"username": admin.username, "password": admin.password}) as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def log_mark(self) -> int:
        return len(self.server.general_log())

    def log_since(self, mark: int) -> str:
        return self.server.general_log()[mark:]

    def failed_logins(self, log: str) -> int:
        return log.count("Access denied")


@dataclass(frozen=True)
class Rotated:
    """A secret of an application under rotation by one strategy."""

    target: Any
    service: RotationService
    arn: str
    application: Application
    strategy: str
    rotator: DatabaseRotator

    @property
    def value(self) -> dict[str, Any]:
        """What AWSCURRENT holds."""
        return self.service.value(self.arn)

    def logs_in(self, stage: str) -> bool:
        """Whether the password of a label works."""
        try:
            self.target.log_in(self.service.value(self.arn, stage))
        except (KeyError, *self.target.refusals):
            return False
        return True


def rotated(target: Any, service: RotationService, strategy: str, **extra: Any) -> Rotated:
    """Make an application, its secret and its function.

    Args:
        extra: further keys of the secret, or variables of the function (in capitals).
    """
    variables = {"ROTATION_STRATEGY": strategy} | {key: value for key, value in extra.items() if key.isupper()}
    keys = {key: value for key, value in extra.items() if not key.isupper()}
    application = keys.pop("application", None) or target.make_application()
    rotator = target.rotator(service, **variables)
    if strategy != SINGLE:
        admin = service.create_secret(f"admin-{secrets.token_hex(4)}", target.admin_secret(), rotator)
        keys = {"masterarn": admin, **keys}
    arn = service.create_secret(f"secret-of-{secrets.token_hex(4)}", target.secret(application, **keys), rotator)
    return Rotated(target, service, arn, application, strategy, rotator)
