"""MySQL and MariaDB, as the suites use them."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import pymysql
from pymysql.constants import ER

from rotators.database import DatabaseRotator
from rotators.engines.mysql import MariadbEngine, MysqlEngine
from rotators.engines.mysql.accounts import native_hash
from rotators.environment import Environment
from rotators.testing import RotationService
from rotators.testing.servers.mysql import MysqlServer, available
from rotators.versions import SecretVersions
from targets.base import ALTERNATING, DUAL, SINGLE, Application, Kind, fresh_name
from targets.shares import share_of


class MysqlTarget:
    """MySQL or MariaDB."""

    strategies = frozenset({SINGLE, ALTERNATING, DUAL})
    refusals = (pymysql.err.OperationalError,)

    def __init__(self, server: MysqlServer) -> None:
        self.server = server
        self.part = share_of(server.installation)
        self.kind = server.installation.kind
        self.passwords: set[str] = set()

    def make_application(self, username: str | None = None) -> Application:
        name = username or fresh_name()
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

    def make_bare(self, username: str) -> Application:
        password = secrets.token_urlsafe(18)
        self.passwords.add(password)
        self.as_admin(f"CREATE USER {self.text(username)}@'%' {self._identified(password)}")
        return Application(username, password)

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
        base = username.removesuffix("_clone")
        # In a grant on a database its name is a pattern: that of a test holds nothing that means something there.
        name = base if base.isidentifier() and base.isascii() else hashlib.sha256(base.encode()).hexdigest()[:16]
        return f"`of_{name}`"

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

    def log_text(self) -> str:
        return self.server.log_text()

    def failed_logins(self, log: str) -> int:
        return log.count("Access denied")


@contextlib.contextmanager
def _start(installation: Any) -> Iterator[MysqlTarget]:
    with MysqlServer(installation) as server:
        yield MysqlTarget(server)


def _kind(name: str) -> Kind:
    return Kind(
        name,
        MysqlTarget.strategies,
        lambda: [(f"-{one.version}", one) for one in available() if one.kind == name],
        _start,
        f"{name} is not installed: see tools/databases and tools/mysql",
    )


MARIADB, MYSQL = _kind("mariadb"), _kind("mysql")
