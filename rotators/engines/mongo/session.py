"""A session: one login to DocumentDB or MongoDB.

https://www.mongodb.com/docs/manual/reference/command/nav-user-management/,
https://docs.aws.amazon.com/documentdb/latest/developerguide/mongo-apis.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rotators.engines.base import AccountAdmin, CloneAdmin, SelfServicePassword
from rotators.engines.identity import Account, Pair
from rotators.engines.inspection import ServerFacts
from rotators.engines.mongo import catalog, clone
from rotators.engines.mongo.catalog import ADMIN
from rotators.engines.mongo.connection import Connection
from rotators.engines.sessions import Closing, test_query_of
from rotators.errors import PermissionRefused, ReadOnlyServer, ServiceFailed

# What a test query may be: commands that change nothing.
_READS = {"aggregate", "collStats", "count", "dbStats", "distinct", "find", "listCollections", "listIndexes", "ping"}
_WRITING_STAGES = {"$out", "$merge"}
# https://www.mongodb.com/docs/manual/reference/privilege-actions/
_CHANGING_OWN = ("changeOwnPassword", "changePassword")
_OWN_ADVICE = (
    "give the user a role with the action changeOwnPassword on its database, or name an admin secret and set "
    "ALLOW_ADMIN_RESET=true"
)


class MongoSession(Closing):
    """A login.

    Args:
        connection: logged in.
        dbname: where ROTATION_TEST_QUERY runs; None: the database that the user logs in to.
    """

    def __init__(self, connection: Connection, dbname: str | None) -> None:
        self._connection = connection
        self._dbname = dbname

    @cached_property
    def account(self) -> Account:
        """The user and its database, as ``connectionStatus`` says, at the server that ``hello`` tells of."""
        return catalog.account(self._connection, self._greeting)

    @cached_property
    def _greeting(self) -> Mapping[str, Any]:
        greeting: Mapping[str, Any] = self._connection.run(ADMIN, {"hello": 1})
        return greeting

    def verify(self, test_query: str | None) -> None:
        """Ask who is logged in, and run the test query to its last row: a command that reads, as JSON."""
        account = self.account
        if test_query is None:
            return
        with test_query_of(account.name):
            self._read(self._dbname or clone.database_of(account), _reading(test_query))

    def check_rotatable(self) -> None:
        """Require that this is a server that can be written to.

        Raises:
            ReadOnlyServer: it is a secondary.
        """
        if not self._greeting.get("isWritablePrimary", self._greeting.get("ismaster", False)):
            raise ReadOnlyServer(
                f"{self._connection.host} is a secondary",
                "put the cluster's endpoint as 'host' into the secret, not the reader's",
            )

    def facts(self) -> ServerFacts:
        """See :class:`rotators.engines.inspection.Inspectable`."""
        version = self._connection.run(ADMIN, {"buildInfo": 1}).get("version", "of an unknown version")
        return ServerFacts("MongoDB", str(version))

    def check_can_set_own_password(self) -> None:
        """Check whether :meth:`set_own_password` would succeed, where the server tells.

        Raises:
            PermissionRefused: the user may not.
        """
        power = catalog.told_power(self._connection)
        database = clone.database_of(self.account)
        if power is not None and not any(power.allows(database, {action}) for action in _CHANGING_OWN):
            raise PermissionRefused(
                f"the user {self.account} at {self._connection.host} may not change its own password", _OWN_ADVICE
            )

    def set_own_password(self, new: str, old: str) -> None:  # noqa: ARG002  # the servers do not ask for it
        """Change it; see :class:`rotators.engines.base.SelfServicePassword`."""
        self._set_password(self.account, new, _OWN_ADVICE)

    def recognize(self, account: Account, password: str) -> Account:  # noqa: ARG002  # there is one of a name
        """The same account, if it is still there; see :class:`rotators.engines.base.AccountAdmin`."""
        return clone.account_of(self.account.server, clone.require(self._connection, account))

    def find_account(self, name: str) -> Account | None:
        """The one user of that name, of whatever database; see :class:`rotators.engines.base.AccountAdmin`."""
        found = catalog.find_everywhere(self._connection, name)
        return None if found is None else clone.account_of(self.account.server, found)

    def check_can_set_password(self, account: Account) -> None:
        """Check whether :meth:`set_password` would succeed, by reading.

        Raises:
            UserNotRotatable: the account is gone, or administers the server.
            PermissionRefused: the admin may not change passwords there.
        """
        clone.require_application(self._connection, clone.require(self._connection, account))
        power = catalog.own_power(self._connection)
        clone.require_right(self._connection, power, clone.database_of(account), {"changePassword"})

    def set_password(self, account: Account, new: str) -> None:
        """Change another user's; see :class:`rotators.engines.base.AccountAdmin`."""
        clone.require_application(self._connection, clone.require(self._connection, account))
        self._set_password(account, new)

    def inspect_pair(self, current: Account, other_name: str) -> Pair:
        """See :class:`rotators.engines.base.CloneAdmin`."""
        return clone.inspect(self._connection, current, other_name)

    def check_can_sync(self, pair: Pair) -> None:
        """See :class:`rotators.engines.base.CloneAdmin`."""
        clone.check_can_sync(self._connection, pair)

    def sync_clone(self, pair: Pair) -> Account:
        """See :class:`rotators.engines.base.CloneAdmin`."""
        return clone.sync(self._connection, pair)

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def _set_password(self, account: Account, new: str, advice: str = "") -> None:
        self._connection.run(clone.database_of(account), {"updateUser": account.name, "pwd": new}, advice)

    def _read(self, database: str, command: Mapping[str, Any]) -> None:
        """Read all that a command gives: what fails may fail in the last batch."""
        cursor = self._connection.run(database, command).get("cursor", {})
        while cursor.get("id"):
            _, _, collection = str(cursor["ns"]).partition(".")
            more = {"getMore": cursor["id"], "collection": collection}
            cursor = self._connection.run(database, more).get("cursor", {})


def _reading(text: str) -> Mapping[str, Any]:
    """A command that changes nothing.

    Raises:
        ServiceFailed: it is not a JSON object, or might write.
    """
    try:
        command = json.loads(text)
    except (ValueError, RecursionError):
        raise _no_query(f"'{text}' is no JSON") from None
    if not isinstance(command, dict) or next(iter(command), None) not in _READS:
        raise _no_query(f"'{text}' is none of {', '.join(sorted(_READS))}")
    stages = command.get("pipeline", [])
    if not isinstance(stages, list) or any(_WRITING_STAGES & set(stage) for stage in stages if isinstance(stage, dict)):
        raise _no_query("it has a stage that writes")
    return command


def _no_query(reason: str) -> ServiceFailed:
    return ServiceFailed(reason, "correct it: it is a command that reads, as JSON, on the secret's dbname")


if TYPE_CHECKING:
    _own: type[SelfServicePassword] = MongoSession
    _admin: type[AccountAdmin] = MongoSession
    _clone: type[CloneAdmin] = MongoSession
