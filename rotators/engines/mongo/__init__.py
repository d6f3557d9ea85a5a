"""DocumentDB and MongoDB, over PyMongo.

``connection`` logs in and names what went wrong; ``session`` is what one login can do; ``users`` is what the servers
say of a user; ``twin`` makes one user the equal of another, each time in one command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import alternate, require_length
from rotators.engines.mongo.connection import connect
from rotators.engines.mongo.session import MongoSession
from rotators.passwords import PasswordLimits

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions


class MongoEngine:
    """The engine for secrets that say ``mongo`` or ``docdb``."""

    name: ClassVar[str] = "mongo"
    default_port: ClassVar[int] = 27017
    second_password: ClassVar[bool] = False
    # https://docs.aws.amazon.com/documentdb/latest/developerguide/limits.html: names of 63, passwords of 8 to 100.
    longest_name: ClassVar[int] = 63
    password_limits: ClassVar[PasswordLimits] = PasswordLimits(longest=100, never='/"@')

    def twin_name(self, username: str) -> str:
        """The other of the pair.

        Raises:
            PairRefused: its name would be empty, or longer than DocumentDB takes.
        """
        twin = alternate(username)
        require_length(
            username, twin, len(twin), self.longest_name, f"the server takes names of 1 to {self.longest_name}"
        )
        return twin

    def connect(self, credentials: Credentials, options: ConnectOptions) -> MongoSession:
        """Log in; see :meth:`rotators.engines.base.Engine.connect`."""
        client = connect(credentials, self.default_port, options)
        database = credentials.text("authenticationDatabase") or "admin"
        return MongoSession(client, credentials, database)
