"""Oracle, as the suites use it: a double at the border of the driver, or a server that ROTATORS_TEST_ORACLE_URL names.

Both are spoken to in SQL alone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import oracledb
import pytest
from doubles.oracle import Database, Profile, User, failure

from rotators.database import DatabaseRotator
from rotators.engines import oracle as engine
from rotators.engines.oracle import OracleEngine
from rotators.environment import Environment
from rotators.testing import RotationService
from rotators.testing.servers.accounts import SystemAccount, temporary_folder
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.versions import SecretVersions
from targets.addresses import Address, named
from targets.base import ALTERNATING, DUAL, PATIENCE, SINGLE, Application, Kind, Refusals, StandIn, fresh_name

# Nobody listens there; two doubles may be at work at once, each at its own.
_ports = itertools.count(2)
_LACKING = 942
# RDS's admin has the role DBA without what would let it be anybody, and these privileges beside it:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Oracle.Concepts.Privileges.html,
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html
_ADMINS = (
    "ADMINISTER DATABASE TRIGGER", "ALTER DATABASE LINK", "ALTER PUBLIC DATABASE LINK", "AUDIT SYSTEM",
    "CHANGE NOTIFICATION", "DROP ANY DIRECTORY", "EXEMPT ACCESS POLICY", "EXEMPT IDENTITY POLICY",
    "EXEMPT REDACTION POLICY", "FLASHBACK ANY TABLE", "GRANT ANY OBJECT PRIVILEGE", "RESTRICTED SESSION",
    "SELECT ANY TABLE", "UNLIMITED TABLESPACE",
)  # fmt: skip
# As much of DBA as anything here needs. What applications are granted, it may pass on.
_DBAS = ("ALTER USER", "CREATE USER", "CREATE ROLE", "CREATE ANY TRIGGER", "GRANT ANY SCHEMA PRIVILEGE")
_PASSED_ON = ("CREATE SESSION", "CREATE TABLE", "CREATE VIEW", "CREATE SEQUENCE", "CREATE PROCEDURE")
_DBA = '"LESSER_DBA"'


class OracleTarget(Refusals):
    """A database, by its address."""

    strategies = frozenset({SINGLE, ALTERNATING, DUAL})
    refusals = (oracledb.DatabaseError,)
    # What is granted to one user reaches the other at the next rotation.
    grants_follow_at_once = False
    kind = "oracle"

    def __init__(self, address: Address, admin: str) -> None:
        self.address = address
        self.passwords: set[str] = {address.password}
        super().__init__([])
        self.admin, self.admin_password = admin, self._password()
        for statement in (
            'CREATE PROFILE "APPS" LIMIT PASSWORD_ROLLOVER_TIME 60',
            f'CREATE USER "DATA" IDENTIFIED BY "{self._password()}" QUOTA UNLIMITED ON "USERS"',
            f"CREATE ROLE {_DBA}",
        ):
            # An earlier run may have made them.
            with contextlib.suppress(oracledb.DatabaseError):
                self.as_root(statement)
        for privilege in (*_DBAS, '"SELECT_CATALOG_ROLE"'):
            self.as_root(f"GRANT {privilege} TO {_DBA}")
        for privilege in _PASSED_ON:
            self.as_root(f"GRANT {privilege} TO {_DBA} WITH ADMIN OPTION")
        self._make_admin(admin, self.admin_password)

    def _make_admin(self, admin: str, password: str) -> None:
        name = f'"{self.folded(admin)}"'
        self.as_root(f'CREATE USER {name} IDENTIFIED BY "{password}"')
        for privilege in (*_ADMINS, _DBA):
            self.as_root(f"GRANT {privilege} TO {name}")

    def _password(self) -> str:
        made = f"Aa1-{secrets.token_urlsafe(15)}"
        self.passwords.add(made)
        return made

    def make_application(self, username: str | None = None) -> Application:
        name, password = username or fresh_name(), self._password()
        folded = self.folded(name)
        user, granted = f'"{folded}"', f'"DATA"."GRANTED_{folded}"'
        options = 'PROFILE "APPS" DEFAULT TABLESPACE "USERS" TEMPORARY TABLESPACE "TEMP"'
        for statement in (
            f'CREATE USER {user} IDENTIFIED BY "{password}" {options}',
            f'ALTER USER {user} QUOTA UNLIMITED ON "USERS"',
            f"GRANT CREATE SESSION TO {user}",
            f"GRANT CREATE TABLE TO {user}",
            f'CREATE TABLE {user}."OWN" (n NUMBER)',
            f"CREATE TABLE {granted} (answer NUMBER)",
            f"GRANT SELECT ON {granted} TO {user}",
        ):
            self.as_root(statement)
        return Application(name, password)

    def second_admin(self, application: Application) -> dict[str, Any]:
        """The JSON of the secret of another admin, who may do the same."""
        del application
        name, password = fresh_name(), self._password()
        self._make_admin(name, password)
        return self.address.secret(name, password)

    def make_bare(self, username: str) -> Application:
        password, user = self._password(), f'"{username.upper()}"'
        self.as_root(f'CREATE USER {user} IDENTIFIED BY "{password}"')
        self.as_root(f"GRANT CREATE SESSION TO {user}")
        return Application(username, password)

    @staticmethod
    def folded(username: str) -> str:
        """The original's name in the catalogue, of either of the pair."""
        upper = "".join(c.upper() if len(c.upper()) == 1 else c for c in username)
        return upper.removesuffix("_CLONE")

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        return self.address.secret(application.username, application.password) | extra

    def admin_secret(self) -> dict[str, Any]:
        return self.address.secret(self.admin, self.admin_password)

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        versions = SecretVersions(service.client, patience=PATIENCE)
        return DatabaseRotator(OracleEngine(), versions, Environment(self.address.variables | variables))

    @contextlib.contextmanager
    def session(self, secret: Mapping[str, Any]) -> Iterator[Any]:
        context = ssl.create_default_context(cafile=self.address.ca_file) if self.address.ca_file else None
        connection = oracledb.connect(
            user=secret["username"],
            password=secret["password"],
            host=self.address.host,
            port=self.address.port,
            service_name=self.address.database,
            protocol="tcp" if context is None else "tcps",
            ssl_context=context,
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor

    def as_root(self, statement: str) -> None:
        with self.session({"username": self.address.username, "password": self.address.password}) as cursor:
            cursor.execute(statement)

    def log_in(self, secret: Mapping[str, Any]) -> None:
        with self.session(secret):
            pass

    def work(self, secret: Mapping[str, Any]) -> None:
        with self.session(secret) as cursor:
            for statement in (
                f'SELECT answer FROM "DATA"."GRANTED_{self.folded(secret["username"])}"',
                'ALTER TABLE "OWN" MODIFY (n NUMBER(12))',
                'INSERT INTO "OWN" VALUES (1)',
                'CREATE TABLE "MADE" (n NUMBER)',
                'DROP TABLE "MADE"',
            ):
                cursor.execute(statement)

    def set_password(self, username: str, password: str) -> None:
        self.passwords.add(password)
        upper = "".join(c.upper() if len(c.upper()) == 1 else c for c in username)
        self.as_root(f'ALTER USER "{upper}" IDENTIFIED BY "{password}"')
        self.as_root(f'ALTER USER "{upper}" EXPIRE PASSWORD ROLLOVER PERIOD')

    def share(self, application: Application) -> None:
        self.as_root(f'CREATE TABLE "DATA"."SHARED_{self.folded(application.username)}" (answer NUMBER)')

    def grant_shared(self, application: Application) -> None:
        name = self.folded(application.username)
        self.as_root(f'GRANT SELECT ON "DATA"."SHARED_{name}" TO "{name}"')

    def revoke_shared(self, application: Application) -> None:
        name = self.folded(application.username)
        # Perhaps it was never granted.
        with contextlib.suppress(oracledb.DatabaseError):
            self.as_root(f'REVOKE SELECT ON "DATA"."SHARED_{name}" FROM "{name}"')

    def limit_connections(self, application: Application, limit: int) -> None:
        # That is the profile's business: a quota is what there is to change.
        self.as_root(f'ALTER USER "{self.folded(application.username)}" QUOTA {limit * 1048576} ON "USERS"')

    def create_table(self, secret: Mapping[str, Any], number: int) -> None:
        self._run(secret, f'CREATE TABLE "T{number}" (n NUMBER)')

    def alter_table(self, secret: Mapping[str, Any], number: int) -> None:
        self._run(secret, f'ALTER TABLE "T{number}" MODIFY (n NUMBER(12))')

    def reads_shared(self, secret: Mapping[str, Any]) -> bool:
        try:
            self._run(secret, f'SELECT answer FROM "DATA"."SHARED_{self.folded(secret["username"])}"')
        except oracledb.DatabaseError as error:
            if error.args[0].code != _LACKING:
                raise
            return False
        return True

    def _run(self, secret: Mapping[str, Any], statement: str) -> None:
        with self.session(secret) as cursor:
            cursor.execute(statement)


class OracleDouble(OracleTarget):
    """The double: its catalogue can be looked into, and at."""

    def __init__(self, database: Database, ca_file: Path) -> None:
        self.database = database
        root = secrets.token_urlsafe(15)
        every = (*_ADMINS, *_DBAS, *_PASSED_ON, "CREATE PROFILE", "CREATE ANY TABLE", "GRANT ANY PRIVILEGE")
        everything = dict.fromkeys((*every, "GRANT ANY ROLE"), True)
        database.users["SYSTEM"] = User(root, roles={"SELECT_CATALOG_ROLE": True}, system=everything)
        super().__init__(
            Address("oracle", "localhost", database.port, "system", root, "ORCLPDB", str(ca_file)), "admin"
        )

    def make_application(self, username: str | None = None) -> Application:
        if username is not None and '"' in username:
            raise failure(3001, "unimplemented feature")
        return super().make_application(username)

    def keep_history(self, application: Application) -> None:
        """Let a user take none of its former passwords."""
        self.database.profiles["HISTORY"] = Profile("60", reuse=False)
        user = self.database.users[self.folded(application.username)]
        user.profile = "HISTORY"
        user.history.append(user.password)

    def set_password(self, username: str, password: str) -> None:
        if '"' in password:
            raise failure(988, "missing or invalid password(s)")
        super().set_password(username, password)


@contextlib.contextmanager
def _start(server: Any) -> Iterator[OracleTarget]:
    with pytest.MonkeyPatch.context() as patch:
        if isinstance(server, Address):
            target = OracleTarget(server, f"admin_{secrets.token_hex(4)}")
            patch.setattr(engine, "connect", target.noting(engine.connect))
            yield target
            return
        database = Database(next(_ports))
        patch.setattr(oracledb, "connect", database.connect(oracledb.connect))
        with temporary_folder(SystemAccount(os.geteuid(), os.getegid())) as folder:
            double = OracleDouble(database, CertificateAuthority(folder).ca_file)
            patch.setattr(engine, "connect", double.noting(engine.connect))
            yield double
        assert not database.failures, database.failures


KIND = Kind(
    "oracle",
    OracleTarget.strategies,
    lambda: [("-double", StandIn("Oracle, a double at the driver's border")), *named("oracle")],
    _start,
    "nothing is missing",
    one_connection=False,
    impossible='"',
    hides_which=True,
)
