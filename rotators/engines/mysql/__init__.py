"""MySQL and MariaDB, RDS and Aurora included, over PyMySQL.

``connection`` logs in and names what went wrong; ``session`` is what one login can do, on either server; ``accounts``
reads what the servers say of their accounts. Which of the two a server is, it says itself: a MariaDB behind a secret
that says ``mysql`` is served as the MariaDB that it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import alternate, require_length
from rotators.engines.mysql.connection import connect
from rotators.engines.mysql.session import MariadbSession, MysqlSession
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions


class MysqlEngine:
    """The engine for secrets that say ``mysql``, ``aurora-mysql`` or ``aurora``."""

    name: ClassVar[str] = "mysql"
    default_port: ClassVar[int] = 3306
    second_password: ClassVar[bool] = True
    # https://dev.mysql.com/doc/refman/8.4/en/user-names.html
    longest_name: ClassVar[int] = 32
    # https://dev.mysql.com/doc/refman/8.4/en/caching-sha2-pluggable-authentication.html: longer ones are slow to hash.
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(longest=128)

    def twin_name(self, username: str) -> str:
        """The other of the pair.

        Raises:
            PairRefused: its name would be empty, or longer than the server takes.
        """
        twin = alternate(username)
        require_length(
            username, twin, len(twin), self.longest_name, f"the server takes names of 1 to {self.longest_name}"
        )
        return twin

    def connect(self, credentials: Credentials, options: ConnectOptions) -> MysqlSession | MariadbSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""
        connection = connect(credentials, self.default_port, options)
        said: str = connection.get_server_info()  # type: ignore[no-untyped-call]
        kind = MariadbSession if "mariadb" in said.lower() else MysqlSession
        return kind(connection, credentials.host, options.timeout)


class MariadbEngine(MysqlEngine):
    """The engine for secrets that say ``mariadb``."""

    name: ClassVar[str] = "mariadb"
    # https://mariadb.com/kb/en/identifier-names/#maximum-length
    longest_name: ClassVar[int] = 80
