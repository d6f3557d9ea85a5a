"""MongoDB and DocumentDB: every command, field of an answer, right and code that we rely on, and the page of each.

A command is written here as its name and the fields that we send with it, in their order.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest
from targets import ALTERNATING, SINGLE, rotated
from targets import mongo as double

from beliefs.base import Beliefs, Code, Right, Statement, View, look_at, mapped
from rotators.engines.mongo import clone, errors
from rotators.engines.mongo.connection import Connection
from rotators.testing import RotationService

_MANUAL = "https://www.mongodb.com/docs/manual/reference"
_AWS = "https://docs.aws.amazon.com/documentdb/latest/developerguide"
_APIS = f"{_AWS}/mongo-apis.html"
_USERS = f"{_AWS}/security.managing-users.html"
_CODES = "https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml"
_ACTIONS = f"{_MANUAL}/privilege-actions/"


def _command(form: str, since: str = "4.0") -> Statement:
    name = form.partition(" ")[0].partition("(")[0]
    return Statement(form, f"{_MANUAL}/command/{name}/", since)


STATEMENTS = (
    # DocumentDB answers hello since its 5.0; before that pymongo's own handshake is what it knows.
    _command("hello", "4.4.2"),
    _command("buildInfo"),
    _command("connectionStatus(?: showPrivileges)?"),
    _command("usersInfo showAuthenticationRestrictions"),
    _command("rolesInfo showPrivileges"),
    _command("createRole privileges roles"),
    _command("createUser pwd roles(?: customData)?(?: mechanisms)?(?: authenticationRestrictions)?"),
    _command("updateUser pwd"),
    _command("updateUser roles(?: customData)?(?: mechanisms)?(?: authenticationRestrictions)?"),
    _command("grantRolesToUser roles"),
    _command("revokeRolesFromUser roles"),
    _command("find(?: .*)?"),
    _command("getMore collection"),
)


def _answer(name: str, fields: str, since: str = "4.0") -> View:
    return View(name, frozenset(fields.split()), f"{_MANUAL}/command/{name}/", since)


VIEWS = (
    _answer("hello", "isWritablePrimary ismaster msg setName me topologyVersion topologyVersion.processId", "4.4.2"),
    _answer("buildInfo", "version"),
    _answer(
        "connectionStatus",
        "authInfo authInfo.authenticatedUsers authInfo.authenticatedUsers.user authInfo.authenticatedUsers.db "
        "authInfo.authenticatedUserRoles authInfo.authenticatedUserRoles.role authInfo.authenticatedUserRoles.db "
        "authInfo.authenticatedUserPrivileges",
    ),
    _answer(
        "usersInfo",
        "users users.user users.db users.roles users.roles.role users.roles.db users.customData users.mechanisms "
        "users.authenticationRestrictions",
    ),
    _answer(
        "rolesInfo",
        "roles roles.isBuiltin roles.privileges roles.privileges.actions roles.privileges.resource roles.roles "
        "roles.roles.role roles.roles.db roles.inheritedRoles roles.inheritedRoles.role roles.inheritedRoles.db",
    ),
    _answer("find", "cursor cursor.id cursor.ns"),
    _answer("getMore", "cursor cursor.id"),
)
RIGHTS = (
    *(
        Right(action, needed, _ACTIONS, "4.0", master=True, aws=_USERS)
        for action, needed in (
            ("viewUser", "who there is"), ("viewRole", "what a role allows"), ("createUser", "a clone"),
            ("grantRole", "a clone's roles, and the marks of a pair"), ("revokeRole", "what a clone has too much"),
            ("changePassword", "others' passwords"), ("createRole", "the marks of a pair"),
        )
    ),
    Right("changeOwnPassword", "a single user's own password", _ACTIONS, "4.0", master=True, aws=_USERS),
)  # fmt: skip


MAPPED = mapped(errors.COMMAND, errors.LOGIN)
CODES = tuple(Code(code, kind, _CODES) for code, kind in sorted(MAPPED.items()))
BELIEFS = Beliefs(
    "mongo",
    "MongoDB's manual, AWS's pages on DocumentDB's users and APIs, SecantusDB at work; on neither of the two",
    STATEMENTS,
    VIEWS,
    RIGHTS,
    CODES,
)
DOUBLE, RAISED = double, r"OperationFailure\((\d+)"
# What userAdminAnyDatabase has, which the admin of the tests is; DocumentDB's primary user has root.
ADMINS = {
    "viewUser", "viewRole", "createUser", "grantRole", "revokeRole", "changePassword", "createRole",
    "changeOwnPassword",
}  # fmt: skip
BY_OTHERS: set[str] = set()
_read: dict[str, set[str]] = {}


class _Seen(dict[str, Any]):
    """An answer that notes which of its fields are read."""

    def __init__(self, answer: Mapping[str, Any], command: str, path: str = "") -> None:
        super().__init__({key: self._wrapped(value, command, f"{path}{key}.") for key, value in answer.items()})
        self._command, self._path = command, path

    def __getitem__(self, key: str) -> Any:
        self._note(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._note(key)
        return super().get(key, default)

    def _note(self, key: str) -> None:
        _read.setdefault(self._command, set()).add(f"{self._path}{key}")

    @staticmethod
    def _wrapped(value: Any, command: str, path: str) -> Any:
        if path.endswith(("resource.", "customData.")):
            return value
        if isinstance(value, list):
            return [_Seen._wrapped(one, command, path) for one in value]
        return _Seen(value, command, path) if isinstance(value, dict) else value


def as_code(number: str) -> str:
    """As the table has it."""
    return number


def columns_of(statements: Iterable[str]) -> Mapping[str, set[str]]:
    """The fields that were read of each command's answer."""
    del statements
    return _read


