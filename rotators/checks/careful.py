"""An engine that tries no password twice, and respects the server's limits on refused logins."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rotators.engines.inspection import CountsRefusals
from rotators.engines.specs import SPECS
from rotators.errors import LoginRefused, ServiceError

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions, Engine, Session
    from rotators.passwords import PasswordLimits


class CarefulEngine:
    """Wraps an engine, and remembers refused passwords: a refused password is not sent again.

    Args:
        engine: the engine that logs in.
        try_every_password: try passwords even if refused logins may lock the account.
    """

    def __init__(self, engine: Engine, *, try_every_password: bool) -> None:
        self._engine = engine
        self._refused: dict[tuple[str, str], LoginRefused] = {}
        self._count: Counter[str] = Counter()
        self._afforded: dict[str, int | None] = {}
        self._try_every_password = try_every_password

    @property
    def name(self) -> str:
        """The engine's."""
        return self._engine.name

    @property
    def default_port(self) -> int:
        """The engine's."""
        return self._engine.default_port

    @property
    def second_password(self) -> bool:
        """The engine's."""
        return self._engine.second_password

    @property
    def blocks_users(self) -> bool:
        """The engine's."""
        return self._engine.blocks_users

    @property
    def password_limits(self) -> PasswordLimits:
        """The engine's."""
        return self._engine.password_limits

    @property
    def whole(self) -> Engine:
        """The wrapped engine, for its other methods."""
        return self._engine

    def other_name(self, username: str) -> str:
        """The engine's."""
        return self._engine.other_name(username)

    def connect(self, credentials: Credentials, options: ConnectOptions) -> Session:
        """Log in, unless the password was refused before.

        Raises:
            ServiceError: the login failed, now or before.
        """
        key = credentials.username, credentials.password
        before = self._refused.get(key)
        if before is not None:
            raise LoginRefused(before.what, before.advice)
        try:
            return self._engine.connect(credentials, options)
        except LoginRefused as error:
            self._refused[key] = error
            self._count[credentials.username] += 1
            raise

    def learn(self, session: Session, *usernames: str) -> None:
        """Ask a session how many refused logins lock its account. The second user is assumed to have the same rule."""
        if isinstance(session, CountsRefusals):
            try:
                afforded = session.refusals_afforded()
            except ServiceError:
                return
            for username in usernames:
                self._afforded[username] = afforded

    def why_not(self, username: str) -> str | None:
        """Why a password that may be wrong should not be tried; None if it may be."""
        spec = SPECS.get(self.name)
        locks = "a policy that is not known here" if spec is None else spec.locks
        if self._try_every_password or not locks:
            return None
        afforded = self._afforded.get(username, 0)
        if afforded is None or self._count[username] < afforded:
            return None
        return f"refused logins may lock '{username}' ({locks})"
