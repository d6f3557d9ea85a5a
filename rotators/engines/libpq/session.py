"""The base of sessions over libpq, for PostgreSQL and servers derived from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg2 import sql

from rotators.engines.inspection import ServerFacts
from rotators.engines.sessions import Closing, test_query_of
from rotators.errors import UserNotRotatable

if TYPE_CHECKING:
    from rotators.engines.libpq.connection import LibpqConnection


class LibpqSession(Closing):
    """One login; satisfies ``TransactionalPassword``.

    Args:
        connection: an open connection in autocommit.
    """

    def __init__(self, connection: LibpqConnection) -> None:
        self.connection = connection

    def require_whole_name(self, name: str) -> None:
        """Require that the server did not cut the user's name: an MD5 verifier contains the name that was sent.

        Args:
            name: the user that the server logged in.

        Raises:
            UserNotRotatable: it is only the beginning of the secret's user name.
        """
        asked = self.connection.user
        if asked != name and asked.startswith(name):
            raise UserNotRotatable(
                f"'{asked}' at {self.connection.host} is longer than a name can be there: it was logged in as '{name}'",
                "put that name as 'username' into the secret",
            )

    def verify(self, test_query: str | None) -> None:
        """Read, and run the test query in a transaction that is rolled back."""
        self.connection.execute(sql.SQL("SELECT 1"))
        if test_query is None:
            return
        # The application's own search_path, so that the query finds what the application finds.
        with self.connection.rolled_back(("BEGIN",)), test_query_of(self.connection.user):
            self.be_the_application()
            self.connection.execute(sql.SQL("RESET search_path"))
            self.connection.execute(sql.SQL(test_query))  # the operator's own text

    def be_the_application(self) -> None:
        """Act as the application's sessions do, for the length of a transaction."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction."""
        with self.connection.transaction():
            yield

    def facts(self) -> ServerFacts:
        """See :class:`rotators.engines.inspection.Inspectable`."""
        [(version,)] = self.connection.execute(sql.SQL("SHOW server_version"))
        return ServerFacts(self.connection.product, str(version))

    def record(self) -> list[str]:
        """See :class:`rotators.engines.inspection.RecordsStatements`."""
        return self.connection.record()

    def close(self) -> None:
        """End the session."""
        self.connection.close()
