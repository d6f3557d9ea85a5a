"""RDS for Db2, over ibm_db.

There a user is one of the host, and the admin alone gives it a password, by a task that is done some time after it was
asked for. ``quoting`` is how names are written, ``errors`` says what went wrong, ``connection`` logs in and runs
statements, ``catalog`` reads who a user is and what was granted, ``tasks`` asks for tasks and waits until they are
done, ``clone`` synchronizes one user with another, and ``session`` is one login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.db2.connection import NEVER_IN_A_VALUE, USER, connect
from rotators.engines.db2.session import Db2Session
from rotators.engines.specs import SPECS
from rotators.errors import UserPairMismatch
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    import socket

    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions, Engine

_SPEC = SPECS["db2"]


class Db2Engine:
    """The engine for secrets that say ``db2``."""

    name: ClassVar[str] = _SPEC.name
    default_port: ClassVar[int] = _SPEC.port
    second_password: ClassVar[bool] = _SPEC.second_password
    blocks_users: ClassVar[bool] = _SPEC.blocks_users
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(_SPEC.longest_password, never=NEVER_IN_A_VALUE)

    def other_name(self, username: str) -> str:
        """The other user of the pair. Its suffix may be in any case, because Db2 ignores case.

        Raises:
            UserPairMismatch: the host can't have a user of that name.
        """
        base, suffix = username[: -len(CLONE_SUFFIX)], username[-len(CLONE_SUFFIX) :]
        other = base if suffix.lower() == CLONE_SUFFIX else username + CLONE_SUFFIX
        if not USER.fullmatch(other):
            raise UserPairMismatch(
                f"the other user of '{username}' would be '{other}'",
                f"the host takes names of 1 to {_SPEC.longest_name} letters, digits and underscores, "
                "and no digit first: rename the user",
            )
        return other

    def connect(self, credentials: Credentials, options: ConnectOptions) -> Db2Session:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""
        return Db2Session(connect(credentials, self.default_port, options))

    def start_tls(self, plain: socket.socket) -> None:
        """Nothing: the connection is TLS from its first byte on."""


if TYPE_CHECKING:
    _engine: type[Engine] = Db2Engine
