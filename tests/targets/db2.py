"""Db2, as the suites use it: a double at the border of the driver."""

from __future__ import annotations

import contextlib
import secrets
import ssl
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from doubles.db2 import Db2Error, Server, Session, User, failure

from rotators.database import DatabaseRotator
from rotators.engines.db2 import Db2Engine, tasks
from rotators.environment import Environment
from rotators.testing import RotationService
from rotators.versions import SecretVersions
from targets.base import ALTERNATING, PATIENCE, SINGLE, Application, Kind, Refusals, StandIn, fresh_name

_NOBODY_LISTENS = 3
_RDS_AUTHORITIES = (
    "DBADM", "ACCESSCTRL", "DATAACCESS", "SQLADM", "WLMADM", "SYSMON", "BINDADD", "CREATETAB", "CREATE_SECURE_OBJECT",
    "EXPLAIN", "IMPLICIT_SCHEMA", "LOAD",
)  # fmt: skip
_RDS_ROLES = ("DBA", "DBA_RESTRICTED", "DEVELOPER", "ROLE_NULLID_PACKAGES", "ROLE_PROCEDURES", "ROLE_TABLESPACES")
_IMPOSSIBLE = "\"'`;{}[]()=?*!@,\\/&|<>$#%^ äöüß"


class Db2Target(Refusals):
    """A double of RDS for Db2."""

    strategies = frozenset({SINGLE, ALTERNATING})
    refusals = (Db2Error,)
    # No user changes its own password.
    needs_admin = True
    # What is granted to one user reaches the other at the next rotation.
    grants_follow_at_once = False

    def __init__(self, server: Server) -> None:
        super().__init__(server.refused)
        self.catalogue = server
        self.passwords: set[str] = set()
        self.admin_password = self._password()
        server.users["admin"] = User(self.admin_password)
        for database in server.databases.values():
            # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html
            database.rights["ADMIN"] = {
                ("CONNECT", "DATABASE"): ("Y", "SYSIBM"),
                ('ROLE "MASTER_USER_ROLE"', ""): ("Y", "RDSDB"),
            }
            # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/db2-default-roles.html
            database.of_roles["MASTER_USER_ROLE"] = {(f'ROLE "{role}"', ""): ("G", "RDSDB") for role in _RDS_ROLES}
            database.authorities["ADMIN"] = set(_RDS_AUTHORITIES)

    def _password(self) -> str:
        made = secrets.token_urlsafe(18)
        self.passwords.add(made)
        return made

    def make_application(self, username: str | None = None) -> Application:
        name, password = username or fresh_name(), self._password()
        if not name.isidentifier() or not name.isascii():
            raise failure("SQL0567N", "is not a valid authorization ID")
        database, schema = self.catalogue.databases["APP"], self.schema(name)
        with self.catalogue.lock:
            self.catalogue.users[name.lower()] = User(password, {"staff"})
            database.tables |= {(f"{schema}_OF_OTHERS", "GRANTED"), (schema, "OWN")}
            database.rights[name.upper()] = {
                ("CONNECT", "DATABASE"): ("Y", "ADMIN"),
                ("CREATETAB", "DATABASE"): ("Y", "ADMIN"),
                ("CREATEIN", f'SCHEMA "{schema}"'): ("Y", "ADMIN"),
                ("SELECT", f'TABLE "{schema}_OF_OTHERS"."GRANTED"'): ("Y", "ADMIN"),
                ("CONTROL", f'TABLE "{schema}"."OWN"'): ("Y", "SYSIBM"),
            }
        return Application(name, password)

    def make_bare(self, username: str) -> Application:
        password = self._password()
        self.catalogue.users[username.lower()] = User(password)
        self.catalogue.databases["APP"].rights[username.upper()] = {("CONNECT", "DATABASE"): ("Y", "ADMIN")}
        return Application(username, password)

    @staticmethod
    def schema(username: str) -> str:
        return f"OF_{username.upper().removesuffix('_CLONE')}"

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        return self._secret(application.username, application.password) | extra

    def admin_secret(self) -> dict[str, Any]:
        return self._secret("admin", self.admin_password)

    def _secret(self, username: str, password: str) -> dict[str, Any]:
        return {
            "engine": "db2",
            "host": "localhost",
            "port": self.catalogue.port,
            "username": username,
            "password": password,
            "dbname": "APP",
        }

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        versions = SecretVersions(service.client, patience=PATIENCE)
        bundle = ssl.get_default_verify_paths().cafile or ""
        return DatabaseRotator(Db2Engine(), versions, Environment({"ROTATION_CA_BUNDLE": bundle, **variables}))

    @contextlib.contextmanager
    def session(self, secret: Mapping[str, Any]) -> Iterator[Session]:
        place = f"DATABASE=APP;HOSTNAME=localhost;PORT={self.catalogue.port}"
        yield self.catalogue.connect(f"{place};UID={secret['username']};PWD={secret['password']};", "", "")

    def log_in(self, secret: Mapping[str, Any]) -> None:
        with self.session(secret):
            pass

    def work(self, secret: Mapping[str, Any]) -> None:
        schema = self.schema(secret["username"])
        with self.session(secret) as session:
            for statement in (
                f'SELECT answer FROM "{schema}_OF_OTHERS"."GRANTED"',
                f'ALTER TABLE "{schema}"."OWN" ALTER COLUMN n SET DEFAULT 7',
                f'INSERT INTO "{schema}"."OWN" VALUES (1)',
            ):
                session.run(statement)

    def set_password(self, username: str, password: str) -> None:
        if set(password) & set(_IMPOSSIBLE):
            raise failure("SQL20000N", "the password is refused")
        self.passwords.add(password)
        with self.catalogue.lock:
            self.catalogue.users[username.lower()].password = password

    def share(self, application: Application) -> None:
        self.catalogue.databases["APP"].tables.add((f"{self.schema(application.username)}_OF_OTHERS", "SHARED"))

    def _shared(self, application: Application) -> tuple[str, str]:
        return "SELECT", f'TABLE "{self.schema(application.username)}_OF_OTHERS"."SHARED"'

    def grant_shared(self, application: Application) -> None:
        rights = self.catalogue.databases["APP"].rights[application.username.upper()]
        rights[self._shared(application)] = ("Y", "ADMIN")

    def revoke_shared(self, application: Application) -> None:
        self.catalogue.databases["APP"].rights[application.username.upper()].pop(self._shared(application), None)

    def limit_connections(self, application: Application, limit: int) -> None:
        # A user has no such limit here: a group is what there is to change.
        self.catalogue.users[application.username.lower()].groups = {"staff", f"group{limit}"}

    def create_table(self, secret: Mapping[str, Any], number: int) -> None:
        with self.session(secret) as session:
            session.run(f'CREATE TABLE "{self.schema(secret["username"])}"."T{number}" (n INT)')

    def alter_table(self, secret: Mapping[str, Any], number: int) -> None:
        table = f'"{self.schema(secret["username"])}"."T{number}"'
        with self.session(secret) as session:
            session.run(f"ALTER TABLE {table} ALTER COLUMN n SET DEFAULT 7")

    def reads_shared(self, secret: Mapping[str, Any]) -> bool:
        try:
            with self.session(secret) as session:
                session.run(f'SELECT answer FROM "{self.schema(secret["username"])}_OF_OTHERS"."SHARED"')
        except Db2Error as error:
            if "SQL0551N" not in str(error):
                raise
            return False
        return True

    def log_text(self) -> str:
        # Values are bound, so no statement holds a password.
        return "\n".join(self.catalogue.statements)


@contextlib.contextmanager
def _start(_: Any) -> Iterator[Db2Target]:
    server = Server(_NOBODY_LISTENS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "ibm_db", server)
        patch.setattr(tasks, "sleep", lambda _: None)
        yield Db2Target(server)
    assert not server.failures, server.failures


KIND = Kind(
    "db2",
    Db2Target.strategies,
    lambda: [("-double", StandIn("Db2, a double at the driver's border"))],
    _start,
    "nothing is missing",
    one_connection=False,
    impossible=_IMPOSSIBLE,
)
