"""A session: one login to SQL Server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rotators.engines.identity import Account, Pair
from rotators.engines.sessions import Closing, run_test_query
from rotators.engines.sqlserver import catalog, clone, passwords
from rotators.errors import ReadOnlyServer, ServiceError, UserNotRotatable

if TYPE_CHECKING:
    from rotators.engines.base import AccountAdmin, CloneAdmin, SelfServicePassword
    from rotators.engines.sqlserver.connection import Connection

# https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-databases-transact-sql: replica_id is
# set where the database is in an availability group, is_in_standby where logs are shipped to it.
_WRITABLE = """
SELECT DATABASEPROPERTYEX(d.name, 'Updateability'), CONVERT(nvarchar(36), d.replica_id), d.is_in_standby
FROM sys.databases AS d WHERE d.database_id = DB_ID()
"""


class SqlserverSession(Closing):
    """A login. A password's change is not put into a transaction: whether logins wait for one is not documented.

    Args:
        connection: logged in, in autocommit.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        try:
            connection.execute(f"SET LOCK_TIMEOUT {connection.lock_timeout}")
            self.account: Account = catalog.whoami(connection)
        except ServiceError:
            self.close()
            raise

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query in a transaction that is rolled back."""
        self._connection.execute("SELECT 1")
        if test_query is not None:
            end = "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"
            run_test_query(self._connection.execute, test_query, self.account.name, begin="BEGIN TRANSACTION", end=end)

    def check_rotatable(self) -> None:
        """Refuse secondary replicas, and users who log in without a password of the server's."""
        self._require_writer()
        catalog.require(self._connection, self.account)

    def set_own_password(self, new: str, old: str) -> None:
        """See :class:`rotators.engines.base.SelfServicePassword`."""
        passwords.set_own(self._connection, self.account, new, old)

    def recognize(self, account: Account, password: str) -> Account:  # noqa: ARG002  # a name is one login here
        """See :class:`rotators.engines.base.AccountAdmin`."""
        return catalog.require(self._connection, account).account

    def find_account(self, name: str) -> Account | None:
        """The login of that name, else the contained user of the current database."""
        found = catalog.find_named(self._connection, name)
        if len(found) > 1:
            raise UserNotRotatable(
                f"'{name}' is a login at {self._connection.host}, and a contained user of "
                f"'{self._connection.database}' as well",
                "rename one of the two",
            )
        return found[0].account if found else None

    def check_can_set_password(self, account: Account) -> None:
        """See :class:`rotators.engines.base.AccountAdmin`."""
        self._require_writer()
        passwords.require_settable(self._connection, account)

    def set_password(self, account: Account, new: str) -> None:
        """Change another's, and unlock it where wrong ones have locked it."""
        passwords.set_by_admin(self._connection, account, new)

    def inspect_pair(self, current: Account, other_name: str) -> Pair:
        """See :class:`rotators.engines.base.CloneAdmin`."""
        return clone.inspect(self._connection, current, other_name)

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
        """Raise ReadOnlyServer on a secondary replica: a password would be changed in vain there.

        A database that is read-only by itself keeps no login from changing its password.
        """
        connection = self._connection
        for updateability, replica, standby in connection.execute(_WRITABLE):
            elsewhere = replica is not None or bool(standby) or catalog.is_contained(self.account)
            if updateability == "READ_ONLY" and elsewhere:
                raise ReadOnlyServer(
                    f"'{connection.database}' at {connection.host} is a secondary replica, or read-only",
                    "put the listener's or the primary's endpoint as 'host' into the secret, or name another 'dbname'",
                )


if TYPE_CHECKING:
    _self_service: type[SelfServicePassword] = SqlserverSession
    _admin: type[AccountAdmin] = SqlserverSession
    _clone: type[CloneAdmin] = SqlserverSession
