"""Servers that RDS, Aurora, DocumentDB or Redshift run, as the suites use them: their admin is the master user, whose
secret's value is all that is known of them. Nobody is more powerful there, and no log of theirs is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
import pymongo
import pymysql
import pytest
from psycopg2 import sql

from rotators.database import DatabaseRotator
from rotators.engines.redshift import RedshiftEngine
from rotators.environment import Environment
from rotators.testing import RotationService
from rotators.testing.servers.postgres_instance import Login
from rotators.versions import SecretVersions
from targets.addresses import Address
from targets.base import PATIENCE, Application, Refusals, fresh_name
from targets.mongo import MongoTarget
from targets.mysql import MysqlTarget
from targets.oracle import OracleTarget
from targets.postgres import PostgresTarget
from targets.redshift import RedshiftTarget
from targets.sqlserver import SqlserverTarget

# Seconds.
_CONNECT = 10


@dataclass(frozen=True)
class _Installation:
    """What the targets ask of the programs that they start elsewhere."""

    kind: str


class MasterServer:
    """A server, as its master user's secret tells of it.

    Args:
        value: the secret's.
        ca_file: the CA certificates to verify it with.
    """

    def __init__(self, value: Mapping[str, Any], ca_file: str, kind: str) -> None:
        self.value = dict(value)
        self.host, self.port = str(value["host"]), int(value["port"])
        self.admin = self.root = Login(str(value["username"]), str(value["password"]))
        self.database = value.get("dbname")
        self.ca_file = ca_file
        self.installation = _Installation(kind)

    def secret(self, username: str, password: str, **extra: Any) -> dict[str, Any]:
        return {**self.value, "username": username, "password": password} | extra

    def admin_secret(self, **extra: Any) -> dict[str, Any]:
        return self.value | extra

    @property
    def address(self) -> Address:
        """The same, for targets that take an address."""
        engine, database = str(self.value["engine"]), str(self.database or "")
        return Address(
            engine, self.host, self.port, self.admin.username, self.admin.password, database, str(self.ca_file)
        )


class _Postgres(MasterServer):
    """PostgreSQL and Redshift."""

    def connect(self, username: str, password: str, dbname: str | None = None) -> Any:
        connection = psycopg2.connect(
            host=self.host,
            port=self.port,
            user=username,
            password=password,
            dbname=dbname or self.database or "postgres",
            sslmode="verify-full",
            sslrootcert=self.ca_file,
            connect_timeout=_CONNECT,
        )
        connection.autocommit = True
        return connection

    def superuser(self, dbname: str | None = None) -> Any:
        return self.connect(self.admin.username, self.admin.password, dbname)

    def create_app_user(self, username: str, *, options: str = "") -> Login:
        login = Login(username, secrets.token_urlsafe(18))
        with contextlib.closing(self.superuser()) as connection, connection.cursor() as cursor:
            # A verifier: the server's log would have the password.
            verifier = psycopg2.extensions.encrypt_password(login.password, username, cursor)
            made = sql.SQL(f"CREATE ROLE {{}} LOGIN PASSWORD {{}} {options}")
            cursor.execute(made.format(sql.Identifier(username), sql.Literal(verifier)))
        return login


class RdsPostgres(Refusals, PostgresTarget):
    """RDS for PostgreSQL, and Aurora."""

    def __init__(self, server: Any) -> None:
        Refusals.__init__(self, [])
        self.server = server
        self.kind = "postgresql"
        self.alternates = True
        self.passwords = {server.admin.password}

    @contextlib.contextmanager
    def session(self, secret: Mapping[str, Any], dbname: str | None = None) -> Iterator[Any]:
        with (
            contextlib.closing(self.server.connect(secret["username"], secret["password"], dbname)) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor

    def as_superuser(self, statement: sql.Composable | str, dbname: str | None = None) -> Any:
        admin = self.server.admin
        with self.session({"username": admin.username, "password": admin.password}, dbname) as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None


class _Redshift(_Postgres):
    def create_app_user(self, username: str, *, options: str = "") -> Login:
        del options
        login = Login(username, f"Aa1{secrets.token_hex(12)}")
        with contextlib.closing(self.superuser()) as connection, connection.cursor() as cursor:
            made = sql.SQL("CREATE USER {} PASSWORD {}")
            cursor.execute(made.format(sql.Identifier(username), sql.Literal(_md5(username, login.password))))
        return login


class RdsRedshift(RdsPostgres, RedshiftTarget):
    """Redshift Serverless. Its master user is a superuser of the database."""

    def __init__(self, server: Any) -> None:
        RdsPostgres.__init__(self, server)
        self.kind = "redshift"

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        versions = SecretVersions(service.client, patience=PATIENCE)
        environment = Environment({"ROTATION_CA_BUNDLE": str(self.server.ca_file), **variables})
        return DatabaseRotator(RedshiftEngine(), versions, environment)

    def set_password(self, username: str, password: str) -> None:
        self.passwords.add(password)
        change = sql.SQL("ALTER USER {} PASSWORD {}")
        self.as_superuser(change.format(sql.Identifier(username), sql.Literal(_md5(username, password))))


class _Mysql(MasterServer):
    def connect(self, username: str, password: str, database: str | None = None, *, source: str | None = None) -> Any:
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=username,
            password=password.encode(),
            database=database,
            ssl_ca=str(self.ca_file),
            ssl_verify_identity=True,
            autocommit=True,
            charset="utf8mb4",
            connect_timeout=_CONNECT,
            bind_address=source,
        )

    def query(self, statement: str) -> Any:
        connection = self.connect(self.admin.username, self.admin.password)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()


class RdsMysql(Refusals, MysqlTarget):
    """RDS for MySQL and MariaDB, and Aurora."""

    def __init__(self, server: Any) -> None:
        Refusals.__init__(self, [])
        self.server = server
        self.kind = server.installation.kind
        self.passwords = {server.admin.password}


class RdsOracle(OracleTarget):
    """RDS for Oracle. Its master user makes the users and is the rotations' admin."""

    kind = "oracle"

    def __init__(self, server: MasterServer) -> None:
        Refusals.__init__(self, [])
        self.address, self.server = server.address, server
        self.admin, self.admin_password = server.admin.username, server.admin.password
        self.passwords = {self.admin_password}
        for statement in (
            'CREATE PROFILE "APPS" LIMIT PASSWORD_ROLLOVER_TIME 60',
            f'CREATE USER "DATA" IDENTIFIED BY "{self._password()}" QUOTA UNLIMITED ON "USERS"',
        ):
            # An earlier invocation may have made them.
            with contextlib.suppress(Exception):
                self.as_root(statement)


