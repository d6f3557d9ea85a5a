"""What one login to DocumentDB or MongoDB can do.

https://www.mongodb.com/docs/manual/reference/command/nav-user-management/,
https://docs.aws.amazon.com/documentdb/latest/developerguide/mongo-apis.html
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Set
from typing import TYPE_CHECKING, Any

from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from rotators.engines.mongo import twin as twins
from rotators.engines.mongo.connection import UNAUTHORIZED, said_by
from rotators.engines.mongo.users import User
from rotators.engines.sessions import Closing
from rotators.errors import (
    ConnectionLost,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    ServiceError,
    ServiceFailed,
    UserNotRotatable,
)

if TYPE_CHECKING:
    from pymongo import MongoClient

    from rotators.credentials import Credentials

_READ_ONLY = {10107, 13435, 189}  # NotWritablePrimary, NotPrimaryNoSecondaryOk, PrimarySteppedDown
_NOT_FOUND, _BAD_VALUE, _UNKNOWN_FIELD = 11, 2, 40415
_NOT_KNOWN = {_BAD_VALUE, _UNKNOWN_FIELD, 9, 59, 72, 238, 303}
# What a test query may be: commands that change nothing.
_READS = {"aggregate", "collStats", "count", "dbStats", "distinct", "find", "listCollections", "listIndexes", "ping"}
_WRITING_STAGES = {"$out", "$merge"}
_ADMIN_ADVICE = (
    "as the primary user, run: db.grantRolesToUser('{user}', [{{role: 'userAdminAnyDatabase', db: 'admin'}}])"
)
_OWN_ADVICE = (
    "give the user a role with the action changeOwnPassword on its database, or name an admin secret and set "
    "ALLOW_ADMIN_RESET=true"
)


class MongoSession(Closing):
    """A login.

    Args:
        client: the driver's, logged in.
        credentials: who.
        database: the one that the user logs in to.
    """

    def __init__(self, client: MongoClient[Any], credentials: Credentials, database: str) -> None:
        self._client = client
        self._database = database
        self._dbname = credentials.dbname or database
        self.user = credentials.username
        self.where = credentials.host

    def verify(self, test_query: str | None) -> None:
        """Ask who is logged in, and run the test query: a command that reads, as JSON."""
        self.run(self._database, {"connectionStatus": 1})
        if test_query is None:
            return
        try:
            command = _reading(test_query)
            self.run(self._dbname, command)
        except (ValueError, ServiceError) as error:
            reason = error.what if isinstance(error, ServiceError) else str(error)
            raise ServiceFailed(
                f"ROTATION_TEST_QUERY failed as '{self.user}' at {self.where}: {reason}",
                "grant what it needs, or correct it: it is a command that reads, as JSON, on the secret's dbname",
            ) from None

    def check_rotatable(self) -> None:
        """Make sure that this is a server that can be written to.

        Raises:
            ReadOnlyServer: it is a secondary.
        """
        said = self.run("admin", {"hello": 1})
        if not said.get("isWritablePrimary", said.get("ismaster", False)):
            raise ReadOnlyServer(
                f"{self.where} is a secondary", "put the cluster's endpoint as 'host' into the secret, not the reader's"
            )

    def set_own_password(self, new: str, old: str) -> None:  # noqa: ARG002  # the servers do not ask for it
        """Change it; see :class:`rotators.engines.base.OwnPassword`."""
        self.run(self._database, {"updateUser": self.user, "pwd": new}, _OWN_ADVICE)

    def check_user(self, user: str) -> None:
        """Find out whether :meth:`set_password` would succeed."""
        found = self._require(user)
        self.check_admin(found.database, {"changePassword"})

    def set_password(self, user: str, new: str) -> None:
        """Change another user's; see :class:`rotators.engines.base.OtherPassword`."""
        self.run(self._require(user).database, {"updateUser": user, "pwd": new})

    def check_twin(self, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
        """See :class:`rotators.engines.base.TwinMaker`."""
        twins.check(self, user, twin, acquainted)

    def ensure_twin(self, user: str, twin: str, password: str) -> None:
        """See :class:`rotators.engines.base.TwinMaker`."""
        twins.ensure(self, user, twin, password)

    def find(self, user: str, database: str | None = None) -> User | None:
        """A user, or None where there is none.

        Args:
            user: its name.
            database: the one it logs in to; None: ``admin``, where DocumentDB has them all, else any.

        Raises:
            UserNotRotatable: there are several of that name.
            PermissionRefused: the admin may not look.
        """
        found = self._users(database or "admin", user)
        if not found and database is None:
            found = self._users(self._dbname, user) or [
                one for one in self._users("admin", None) if one["user"] == user
            ]
        if len(found) > 1:
            raise UserNotRotatable(
                f"there are {len(found)} users '{user}' at {self.where}, each of another database",
                "give this one another name",
            )
        return User.read(found[0]) if found else None

    def check_admin(self, database: str, actions: Set[str]) -> None:
        """Make sure that whoever is logged in may do this to users of a database.

        Raises:
            PermissionRefused: it may not.
        """
        said = self.run("admin", {"connectionStatus": 1, "showPrivileges": True})
        privileges = said["authInfo"].get("authenticatedUserPrivileges")
        if not privileges:
            # The server does not tell; the command itself will.
            return
        allowed: set[str] = set()
        for privilege in privileges:
            resource = privilege["resource"]
            if resource.get("anyResource") or (
                resource.get("collection") == "" and resource.get("db") in {"", database}
            ):
                allowed |= set(privilege["actions"])
        if "anyAction" not in allowed and not actions <= allowed:
            raise PermissionRefused(
                f"the admin '{self.user}' at {self.where} lacks {', '.join(sorted(actions - allowed))} on '{database}'",
                _ADMIN_ADVICE.format(user=self.user),
            )

    def run(self, database: str, command: Mapping[str, Any], advice: str = "") -> Any:
        """Run a command.

        Raises:
            ServiceError: it failed. The text is the server's; the command, which may hold a password, is not shown.
        """
        try:
            return self._client[database].command(dict(command))
        except (PyMongoError, OSError) as error:
            raise self._translate(error, advice) from None

    def close(self) -> None:
        """End the session."""
        with contextlib.suppress(Exception):
            self._client.close()

    def _require(self, user: str) -> User:
        found = self.find(user)
        if found is None:
            raise UserNotRotatable(f"there is no user '{user}' at {self.where}", "create it, or correct the secret")
        return found

    def _users(self, database: str, user: str | None) -> list[Any]:
        asked = {"forAllDBs": True} if user is None else user
        try:
            said = self.run(database, {"usersInfo": asked, "showAuthenticationRestrictions": True})
        except _Unknown:
            said = self.run(database, {"usersInfo": asked})
        return list(said["users"])

    def _translate(self, error: Exception, advice: str) -> ServiceError:
        where = f"{self.where}, as '{self.user}'"
        if not isinstance(error, OperationFailure):
            if isinstance(error, ConnectionFailure | OSError):
                self.close()
                return ConnectionLost(f"{where}: the connection was lost", "the rotation will be repeated")
            return ServiceFailed(f"{where}: the driver failed with {type(error).__name__}", "please report it")
        said = said_by(error)
        what = f"{where}: {said} [{error.code}]"
        if error.code == _BAD_VALUE and "password" in said.lower():
            return PasswordRefused(what, "fit PASSWORD_LENGTH and EXCLUDE_CHARACTERS to what the server takes")
        meanings: dict[int, tuple[type[ServiceError], str]] = {
            UNAUTHORIZED: (PermissionRefused, advice or _ADMIN_ADVICE.format(user=self.user)),
            _NOT_FOUND: (UserNotRotatable, "create the user, or correct the secret"),
            **dict.fromkeys(_READ_ONLY, (ReadOnlyServer, "put the cluster's endpoint as 'host' into the secret")),
            **dict.fromkeys(_NOT_KNOWN, (_Unknown, "the server does not know a field of the command")),
        }
        kind, hint = meanings.get(error.code or 0, (ServiceFailed, "the rotation will be repeated"))
        return kind(what, hint)


class _Unknown(ServiceFailed):
    """The server does not know a field of the command."""


def _reading(text: str) -> Mapping[str, Any]:
    """A command that changes nothing.

    Raises:
        ValueError: it is no JSON object, or one that might write.
    """
    try:
        command = json.loads(text)
    except ValueError:
        raise ValueError(f"'{text}' is no JSON") from None
    if not isinstance(command, dict) or next(iter(command), None) not in _READS:
        raise ValueError(f"'{text}' is none of {', '.join(sorted(_READS))}")
    stages = command.get("pipeline", [])
    if any(_WRITING_STAGES & set(stage) for stage in stages if isinstance(stage, dict)):
        raise ValueError("it has a stage that writes")
    return command
