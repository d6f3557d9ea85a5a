"""MySQL and MariaDB, RDS and Aurora included, over PyMySQL.

From below: ``quoting`` and ``verifiers`` know no server; ``errors`` says what error numbers mean; ``connection`` logs
in and runs statements; ``grants`` compares what accounts may do; ``accounts`` are the facts of an account, which
``dialects`` reads and changes, in ``mysql`` and ``mariadb`` for each server; ``clone`` synchronizes one user with
another; ``session`` is one login. The server itself says which of the two it is: a MariaDB server is handled as
MariaDB even if its secret says ``mysql``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import second_name
from rotators.engines.mysql.connection import connect, start_tls
from rotators.engines.mysql.session import MariadbSession, MysqlSession, open_session, renew_expired
from rotators.engines.mysql.verifiers import CACHING_SHA2, NATIVE, SHA256
from rotators.engines.specs import SPECS, EngineSpec
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    import socket

    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions, ExpiredRenewal


class MysqlEngine:
    """The engine for secrets that say ``mysql``, ``aurora-mysql`` or ``aurora``."""

    spec: ClassVar[EngineSpec] = SPECS["mysql"]
    name: ClassVar[str] = spec.name
    default_port: ClassVar[int] = spec.port
    second_password: ClassVar[bool] = spec.second_password
    blocks_users: ClassVar[bool] = spec.blocks_users
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(spec.longest_password)
    spoken: ClassVar[frozenset[str]] = frozenset({NATIVE, CACHING_SHA2, SHA256})
    """The authentication plugins. The last two send the password itself, only to a verified server."""

    def other_name(self, username: str) -> str:
        """The other of the pair.

        Raises:
            UserPairMismatch: its name would be empty, or longer than the server takes.
        """
        return second_name(username, self.spec)

    def connect(self, credentials: Credentials, options: ConnectOptions) -> MysqlSession | MariadbSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""
        connection = connect(credentials, self.default_port, options, self.spoken)
        return open_session(connection, credentials.username, admin=options.admin)

    def start_tls(self, plain: socket.socket) -> None:
        """See :class:`rotators.engines.inspection.StartsTls`."""
        start_tls(plain)

    def renew_expired(self, credentials: Credentials, options: ConnectOptions, new: str) -> None:
        """Set another password with one that has expired; see :class:`rotators.engines.base.ExpiredRenewal`."""
        connection = connect(credentials, self.default_port, options, self.spoken, expired=True)
        renew_expired(connection, new, credentials.password)


class MariadbEngine(MysqlEngine):
    """The engine for secrets that say ``mariadb``."""

    spec: ClassVar[EngineSpec] = SPECS["mariadb"]
    name: ClassVar[str] = spec.name
    # MariaDB has no plugin that is sent the password: a server that asks for it is another one.
    spoken: ClassVar[frozenset[str]] = frozenset({NATIVE})


if TYPE_CHECKING:
    _renewal: type[ExpiredRenewal] = MysqlEngine
