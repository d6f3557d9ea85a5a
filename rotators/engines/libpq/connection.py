"""A connection over libpq: runs statements with a time-out, in transactions, and maps their errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import psycopg2
from psycopg2 import sql

from rotators.engines.libpq.errors import STATEMENT, NoAnswer
from rotators.engines.mapping import REPEATED, connection_lost, driver_errors
from rotators.engines.sessions import Closing
from rotators.errors import ServiceError, ServiceFailed
from rotators.limits import Limit, cut_socket, limited

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions
    from rotators.engines.libpq.login import Opened, Product

# Statements to show after a rehearsal; reads and transaction statements are left out.
_CHANGES = re.compile(r"(ALTER|COMMENT|CREATE|DROP|GRANT|REASSIGN|REVOKE)\b", re.IGNORECASE)
_MASKED = re.compile(r"(?i)(\bPASSWORD )(?:E?'(?:[^'\\]|''|\\.)*'|NULL\b)")


class LibpqConnection(Closing):
    """A login to one database.

    Args:
        opened: an open connection.
        product: the kind of server.
        credentials: the user and the server.
        options: the time limits.
        begin: the statements that begin a transaction.
        connect_to: logs in to another database of the server with the same password.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        product: Product,
        credentials: Credentials,
        options: ConnectOptions,
        begin: tuple[str, ...],
        connect_to: Callable[[str], Self],
    ) -> None:
        self._connection = opened.connection
        self._options = options
        self._begin = begin
        self.method = opened.method
        self.product = product.name
        self.user = credentials.username
        self.host = credentials.host
        self.connect_to = connect_to
        self.version: int = opened.connection.server_version // 10000
        """The major version, as PostgreSQL counts."""
        self.exact_version: int = opened.connection.server_version
        """The version with its minor one, as libpq counts: 170001 is 17.1."""
        self._recorded: list[str] | None = None

    @property
    def statement_timeout(self) -> int:
        """Milliseconds after which the server should cancel a statement: before this side does, which can't say why."""
        return max(100, round(self._options.limit(self._where) * 1000) - 100)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    @contextmanager
    def transaction(self, *, keep: bool = True) -> Iterator[None]:
        """A transaction.

        Args:
            keep: whether to commit it; if not, it is rolled back, which only shows whether all of it is possible.
        """
        if not keep:
            with self.rolled_back():
                yield
            return
        self.execute(sql.SQL(self._begin[0]))
        try:
            for statement in self._begin[1:]:
                self.execute(sql.SQL(statement))
            yield
        except BaseException:
            self._roll_back()
            raise
        self.execute(sql.SQL("COMMIT"))

    @contextmanager
    def rolled_back(self, begin: tuple[str, ...] | None = None) -> Iterator[None]:
        """A transaction that is always rolled back: for rehearsals and test queries.

        Args:
            begin: the statements that begin it; by default those of :meth:`transaction`.
        """
        first, *others = self._begin if begin is None else begin
        self.execute(sql.SQL(first))
        try:
            for statement in others:
                self.execute(sql.SQL(statement))
            yield
        finally:
            self._roll_back()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that may fail without ending it."""
        self.execute(sql.SQL("SAVEPOINT part"))
        try:
            yield
        except ServiceError:
            self.execute(sql.SQL("ROLLBACK TO SAVEPOINT part"))
            raise
        self.execute(sql.SQL("RELEASE SAVEPOINT part"))

    def execute(
        self, statement: sql.Composable, advice: str = "", password_of: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement.

        Args:
            statement: the statement, with names and values quoted by psycopg2.
            advice: what to do if a privilege is missing.
            password_of: the role whose password the statement sets; None: it sets none.

        Returns:
            The rows of its last result, if it gives any.

        Raises:
            ServiceError: the server refused it, or did not answer.
        """
        if self._recorded is not None:
            self._note(statement)
        limit = Limit()
        with (
            driver_errors(
                lambda error: self._translate(error, limit, advice, password_of),
                psycopg2.Error,
                UnicodeError,
                on_lost=self.close,
            ),
            limited(self._options.limit(self._where), self._cut, limit),
            self._connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def record(self) -> list[str]:
        """Record each statement that changes something from now on, with verifiers masked.

        Returns:
            A list to which each statement is added.
        """
        self._recorded = []
        return self._recorded

    def quote(self, statement: sql.Composable) -> str:
        """A statement as text that can be run by hand."""
        return statement.as_string(self._connection)

    @property
    def raw(self) -> Any:
        """The driver's connection, for its own quoting and verifiers."""
        return self._connection

    def _note(self, statement: sql.Composable) -> None:
        text = " ".join(_MASKED.sub(r"\1'***'", self.quote(statement)).split())
        if self._recorded is not None and _CHANGES.match(text):
            self._recorded.append(text)

    @property
    def _where(self) -> str:
        return f"{self.product} at {self.host}, as '{self.user}'"

    def _cut(self) -> None:
        cut_socket(self._connection.fileno())

    def _roll_back(self) -> None:
        try:
            self.execute(sql.SQL("ROLLBACK"))
        except ServiceError:
            # The connection is lost, and the transaction with it.
            self.close()

    def _translate(self, error: Exception, limit: Limit, advice: str, password_of: str | None) -> ServiceError:
        """What a statement's failure means. The statement itself is never shown: it may hold a verifier."""
        if not isinstance(error, psycopg2.Error):
            return ServiceFailed(
                f"{self._where}: a name or value is no text that the server takes", "correct the secret"
            )
        code = error.pgcode
        if code is None or code in STATEMENT.lost:
            if limit.expired:
                return NoAnswer(f"{self._where}: no answer in time", REPEATED)
            return connection_lost(self._where, code)
        detail = f" ({error.diag.message_detail.rstrip('.')})" if error.diag.message_detail else ""
        message = f"{error.diag.message_primary or ''}{detail} [{code}]"
        return STATEMENT.error(code, self._where, message, advice=advice, password_of=password_of)
