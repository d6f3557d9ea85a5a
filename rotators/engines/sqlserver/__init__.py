"""SQL Server, RDS for SQL Server included, over python-tds.

``quoting`` spells names and values, ``errors`` maps error numbers, ``tls`` verifies the server, ``connection`` logs in
and runs statements, ``catalog`` reads what the server says of its logins and users, ``passwords`` sets theirs,
``powers`` compares what two may do, ``clone`` synchronizes one with another, and ``session`` is one login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import second_name
from rotators.engines.specs import SPECS
from rotators.engines.sqlserver.connection import connect
from rotators.engines.sqlserver.session import SqlserverSession
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

_SPEC = SPECS["sqlserver"]


class SqlserverEngine:
    """The engine for secrets that say ``sqlserver``."""

    name: ClassVar[str] = _SPEC.name
    default_port: ClassVar[int] = _SPEC.port
    second_password: ClassVar[bool] = _SPEC.second_password
    blocks_users: ClassVar[bool] = _SPEC.blocks_users
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(_SPEC.longest_password)

    def other_name(self, username: str) -> str:
        """The other of the pair.

        Raises:
            UserPairMismatch: its name would be empty, or longer than the server takes.
        """
        return second_name(username, _SPEC)

    def connect(self, credentials: Credentials, options: ConnectOptions) -> SqlserverSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""
        return SqlserverSession(connect(credentials, self.default_port, options))
