"""MongoDB's wire protocol, as the suites use it."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import pymongo
from pymongo import monitoring
from pymongo.errors import OperationFailure, PyMongoError

from rotators.database import DatabaseRotator
from rotators.engines.mongo import MongoEngine
from rotators.environment import Environment
from rotators.testing import RotationService
from rotators.testing.servers.postgres_instance import Login
from rotators.testing.servers.secantus import SecantusServer, available
from rotators.versions import SecretVersions
from targets.addresses import Address, named
from targets.base import ALTERNATING, PATIENCE, SINGLE, Application, Kind, fresh_name
from targets.shares import share_of_one

_UNAUTHORIZED = 13
_OWN_PASSWORD = "changesItsPassword"


class Refusals(monitoring.CommandListener):
    """Notes each login that is refused: the server's log does not."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None: ...

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        if event.command_name.startswith("sasl"):
            self.lines.append("refused\n")


_refusals = Refusals()
monitoring.register(_refusals)


class NamedServer:
    """The server that ROTATORS_TEST_MONGO_URL names, as SecantusServer is used: its user may do everything."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.host, self.port = address.host, address.port
        self.root = Login(address.username, address.password)
        self.admin = Login(f"admin_{secrets.token_hex(4)}", secrets.token_urlsafe(18))
        roles = [{"role": "userAdminAnyDatabase", "db": "admin"}]
        with contextlib.closing(self.client(self.root)) as client:
            client.admin.command({"createUser": self.admin.username, "pwd": self.admin.password, "roles": roles})

    def client(self, login: Login) -> pymongo.MongoClient[Any]:
        tls: dict[str, Any] = {"tls": True, "tlsCAFile": self.address.ca_file} if self.address.ca_file else {}
        client: pymongo.MongoClient[Any] = pymongo.MongoClient(
            self.host,
            self.port,
            username=login.username,
            password=login.password,
            directConnection=True,
            serverSelectionTimeoutMS=10_000,
            **tls,
        )
        try:
            client.admin.command("ping")
        except PyMongoError:
            client.close()
            raise
        return client

    def secret(self, username: str, password: str, **extra: Any) -> dict[str, Any]:
        value = self.address.secret(username, password)
        del value["dbname"]
        return value | extra

    def admin_secret(self) -> dict[str, Any]:
        return self.secret(self.admin.username, self.admin.password)

    def log_text(self) -> str:
        # It is out of reach.
        return ""


class MongoTarget:
    """SecantusDB, or a server that somebody named."""

    strategies = frozenset({SINGLE, ALTERNATING})
    refusals = (OperationFailure,)
    part = share_of_one(20)
    # What is granted to one user reaches the other at the next rotation.
    grants_follow_at_once = False

    def __init__(self, server: Any, variables: Mapping[str, str]) -> None:
        self.server = server
        self._variables = dict(variables)
        self.passwords = {server.admin.password, server.root.password}
        own = {"resource": {"db": "admin", "collection": ""}, "actions": ["changeOwnPassword"]}
        # On a server of somebody's own an earlier run may have made it.
        with contextlib.suppress(OperationFailure):
            self.as_root({"createRole": _OWN_PASSWORD, "privileges": [own], "roles": []})

    def make_application(self, username: str | None = None) -> Application:
        name, password = username or fresh_name(), secrets.token_urlsafe(18)
        self.passwords.add(password)
        roles: list[Any] = [
            {"role": "readWrite", "db": self.database(name, "own")},
            {"role": "read", "db": self.database(name, "granted")},
            {"role": _OWN_PASSWORD, "db": "admin"},
        ]
        self.as_admin({"createUser": name, "pwd": password, "roles": roles})
        with self.client(self.server.root) as root:
            root[self.database(name, "granted")].answers.insert_one({"answer": 42})
        return Application(name, password)

    def make_bare(self, username: str) -> Application:
        password = secrets.token_urlsafe(18)
        self.passwords.add(password)
        self.as_admin({"createUser": username, "pwd": password, "roles": []})
        return Application(username, password)

    @staticmethod
    def database(username: str, what: str) -> str:
        # A database's name may hold far less than a user's.
        base = username.removesuffix("_clone").encode()
        return f"of_{hashlib.sha256(base).hexdigest()[:16]}_{what}"

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        return self.server.secret(application.username, application.password, **extra)

    def admin_secret(self) -> dict[str, Any]:
        return self.server.admin_secret()

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        versions = SecretVersions(service.client, patience=PATIENCE)
        environment = Environment(self._variables | variables)
        return DatabaseRotator(MongoEngine(), versions, environment)

    @contextlib.contextmanager
    def client(self, login: Login) -> Iterator[pymongo.MongoClient[Any]]:
        with contextlib.closing(self.server.client(login)) as client:
            yield client

    def log_in(self, secret: Mapping[str, Any]) -> None:
        self.server.client(Login(secret["username"], secret["password"])).close()

    def work(self, secret: Mapping[str, Any]) -> None:
        with self.client(Login(secret["username"], secret["password"])) as client:
            assert client[self.database(secret["username"], "granted")].answers.find_one({})["answer"] == 42  # type: ignore[index]
            client[self.database(secret["username"], "own")].things.insert_one({"n": 1})

    def set_password(self, username: str, password: str) -> None:
        self.passwords.add(password)
        self.as_root({"updateUser": username, "pwd": password})

    def share(self, application: Application) -> None:
        with self.client(self.server.root) as root:
            root[self.database(application.username, "shared")].things.insert_one({"n": 1})

    def grant_shared(self, application: Application) -> None:
        self._roles("grantRolesToUser", application, "shared")

    def revoke_shared(self, application: Application) -> None:
        self._roles("revokeRolesFromUser", application, "shared")

    def limit_connections(self, application: Application, limit: int) -> None:
        # A user has no such limit here: another role is what there is to change.
        self._roles("grantRolesToUser", application, f"limit{limit}")

    def _roles(self, command: str, application: Application, what: str) -> None:
        role = {"role": "read", "db": self.database(application.username, what)}
        self.as_root({command: application.username, "roles": [role]})

    def create_table(self, secret: Mapping[str, Any], number: int) -> None:
        self._own(secret, number, {"n": 0})

    def alter_table(self, secret: Mapping[str, Any], number: int) -> None:
        self._own(secret, number, {"n": number})

    def _own(self, secret: Mapping[str, Any], number: int, document: dict[str, Any]) -> None:
        with self.client(Login(secret["username"], secret["password"])) as client:
            client[self.database(secret["username"], "own")][f"t{number}"].insert_one(document)

    def reads_shared(self, secret: Mapping[str, Any]) -> bool:
        try:
            with self.client(Login(secret["username"], secret["password"])) as client:
                client[self.database(secret["username"], "shared")].things.find_one({})
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            return False
        return True

    def as_root(self, command: Mapping[str, Any], database: str = "admin") -> Any:
        with self.client(self.server.root) as client:
            return client[database].command(dict(command))

    def as_admin(self, command: Mapping[str, Any], database: str = "admin") -> Any:
        with self.client(self.server.admin) as client:
            return client[database].command(dict(command))

    def log_mark(self) -> int:
        return len(_refusals.lines)

    def log_since(self, mark: int) -> str:
        return "".join(_refusals.lines[mark:])

    def log_text(self) -> str:
        return self.server.log_text()

    def failed_logins(self, log: str) -> int:
        return log.count("refused")


@dataclass(frozen=True)
class _Installed:
    name: str = f"SecantusDB {metadata.version('secantusdb')}" if available() else ""


@contextlib.contextmanager
def _start(found: Any) -> Iterator[MongoTarget]:
    if isinstance(found, Address):
        yield MongoTarget(NamedServer(found), found.variables)
        return
    with SecantusServer() as server:
        yield MongoTarget(server, {"ROTATION_CA_BUNDLE": str(server.ca_file)})


KIND = Kind(
    "mongo",
    MongoTarget.strategies,
    lambda: [*([("-secantus", _Installed())] if available() else []), *named("mongo")],
    _start,
    "SecantusDB is not installed: take the extra secantus",
    # The driver keeps a second one to watch the server, at times of its own.
    one_connection=False,
)
