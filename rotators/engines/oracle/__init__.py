"""Oracle Database, RDS for Oracle included, over python-oracledb in its thin mode.

``quoting`` reads and spells users and passwords, ``errors`` maps codes, ``connection`` logs in and runs statements,
``catalog`` reads what the server says of its users, ``passwords`` sets theirs, ``clone`` makes one the equal of
another, and ``session`` is what one login can do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.oracle import quoting
from rotators.engines.oracle.connection import connect
from rotators.engines.oracle.session import OracleSession
from rotators.engines.specs import SPECS
from rotators.errors import LoginRefused, UserPairMismatch
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    import socket

    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

_SPEC = SPECS["oracle"]


class OracleEngine:
    """The engine for secrets that say ``oracle``."""

    name: ClassVar[str] = _SPEC.name
    default_port: ClassVar[int] = _SPEC.port
    second_password: ClassVar[bool] = _SPEC.second_password
    blocks_users: ClassVar[bool] = _SPEC.blocks_users
    # A password can't hold the quotes that it stands in.
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(_SPEC.longest_password, never='"')

    def other_name(self, username: str) -> str:
        """The other of the pair, spelled as the first: quoted, in lower or in upper case.

        Raises:
            UserPairMismatch: the engine can't have a user of that name.
        """
        other = quoting.alternate(username)
        length = _SPEC.name_unit.length(quoting.fold(other))
        if not 1 <= length <= _SPEC.longest_name or not quoting.possible(other) or quoting.is_proxied(other):
            raise UserPairMismatch(
                f"the other user of '{username}' would be '{other}', a name of {length} bytes",
                f"Oracle takes names of 1 to {_SPEC.longest_name} bytes without double quotes: "
                "give the user another name",
            )
        return other

    def connect(self, credentials: Credentials, options: ConnectOptions) -> OracleSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""

        def logs_in(user: str, password: str) -> bool:
            try:
                connect(credentials.replace(username=user, password=password), self.default_port, options).close()
            except LoginRefused:
                return False
            return True

        return OracleSession(connect(credentials, self.default_port, options), logs_in)

    def start_tls(self, plain: socket.socket) -> None:
        """Nothing: the connection is TLS from its first byte on."""
