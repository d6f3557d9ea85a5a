"""Oracle, as the suites use it: a double at the border of the driver."""

from __future__ import annotations

import contextlib
import secrets
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import oracledb
import pytest
from doubles.oracle import Database, User, failure

from rotators.database import DatabaseRotator
from rotators.engines.oracle import OracleEngine
from rotators.environment import Environment
from rotators.testing import RotationService
from rotators.versions import SecretVersions
from targets.base import ALTERNATING, DUAL, SINGLE, Application, Kind, fresh_name

_NOBODY_LISTENS = 2
_LACKING = 942


class OracleTarget:
    """A double of Oracle."""

    strategies = frozenset({SINGLE, ALTERNATING, DUAL})
    refusals = (oracledb.DatabaseError,)
    # What is granted to one user reaches the other at the next rotation.
    grants_follow_at_once = False
    kind = "oracle"

    def __init__(self, database: Database) -> None:
        self.database = database
        self.passwords: set[str] = set()
        self.admin_password = self._password()
        privileges = (
            "CREATE SESSION", "ALTER USER", "CREATE ANY TRIGGER", "CREATE USER", "GRANT ANY OBJECT PRIVILEGE",
            "GRANT ANY PRIVILEGE", "GRANT ANY ROLE", "GRANT ANY SCHEMA PRIVILEGE",
        )  # fmt: skip
        database.users["ADMIN"] = User(
            self.admin_password, roles={"SELECT_CATALOG_ROLE": False}, system=dict.fromkeys(privileges, True)
        )

    def _password(self) -> str:
        made = secrets.token_urlsafe(18)
        self.passwords.add(made)
        return made

    def make_application(self, username: str | None = None) -> Application:
        name, password = username or fresh_name(), self._password()
        if '"' in name:
            raise failure(3001, "unimplemented feature")
        folded = self.folded(name)
        with self.database.lock:
            self.database.users[folded] = User(
                password,
                profile="APPS",
                system={"CREATE SESSION": False, "CREATE TABLE": False},
                objects={("DATA", f"GRANTED_{folded}", "SELECT"): False},
            )
            self.database.objects["DATA", f"GRANTED_{folded}"] = "TABLE"
        return Application(name, password)

    @staticmethod
    def folded(username: str) -> str:
        """The original's name in the catalogue, of either of the pair."""
        upper = "".join(c.upper() if len(c.upper()) == 1 else c for c in username)
        return upper.removesuffix("_CLONE")

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        return self._secret(application.username, application.password) | extra

    def admin_secret(self) -> dict[str, Any]:
        return self._secret("admin", self.admin_password)

    def _secret(self, username: str, password: str) -> dict[str, Any]:
        return {
            "engine": "oracle",
            "host": "localhost",
            "port": self.database.port,
            "username": username,
            "password": password,
            "dbname": "ORCLPDB",
        }

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        versions = SecretVersions(service.client, patience=0.5)
        bundle = ssl.get_default_verify_paths().cafile or ""
        return DatabaseRotator(OracleEngine(), versions, Environment({"ROTATION_CA_BUNDLE": bundle, **variables}))

    @contextlib.contextmanager
    def session(self, secret: Mapping[str, Any]) -> Iterator[Any]:
        connection = oracledb.connect(
            user=secret["username"],
            password=secret["password"],
            host="localhost",
            port=self.database.port,
            service_name="ORCLPDB",
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor

    def log_in(self, secret: Mapping[str, Any]) -> None:
        with self.session(secret):
            pass

    def work(self, secret: Mapping[str, Any]) -> None:
        with self.session(secret) as cursor:
            for statement in (
                f'SELECT answer FROM "DATA"."GRANTED_{self.folded(secret["username"])}"',
                'CREATE TABLE "OWN" (n NUMBER)',
                'ALTER TABLE "OWN" MODIFY (n NUMBER(12))',
                'INSERT INTO "OWN" VALUES (1)',
            ):
                cursor.execute(statement)

    def set_password(self, username: str, password: str) -> None:
        if '"' in password:
            raise failure(988, "missing or invalid password(s)")
        self.passwords.add(password)
        upper = "".join(c.upper() if len(c.upper()) == 1 else c for c in username)
        with self.database.lock:
            self.database.users[upper].password = password
            self.database.users[upper].old = None

    def share(self, application: Application) -> None:
        self.database.objects["DATA", f"SHARED_{self.folded(application.username)}"] = "TABLE"

    def grant_shared(self, application: Application) -> None:
        name = self.folded(application.username)
        self.database.users[name].objects["DATA", f"SHARED_{name}", "SELECT"] = False

    def revoke_shared(self, application: Application) -> None:
        name = self.folded(application.username)
        self.database.users[name].objects.pop(("DATA", f"SHARED_{name}", "SELECT"), None)

    def limit_connections(self, application: Application, limit: int) -> None:
        # That is the profile's business: a quota is what there is to change.
        self.database.users[self.folded(application.username)].quotas["USERS"] = limit

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

    def log_mark(self) -> int:
        return len(self.database.refused)

    def log_since(self, mark: int) -> str:
        return "".join("refused\n" for _ in self.database.refused[mark:])

    def log_text(self) -> str:
        # Oracle keeps no text of a statement that sets a password; the double has no log.
        return ""

    def failed_logins(self, log: str) -> int:
        return log.count("refused")


@contextlib.contextmanager
def _start(_: Any) -> Iterator[OracleTarget]:
    database = Database(_NOBODY_LISTENS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oracledb, "connect", database.connect(oracledb.connect))
        yield OracleTarget(database)
    assert not database.failures, database.failures


class _Double:
    name = "Oracle, a double at the driver's border"


KIND = Kind(
    "oracle",
    OracleTarget.strategies,
    lambda: [("-double", _Double())],
    _start,
    "nothing is missing",
    one_connection=False,
    impossible='"',
)
