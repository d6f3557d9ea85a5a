"""Amazon Redshift, provisioned and Serverless, over psycopg2.

Logging in is ``rotators.engines.postgres.connection``'s, with Redshift's own words added. ``session`` is what one
login can do, ``catalog`` reads what was granted, and ``twin`` makes one user the equal of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import alternate, require_length
from rotators.engines.postgres.connection import connect
from rotators.engines.redshift.session import RedshiftSession
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

# Bytes: https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
_LONGEST_NAME = 127


class RedshiftEngine:
    """The engine for secrets that say ``redshift``."""

    name: ClassVar[str] = "redshift"
    default_port: ClassVar[int] = 5439
    second_password: ClassVar[bool] = False
    # https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(longest=64, never="'\"\\/@ ")

    def twin_name(self, username: str) -> str:
        """The other of the pair.

        Raises:
            PairRefused: its name would be empty, or longer than Redshift keeps.
        """
        twin = alternate(username)
        length = len(twin.encode())
        require_length(username, twin, length, _LONGEST_NAME, f"Redshift keeps names of 1 to {_LONGEST_NAME} bytes")
        return twin

    def connect(self, credentials: Credentials, options: ConnectOptions) -> RedshiftSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""

        def elsewhere(dbname: str) -> RedshiftSession:
            return self.connect(credentials.replace(dbname=dbname), options)

        connection = connect(credentials, self.default_port, options, product="Redshift", database="dev")
        return RedshiftSession(connection, credentials.host, options.timeout, elsewhere)
