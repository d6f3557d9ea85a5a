"""DocumentDB and MongoDB, over PyMongo.

``errors`` says what went wrong, ``connection`` logs in and runs commands, ``catalog`` is what the servers say of users
and roles, ``clone`` synchronizes one user with another, and ``session`` is one login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import second_name
from rotators.engines.mongo.connection import connect
from rotators.engines.mongo.session import MongoSession
from rotators.engines.specs import SPECS
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    import socket

    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions, Engine

_SPEC = SPECS["mongo"]


class MongoEngine:
    """The engine for secrets that say ``mongo`` or ``docdb``."""

    name: ClassVar[str] = _SPEC.name
    default_port: ClassVar[int] = _SPEC.port
    second_password: ClassVar[bool] = _SPEC.second_password
    blocks_users: ClassVar[bool] = _SPEC.blocks_users
    # https://docs.aws.amazon.com/documentdb/latest/developerguide/limits.html
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(_SPEC.longest_password, never='/"@')

    def other_name(self, username: str) -> str:
        """The other user of the pair.

        Raises:
            UserPairMismatch: its name would be empty, or longer than DocumentDB takes.
        """
        return second_name(username, _SPEC)

    def connect(self, credentials: Credentials, options: ConnectOptions) -> MongoSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""
        return MongoSession(connect(credentials, self.default_port, options), credentials.dbname)

    def start_tls(self, plain: socket.socket) -> None:
        """Nothing: the connection is TLS from its first byte on."""


if TYPE_CHECKING:
    _engine: type[Engine] = MongoEngine
