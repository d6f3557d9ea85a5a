"""What one login to Db2 can do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rotators.engines.db2 import catalog, tasks
from rotators.engines.db2 import twin as twins
from rotators.engines.db2.connection import code_of, said
from rotators.engines.sessions import Closing, test_query_of
from rotators.errors import (
    ConnectionLost,
    PermissionRefused,
    ReadOnlyServer,
    ServiceError,
    ServiceFailed,
    UserNotRotatable,
)

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions
    from rotators.engines.db2.connection import Connection

# https://www.ibm.com/docs/en/db2/11.5.x?topic=messages-sql-messages
_PERMISSION = {"SQL0551N", "SQL0552N", "SQL1060N", "SQL0567N", "SQL1092N"}
_LOST = {"SQL30081N", "SQL1224N", "SQL0900N", "SQL1013N", "SQL30108N"}
_LOCKED = {"SQL0911N", "SQL0913N", "SQL0952N"}


class Db2Session(Closing):
    """A login; satisfies ``OtherPassword`` and ``TwinMaker``. No user of Db2 changes its own password.

    Args:
        connection: logged in, in autocommit.
        credentials: who.
        options: as it was connected.
        elsewhere: logs in to another database with the same password.
        logs_in: tells whether a user's password is accepted.
    """

    def __init__(
        self,
        connection: Connection,
        credentials: Credentials,
        options: ConnectOptions,
        elsewhere: Callable[[str], Db2Session],
        logs_in: Callable[[str, str], bool],
    ) -> None:
        self._connection = connection
        self._timeout = max(1, round(options.timeout))
        self._logs_in = logs_in
        self.time_left = options.time_left
        self.elsewhere = elsewhere
        self.host = credentials.host
        self.user = credentials.username
        self.database = credentials.dbname or ""

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query in a transaction that is rolled back."""
        self.execute("VALUES 1")
        if test_query is None:
            return
        self._connection.in_transaction(begin=True)
        try:
            with test_query_of(self.user):
                self.execute(test_query)
        finally:
            with contextlib.suppress(Exception):
                self._connection.in_transaction(begin=False)

    def check_rotatable(self) -> None:
        """A standby takes no logins, and all users have passwords: there is nothing to refuse."""

    def check_user(self, user: str) -> None:
        """See that the admin may run tasks, and that the user is known here."""
        twins.require_tasks(self)
        if not catalog.is_known(self, user):
            raise UserNotRotatable(
                f"there is no user '{user}' with any right in '{self.database}' at {self.host}",
                "create it and grant it CONNECT, or correct the secret",
            )

    def set_password(self, user: str, new: str) -> None:
        """Have RDS change it, and wait until it is accepted."""
        tasks.change_password(self, user, new, lambda: self._logs_in(user, new))

    def check_twin(self, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
        """Compare what both may do with what the admin may pass on."""
        twins.check(self, user, twin, acquainted)

    def ensure_twin(self, user: str, twin: str, password: str) -> None:
        """Level the pair, and set the twin's password last."""
        twins.level(self, user, twin)
        self.set_password(twin, password)

    def close(self) -> None:
        """End the session."""
        with contextlib.suppress(Exception):
            self._connection.close()

    def execute(self, statement: str, values: tuple[Any, ...] = (), advice: str = "") -> list[tuple[Any, ...]]:
        """Run one statement, whose names are quoted already.

        Args:
            statement: the statement.
            values: for its parameter markers.
            advice: what to do where a right is missing.

        Raises:
            ServiceError: as what the server's answer means.
        """
        try:
            return self._connection.run(statement, values, self._timeout)
        except Exception as error:  # noqa: BLE001  # the driver has no class of its own
            raise self._translate(error, advice) from None

    def _translate(self, error: Exception, advice: str) -> ServiceError:
        """What a statement's failure means. The statement's values are never shown: they may hold a password."""
        code = code_of(error)
        what = f"Db2 at {self.host}, as '{self.user}': {said(error)}"
        if code in _LOST:
            self.close()
            return ConnectionLost(
                f"Db2 at {self.host}, as '{self.user}': the connection was lost", "the rotation will be repeated"
            )
        if code in _PERMISSION:
            return PermissionRefused(what, advice or "grant what the server says is missing")
        if code == "SQL1773N":
            return ReadOnlyServer(what, "put the primary's endpoint as 'host' into the secret")
        if code in _LOCKED:
            return ServiceFailed(what, "another session holds a lock; the rotation will be repeated")
        return ServiceFailed(what, "the rotation will be repeated; the database's diagnostic log tells more")
