"""A connection over libpq: runs statements within their time, in transactions, and says what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import psycopg2
from psycopg2 import sql

from rotators.engines.sessions import Closing
from rotators.errors import (
    ConnectionLost,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    ServiceError,
    ServiceFailed,
)
from rotators.limits import Limit, cut_socket, limited

if TYPE_CHECKING:
    from rotators.engines.base import ConnectOptions
    from rotators.engines.libpq.login import Opened, Product

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_INSUFFICIENT_PRIVILEGE = "42501"
_READ_ONLY_TRANSACTION = "25006"
LOCK_NOT_AVAILABLE = "55P03"
_QUERY_CANCELED = "57014"
_LOST = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
# What passwordcheck, credcheck and their like raise from the hook that looks at a new password.
_POLICY = {"22023", "28000", "28P01"}


class LockHeld(ServiceFailed):
    """Another session holds a lock for longer than we wait."""


class NoAnswer(ConnectionLost):
    """The server stayed silent, and we hung up."""


class LibpqConnection(Closing):
    """A login to one database.

    Args:
        opened: an open connection.
        product: the kind of server.
        user: who logged in.
        host: the server's name, for messages.
        options: how long anything may take.
        begin: the statements that begin a transaction.
        connect_to: logs in to another database of the server with the same password.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        product: Product,
        user: str,
        host: str,
        options: ConnectOptions,
        begin: tuple[str, ...],
        connect_to: Callable[[str], Self],
    ) -> None:
        self._connection = opened.connection
        self._options = options
        self._begin = begin
        self.method = opened.method
        self.product = product.name
        self.user = user
        self.host = host
        self.connect_to = connect_to
        self.version: int = opened.connection.server_version // 10000
        """The major version, as PostgreSQL counts."""
        self.exact_version: int = opened.connection.server_version
        """The version with its minor one, as libpq counts: 170001 is 17.1."""

    @property
    def statement_timeout(self) -> int:
        """Milliseconds after which the server itself should give up a statement: before we do, who can't say why."""
        return max(100, round(self._options.limit(self._where) * 1000) - 100)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction."""
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
            begin: the statements that begin it; by default as ever.
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
            statement: names and values are composed by psycopg2's quoting.
            advice: what to do where a right is missing.
            password_of: the role whose password the statement sets, where it does.

        Returns:
            The rows of its last result, if it gives any.

        Raises:
            ServiceError: as what the server's answer means.
        """
        limit = Limit()
        try:
            with limited(self._options.limit(self._where), self._cut) as limit, self._connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        except (psycopg2.Error, UnicodeError) as error:
            raise self._translate(error, limit, advice, password_of) from None

    def quote(self, statement: sql.Composable) -> str:
        """A statement as a text that a person can run."""
        return statement.as_string(self._connection)

    @property
    def raw(self) -> Any:
        """The driver's connection, for its own quoting and verifiers."""
        return self._connection

    @property
    def _where(self) -> str:
        return f"{self.product} at {self.host}, as '{self.user}'"

    def _cut(self) -> None:
        cut_socket(self._connection.fileno())

    def _roll_back(self) -> None:
        try:
            self.execute(sql.SQL("ROLLBACK"))
        except ServiceError:
            # The connection is gone, and the transaction with it.
            self.close()

    def _translate(  # noqa: PLR0911  # one return per meaning
        self, error: Exception, limit: Limit, advice: str, password_of: str | None
    ) -> ServiceError:
        """What a statement's failure means. The statement itself is never shown: it may hold a verifier."""
        if not isinstance(error, psycopg2.Error):
            return ServiceFailed(
                f"{self._where}: a name or value is no text that the server takes", "correct the secret"
            )
        code, server_message = error.pgcode, error.diag.message_primary or ""
        if code is None or code in _LOST or code.startswith("08"):
            self.close()
            if limit.expired:
                return NoAnswer(f"{self._where}: no answer in time", "the rotation will be repeated")
            return ConnectionLost(f"{self._where}: the connection was lost", "the rotation will be repeated")
        detail = f" ({error.diag.message_detail.rstrip('.')})" if error.diag.message_detail else ""
        what = f"{self._where}: {server_message}{detail} [{code}]"
        if code == _INSUFFICIENT_PRIVILEGE:
            return PermissionRefused(what, advice or "grant what the server says is missing")
        if code == _READ_ONLY_TRANSACTION:
            return ReadOnlyServer(what, "put the writer's endpoint as 'host' into the secret")
        if password_of is not None and code in _POLICY:
            return PasswordRefused(
                f"{what}: the new password of '{password_of}' is refused",
                "fit PASSWORD_LENGTH and the EXCLUDE_ settings of the function to the server's password policy",
            )
        if code in {LOCK_NOT_AVAILABLE, _QUERY_CANCELED}:
            return LockHeld(what, "another session holds a lock; the rotation will be repeated")
        return ServiceFailed(what, "the rotation will be repeated; the database's log tells more")
