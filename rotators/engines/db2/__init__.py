"""RDS for Db2, over ibm_db.

There a user is one of the host, and the admin alone gives it a password, by a task that is done some time after it was
asked for. ``connection`` logs in and names what went wrong, ``session`` is what one login can do, ``tasks`` asks for
tasks and waits until they are done, ``catalog`` reads what was granted, ``twin`` makes one user the equal of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import alternate
from rotators.engines.db2.connection import NEVER_IN_A_VALUE, USER, connect
from rotators.engines.db2.session import Db2Session
from rotators.errors import LoginRefused, PairRefused
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions


class Db2Engine:
    """The engine for secrets that say ``db2``."""

    name: ClassVar[str] = "db2"
    default_port: ClassVar[int] = 50000
    second_password: ClassVar[bool] = False
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/db2-sp-granting-revoking-privileges.html
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(longest=128, never=NEVER_IN_A_VALUE)

    def twin_name(self, username: str) -> str:
        """The other of the pair.

        Raises:
            PairRefused: the host can't have a user of that name.
        """
        twin = alternate(username)
        if not USER.fullmatch(twin):
            raise PairRefused(
                f"the other user of '{username}' would be '{twin}'",
                "the host takes names of 1 to 32 letters, digits and underscores, and no digit first: rename the user",
            )
        return twin

    def connect(self, credentials: Credentials, options: ConnectOptions) -> Db2Session:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""

        def elsewhere(dbname: str) -> Db2Session:
            return self.connect(credentials.replace(dbname=dbname), options)

        def logs_in(user: str, password: str) -> bool:
            login = credentials.replace(username=user, password=password)
            try:
                self.connect(login, options).close()
            except LoginRefused:
                return False
            return True

        connection = connect(credentials, self.default_port, options)
        return Db2Session(connection, credentials, options, elsewhere, logs_in)
