"""What a check may ask of an engine and its sessions, beyond what a rotation needs: each is optional."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself.

    Args:
        product: ``PostgreSQL``, ``MariaDB``.
        version: as it spells it.
    """

    product: str
    version: str

    def __str__(self) -> str:
        return f"{self.product} {self.version}"


@runtime_checkable
class Inspectable(Protocol):
    """A session that tells which server it is."""

    def facts(self) -> ServerFacts:
        """Product and version.

        Raises:
            ServiceError: the server did not answer.
        """


@runtime_checkable
class CountsRefusals(Protocol):
    """A session that knows whether refused logins lock its account."""

    def refusals_afforded(self) -> int | None:
        """How many wrong passwords the account can stand without being locked; None: any number.

        Raises:
            ServiceError: the server did not tell.
        """


@runtime_checkable
class PasswordRules(Protocol):
    """A session that knows what the server asks of a new password."""

    def check_password(self, sample: str) -> None:
        """Compare a sample with the server's rules, changing nothing.

        Args:
            sample: a password made for this alone.

        Raises:
            PasswordRefused: the server would refuse it.
        """


@runtime_checkable
class StartsTls(Protocol):
    """An engine whose TLS can be looked at without logging in."""

    def start_tls(self, plain: socket.socket) -> None:
        """Bring a new connection to where the TLS handshake begins.

        Raises:
            OSError: the server offers none, or speaks another protocol.
        """


@runtime_checkable
class RecordsStatements(Protocol):
    """A session that can note which of its statements change something."""

    def record(self) -> list[str]:
        """From now on, note them.

        Returns:
            a list that grows with each; passwords and verifiers in it are masked.
        """


@runtime_checkable
class ExplainsSync(Protocol):
    """An admin's session that tells what :meth:`rotators.engines.base.CloneAdmin.sync_clone` would change."""

    def explain_sync(self, pair: object) -> list[str]:
        """The statements, or the difference in rights, without running anything.

        Args:
            pair: from ``inspect_pair``.
        """
