"""SQL Server, RDS for SQL Server included, over python-tds.

``quoting`` spells names and values, ``errors`` maps error numbers, ``tls`` verifies the server, ``connection`` logs in
and runs statements, ``catalog`` reads what the server says of its logins and users, ``passwords`` sets theirs,
``powers`` compares what two may do, ``clone`` makes one the equal of another, and ``session`` is what one login can do.
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

    def other_name(self, username: str) -> str:
        """The other of the pair.

        Raises:
            PairRefused: its name would be empty, or longer than the server takes.
        """
        other = alternate(username)
        length = len(other.encode("utf-16-le", "surrogatepass")) // 2
        require_length(username, other, length, _LONGEST_NAME, f"SQL Server takes names of 1 to {_LONGEST_NAME}")
        return other

    def connect(self, credentials: Credentials, options: ConnectOptions) -> SqlserverSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""
        return SqlserverSession(connect(credentials, self.default_port, options))
