"""Amazon Redshift, provisioned and Serverless, over psycopg2.

``session`` is what one login can do, ``catalog`` reads who is who and what was granted, ``passwords`` makes verifiers,
and ``clone`` synchronizes one user with another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import second_name
from rotators.engines.libpq.connection import LibpqConnection
from rotators.engines.libpq.login import MD5, Product, connect, start_tls
from rotators.engines.redshift.session import RedshiftSession
from rotators.engines.specs import SPECS
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    import socket

    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions, Engine

_SPEC = SPECS["redshift"]
# libpq proves no other: https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
_PRODUCT = Product(_SPEC.title, _SPEC.port, "dev", (MD5,))
_BEGIN = ("BEGIN",)


class RedshiftEngine:
    """The engine for secrets that say ``redshift``."""

    name: ClassVar[str] = _SPEC.name
    default_port: ClassVar[int] = _SPEC.port
    second_password: ClassVar[bool] = _SPEC.second_password
    blocks_users: ClassVar[bool] = _SPEC.blocks_users
    # https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(_SPEC.longest_password, never="'\"\\/@ ")

    def other_name(self, username: str) -> str:
        """The other user of the pair.

        Raises:
            UserPairMismatch: its name would be empty, or longer than Redshift keeps.
        """
        return second_name(username, _SPEC)

    def connect(self, credentials: Credentials, options: ConnectOptions) -> RedshiftSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""
        return RedshiftSession(self._connection(credentials, options))

    def start_tls(self, plain: socket.socket) -> None:
        """See :class:`rotators.engines.inspection.StartsTls`."""
        start_tls(plain)

    def _connection(self, credentials: Credentials, options: ConnectOptions) -> LibpqConnection:
        def connect_to(dbname: str) -> LibpqConnection:
            return self.connect(credentials.replace(dbname=dbname), options).connection

        return LibpqConnection(
            connect(credentials, _PRODUCT, options),
            product=_PRODUCT,
            credentials=credentials,
            options=options,
            begin=_BEGIN,
            connect_to=connect_to,
        )


if TYPE_CHECKING:
    _engine: type[Engine] = RedshiftEngine
