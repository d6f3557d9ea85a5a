"""A session: one login to Db2."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from rotators.engines.base import AccountAdmin, CloneAdmin
from rotators.engines.db2 import catalog, clone, tasks
from rotators.engines.db2.connection import Connection
from rotators.engines.db2.quoting import authid
from rotators.engines.identity import Account, Pair
from rotators.engines.sessions import Closing, test_query_of


class Db2Session(Closing):
    """A login. No user of Db2 changes its own password.

    Args:
        connection: logged in, in autocommit.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def account(self) -> Account:
        """The authorization id that logged in, however the secret spells it, at the address that was reached."""
        return catalog.account(self._connection)

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query to its last result, in a transaction that is rolled back."""
        account = self.account
        if test_query is not None:
            with test_query_of(account.name), self._connection.rolled_back():
                self._connection.execute(test_query)

    def check_rotatable(self) -> None:
        """A standby takes no logins, and all users have passwords: there is nothing to refuse."""

    def recognize(self, account: Account, password: str) -> Account:  # noqa: ARG002  # there is one of a name
        """The same account, if the database knows it; see :class:`rotators.engines.base.AccountAdmin`."""
        clone.require_known(self._connection, account)
        return catalog.account_of(self._connection, account.name)

    def find_account(self, name: str) -> Account | None:
        """The account of that name, in any case; see :class:`rotators.engines.base.AccountAdmin`."""
        known = catalog.is_known(self._connection, authid(name))
        return catalog.account_of(self._connection, name) if known else None

    def check_can_set_password(self, account: Account) -> None:
        """See that the admin may run tasks, and that the account is an application's and known here.

        Raises:
            UserNotRotatable: it is not known, or administers the database.
            PermissionRefused: the admin is not the instance's master user.
        """
        tasks.require(self._connection)
        clone.require_known(self._connection, account)
        clone.require_application(self._connection, account)

    def set_password(self, account: Account, new: str) -> None:
        """Have RDS change it, and wait until it is accepted."""
        clone.require_application(self._connection, account)
        tasks.change_password(self._connection, authid(account.name), new)

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


if TYPE_CHECKING:
    _admin: type[AccountAdmin] = Db2Session
    _clone: type[CloneAdmin] = Db2Session
