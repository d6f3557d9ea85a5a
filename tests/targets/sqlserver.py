"""SQL Server, as the suites use it: the real driver, TLS and login, and behind them a double."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytds
from doubles.sqlserver import Login, Server, User, fresh_sid
from doubles.tds import TdsServer

from rotators.database import DatabaseRotator
from rotators.engines.sqlserver import SqlserverEngine
from rotators.engines.sqlserver.quoting import name as quoted
from rotators.environment import Environment
from rotators.testing import RotationService
from rotators.testing.servers.accounts import Account, temporary_folder
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.versions import SecretVersions
from targets.base import ALTERNATING, SINGLE, Application, Kind, fresh_name


class SqlserverTarget:
    """A double of SQL Server."""

    strategies = frozenset({SINGLE, ALTERNATING})
    refusals = (pytds.LoginError, pytds.OperationalError)
    # Most of them are the driver's, which is the same at each.
    part = slice(None, None, 3)
    # What is granted to one user reaches the other at the next rotation.
    grants_follow_at_once = False
    host = "localhost"

    def __init__(self, catalogue: Server, wire: TdsServer, authority: CertificateAuthority) -> None:
        self.catalogue = catalogue
        self.server = self
        self.port = wire.port
        self.wire = wire
        self.authority = authority
        self.ca_file: Path = authority.ca_file
        self.passwords: set[str] = set()
        self.admin_password = self._password()
        self._admin()

    def _password(self) -> str:
        made = secrets.token_urlsafe(18)
        self.passwords.add(made)
        return made

    def _admin(self) -> None:
        """As RDS makes it: no sysadmin, but with the right to make logins and to pass rights on."""
        sid = fresh_sid("admin")
        self.catalogue.logins["admin"] = Login(sid, self.admin_password)
        self.catalogue.members["processadmin"].add("admin")
        for permission in ("ALTER ANY LOGIN", "VIEW SERVER STATE", "ALTER TRACE"):
            self.catalogue.permissions["admin", permission, 100, None, None, None] = "W"
        for name in ("app", "other"):
            self.catalogue.databases[name].users["admin"] = User(sid)
            self.catalogue.databases[name].members["db_owner"] = {"admin"}

    def make_application(self, username: str | None = None) -> Application:
        name, password = username or fresh_name(), self._password()
        login = Login(fresh_sid(name), password)
        database = self.catalogue.databases["app"]
        schema = self.schema(name)
        with self.catalogue.lock:
            self.catalogue.logins[name] = login
            self.catalogue.permissions[name, "CONNECT SQL", 100, None, None, None] = "G"
            database.users[name] = User(login.sid, schema)
            database.schemas[schema] = name
            database.schemas[f"{schema}_of_others"] = "dbo"
            database.objects[f"{schema}_of_others", "granted"] = None
            database.permissions |= {
                (name, "CONNECT", 0, None, None, None): "G",
                (name, "CREATE TABLE", 0, None, None, None): "G",
                (name, "SELECT", 1, f"{schema}_of_others", "granted", None): "G",
            }
        return Application(name, password)

    @staticmethod
    def schema(username: str) -> str:
        return f"of_{username.removesuffix('_clone')}"

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        return self._secret(application.username, application.password) | extra

    def admin_secret(self) -> dict[str, Any]:
        return self._secret("admin", self.admin_password)

    def _secret(self, username: str, password: str) -> dict[str, Any]:
        return {
            "engine": "sqlserver",
            "host": self.host,
            "port": self.port,
            "username": username,
            "password": password,
            "dbname": "app",
        }

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        versions = SecretVersions(service.client, patience=0.5)
        environment = Environment({"ROTATION_CA_BUNDLE": str(self.ca_file), **variables})
        return DatabaseRotator(SqlserverEngine(), versions, environment)

    @contextlib.contextmanager
    def session(self, secret: Mapping[str, Any]) -> Iterator[pytds.Cursor]:
        with (
            pytds.connect(
                dsn=self.host,
                port=self.port,
                user=secret["username"],
                password=secret["password"],
                database="app",
                cafile=str(self.ca_file),
                autocommit=True,
                disable_connect_retry=True,
            ) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor

    def log_in(self, secret: Mapping[str, Any]) -> None:
        with self.session(secret):
            pass

    def work(self, secret: Mapping[str, Any]) -> None:
        schema = self.schema(secret["username"])
        own = f"{quoted(schema)}.[own]"
        with self.session(secret) as cursor:
            for statement in (
                f"SELECT answer FROM {quoted(schema + '_of_others')}.[granted]",
                f"CREATE TABLE {own} (n int)",
                f"ALTER TABLE {own} ALTER COLUMN n bigint",
                f"INSERT INTO {own} VALUES (1)",
            ):
                cursor.execute(statement)

    def set_password(self, username: str, password: str) -> None:
        self.passwords.add(password)
        with self.catalogue.lock:
            self.catalogue.logins[username].password = password

    def share(self, application: Application) -> None:
        self.catalogue.databases["app"].objects[f"{self.schema(application.username)}_of_others", "shared"] = None

    def grant_shared(self, application: Application) -> None:
        self.catalogue.databases["app"].permissions[self._shared(application)] = "G"

    def revoke_shared(self, application: Application) -> None:
        self.catalogue.databases["app"].permissions.pop(self._shared(application), None)

    def _shared(self, application: Application) -> Any:
        schema = f"{self.schema(application.username)}_of_others"
        return application.username, "SELECT", 1, schema, "shared", None

    def limit_connections(self, application: Application, limit: int) -> None:
        # A login has no such limit here: its language is what there is to change.
        self.catalogue.logins[application.username].language = f"language {limit}"

    def create_table(self, secret: Mapping[str, Any], number: int) -> None:
        self._run(secret, f"CREATE TABLE {quoted(self.schema(secret['username']))}.[t{number}] (n int)")

    def alter_table(self, secret: Mapping[str, Any], number: int) -> None:
        self._run(secret, f"ALTER TABLE {quoted(self.schema(secret['username']))}.[t{number}] ALTER COLUMN n bigint")

    def reads_shared(self, secret: Mapping[str, Any]) -> bool:
        try:
            self._run(secret, f"SELECT answer FROM {quoted(self.schema(secret['username']) + '_of_others')}.[shared]")
        except pytds.DatabaseError as error:
            if error.msg_no != 229:
                raise
            return False
        return True

    def _run(self, secret: Mapping[str, Any], statement: str) -> None:
        with self.session(secret) as cursor:
            cursor.execute(statement)

    def log_mark(self) -> int:
        return len(self.catalogue.refused)

    def log_since(self, mark: int) -> str:
        return "".join("refused\n" for _ in self.catalogue.refused[mark:])

    def log_text(self) -> str:
        # The real server keeps passwords out of its traces itself; the double has no log.
        return ""

    def failed_logins(self, log: str) -> int:
        return log.count("refused")


@contextlib.contextmanager
def start(_: Any = None) -> Iterator[SqlserverTarget]:
    """A double, listening."""
    account = Account(os.geteuid(), os.getegid())
    catalogue = Server()
    with temporary_folder(account) as folder:
        authority = CertificateAuthority(folder)
        issued = authority.issue(("localhost", "127.0.0.1"), folder=folder, account=account)
        pem = folder / "both.pem"
        pem.write_bytes(issued.certificate_file.read_bytes() + issued.key_file.read_bytes())
        with TdsServer(catalogue.log_in, pem) as wire:
            yield SqlserverTarget(catalogue, wire, authority)
    assert not catalogue.failures, catalogue.failures


class _Double:
    name = "SQL Server, a double behind the real driver, TLS and login"


KIND = Kind(
    "sqlserver",
    SqlserverTarget.strategies,
    lambda: [("-double", _Double())],
    start,
    "nothing is missing",
)
