"""SQL Server, RDS for SQL Server included, over python-tds.

``connection`` logs in and names what went wrong, ``tls`` verifies the server's name, ``quoting`` spells names and
values, ``session`` is what one login can do, ``catalog`` reads what the server says of its logins and users, and
``twin`` makes one login the equal of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import alternate, require_length
from rotators.engines.sqlserver.connection import connect
from rotators.engines.sqlserver.session import SqlserverSession
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

# sysname is nvarchar(128): https://learn.microsoft.com/sql/relational-databases/databases/database-identifiers
_LONGEST_NAME = 128


class SqlserverEngine:
    """The engine for secrets that say ``sqlserver``."""

    name: ClassVar[str] = "sqlserver"
    default_port: ClassVar[int] = 1433
    second_password: ClassVar[bool] = False
    # https://learn.microsoft.com/sql/relational-databases/security/password-policy
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(longest=128)

    def twin_name(self, username: str) -> str:
        """The other of the pair.

        Raises:
            PairRefused: its name would be empty, or longer than the server takes.
        """
        twin = alternate(username)
        length = len(twin.encode("utf-16-le")) // 2
        require_length(username, twin, length, _LONGEST_NAME, f"SQL Server takes names of 1 to {_LONGEST_NAME}")
        return twin

    def connect(self, credentials: Credentials, options: ConnectOptions) -> SqlserverSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""
        connection = connect(credentials, self.default_port, options)
        return SqlserverSession(connection, credentials, options.timeout)
