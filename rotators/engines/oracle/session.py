"""What one login to Oracle can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rotators.engines.identity import Account, Pair
from rotators.engines.oracle import catalog, clone, passwords, quoting
from rotators.engines.sessions import Closing, run_test_query
from rotators.errors import ReadOnlyServer, ServiceError, UserNotRotatable

if TYPE_CHECKING:
    from rotators.engines.base import (
        AccountAdmin,
        CloneAdmin,
        SecondPassword,
        SecondPasswordAdmin,
        SelfServicePassword,
        WrongPasswordLimit,
    )
    from rotators.engines.oracle.connection import Connection

_WRITERS = {"PRIMARY", "SNAPSHOT STANDBY"}


class OracleSession(Closing):
    """A login. ALTER USER commits by itself: a password's change is not put into a transaction.

    Args:
        connection: logged in.
        logs_in: tells whether a user's password is accepted.
    """

    def __init__(self, connection: Connection, logs_in: passwords.LogsIn) -> None:
        self._connection = connection
        self._logs_in = logs_in
        try:
            who = catalog.whoami(connection)
        except ServiceError:
            self.close()
            raise
        self.account: Account = who.account
        self._role, self._method = who.role, who.method

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query in a transaction that may only read."""
        self._connection.execute("SELECT 1 FROM SYS.DUAL")
        if test_query is not None:
            run_test_query(
                self._connection.execute,
                test_query,
                self.account.name,
                begin="SET TRANSACTION READ ONLY",
                end="ROLLBACK",
            )

    def check_rotatable(self) -> None:
        """Refuse standbys, users without a password, common users and Oracle's own."""
        self._require_writer()
        if self._method != "PASSWORD":
            raise UserNotRotatable(
                f"{self.account} at {self._connection.host} logs in by {self._method}", "it has no password to rotate"
            )
        catalog.require_local(self._connection, self.account.name)

    def set_own_password(self, new: str, old: str) -> None:
        """Change it, and end a second one."""
        passwords.set_own(self._connection, new, old)

    def recognize(self, account: Account, password: str) -> Account:  # noqa: ARG002  # a name is one user here
        """See :class:`rotators.engines.base.AccountAdmin`."""
        return passwords.require_usable(self._connection, account).account

    def find_account(self, name: str) -> Account | None:
        """The user of that name, read as Oracle reads it."""
        found = catalog.find_named(self._connection, quoting.fold(name))
        return None if found is None else found.account

    def check_can_set_password(self, account: Account) -> None:
        """See :class:`rotators.engines.base.AccountAdmin`."""
        self._require_writer()
        passwords.require_settable(self._connection, account)

    def set_password(self, account: Account, new: str) -> None:
        """Change another's, end a second one, and unlock it where too many wrong ones have locked it."""
        passwords.set_by_admin(self._connection, account, new)

    def why_no_second_password(self) -> str | None:
        """See :class:`rotators.engines.base.SecondPassword`."""
        return passwords.why_no_second(self._connection)

    def wrong_passwords_allowed(self) -> int | None:
        """See :class:`rotators.engines.base.WrongPasswordLimit`."""
        return passwords.wrong_passwords_allowed(self._connection)

    def add_own_password(self, new: str, old: str) -> None:
        """Change it; the profile keeps the old one alive."""
        passwords.add_own(self._connection, new, old, self._logs_in)

    def check_can_add_password(self, account: Account) -> None:
        """See :class:`rotators.engines.base.SecondPasswordAdmin`."""
        self.check_can_set_password(account)
        passwords.require_rolling(self._connection, passwords.require_usable(self._connection, account))

    def add_password(self, account: Account, new: str, old: str) -> None:
        """Change another's; its profile keeps the old one alive."""
        passwords.add_by_admin(self._connection, account, new, old, self._logs_in)

    def inspect_pair(self, current: Account, other_name: str) -> Pair:
        """See :class:`rotators.engines.base.CloneAdmin`."""
        return clone.inspect(self._connection, current, quoting.fold(other_name))

    def check_can_sync(self, pair: Pair) -> None:
        """See :class:`rotators.engines.base.CloneAdmin`."""
        self._require_writer()
        clone.check(self._connection, pair)

    def sync_clone(self, pair: Pair) -> Account:
        """See :class:`rotators.engines.base.CloneAdmin`."""
        return clone.sync(self._connection, pair)

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def _require_writer(self) -> None:
        """Raise ReadOnlyServer on a standby."""
        if self._role not in _WRITERS:
            raise ReadOnlyServer(
                f"{self._connection.host} is a {self._role.lower()}, where no password can be changed",
                "put the primary's endpoint as 'host' into the secret",
            )


if TYPE_CHECKING:
    _self_service: type[SelfServicePassword] = OracleSession
    _admin: type[AccountAdmin] = OracleSession
    _second: type[SecondPassword] = OracleSession
    _second_by_admin: type[SecondPasswordAdmin] = OracleSession
    _clone: type[CloneAdmin] = OracleSession
    _limit: type[WrongPasswordLimit] = OracleSession
