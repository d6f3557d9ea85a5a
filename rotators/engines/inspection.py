"""Optional abilities of engines and sessions that a check uses, and a rotation does not."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class ServerFacts:
    """What a server reports about itself.

    Args:
        product: ``PostgreSQL``, ``MariaDB``.
        version: the version, as the server spells it.
    """

    product: str
    version: str

    def __str__(self) -> str:
        return f"{self.product} {self.version}"


@runtime_checkable
class Inspectable(Protocol):
    """A session that can read the server's product and version."""

    def facts(self) -> ServerFacts:
        """Product and version.

        Raises:
            ServiceError: the server did not answer.
        """


@runtime_checkable
class CountsRefusals(Protocol):
    """A session that knows whether refused logins lock its account."""

    def refusals_afforded(self) -> int | None:
        """How many wrong passwords do not lock the account; None: any number.

        Raises:
            ServiceError: the server did not answer.
        """


@runtime_checkable
class PasswordRules(Protocol):
    """A session that knows the server's rules for a new password."""

    def check_password(self, sample: str) -> None:
        """Check a sample against the server's rules, without a change.

        Args:
            sample: a password made only for this.

        Raises:
            PasswordRefused: the server would refuse it.
        """


@runtime_checkable
class StartsTls(Protocol):
    """An engine whose TLS can be checked without a login."""

    def start_tls(self, plain: socket.socket) -> None:
        """Bring a new connection to the point where the TLS handshake begins.

        Raises:
            OSError: the server offers no TLS, or uses another protocol.
        """


@runtime_checkable
class RecordsStatements(Protocol):
    """A session that can record those of its statements that change something."""

    def record(self) -> list[str]:
        """Record statements from now on.

        Returns:
            A list to which each statement is added, with passwords and verifiers masked.
        """


@runtime_checkable
class ExplainsSync(Protocol):
    """An admin's session that can say what :meth:`rotators.engines.base.CloneAdmin.sync_clone` would change."""

    def explain_sync(self, pair: object) -> list[str]:
        """The statements, or the difference in privileges, without running anything.

        Args:
            pair: from ``inspect_pair``.
        """
