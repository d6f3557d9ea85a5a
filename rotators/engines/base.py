"""The contract between a strategy and a database.

An :class:`Engine` knows how to connect; a :class:`Session` is one login. What a session can do beyond logging in
is a protocol of its own: a strategy asks ``isinstance(session, Staged)``, never for the engine's name.

Every method raises only errors of :mod:`rotators.errors`: a driver's exceptions end here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, runtime_checkable

from rotators.errors import PairRefused

if TYPE_CHECKING:
    from types import TracebackType

    from rotators.credentials import Credentials
    from rotators.passwords import PasswordLimits


@dataclass(frozen=True)
class ConnectOptions:
    """How to reach the server.

    Args:
        timeout: seconds for the connection to stand, and for any one statement to be answered.
        ca_file: the CA certificates to trust (PEM).
        server_name: the name to verify in the certificate; None: the host's own.
        plaintext: no TLS at all. Only where secret and function both demand it.
        time_left: seconds that there are in all, for what a server does after it has answered.
    """

    timeout: float
    ca_file: str | None = None
    server_name: str | None = None
    plaintext: bool = False
    time_left: float = 30.0


class Session(Protocol):
    """One login."""

    def verify(self, test_query: str | None) -> None:
        """Show that this login can work: read something, and run the test query (changing nothing)."""

    def check_rotatable(self) -> None:
        """Make sure that the password of the user who is logged in can be rotated, here.

        Raises:
            ReadOnlyServer: this is a replica.
            UserNotRotatable: the user logs in by other means, or is no application's user.
        """

    def close(self) -> None:
        """End the session; never raises."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


@runtime_checkable
class OwnPassword(Protocol):
    """A session whose user can change its own password."""

    def set_own_password(self, new: str, old: str) -> None:
        """Change the password of the user who is logged in.

        Args:
            new: the password from now on.
            old: the one that this session logged in with.

        Raises:
            PasswordRefused: the server's policy says no.
            PermissionRefused: this user may not change its password.
        """


@runtime_checkable
class Staged(Protocol):
    """A session in which a password's change takes effect at the end of a transaction."""

    def staged(self) -> AbstractContextManager[None]:
        """A transaction: what is set inside takes effect at its end, or not at all where the inside raises.

        Raises:
            ConnectionLost: the end was asked for and its answer lost: it may have taken effect.
        """


@runtime_checkable
class OtherPassword(Protocol):
    """An admin's session."""

    def check_user(self, user: str) -> None:
        """Find out whether :meth:`set_password` would succeed, changing nothing.

        Raises:
            What set_password would raise, but for the password itself.
        """

    def set_password(self, user: str, new: str) -> None:
        """Change another user's password.

        Raises:
            PasswordRefused: the server's policy says no.
            PermissionRefused: the admin may not; the text says which grant is missing.
            UserNotRotatable: there is no such user, or it has no password to rotate.
        """


@runtime_checkable
class SecondPassword(Protocol):
    """A session whose user can keep its present password beside a new one."""

    def second_password_obstacle(self) -> str | None:
        """What stands against it here (a version, or the grant that would change it); None where nothing does."""

    def add_own_password(self, new: str, old: str) -> None:
        """Add a password; the one before the present one ends.

        Raises:
            ServiceFailed: the present one is not ``old``: it was added already, perhaps.
            PasswordRefused: the server's policy says no.
        """


@runtime_checkable
class OtherSecondPassword(Protocol):
    """An admin's session that can do the same for another user."""

    adding_repeats: ClassVar[bool]
    """Whether ``add_password`` may be asked for twice; else the second time would push the present one out."""

    def check_user(self, user: str) -> None:
        """See :class:`OtherPassword`."""

    def add_password(self, user: str, new: str, old: str) -> None:
        """Add a password to another user; ``old``, the present one, lives on, and no third one.

        Raises:
            PasswordRefused: the server's policy says no.
            PermissionRefused: the admin may not.
            UserNotRotatable: there is no such user, or it can't have two passwords.
        """


@runtime_checkable
class TwinMaker(Protocol):
    """An admin's session that can make one user the equal of another."""

    def check_twin(self, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
        """Find out whether :meth:`ensure_twin` would succeed, changing nothing.

        Args:
            user: the one whose secret is current.
            twin: the other of the pair.
            acquainted: tells whether the secret has held the twin before, where the server itself can't tell whose
                a user of that name is.

        Raises:
            PairRefused: the twin is somebody else's user.
            And what ensure_twin would raise.
        """

    def ensure_twin(self, user: str, twin: str, password: str) -> None:
        """Make the twin if it is missing, level all that both may do, and set the twin's password last.

        Args:
            user: the one whose secret is current.
            twin: the other of the pair.
            password: the twin's, from now on.

        Raises:
            PairRefused: the two are not a pair: the twin is somebody else's user.
            PasswordRefused: the server's policy says no.
            PermissionRefused: the admin may not; the text says which grant is missing.
            UserNotRotatable: one of the two is no application's user.
        """


class Engine(Protocol):
    """A kind of database."""

    name: ClassVar[str]
    default_port: ClassVar[int]
    second_password: ClassVar[bool]
    """Whether some version of it keeps two passwords for a user."""
    password_limits: ClassVar[PasswordLimits]

    def twin_name(self, username: str) -> str:
        """The other of the pair: ``app`` and ``app_clone``, in either direction.

        Raises:
            PairRefused: the engine can't have a user of that name.
        """

    def connect(self, credentials: Credentials, options: ConnectOptions) -> Session:
        """Log in.

        Raises:
            Unreachable: no connection: DNS, refused, no route, time-out.
            TlsFailed: no TLS, or the certificate is not the one it should be.
            LoginRefused: wrong user or password.
            PermissionRefused: the user may not use that database.
            ServiceError: anything else.
        """


CLONE_SUFFIX = "_clone"


def require_length(username: str, twin: str, length: int, longest: int, takes: str) -> None:
    """Make sure that the twin's name is one that the server keeps whole.

    Args:
        username: the user whose twin it is.
        twin: its name.
        length: of it, as the server counts.
        longest: the most that the server takes.
        takes: what it takes, for the message: ``PostgreSQL keeps names of 1 to 63 bytes``.

    Raises:
        PairRefused: it is empty, or too long.
    """
    if not 1 <= length <= longest:
        unit = "bytes" if takes.endswith("bytes") else "characters"
        raise PairRefused(
            f"the other user of '{username}' would be '{twin}', a name of {length} {unit}",
            f"{takes}: give the secret's user a shorter name",
        )


def alternate(username: str) -> str:
    """The name AWS's templates give the other user: ``app_clone`` for ``app``, and ``app`` for ``app_clone``."""
    return username.removesuffix(CLONE_SUFFIX) if username.endswith(CLONE_SUFFIX) else username + CLONE_SUFFIX
