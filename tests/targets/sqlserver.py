"""SQL Server, as the suites use it: the driver, its TLS and its login are real; what is behind them is a double, or a
server that ROTATORS_TEST_SQLSERVER_URL names. Both are spoken to in SQL alone."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytds
import pytest
from doubles.sqlserver import Login, Server, User, fresh_sid
from doubles.tds import TdsServer

from rotators.database import DatabaseRotator
from rotators.engines import sqlserver as engine
from rotators.engines.sqlserver import SqlserverEngine
from rotators.environment import Environment
from rotators.testing import RotationService
from rotators.testing.servers.accounts import SystemAccount, temporary_folder
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.versions import SecretVersions
from targets.addresses import Address, named
from targets.base import ALTERNATING, PATIENCE, SINGLE, Application, Kind, Refusals, StandIn, fresh_name
from targets.shares import share_of_one

_DENIED = 229
# What RDS gives its admin, who is no sysadmin: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html
_ADMINS = (
    "ADMINISTER BULK OPERATIONS", "ALTER ANY CONNECTION", "ALTER ANY CREDENTIAL", "ALTER ANY EVENT SESSION",
    "ALTER ANY LINKED SERVER", "ALTER ANY LOGIN", "ALTER ANY SERVER AUDIT", "ALTER ANY SERVER ROLE",
    "ALTER SERVER STATE", "ALTER TRACE", "CONNECT SQL", "CREATE ANY DATABASE", "VIEW ANY DATABASE",
    "VIEW ANY DEFINITION", "VIEW SERVER STATE",
)  # fmt: skip
_ADMINS_ROLES = ("processadmin", "setupadmin")
_ADMINS_ROLES_IN_MSDB = ("SQLAgentUserRole", "SQLAgentReaderRole", "SQLAgentOperatorRole")
_LANGUAGES = ("us_english", "Deutsch", "Français", "Dansk", "Español", "Italiano", "Nederlands", "Norsk", "Svenska")


def quoted(name: str) -> str:
    """A name in brackets."""
    return "[" + name.replace("]", "]]") + "]"


def text(value: str) -> str:
    """A literal."""
    return "N'" + value.replace("'", "''") + "'"


class SqlserverTarget(Refusals):
    """A server, by its address."""

    strategies = frozenset({SINGLE, ALTERNATING})
    refusals = (pytds.LoginError, pytds.OperationalError)
    # Most of them are the driver's, which is the same at each.
    part = share_of_one(20)
    # What is granted to one user reaches the other at the next rotation.
    grants_follow_at_once = False

    def __init__(self, address: Address, admin: str) -> None:
        self.address = address
        self.server = self
        self.host, self.port = address.host, address.port
        self.passwords: set[str] = set()
        super().__init__([])
        self.admin, self.admin_password = admin, self._password()
        database, name = quoted(address.database), quoted(admin)
        self.as_root("master", f"IF DB_ID({text(address.database)}) IS NULL CREATE DATABASE {database}")
        self._create_login(admin, self.admin_password)
        for permission in _ADMINS:
            self.as_root("master", f"GRANT {permission} TO {name} WITH GRANT OPTION")
        for role in _ADMINS_ROLES:
            self.as_root("master", f"ALTER SERVER ROLE {quoted(role)} ADD MEMBER {name}")
        self.as_root(
            "msdb",
            f"CREATE USER {name} FOR LOGIN {name}",
            f"GRANT ALTER ANY USER TO {name}",
            f"GRANT ALTER ON ROLE::[SQLAgentOperatorRole] TO {name} WITH GRANT OPTION",
            *(f"ALTER ROLE {quoted(role)} ADD MEMBER {name}" for role in _ADMINS_ROLES_IN_MSDB),
        )
        self.as_root(
            address.database, f"CREATE USER {name} FOR LOGIN {name}", f"ALTER ROLE [db_owner] ADD MEMBER {name}"
        )

    def _password(self) -> str:
        made = secrets.token_urlsafe(18)
        self.passwords.add(made)
        return made

    def _create_login(self, name: str, password: str) -> None:
        options = f"DEFAULT_DATABASE = {quoted(self.address.database)}, CHECK_POLICY = OFF"
        self.as_root("master", f"CREATE LOGIN {quoted(name)} WITH PASSWORD = {text(password)}, {options}")

    def make_application(self, username: str | None = None) -> Application:
        name, password = username or fresh_name(), self._password()
        user, own, others = quoted(name), quoted(self.schema(name)), quoted(f"{self.schema(name)}_of_others")
        self._create_login(name, password)
        self.as_root(
            self.address.database,
            f"CREATE USER {user} FOR LOGIN {user} WITH DEFAULT_SCHEMA = {own}",
            f"CREATE SCHEMA {own} AUTHORIZATION {user}",
            f"CREATE TABLE {own}.[own] (n int)",
            f"CREATE SCHEMA {others}",
            f"CREATE TABLE {others}.[granted] (answer int)",
            f"GRANT CREATE TABLE TO {user}",
            f"GRANT SELECT ON OBJECT::{others}.[granted] TO {user}",
        )
        return Application(name, password)

    def make_bare(self, username: str) -> Application:
        password, user = self._password(), quoted(username)
        self._create_login(username, password)
        self.as_root(self.address.database, f"CREATE USER {user} FOR LOGIN {user}")
        return Application(username, password)

    @staticmethod
    def schema(username: str) -> str:
        return f"of_{username.removesuffix('_clone')}"

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        return self.address.secret(application.username, application.password) | extra

    def admin_secret(self) -> dict[str, Any]:
        return self.address.secret(self.admin, self.admin_password)

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        versions = SecretVersions(service.client, patience=PATIENCE)
        return DatabaseRotator(SqlserverEngine(), versions, Environment(self.address.variables | variables))

    @contextlib.contextmanager
    def session(self, secret: Mapping[str, Any], database: str | None = None) -> Iterator[pytds.Cursor]:
        with (
            pytds.connect(
                dsn=self.host,
                port=self.port,
                user=secret["username"],
                password=secret["password"],
                database=database or self.address.database,
                cafile=self.address.ca_file,
                autocommit=True,
                disable_connect_retry=True,
            ) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor

    def as_root(self, database: str, *statements: str) -> None:
        root = {"username": self.address.username, "password": self.address.password}
        with self.session(root, database) as cursor:
            for statement in statements:
                cursor.execute(statement)

    def log_in(self, secret: Mapping[str, Any]) -> None:
        with self.session(secret):
            pass

    def work(self, secret: Mapping[str, Any]) -> None:
        schema = self.schema(secret["username"])
        with self.session(secret) as cursor:
            for statement in (
                f"SELECT answer FROM {quoted(schema + '_of_others')}.[granted]",
                f"ALTER TABLE {quoted(schema)}.[own] ALTER COLUMN n bigint",
                f"INSERT INTO {quoted(schema)}.[own] VALUES (1)",
                f"CREATE TABLE {quoted(schema)}.[made] (n int)",
                f"DROP TABLE {quoted(schema)}.[made]",
            ):
                cursor.execute(statement)

    def set_password(self, username: str, password: str) -> None:
        self.passwords.add(password)
        self.as_root("master", f"ALTER LOGIN {quoted(username)} WITH PASSWORD = {text(password)}")

    def _shared(self, application: Application) -> str:
        return f"{quoted(self.schema(application.username) + '_of_others')}.[shared]"

    def share(self, application: Application) -> None:
        self.as_root(self.address.database, f"CREATE TABLE {self._shared(application)} (answer int)")

    def grant_shared(self, application: Application) -> None:
        user = quoted(application.username)
        self.as_root(self.address.database, f"GRANT SELECT ON OBJECT::{self._shared(application)} TO {user}")

    def revoke_shared(self, application: Application) -> None:
        user = quoted(application.username)
        self.as_root(self.address.database, f"REVOKE SELECT ON OBJECT::{self._shared(application)} FROM {user} CASCADE")

    def limit_connections(self, application: Application, limit: int) -> None:
        # A login has no such limit here: its language is what there is to change.
        language = quoted(_LANGUAGES[limit % len(_LANGUAGES)])
        self.as_root("master", f"ALTER LOGIN {quoted(application.username)} WITH DEFAULT_LANGUAGE = {language}")

    def create_table(self, secret: Mapping[str, Any], number: int) -> None:
        self._run(secret, f"CREATE TABLE {quoted(self.schema(secret['username']))}.[t{number}] (n int)")

    def alter_table(self, secret: Mapping[str, Any], number: int) -> None:
        self._run(secret, f"ALTER TABLE {quoted(self.schema(secret['username']))}.[t{number}] ALTER COLUMN n bigint")

    def reads_shared(self, secret: Mapping[str, Any]) -> bool:
        try:
            self._run(secret, f"SELECT answer FROM {quoted(self.schema(secret['username']) + '_of_others')}.[shared]")
        except pytds.DatabaseError as error:
            if error.msg_no != _DENIED:
                raise
            return False
        return True

    def _run(self, secret: Mapping[str, Any], statement: str) -> None:
        with self.session(secret) as cursor:
            cursor.execute(statement)


class SqlserverDouble(SqlserverTarget):
    """The double: its catalogue can be looked into, and at."""

    def __init__(self, catalogue: Server, wire: TdsServer, authority: CertificateAuthority) -> None:
        self.catalogue = catalogue
        self.authority = authority
        self.ca_file: Path = authority.ca_file
        self.pem = wire.certificate
        root = catalogue.logins["sa"]
        super().__init__(
            Address("sqlserver", "localhost", wire.port, "sa", root.password, "app", str(self.ca_file)), "admin"
        )
        self.passwords.add(root.password)
        # A second database of the admin's.
        other = catalogue.databases["other"]
        other.users["admin"] = User(catalogue.logins["admin"].sid)
        other.members["db_owner"] = {"admin"}

    def make_application(self, username: str | None = None) -> Application:
        application = super().make_application(username)
        # The strictest that there is.
        self.catalogue.logins[application.username].policy = True
        return application

    def set_password(self, username: str, password: str) -> None:
        login = self.catalogue.logins[username]
        strict, login.policy = login.policy, False
        super().set_password(username, password)
        login.policy = strict


@contextlib.contextmanager
def start(server: Any = None) -> Iterator[SqlserverTarget]:
    """A double, listening; or the server that somebody named."""
    with pytest.MonkeyPatch.context() as patch:
        if isinstance(server, Address):
            target = SqlserverTarget(server, f"admin_{secrets.token_hex(4)}")
            patch.setattr(engine, "connect", target.noting(engine.connect))
            yield target
            return
        account = SystemAccount(os.geteuid(), os.getegid())
        catalogue = Server()
        catalogue.logins["sa"] = Login(fresh_sid("sa"), secrets.token_urlsafe(18), database="master")
        catalogue.members["sysadmin"].add("sa")
        with temporary_folder(account) as folder:
            authority = CertificateAuthority(folder)
            issued = authority.issue(("localhost", "127.0.0.1"), folder=folder, account=account)
            pem = folder / "both.pem"
            pem.write_bytes(issued.certificate_file.read_bytes() + issued.key_file.read_bytes())
            with TdsServer(catalogue.log_in, pem) as wire:
                double = SqlserverDouble(catalogue, wire, authority)
                patch.setattr(engine, "connect", double.noting(engine.connect))
                yield double
        assert not catalogue.failures, catalogue.failures


KIND = Kind(
    "sqlserver",
    SqlserverTarget.strategies,
    lambda: [("-double", StandIn("SQL Server, a double behind the real driver, TLS and login")), *named("sqlserver")],
    start,
    "nothing is missing",
)
