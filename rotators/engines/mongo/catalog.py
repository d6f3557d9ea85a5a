"""Reads users, roles and the logged-in user from the server.

https://www.mongodb.com/docs/manual/reference/command/usersInfo/,
https://www.mongodb.com/docs/manual/reference/command/rolesInfo/
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rotators.engines.identity import Account
from rotators.engines.mongo.errors import NotKnown
from rotators.errors import ServiceFailed, UserNotRotatable

if TYPE_CHECKING:
    from rotators.engines.mongo.connection import Connection

# (role, database)
Role = tuple[str, str]
ADMIN = "admin"
_MODERN = ["SCRAM-SHA-256"]
# https://www.mongodb.com/docs/manual/reference/built-in-roles/: what they may is not asked for.
_BUILT_IN = {
    "read", "readWrite", "dbAdmin", "dbOwner", "userAdmin", "clusterAdmin", "clusterManager", "clusterMonitor",
    "hostManager", "enableSharding", "backup", "restore", "readAnyDatabase", "readWriteAnyDatabase",
    "userAdminAnyDatabase", "dbAdminAnyDatabase", "root", "__system", "__queryableBackup",
    "directShardOperations", "searchCoordinator",
}  # fmt: skip
# Each may give itself whatever there is. restore writes where users are kept.
_ADMINS = {"root", "__system", "userAdminAnyDatabase", "restore"}
_ADMINS_OF_ADMIN = {"userAdmin", "dbOwner"}
_IMPLIED = {
    "readWrite": {"read"},
    "dbOwner": {"read", "readWrite", "dbAdmin", "userAdmin"},
    "readAnyDatabase": {"read"},
    "readWriteAnyDatabase": {"read", "readWrite"},
    "dbAdminAnyDatabase": {"dbAdmin"},
    "userAdminAnyDatabase": {"userAdmin"},
}
# Roles on any database leave these out.
_NOT_ANY = {"local", "config"}
# https://www.mongodb.com/docs/manual/reference/privilege-actions/#user-and-role-management-actions
_MANAGING = {
    "changePassword", "createRole", "createUser", "dropRole", "dropUser", "grantRole", "revokeRole",
    "setAuthenticationRestriction", "changeCustomData",
}  # fmt: skip
_EVERYTHING = {"anyAction", "internal"}
_WRITES = {"insert", "update", "remove"}
_USER_COLLECTIONS = {"system.users", "system.roles"}


@dataclass(frozen=True)
class MongoUser:
    """A user.

    Args:
        name: its name.
        database: the one that it logs in to.
        roles: what was granted to it itself, and where.
        custom_data: what people have noted of it.
        mechanisms: how it logs in; empty if the server does not say.
        restrictions: from where it may log in.
    """

    name: str
    database: str
    roles: frozenset[Role]
    custom_data: Mapping[str, Any] = field(default_factory=dict)
    mechanisms: tuple[str, ...] = ()
    restrictions: tuple[Any, ...] = ()

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> MongoUser:
        """Read one entry of the answer to usersInfo."""
        return cls(
            answer["user"],
            answer["db"],
            frozenset((role["role"], role["db"]) for role in answer.get("roles", ())),
            answer.get("customData", {}),
            tuple(answer.get("mechanisms", ())),
            tuple(answer.get("authenticationRestrictions", ())),
        )

    def attributes(self, roles: Iterable[Role]) -> dict[str, Any]:
        """Everything but its name and password, as createUser and updateUser take it.

        Args:
            roles: those to give instead of its own.
        """
        attributes: dict[str, Any] = {"roles": documents(roles), "customData": dict(self.custom_data)}
        if list(self.mechanisms) == _MODERN:
            # A weaker verifier beside it would be a way in that the first user does not have. DocumentDB, which takes
            # no mechanisms, never says this.
            attributes["mechanisms"] = _MODERN
        if self.restrictions:
            attributes["authenticationRestrictions"] = [dict(one) for one in self.restrictions]
        return attributes


@dataclass(frozen=True)
class Power:
    """What a user may do, including all roles that its roles lead to.

    Args:
        built_in: roles that every server has.
        privileges: of user-defined roles: a resource, as JSON, and an action.
        is_certain: the server has told all of it, or nothing of it is the server's own to explain; otherwise a command
            may be allowed though this does not say so.
    """

    built_in: frozenset[Role]
    privileges: frozenset[tuple[str, str]]
    is_certain: bool = field(default=True, compare=False)

    def beyond(self, other: Power) -> list[str]:
        """What this may do and the other may not, for messages."""
        roles = {role for role in self.built_in if not any(_covers(one, role) for one in other.built_in)}
        privileges = self.privileges - other.privileges
        if ("root", ADMIN) in other.built_in:
            privileges = frozenset()
        return [f"it has {role}@{database}" for role, database in sorted(roles)] + [
            f"it may {action} on {_resource(resource)}" for resource, action in sorted(privileges)
        ]

    @property
    def administers(self) -> str | None:
        """By what it may give itself anything; None if it may not."""
        for role, database in sorted(self.built_in):
            if role in _ADMINS or (role in _ADMINS_OF_ADMIN and database == ADMIN):
                return f"{role}@{database}"
        for text, action in sorted(self.privileges):
            resource = json.loads(text)
            everywhere = resource.get("anyResource") or resource.get("db") in {"", ADMIN}
            collection = resource.get("collection", "")
            if action in _EVERYTHING and (everywhere or resource.get("cluster")):
                return f"{action} on {_resource(text)}"
            if everywhere and action in _MANAGING and collection == "":
                return f"{action} on {_resource(text)}"
            if everywhere and action in _WRITES and collection in _USER_COLLECTIONS:
                return f"{action} on {_resource(text)}"
        return None

    def allows(self, database: str, actions: Set[str]) -> bool:
        """Whether it may do this to the users and roles of a database."""
        for role, where in self.built_in:
            if role in {"root", "__system", "userAdminAnyDatabase"} or (role in _ADMINS_OF_ADMIN and where == database):
                return True
        allowed: set[str] = set()
        for text, action in self.privileges:
            resource = json.loads(text)
            if resource.get("anyResource") or (
                resource.get("collection") == "" and resource.get("db") in {"", database}
            ):
                allowed.add(action)
        return "anyAction" in allowed or actions <= allowed


def documents(roles: Iterable[Role]) -> list[dict[str, str]]:
    """Roles as commands take them."""
    return [{"role": role, "db": database} for role, database in sorted(roles)]


def account(connection: Connection, greeting: Mapping[str, Any]) -> Account:
    """Who is logged in, according to the server.

    Args:
        connection: the login.
        greeting: the server's answer to ``hello``.

    Raises:
        UserNotRotatable: the server names no user, or several.
    """
    users = connection.run(ADMIN, {"connectionStatus": 1})["authInfo"]["authenticatedUsers"]
    if len(users) != 1:
        raise UserNotRotatable(
            f"the login to {connection.host} as '{connection.user}' is one of {len(users)} users",
            "see how the server authenticates",
        )
    [one] = users
    return Account(server(greeting, connection.address), (one["db"], one["user"]), one["user"], (one["db"],))


def server(greeting: Mapping[str, Any], address: str) -> str:
    """What identifies a server, from its answer to ``hello``, which needs no privilege.

    https://www.mongodb.com/docs/manual/reference/command/hello/

    Args:
        greeting: the answer.
        address: host and port, where the server says nothing of itself; and for routers, of which a cluster may have
            several behind one name.
    """
    if greeting.get("msg") == "isdbgrid":
        return f"the cluster behind {address}"
    process = greeting.get("topologyVersion", {}).get("processId")
    own = [str(one) for one in (greeting.get("setName"), greeting.get("me"), process) if one]
    return " ".join(own) or address


def find(connection: Connection, database: str, name: str) -> MongoUser | None:
    """A user of a database, or None if there is none."""
    found = list(_users(connection, database, name))
    return MongoUser.read(found[0]) if found else None


def find_everywhere(connection: Connection, name: str) -> MongoUser | None:
    """A user of any database; None if there is none.

    Raises:
        UserNotRotatable: there are several of that name.
    """
    try:
        everybody = list(_users(connection, ADMIN, {"forAllDBs": True}))
    except NotKnown:
        # DocumentDB, for one, keeps all users in one database.
        everybody = []
    named = [one for one in everybody if one["user"] == name]
    found = {(one["db"], one["user"]): one for one in (*_users(connection, ADMIN, name), *named)}
    if len(found) > 1:
        databases = ", ".join(sorted(database for database, _ in found))
        raise UserNotRotatable(
            f"there are {len(found)} users '{name}' at {connection.host}, of the databases {databases}",
            "give all but one another name",
        )
    return next((MongoUser.read(one) for one in found.values()), None)


def power(connection: Connection, roles: Iterable[Role]) -> Power:
    """What these roles allow, with all that they lead to.

    Raises:
        PermissionRefused: the logged-in user may not look at a role.
    """
    built_in: set[Role] = set()
    privileges: set[tuple[str, str]] = set()
    waiting, seen = list(roles), set()
    while waiting:
        role = waiting.pop()
        if role in seen:
            continue
        seen.add(role)
        found = None if role[0] in _BUILT_IN else _role(connection, role)
        if found is None or found.get("isBuiltin", False) or "privileges" not in found:
            # A role that can't be read counts by its name.
            built_in.add(role)
        for one in (found or {}).get("privileges", ()):
            resource = json.dumps(one["resource"], sort_keys=True)
            privileges |= {(resource, action) for action in one["actions"]}
        inherited = (*(found or {}).get("roles", ()), *(found or {}).get("inheritedRoles", ()))
        waiting += [(one["role"], one["db"]) for one in inherited]
    return Power(frozenset(built_in), frozenset(privileges))


def exists(connection: Connection, role: Role) -> bool:
    """Whether there is such a role; a server that has no user-defined roles has none."""
    try:
        return _role(connection, role) is not None
    except NotKnown:
        return False


def told_power(connection: Connection) -> Power | None:
    """What the logged-in user may do, if the server says so itself; else None.

    https://www.mongodb.com/docs/manual/reference/command/connectionStatus/
    """
    told = _status(connection)
    listed = [
        (json.dumps(one["resource"], sort_keys=True), action)
        for one in told.get("authenticatedUserPrivileges") or ()
        for action in one["actions"]
    ]
    built_in = frozenset(role for role in _roles_of(told) if role[0] in _BUILT_IN)
    return Power(built_in, frozenset(listed)) if listed else None


def own_power(connection: Connection) -> Power:
    """What the logged-in user may do: from the server's answer, else from what its roles lead to."""
    if (told := told_power(connection)) is not None:
        return told
    roles = _roles_of(_status(connection))
    return replace(power(connection, roles), is_certain=all(role in _BUILT_IN for role, _ in roles))


