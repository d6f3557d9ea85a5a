"""The contract between a strategy and a database.

An :class:`Engine` knows how to connect; a :class:`Session` is one login. What a session can do beyond logging in
is a protocol of its own: a strategy asks for a protocol, never for the engine's name.

A login proves an :class:`~rotators.engines.identity.Account`, and an admin's methods take accounts only: none takes
a user's name out of a secret.

Every method raises only errors of :mod:`rotators.errors`: a driver's exceptions end here.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, runtime_checkable

from rotators.engines.identity import Account, Pair
from rotators.engines.specs import EngineSpec
from rotators.errors import Unreachable, UserPairMismatch

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
        deadline: when all must have ended, on the clock of ``time.monotonic``.
        admin: the login is an admin's, whose password no relay may use: tie it to the TLS connection where the
            server can.
    """

    timeout: float
    ca_file: str | None = None
    server_name: str | None = None
    plaintext: bool = False
    deadline: float = field(default_factory=lambda: time.monotonic() + 30.0)
    admin: bool = False

    @property
    def time_left(self) -> float:
        """Seconds until the deadline; never negative."""
        return max(0.0, self.deadline - time.monotonic())

    def limit(self, target: str) -> float:
        """Seconds that the next connection or statement may take: the time-out, but never beyond the deadline.

        Args:
            target: what is to be asked, for the message.

        Raises:
            Unreachable: there is no time left to ask anything.
        """
        left = self.time_left
        if left <= _TOO_SHORT:
            raise Unreachable(
                f"{target}: the invocation's time is over before it could be asked",
                "raise the function's time-out (60 s is a good one), and see which hop took the time",
            )
        return min(self.timeout, left)


# Less would fail healthy servers, and leave no time to say why.
_TOO_SHORT = 0.25


class Session(Protocol):
    """One login."""

    @property
    def account(self) -> Account:
        """Who logged in, as the server sees it."""

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
class SelfServicePassword(Protocol):
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
class ExpiredRenewal(Protocol):
    """An engine whose server lets a user in whose password has expired, to set another one and for nothing else."""

    def renew_expired(self, credentials: Credentials, options: ConnectOptions, new: str) -> None:
        """Log in with a password that has expired, and set another.

        Raises:
            PasswordRefused: the server's policy says no.
            ServiceError: as the engine's ``connect``.
        """


@runtime_checkable
class SelfServiceCheck(Protocol):
    """A session that can tell beforehand whether its user may change its own password."""

    def check_can_set_own_password(self) -> None:
        """Find out whether ``set_own_password`` would be permitted, changing nothing.

        Raises:
            PermissionRefused: it would not; the text says which grant is missing.
        """


@runtime_checkable
class SiblingAccounts(Protocol):
    """A session on a server where a user may have several accounts, each with its own password: MySQL's hosts."""

    def siblings(self, account: Account, password: str) -> list[str] | None:
        """The other accounts of a user that log in with a password.

        Args:
            account: the user's, as a login proved it.
            password: the one in question.

        Returns:
            those beside ``account`` itself, as statements spell them; None where whoever is logged in may not see them.
        """


@runtime_checkable
class WrongPasswordLimit(Protocol):
    """A session whose server blocks users after wrong passwords, and tells after how many."""

    def wrong_passwords_allowed(self) -> int | None:
        """How many wrong passwords in a row block the user who is logged in; None: no number does."""


@runtime_checkable
class TransactionalPassword(Protocol):
    """A session in which a password's change takes effect at the end of a transaction."""

    def transaction(self) -> AbstractContextManager[None]:
        """A transaction: what is set inside takes effect at its end, or not at all where the inside raises.

        Raises:
            ConnectionLost: the end was asked for and its answer lost: it may have taken effect.
        """


@runtime_checkable
class AccountAdmin(Protocol):
    """An admin's session: it sets the passwords of accounts."""

    @property
    def account(self) -> Account:
        """Who the admin is."""

    def recognize(self, account: Account, password: str) -> Account:
        """The account that a login proved, as the admin sees it.

        Args:
            account: from the session that logged in with ``password``, at the admin's own host and port.
            password: the one that logged in. Where a server has several accounts of one name (MySQL's hosts), it
                tells which of them are this user's: the others are left alone.

        Returns:
            the account, widened to all that have this password.

        Raises:
            UserNotRotatable: there is no such account, or more than one that it could be.
        """

    def find_account(self, name: str) -> Account | None:
        """The account that a name from the function's own settings means; None where there is none.

        Never called with a name out of a secret: that is no proof of anything.

        Raises:
            UserNotRotatable: there are several of that name.
        """

    def check_can_set_password(self, account: Account) -> None:
        """Find out whether :meth:`set_password` would succeed, changing nothing.

        Raises:
            UserNotRotatable: the account is a superuser or an admin, or logs in by other means than a password.
            PermissionRefused: the admin may not; the text says which grant is missing.
        """

    def set_password(self, account: Account, new: str) -> None:
        """Change an account's password, and end every other one that it has.

        Raises:
            PasswordRefused: the server's policy says no.
            PermissionRefused: the admin may not; the text says which grant is missing.
        """


