"""What a login over libpq can do, to PostgreSQL and to what grew from it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self

import psycopg2
from psycopg2 import sql

from rotators.engines.sessions import Closing, test_query_of
from rotators.errors import (
    ConnectionLost,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    ServiceError,
    ServiceFailed,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_INSUFFICIENT_PRIVILEGE = "42501"
_READ_ONLY_TRANSACTION = "25006"
_LOCK_NOT_AVAILABLE = "55P03"
_QUERY_CANCELED = "57014"
_LOST = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
# What passwordcheck, credcheck and their like raise from the hook that looks at a new password.
_POLICY = {"22023", "28000", "28P01"}


class LibpqSession(Closing):
    """One login; satisfies ``Staged``.

    Args:
        connection: an open connection in autocommit.
        host: the server's name, for messages.
        timeout: seconds that a statement may take.
        elsewhere: logs in to another database of the server with the same password.
    """

    product: ClassVar[str]
    begin: ClassVar[tuple[str, ...]]
    """The statements that begin a transaction."""

    def __init__(self, connection: Connection, host: str, timeout: float, elsewhere: Callable[[str], Self]) -> None:
        self._connection = connection
        self.host = host
        self.elsewhere = elsewhere
        self.version: int = connection.server_version // 10000
        self.user: str = connection.info.user
        try:
            self.execute(self.prepare(round(timeout * 1000)))
        except ServiceError:
            self.close()
            raise

    @abstractmethod
    def prepare(self, milliseconds: int) -> sql.Composable:
        """The statement that begins a session: nothing that the user was given may bend ours."""

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query in a transaction that is rolled back."""
        self.execute(sql.SQL("SELECT 1"))
        if test_query is None:
            return
        # The application's own search_path, so that the query finds what the application finds.
        self.execute(sql.SQL("BEGIN"))
        try:
            with test_query_of(self.user):
                self.execute(sql.SQL("RESET search_path"))
                self.execute(sql.SQL(test_query))  # the operator's own text
        finally:
            self._roll_back()

    @contextmanager
    def staged(self) -> Iterator[None]:
        """A transaction."""
        with self.transaction():
            yield

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction."""
        self.execute(sql.SQL(self.begin[0]))
        try:
            for statement in self.begin[1:]:
                self.execute(sql.SQL(statement))
            yield
        except BaseException:
            self._roll_back()
            raise
        self.execute(sql.SQL("COMMIT"))

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """A transaction that is always rolled back."""
        self.execute(sql.SQL(self.begin[0]))
        try:
            for statement in self.begin[1:]:
                self.execute(sql.SQL(statement))
            yield
        finally:
            self._roll_back()

    def execute(
        self, statement: sql.Composable, advice: str = "", password_of: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement.

        Args:
            statement: names and values are composed by psycopg2's quoting.
            advice: what to do where a right is missing.
            password_of: the role whose password the statement sets, where it does.

        Returns:
            The rows, if it gives any.

        Raises:
            ServiceError: as what the server's answer means.
        """
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        except psycopg2.Error as error:
            raise self._translate(error, advice, password_of) from None

    def quote(self, statement: sql.Composable) -> str:
        """A statement as a text that a person can run."""
        return statement.as_string(self._connection)

    def _roll_back(self) -> None:
        try:
            self.execute(sql.SQL("ROLLBACK"))
        except ServiceError:
            # The connection is gone, and the transaction with it.
            self.close()

    def _translate(self, error: psycopg2.Error, advice: str, password_of: str | None) -> ServiceError:
        """What a statement's failure means. The statement itself is never shown: it may hold a verifier."""
        code, said = error.pgcode, error.diag.message_primary or ""
        where = f"{self.product} at {self.host}, as '{self.user}'"
        if code is None or code in _LOST or code.startswith("08"):
            self.close()
            return ConnectionLost(f"{where}: the connection was lost", "the rotation will be repeated")
        detail = f" ({error.diag.message_detail.rstrip('.')})" if error.diag.message_detail else ""
        what = f"{where}: {said}{detail} [{code}]"
        if code == _INSUFFICIENT_PRIVILEGE:
            return PermissionRefused(what, advice or "grant what the server says is missing")
        if code == _READ_ONLY_TRANSACTION:
            return ReadOnlyServer(what, "put the writer's endpoint as 'host' into the secret")
        if password_of is not None and code in _POLICY:
            return PasswordRefused(
                f"{what}: the new password of '{password_of}' is refused",
                "fit PASSWORD_LENGTH and the EXCLUDE_ settings of the function to the server's password policy",
            )
        if code in {_LOCK_NOT_AVAILABLE, _QUERY_CANCELED}:
            return ServiceFailed(what, "another session holds a lock; the rotation will be repeated")
        return ServiceFailed(what, "the rotation will be repeated; the database's log tells more")