def _status(connection: Connection) -> Mapping[str, Any]:
    status: Mapping[str, Any] = connection.run(ADMIN, {"connectionStatus": 1, "showPrivileges": True})["authInfo"]
    return status


def _roles_of(status: Mapping[str, Any]) -> list[Role]:
    return [(one["role"], one["db"]) for one in status.get("authenticatedUserRoles", ())]


def _role(connection: Connection, role: Role) -> Mapping[str, Any] | None:
    name, database = role
    try:
        answer = connection.run(database, {"rolesInfo": name, "showPrivileges": True})
    except NotKnown:
        answer = connection.run(database, {"rolesInfo": name})
    return next(iter(answer.get("roles", ())), None)


def _users(connection: Connection, database: str, asked: object) -> Iterator[Mapping[str, Any]]:
    try:
        answer = connection.run(database, {"usersInfo": asked, "showAuthenticationRestrictions": True})
    except NotKnown:
        answer = connection.run(database, {"usersInfo": asked})
    for one in answer["users"]:
        if not isinstance(one.get("user"), str) or not isinstance(one.get("db"), str):
            raise ServiceFailed(f"{connection.host} gives a user without a name or database", "please report it")
        yield one


def _covers(role: Role, other: Role) -> bool:
    """Whether a built-in role allows all that another does."""
    if role == other or role[0] == "__system" or (role == ("root", ADMIN) and other[0] != "__system"):
        return True
    implied = _IMPLIED.get(role[0], set())
    if role[0].endswith("AnyDatabase"):
        return other[0] in implied and other[1] not in _NOT_ANY
    return other[0] in implied and other[1] == role[1]


def _resource(text: str) -> str:
    resource = json.loads(text)
    if "db" not in resource:
        return "the cluster" if resource.get("cluster") else "any resource"
    return f"{resource['db'] or 'any database'}.{resource.get('collection') or '*'}"