@runtime_checkable
class SecondPassword(Protocol):
    """A session whose user can keep its present password beside a new one."""

    def why_no_second_password(self) -> str | None:
        """What stands against it here (a version, or the grant that would change it); None where nothing does."""

    def add_own_password(self, new: str, old: str) -> None:
        """Add a password; the one before the present one ends.

        Raises:
            CurrentPasswordMismatch: the present one is not ``old``: it was added already, perhaps.
            PasswordRefused: the server's policy says no.
        """


@runtime_checkable
class SecondPasswordAdmin(Protocol):
    """An admin's session that can do the same for another account."""

    def check_can_add_password(self, account: Account) -> None:
        """Find out whether :meth:`add_password` would succeed, changing nothing."""

    def add_password(self, account: Account, new: str, old: str) -> None:
        """Add a password to an account; ``old``, the present one, lives on, and no third one.

        May be repeated after any failure: where ``new`` was added already, ``old`` lives on all the same.

        Raises:
            PasswordRefused: the server's policy says no.
            PermissionRefused: the admin may not.
            UserNotRotatable: it can't have two passwords.
        """


@runtime_checkable
class CloneAdmin(Protocol):
    """An admin's session that can make one user the equal of another."""

    def inspect_pair(self, current: Account, other_name: str) -> Pair:
        """Look at the two users of a secret, changing nothing.

        What proves that they are a pair is something that neither the secret's writer nor the users themselves can
        make. The source is the user without ``_clone``, unless a mark says otherwise.

        Args:
            current: the account that was proven.
            other_name: the second user's name, as :meth:`Engine.other_name` forms it.

        Raises:
            UserNotRotatable: one of the two is no application's user.
        """

    def check_can_sync(self, pair: Pair) -> None:
        """Find out whether :meth:`sync_clone`, and setting the second user's password after it, would succeed.

        Raises:
            PermissionRefused: the admin may not; the text says which grant is missing.
            UserNotRotatable: one of the two has something that can't be copied.
        """

    def sync_clone(self, pair: Pair) -> Account:
        """Give the clone exactly what the source has, and leave the mark that the two are a pair.

        A user who is not there is made, with a password that nobody knows. Accounts of ``pair.current`` are never
        locked, narrowed or given another password. May be repeated after any failure.

        Returns:
            the second user's account, whose password the strategy sets next, as the last thing.

        Raises:
            PermissionRefused: the admin may not; the text says which grant is missing.
        """


class Engine(Protocol):
    """A kind of database."""

    name: ClassVar[str]
    default_port: ClassVar[int]
    second_password: ClassVar[bool]
    """Whether some version of it keeps two passwords for a user."""
    blocks_users: ClassVar[bool]
    """Whether it may block a user after wrong passwords: then a refused login is not repeated without need."""
    password_limits: ClassVar[PasswordLimits]

    def other_name(self, username: str) -> str:
        """The other user of the pair: ``app`` and ``app_clone``, in either direction.

        Raises:
            UserPairMismatch: the engine can't have a user of that name.
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


def alternate(username: str) -> str:
    """The name AWS's templates give the other user: ``app_clone`` for ``app``, and ``app`` for ``app_clone``."""
    return username.removesuffix(CLONE_SUFFIX) if username.endswith(CLONE_SUFFIX) else username + CLONE_SUFFIX


def second_name(username: str, spec: EngineSpec) -> str:
    """The other user of a pair, where the server keeps its name whole.

    Args:
        username: the user whose secret it is.
        spec: of the engine.

    Raises:
        UserPairMismatch: its name would be empty, or too long.
    """
    other = alternate(username)
    length, unit = spec.name_unit.length(other), spec.name_unit.value
    if not 1 <= length <= spec.longest_name:
        raise UserPairMismatch(
            f"the other user of '{username}' would be '{other}', a name of {length} {unit}",
            f"{spec.title} takes names of 1 to {spec.longest_name} {unit}: give the secret's user a shorter name",
        )
    return other
