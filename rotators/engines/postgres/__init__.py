"""PostgreSQL, RDS for PostgreSQL and Aurora PostgreSQL, versions 12 to 18, over psycopg2.

``session`` is what one login can do; ``clone`` is how an admin gives one role exactly what another one has; ``roles``
reads the catalog, ``ownership`` hands over what belongs to the clone, ``passwords`` makes verifiers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import second_name
from rotators.engines.libpq.connection import LibpqConnection
from rotators.engines.libpq.errors import LockHeld, NoAnswer
from rotators.engines.libpq.login import MD5, SCRAM, Product, connect, start_tls
from rotators.engines.postgres.session import PostgresSession
from rotators.engines.specs import SPECS
from rotators.errors import ConnectionLost
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    import socket

    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions, Engine

_SPEC = SPECS["postgres"]
_PRODUCT = Product(_SPEC.title, _SPEC.port, "postgres", (SCRAM, MD5))
# READ WRITE: a role's default_transaction_read_only is a default, and passwords are no data.
_BEGIN = ("BEGIN READ WRITE",)
_NO_TIMEOUTS = "-c statement_timeout=0 -c lock_timeout=0"
_TRANSACTION_TIMEOUT_SINCE = 17


class PostgresEngine:
    """The engine for secrets that say ``postgres``, ``postgresql`` or ``aurora-postgresql``."""

    name: ClassVar[str] = _SPEC.name
    default_port: ClassVar[int] = _SPEC.port
    second_password: ClassVar[bool] = _SPEC.second_password
    blocks_users: ClassVar[bool] = _SPEC.blocks_users
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(_SPEC.longest_password)

    def other_name(self, username: str) -> str:
        """The other of the pair.

        Raises:
            UserPairMismatch: its name would be empty, or longer than PostgreSQL keeps.
        """
        return second_name(username, _SPEC)

    def connect(self, credentials: Credentials, options: ConnectOptions) -> PostgresSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""
        connection = self._connection(credentials, options)
        try:
            return PostgresSession(connection, admin=options.admin)
        except NoAnswer:
            raise
        except (LockHeld, ConnectionLost):
            # The role's or the database's own time-outs may be too short for any statement, and end the connection
            # without a code. Not from the start: some poolers take no options.
            newer = connection.version >= _TRANSACTION_TIMEOUT_SINCE
            startup = _NO_TIMEOUTS + (" -c transaction_timeout=0" if newer else "")
            return PostgresSession(self._connection(credentials, options, startup), admin=options.admin)

    def start_tls(self, plain: socket.socket) -> None:
        """See :class:`rotators.engines.inspection.StartsTls`."""
        start_tls(plain)

    def _connection(self, credentials: Credentials, options: ConnectOptions, startup: str = "") -> LibpqConnection:
        def connect_to(dbname: str) -> LibpqConnection:
            return self.connect(credentials.replace(dbname=dbname), options).connection

        return LibpqConnection(
            connect(credentials, _PRODUCT, options, startup),
            product=_PRODUCT,
            credentials=credentials,
            options=options,
            begin=_BEGIN,
            connect_to=connect_to,
        )


if TYPE_CHECKING:
    _engine: type[Engine] = PostgresEngine