class RdsSqlserver(SqlserverTarget):
    """RDS for SQL Server. Its master user owns the database that it makes."""

    kind = "sqlserver"

    def __init__(self, server: MasterServer) -> None:
        Refusals.__init__(self, [])
        self.address = Address(**{**vars(server.address), "database": "rotators_app"})
        self.server = self
        self.host, self.port = server.host, server.port
        self.admin, self.admin_password = server.admin.username, server.admin.password
        self.passwords = {self.admin_password}
        self.as_root("master", "IF DB_ID('rotators_app') IS NULL CREATE DATABASE [rotators_app]")


class _DocumentDb(MasterServer):
    def client(self, login: Login) -> pymongo.MongoClient[Any]:
        client: pymongo.MongoClient[Any] = pymongo.MongoClient(
            self.host,
            self.port,
            username=login.username,
            password=login.password,
            directConnection=True,
            # https://docs.aws.amazon.com/documentdb/latest/developerguide/functional-differences.html
            retryWrites=False,
            tls=True,
            tlsCAFile=self.ca_file,
            serverSelectionTimeoutMS=_CONNECT * 1000,
        )
        try:
            client.admin.command("ping")
        except pymongo.errors.PyMongoError:
            client.close()
            raise
        return client

    def log_text(self) -> str:
        return ""


class RdsMongo(MongoTarget):
    """DocumentDB. Anyone who logs in there may change the own password, without a role for it."""

    kind = "mongo"

    def __init__(self, server: Any) -> None:
        self.server = server
        self._variables = {"ROTATION_CA_BUNDLE": str(server.ca_file)}
        self.passwords = {server.admin.password}

    def make_application(self, username: str | None = None) -> Application:
        name, password = username or fresh_name(), secrets.token_urlsafe(18)
        self.passwords.add(password)
        roles = [
            {"role": "readWrite", "db": self.database(name, "own")},
            {"role": "read", "db": self.database(name, "granted")},
        ]
        self.as_admin({"createUser": name, "pwd": password, "roles": roles})
        with self.client(self.server.root) as root:
            root[self.database(name, "granted")].answers.insert_one({"answer": 42})
        return Application(name, password)


_TARGETS: dict[str, tuple[Any, Any]] = {
    "postgres": (_Postgres, RdsPostgres),
    "mysql": (_Mysql, RdsMysql),
    "mariadb": (_Mysql, RdsMysql),
    "oracle": (MasterServer, RdsOracle),
    "sqlserver": (MasterServer, RdsSqlserver),
    "mongo": (_DocumentDb, RdsMongo),
    "redshift": (_Redshift, RdsRedshift),
}
WITHOUT = {"db2": "its users are of the host, and what the suites do with them is known of the double alone"}
"""Engines whose servers have no target here, each with the reason."""


@contextlib.contextmanager
def opened(engine: str, value: Mapping[str, Any], ca_file: str) -> Iterator[Any]:
    """The target of an engine's server; what its logins were refused is noted meanwhile.

    Args:
        engine: as rotators call it.
        value: of the master user's secret.
        ca_file: the CA certificates to verify the server with.

    Raises:
        KeyError: there is none of this engine.
    """
    server, target = _TARGETS[engine]
    made = target(server(value, ca_file, engine))
    with pytest.MonkeyPatch.context() as patch:
        if isinstance(made, Refusals):
            module = importlib.import_module(f"rotators.engines.{'mysql' if engine == 'mariadb' else engine}")
            patch.setattr(module, "connect", made.noting(module.connect))  # type: ignore[attr-defined]
        yield made


def _md5(username: str, password: str) -> str:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
    return "md5" + hashlib.md5(f"{password}{username}".encode(), usedforsecurity=False).hexdigest()
