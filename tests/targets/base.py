"""What the suites ask of a database's target, and a secret of it under rotation."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from rotators.database import DatabaseRotator
from rotators.errors import LoginRefused
from rotators.testing import RotationService

SINGLE, ALTERNATING, DUAL = "single-user", "alternating-users", "dual-password"
# Seconds to wait for what was just written: the simulated service shows it at once, where a test asks for no lag.
PATIENCE = 0.1
_numbers = itertools.count(1)


def fresh_name() -> str:
    """A user's name that no other test has."""
    return f"app{next(_numbers)}_{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Application:
    """An application's user, with something to work on."""

    username: str
    password: str


class Target(Protocol):
    """A server of an engine, as the suites use it."""

    strategies: frozenset[str]
    refusals: tuple[type[Exception], ...]
    passwords: set[str]
    part: slice
    """Which of the packets and statements to break here: two versions of one server share them out."""

    def make_application(self) -> Application:
        """A new user made by the admin, with a table of its own and one that it may read."""

    def make_bare(self, username: str) -> Application:
        """A new user who may log in, and nothing more."""

    def secret(self, application: Application, **extra: Any) -> dict[str, Any]:
        """The JSON of its secret."""

    def admin_secret(self) -> dict[str, Any]:
        """The JSON of the admin's secret."""

    def rotator(self, service: RotationService, **variables: str) -> DatabaseRotator:
        """A function for this engine."""

    def log_in(self, secret: Mapping[str, Any]) -> None:
        """Log in and out; raises one of ``refusals`` where it is refused."""

    def work(self, secret: Mapping[str, Any]) -> None:
        """Log in and do all that the application does: read what was granted, write and alter what it owns."""

    def set_password(self, username: str, password: str) -> None:
        """Change a password behind Secrets Manager's back."""

    def log_mark(self) -> int:
        """A place in the server's log."""

    def log_since(self, mark: int) -> str:
        """What the server has logged since."""

    def log_text(self) -> str:
        """All that the server has written down: no password may stand in it."""

    def failed_logins(self, log: str) -> int:
        """How many refused passwords a piece of the log tells of."""


@dataclass(frozen=True)
class StandIn:
    """What takes the place of a server that can't be installed."""

    name: str


class Refusals:
    """What logins were refused, for targets without a log of the server's: it, or its driver, writes no password down.

    Args:
        refused: where they are noted, by the target's server or by ``noting``.
    """

    def __init__(self, refused: list[str]) -> None:
        self.refused = refused

    def noting(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        """An engine's way to connect, with each refused login noted."""

        def note(credentials: Any, *arguments: Any) -> Any:
            try:
                return connect(credentials, *arguments)
            except LoginRefused:
                self.refused.append(credentials.username)
                raise

        return note

    def log_mark(self) -> int:
        return len(self.refused)

    def log_since(self, mark: int) -> str:
        return "".join("refused\n" for _ in self.refused[mark:])

    def log_text(self) -> str:
        return ""

    def failed_logins(self, log: str) -> int:
        return log.count("refused")


@dataclass(frozen=True)
class Kind:
    """A kind of server that the suites run on.

    Args:
        name: as a test's id shows it.
        strategies: what this engine can do.
        servers: those that are available here, each with the rest of its id; none: the tests skip, or fail in CI.
        start: opens a server as a target.
        missing: what to install where there is none.
        one_connection: each session is one connection, so that its packets can be counted and lost.
        impossible: characters that no password of it can hold.
        hides_which: of two passwords nobody can see which is which, so that the pending one is tried first.
    """

    name: str
    strategies: frozenset[str]
    servers: Callable[[], list[tuple[str, Any]]]
    start: Callable[[Any], AbstractContextManager[Any]]
    missing: str
    one_connection: bool = True
    impossible: str = ""
    hides_which: bool = False


@dataclass(frozen=True)
class Rotated:
    """A secret of an application under rotation by one strategy."""

    target: Any
    service: RotationService
    arn: str
    application: Application
    strategy: str
    rotator: DatabaseRotator

    @property
    def value(self) -> dict[str, Any]:
        """What AWSCURRENT holds."""
        return self.service.value(self.arn)

    def logs_in(self, stage: str) -> bool:
        """Whether the password of a label works."""
        try:
            self.target.log_in(self.service.value(self.arn, stage))
        except (KeyError, *self.target.refusals):
            return False
        return True


def rotated(target: Any, service: RotationService, strategy: str, **extra: Any) -> Rotated:
    """Make an application, its secret and its function.

    Args:
        extra: further keys of the secret, or variables of the function (in capitals). Where one of them is an order
            that must name its user, ROTATION_USERS does.
    """
    variables = {"ROTATION_STRATEGY": strategy} | {key: value for key, value in extra.items() if key.isupper()}
    keys = {key: value for key, value in extra.items() if not key.isupper()}
    application = keys.pop("application", None) or target.make_application()
    name = f"secret-of-{secrets.token_hex(4)}"
    if {"ALLOW_ADMIN_RESET", "ROTATION_TWIN"} & variables.keys():
        variables.setdefault("ROTATION_USERS", json.dumps({name: application.username}))
    rotator = target.rotator(service, **variables)
    if strategy != SINGLE or getattr(target, "needs_admin", False):
        admin = service.create_secret(f"admin-{secrets.token_hex(4)}", target.admin_secret(), rotator)
        keys = {"masterarn": admin, **keys}
    arn = service.create_secret(name, target.secret(application, **keys), rotator)
    return Rotated(target, service, arn, application, strategy, rotator)
