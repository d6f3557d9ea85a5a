"""MySQL and MariaDB, as the suites use them."""

from __future__ import annotations

import contextlib
import hashlib
import re
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
from targets.base import ALTERNATING, DUAL, PATIENCE, SINGLE, Application, Kind, fresh_name
from targets.shares import share_of

# What MariaDB's SHOW GRANTS says of an account beside its rights.
_IDENTIFIED = re.compile(r" IDENTIFIED BY PASSWORD '[^']*'| IDENTIFIED VIA .*?(?= WITH GRANT OPTION|$)")


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
        versions = SecretVersions(service.client, patience=PATIENCE)
        environment = Environment({"ROTATION_CA_BUNDLE": str(self.server.ca_file), **variables})
        engine = MariadbEngine() if self.kind == "mariadb" else MysqlEngine()
        return DatabaseRotator(engine, versions, environment)

    @contextlib.contextmanager
    def session(self, secret: Mapping[str, Any]) -> Iterator[Any]:
        connection = self.server.connect(secret["username"], secret["password"])
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor

    def log_in(self, secret: Mapping[str, Any], source: str | None = None) -> None:
        """Log in and out, from one of the loopback's addresses where it matters."""
        self.server.connect(secret["username"], secret["password"], source=source).close()

    def add_host(self, application: Application, host: str) -> None:
        """An account of the same user on another host, with the same password and rights."""
        self._create_account(application.username, host, application.password)
        for (grant,) in self.server.query(f"SHOW GRANTS FOR {self.text(application.username)}@'%'"):
            self.server.query(_IDENTIFIED.sub("", str(grant)).replace("@`%`", f"@`{host}`"))

    def keep_history(self, application: Application) -> None:
        """Let a user take none of its last five passwords."""
        self.as_admin(f"ALTER USER {self.text(application.username)}@'%' PASSWORD HISTORY 5")

    def second_admin(self, application: Application) -> dict[str, Any]:
        """The JSON of the secret of another admin, who may do the same."""
        del application
        name, password = fresh_name(), secrets.token_urlsafe(18)
        admin = self.server.admin.username
        self._create_account(name, "%", password)
        for (grant,) in self.server.query(f"SHOW GRANTS FOR {self.text(admin)}@'%'"):
            # MariaDB shows the roles that are our marks as well: they are of the user who made them.
            if " ON " in str(grant):
                self.server.query(_IDENTIFIED.sub("", str(grant)).replace(f"TO `{admin}`@", f"TO `{name}`@"))
        return self.server.secret(name, password)

    def a_database(self, application: Application) -> list[str]:
        """Databases that the user may use."""
        return [self.database(application.username).strip("`")]

    def rights_of(self, application: Application) -> list[str]:
        """The grants of all accounts of the user."""
        name = self.text(application.username)
        hosts = [
            host for (host,) in self.server.query(f"SELECT Host FROM mysql.user WHERE User = {name} ORDER BY Host")
        ]
        shown = [row for host in hosts for row in self.server.query(f"SHOW GRANTS FOR {name}@{self.text(host)}")]
        return sorted(_IDENTIFIED.sub("", str(grant)) for (grant,) in shown)

    def _create_account(self, username: str, host: str, password: str) -> None:
        self.passwords.add(password)
        self.as_admin(f"CREATE USER {self.text(username)}@{self.text(host)} {self._identified(password)}")

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
