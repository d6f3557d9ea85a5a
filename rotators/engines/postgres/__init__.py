"""PostgreSQL, RDS for PostgreSQL and Aurora PostgreSQL, versions 12 to 18, over psycopg2.

``connection`` logs in and names what went wrong, ``session`` is what one login can do, ``twin`` is how an admin
makes one role the equal of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import alternate, require_length
from rotators.engines.postgres.connection import connect
from rotators.engines.postgres.session import PostgresSession
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

# NAMEDATALEN - 1: the server would cut a longer name and say so only in a notice.
# https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
_LONGEST_NAME = 63


class PostgresEngine:
    """The engine for secrets that say ``postgres``, ``postgresql`` or ``aurora-postgresql``."""

    name: ClassVar[str] = "postgres"
    default_port: ClassVar[int] = 5432
    second_password: ClassVar[bool] = False
    password_limits: ClassVar[PasswordLimits] = PasswordLimits()

    def twin_name(self, username: str) -> str:
        """The other of the pair.

        Raises:
            PairRefused: its name would be empty, or longer than PostgreSQL keeps.
        """
        twin = alternate(username)
        length = len(twin.encode())
        require_length(username, twin, length, _LONGEST_NAME, f"PostgreSQL keeps names of 1 to {_LONGEST_NAME} bytes")
        return twin

    def connect(self, credentials: Credentials, options: ConnectOptions) -> PostgresSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""

        def elsewhere(dbname: str) -> PostgresSession:
            return self.connect(credentials.replace(dbname=dbname), options)

        connection = connect(credentials, self.default_port, options)
        return PostgresSession(connection, credentials.host, options.timeout, elsewhere)
