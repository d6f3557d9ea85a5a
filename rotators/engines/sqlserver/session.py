"""What one login to SQL Server can do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytds

from rotators.engines.sessions import Closing, test_query_of
from rotators.engines.sqlserver import catalog
from rotators.engines.sqlserver import twin as twins
from rotators.engines.sqlserver.connection import said
from rotators.engines.sqlserver.quoting import name, text
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
    from rotators.credentials import Credentials

# https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors
_PERMISSION = {229, 230, 262, 297, 300, 4613, 15151, 15157, 15247, 916}
_POLICY = {15113, 15114, 15115, 15116, 15117, 15118, 15119, 33062}
_READ_ONLY = {976, 978, 982, 983, 3906}


class SqlserverSession(Closing):
    """A login; satisfies ``OwnPassword``, ``OtherPassword`` and ``TwinMaker``.

    It is not ``Staged``: whether logins wait for a transaction that changes their password is not documented.

    Args:
        connection: an open connection in autocommit.
        credentials: who.
        timeout: seconds that a statement may take.
    """

    def __init__(self, connection: pytds.Connection, credentials: Credentials, timeout: float) -> None:
        self._connection = connection
        self.host = credentials.host
        self.user = credentials.username
        try:
            self.execute(f"SET LOCK_TIMEOUT {round(timeout * 800)}")
            [(self.database,)] = self.execute("SELECT DB_NAME()")
        except ServiceError:
            self.close()
            raise

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query in a transaction that is rolled back."""
        self.execute("SELECT 1")
        if test_query is None:
            return
        self.execute("BEGIN TRANSACTION")
        try:
            with test_query_of(self.user):
                self.execute(test_query)
        finally:
            with contextlib.suppress(ServiceError):
                self.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")

    def check_rotatable(self) -> None:
        """Refuse secondary replicas, and users who log in without a password of the server's."""
        self.require_writer()
        catalog.require(self, self.user)

    def set_own_password(self, new: str, old: str) -> None:
        """Change it, as the server's own users may.

        https://learn.microsoft.com/sql/t-sql/statements/alter-login-transact-sql,
        https://learn.microsoft.com/sql/t-sql/statements/alter-user-transact-sql
        """
        kind = "USER" if catalog.require(self, self.user).contained else "LOGIN"
        self.execute(
            f"ALTER {kind} {name(self.user)} WITH PASSWORD = {text(new)} OLD_PASSWORD = {text(old)}",
            advice="the password that the secret holds may have been changed meanwhile; the rotation will be repeated",
        )

    def check_user(self, user: str) -> None:
        """See that the admin may change this user."""
        self.require_writer()
        twins.require_admin(self, contained=catalog.require(self, user).contained)

    def set_password(self, user: str, new: str) -> None:
        """Change another's, and unlock it where wrong ones have locked it."""
        if catalog.require(self, user).contained:
            self.execute(f"ALTER USER {name(user)} WITH PASSWORD = {text(new)}")
        else:
            [(locked,)] = self.execute(f"SELECT LOGINPROPERTY({text(user)}, 'IsLocked')")
            self.execute(f"ALTER LOGIN {name(user)} WITH PASSWORD = {text(new)}" + (" UNLOCK" if locked else ""))

    def check_twin(self, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
        """Compare what both may do with what the admin may pass on."""
        self.require_writer()
        twins.check(self, user, twin, acquainted)

    def ensure_twin(self, user: str, twin: str, password: str) -> None:
        """Level the pair, and set the twin's password last."""
        twins.level(self, user, twin)
        self.set_password(twin, password)

    def close(self) -> None:
        """End the session."""
        with contextlib.suppress(Exception):
            self._connection.close()

    def execute(self, statement: str, advice: str = "") -> list[tuple[Any, ...]]:
        """Run one batch, whose texts and names are quoted already.

        Args:
            statement: the batch.
            advice: what to do where a right is missing.

        Raises:
            ServiceError: as what the server's answer means.
        """
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
                return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        except (pytds.Error, OSError, EOFError) as error:
            raise self._translate(error, advice) from None

    @contextlib.contextmanager
    def use(self, database: str) -> Any:
        """Work in another database, and come back."""
        self.execute(f"USE {name(database)}", advice=f"let the admin '{self.user}' into the database '{database}'")
        try:
            yield
        finally:
            with contextlib.suppress(ServiceError):
                self.execute(f"USE {name(self.database)}")

    def require_writer(self) -> None:
        """Raise ReadOnlyServer on a secondary replica: a password would be changed in vain there.

        https://learn.microsoft.com/sql/t-sql/functions/databasepropertyex-transact-sql, and who may know more:
        https://learn.microsoft.com/sql/relational-databases/system-functions/sys-fn-hadr-is-primary-replica-transact-sql
        """
        [(updateability,)] = self.execute("SELECT DATABASEPROPERTYEX(DB_NAME(), 'Updateability')")
        if updateability != "READ_ONLY":
            return
        try:
            [(primary,)] = self.execute("SELECT sys.fn_hadr_is_primary_replica(DB_NAME())")
        except PermissionRefused:
            primary = 0
        # A database that is read-only by itself keeps no login from changing its password.
        if primary == 0 or catalog.require(self, self.user).contained:
            raise ReadOnlyServer(
                f"'{self.database}' at {self.host} is read-only: a secondary replica, or set so",
                "put the listener's or the primary's endpoint as 'host' into the secret, or name another 'dbname'",
            )

    def _translate(self, error: Exception, advice: str) -> ServiceError:
        """What a statement's failure means. The statement itself is never shown: it may hold a password."""
        number = getattr(error, "msg_no", None)
        where = f"SQL Server at {self.host}, as '{self.user}'"
        if not isinstance(error, pytds.DatabaseError) or not number:
            self.close()
            return ConnectionLost(f"{where}: the connection was lost", "the rotation will be repeated")
        what = f"{where}: {said(error)} [{number}]"
        meanings: dict[int, tuple[type[ServiceError], str]] = {
            **dict.fromkeys(_PERMISSION, (PermissionRefused, advice or "grant what the server says is missing")),
            **dict.fromkeys(
                _POLICY,
                (PasswordRefused, "fit PASSWORD_LENGTH and the EXCLUDE_ settings to the server's password policy"),
            ),
            **dict.fromkeys(_READ_ONLY, (ReadOnlyServer, "put the primary's endpoint as 'host' into the secret")),
            1222: (ServiceFailed, "another session holds a lock; the rotation will be repeated"),
            15007: (UserNotRotatable, "create the login, or correct the secret"),
        }
        kind, hint = meanings.get(number, (ServiceFailed, "the rotation will be repeated; the server's log tells more"))
        return kind(what, hint)
