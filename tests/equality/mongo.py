"""MongoDB, as SecantusDB has it: what a user can be given, and what is tried as one.

What SecantusDB lets everybody do shows nothing, but is tried as well: a server that somebody names may know better.
It changes no custom data and no authentication restrictions, so that no set has any.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from pymongo.errors import OperationFailure
from targets import Application, MongoTarget
from targets.base import fresh_name

from equality.base import Feature, Outcomes
from rotators.testing.servers.postgres_instance import Login

_BUILT_IN = ("read", "readWrite", "dbAdmin")
_EVERYWHERE = ("readAnyDatabase", "readWriteAnyDatabase", "dbAdminAnyDatabase", "clusterMonitor", "backup")
_ADMINS = ("userAdmin", "dbOwner", "restore")
_ACTIONS = (
    "find", "insert", "update", "remove", "createIndex", "createCollection", "dropCollection", "collStats", "dbStats",
    "listCollections", "listIndexes", "collMod", "validate", "dropIndex", "convertToCapped",
)  # fmt: skip
_OWN = {"resource": {"db": "admin", "collection": ""}, "actions": ["changeOwnPassword", "changeOwnCustomData"]}
# Each as a command of one of two databases; {user} is its own name.
_TRIED: tuple[tuple[str, dict[str, Any]], ...] = tuple(
    (database, command)
    for database in ("first", "second")
    for command in (
        {"find": "things"},
        {"find": "others"},
        {"count": "things"},
        {"aggregate": "things", "pipeline": [{"$match": {"n": 1}}], "cursor": {}},
        {"aggregate": "things", "pipeline": [{"$match": {"n": -1}}, {"$out": "made"}], "cursor": {}},
        {"distinct": "things", "key": "n"},
        {"insert": "things", "documents": [{"n": 2}]},
        {"insert": "others", "documents": [{"n": 2}]},
        {"update": "things", "updates": [{"q": {"n": -1}, "u": {"$set": {"n": -2}}}]},
        {"delete": "things", "deletes": [{"q": {"n": -1}, "limit": 1}]},
        {"findAndModify": "things", "query": {"n": -1}, "update": {"$set": {"n": -2}}},
        {"create": "made"},
        {"drop": "made"},
        {"createIndexes": "things", "indexes": [{"key": {"n": 1}, "name": "n_1"}]},
        {"dropIndexes": "things", "index": "nothing"},
        {"listIndexes": "things"},
        {"listCollections": 1},
        {"collStats": "things"},
        {"dbStats": 1},
        {"validate": "things"},
        {"collMod": "things", "validationLevel": "off"},
        {"profile": -1},
        {"createUser": "made_by_equality", "pwd": "none", "roles": []},
        {"dropUser": "nobody_at_all"},
        {"grantRolesToUser": "nobody_at_all", "roles": ["read"]},
        {"createRole": "made_by_equality", "privileges": [], "roles": []},
        {"dropRole": "nothing_at_all"},
        {"rolesInfo": 1},
    )
) + tuple(
    ("admin", command)
    for command in (
        {"listDatabases": 1, "nameOnly": True},
        {"serverStatus": 1},
        {"currentOp": 1},
        {"killOp": 1, "op": 99999999},
        {"hostInfo": 1},
        {"getLog": "global"},
        {"getParameter": 1, "authenticationMechanisms": 1},
        {"fsync": 1},
        {"top": 1},
        {"createUser": "made_by_equality", "pwd": "none", "roles": []},
        {"dropUser": "nobody_at_all"},
        {"usersInfo": 1},
        {"renameCollection": "nothing.at_all", "to": "nothing.else"},
    )
)
# What they answer depends on what happens elsewhere.
_CHANGING = {"serverStatus", "currentOp", "hostInfo", "getLog", "top", "collStats", "dbStats", "usersInfo", "validate"}


class MongoWorld:
    """Two databases of a set, and roles on them."""

    def __init__(self, target: MongoTarget) -> None:
        self.target = target
        self._kept = contextlib.ExitStack()
        self._root = self._kept.enter_context(target.client(target.server.root))

    def begin(self, choice: Random) -> Application:
        """See :class:`equality.base.World`."""
        base = fresh_name()
        name, password = choice.choice([base, base, f"{base} ü'\"", f"{base}.$x"]), secrets.token_urlsafe(18)
        self.target.passwords.add(password)
        self._databases = {"first": f"{base}_first", "second": f"{base}_second", "admin": "admin"}
        self._roles = [f"{base}_r{number}" for number in range(3)]
        for database in ("first", "second"):
            for collection in ("things", "others"):
                self._root[self._databases[database]][collection].insert_one({"n": 1, "_id": 1})
        self.target.as_admin({"createUser": name, "pwd": password, "roles": []})
        first, second = self._databases["first"], self._databases["second"]
        for role, privileges, roles in (
            (self._roles[0], [self._privilege(choice, first, "things"), _OWN], []),
            (self._roles[1], [self._privilege(choice, first, ""), self._privilege(choice, second, "others")], []),
            (self._roles[2], [self._privilege(choice, second, "")], [{"role": "read", "db": first}]),
        ):
            self._command({"createRole": role, "privileges": privileges, "roles": roles})
        self.application = Application(name, password)
        return self.application

    @staticmethod
    def _privilege(choice: Random, database: str, collection: str) -> dict[str, Any]:
        actions = sorted(choice.sample(_ACTIONS, choice.randint(2, 8)))
        return {"resource": {"db": database, "collection": collection}, "actions": actions}

    def keys(self) -> Mapping[str, Any]:
        """See :class:`equality.base.World`."""
        return {}

    def has_user(self, username: str) -> bool:
        """See :class:`equality.base.World`."""
        return bool(self._command({"usersInfo": username})["users"])

    def apply(self, statements: Sequence[Any]) -> None:
        """See :class:`equality.base.World`."""
        for command in statements:
            self._command(command)

    def features(self, choice: Random) -> list[Feature]:  # noqa: ARG002  # nothing of these is drawn
        """See :class:`equality.base.World`."""
        first, second = self._databases["first"], self._databases["second"]
        found = [self._role(role, database) for database in (first, second) for role in _BUILT_IN]
        found += [self._role(role, "admin", odds=0.3) for role in _EVERYWHERE]
        found += [self._role(role, "admin", odds=2.0) for role in self._roles]
        found += [self._role(role, "admin", refused="is an administrator") for role in _ADMINS]
        return found

    def _role(self, role: str, database: str, *, refused: str = "", odds: float = 1.0) -> Feature:
        user, roles = self.application.username, [{"role": role, "db": database}]
        return Feature(
            f"{role} on {database}",
            [{"grantRolesToUser": user, "roles": roles}],
            [{"revokeRolesFromUser": user, "roles": roles}],
            refused=refused,
            odds=odds,
        )

    def probe(self, secret: Mapping[str, Any]) -> Outcomes:
        """See :class:`equality.base.World`."""
        outcomes: dict[str, str] = {}
        with self.target.client(Login(secret["username"], secret["password"])) as client:
            for database, command in _TRIED:
                outcomes[f"{database}: {json.dumps(command)}"] = self._outcome(
                    client[self._databases[database]], command
                )
                self._undo(database, command)
            # The very password that it has.
            change = {"updateUser": secret["username"], "pwd": secret["password"]}
            outcomes["its password"] = self._outcome(client["admin"], change)
            change = {"updateUser": secret["username"], "customData": {"its": "own"}}
            outcomes["its custom data"] = (
                "" if self._has_data(secret["username"]) else self._outcome(client["admin"], change)
            )
            if outcomes["its custom data"].startswith("ok"):
                self._command({"updateUser": secret["username"], "customData": {}})
        return outcomes

    def _has_data(self, username: str) -> bool:
        return bool(self._command({"usersInfo": username})["users"][0].get("customData"))

    @staticmethod
    def _outcome(database: Any, command: Mapping[str, Any]) -> str:
        try:
            answer = database.command(dict(command))
        except OperationFailure as error:
            return str(error.code)
        if next(iter(command)) in _CHANGING:
            return "ok"
        shown = {key: answer[key] for key in ("n", "nModified", "values", "databases") if key in answer}
        documents = answer.get("cursor", {}).get("firstBatch", [])
        return f"ok {json.dumps(shown, default=str)} {len(documents)}"

    def _undo(self, database: str, command: Mapping[str, Any]) -> None:
        name = self._databases[database]
        if "insert" in command:
            self._root[name][command["insert"]].delete_many({"n": 2})
        elif "createIndexes" in command:
            self._root[name]["things"].drop_indexes()
        elif "drop" in command:
            self._root[name].drop_collection("made")
        elif "createUser" in command and self._root[name].command({"usersInfo": "made_by_equality"})["users"]:
            self._root[name].command({"dropUser": "made_by_equality"})
        elif "createRole" in command and self._root[name].command({"rolesInfo": "made_by_equality"})["roles"]:
            self._root[name].command({"dropRole": "made_by_equality"})

    def end(self) -> None:
        """See :class:`equality.base.World`."""
        for username in (self.application.username, f"{self.application.username}_clone"):
            if self.has_user(username):
                self._command({"dropUser": username})
        for role in self._roles:
            self._command({"dropRole": role})
        for database in ("first", "second"):
            self._root.drop_database(self._databases[database])
        self._kept.close()

    def _command(self, command: Mapping[str, Any]) -> Any:
        return self._root["admin"].command(dict(command))