def rights_of(statements: Iterable[str]) -> set[str]:
    """The rights that the engine asks for before it acts."""
    del statements
    return {*clone._USER_ACTIONS, *clone._MARKING}


def start() -> AbstractContextManager[Any]:
    """Its own server: the fixture has one for each that somebody named."""
    [(_, found), *_] = double.KIND.servers()
    return double.KIND.start(found)


def exercise(target: Any, service: RotationService) -> set[str]:
    """Have the engine send all that it can; gives what it sent."""
    sent: set[str] = set()
    run = Connection.run

    def noted(self: Connection, database: str, command: Mapping[str, Any], advice: str = "") -> Any:
        name, *fields = command
        sent.add(" ".join((name, *fields)))
        return _Seen(run(self, database, command, advice), name)

    _read.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "run", noted)
        _exercise(target, service)
    return sent


def _exercise(target: Any, service: RotationService) -> None:
    application = target.make_application()
    database = target.database(application.username, "granted")
    with target.client(target.server.root) as root:
        root[database].many.insert_many([{"n": n} for n in range(30)])
        root["admin"].command({"updateUser": application.username, "roles": [], "customData": {"team": "a"}})
        inner, outer = (f"role_{secrets.token_hex(3)}" for _ in range(2))
        find = {"resource": {"db": database, "collection": ""}, "actions": ["find"]}
        root["admin"].command({"createRole": inner, "privileges": [find], "roles": []})
        root["admin"].command({"createRole": outer, "privileges": [], "roles": [inner]})
        roles = [{"role": outer, "db": "admin"}, {"role": "changesItsPassword", "db": "admin"}]
        root["admin"].command({"updateUser": application.username, "roles": roles})
        for mark in (clone.SOURCE, clone.CLONE):
            if root["admin"].command({"rolesInfo": mark[0]})["roles"]:
                root["admin"].command({"dropRole": mark[0]})
    query = '{"find": "many", "batchSize": 7}'
    tested = rotated(target, service, SINGLE, application=application, dbname=database, ROTATION_TEST_QUERY=query)
    assert service.rotate(tested.arn).error is None
    pair = rotated(target, service, ALTERNATING)
    for _ in range(2):
        assert service.rotate(pair.arn).error is None
        look_at(service, pair.arn)
    look_at(service, tested.arn)
    # The pair was made the other way round: the marks change places.
    name = pair.application.username
    with target.client(target.server.root) as root:
        for user, mark, other in ((f"{name}_clone", clone.SOURCE, clone.CLONE), (name, clone.CLONE, clone.SOURCE)):
            for verb, one in (("grantRolesToUser", mark), ("revokeRolesFromUser", other)):
                root["admin"].command({verb: user, "roles": [{"role": one[0], "db": one[1]}]})
        root["admin"].command({"grantRolesToUser": f"{name}_clone", "roles": [{"role": clone.CLONE[0], "db": "admin"}]})
    assert service.rotate(pair.arn).error is None
    # One that was never marked, with a role of somebody's own.
    other_user = target.make_application()
    with target.client(target.server.root) as root:
        root["admin"].command({"grantRolesToUser": other_user.username, "roles": [{"role": outer, "db": "admin"}]})
        roles = [{"role": inner, "db": "admin"}]
        root["admin"].command({"createUser": f"{other_user.username}_clone", "pwd": "of-the-template", "roles": roles})
    target.passwords.add("of-the-template")
    assert service.rotate(rotated(target, service, ALTERNATING, application=other_user).arn).error is None
