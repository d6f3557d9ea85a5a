"""The contract between a strategy and a database.

An :class:`Engine` knows how to connect; a :class:`Session` is one login. Each further ability of a session has its own
protocol: a strategy asks for a protocol, never for the engine's name.

A login proves an :class:`~rotators.engines.identity.Account`, and an admin's methods take only accounts: none takes a
user's name from a secret.

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
        timeout: seconds to establish the connection, and for the answer to each statement.
        ca_file: the file of CA certificates to trust (PEM).
        server_name: the name to verify in the certificate; None: the host.
        plaintext: whether to use no TLS. Only if secret and function both ask for it.
        deadline: when everything must have ended, on the clock of ``time.monotonic``.
        admin: whether the login is an admin's: bind it to the TLS connection if the server can, so that it can't be
            relayed.
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
        """Seconds that the next connection or statement may take: the time-out, but not beyond the deadline.

        Args:
            target: the server, for the message.

        Raises:
            Unreachable: there is no time left.
        """
        left = self.time_left
        if left <= _TOO_SHORT:
            raise Unreachable(
                f"{target}: the invocation's time is over before it could be asked",
                "raise the function's time-out (60 s is a good one), and see which hop took the time",
            )
        return min(self.timeout, left)


# Seconds. With less, healthy servers would fail, and there would be no time to report why.
_TOO_SHORT = 0.25


class Session(Protocol):
    """One login."""

    @property
    def account(self) -> Account:
        """Who logged in, according to the server."""

    def verify(self, test_query: str | None) -> None:
        """Show that this login works: read something, and run the test query without a change.

        Args:
            test_query: ROTATION_TEST_QUERY; None: only read.

        Raises:
            ServiceError: it does not work.
        """

    def check_rotatable(self) -> None:
        """Require that the password of the logged-in user can be rotated on this server.

        Raises:
            ReadOnlyServer: this is a replica.
            UserNotRotatable: the user does not log in by password, or is not an application's user.
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
        """Change the password of the logged-in user.

        Args:
            new: the new password.
            old: the password with which this session logged in.

        Raises:
            PasswordRefused: the server's password policy refuses it.
            PermissionRefused: this user may not change its password.
        """


@runtime_checkable
class ExpiredRenewal(Protocol):
    """An engine whose server allows a user with an expired password to log in only to set another."""

    def renew_expired(self, credentials: Credentials, options: ConnectOptions, new: str) -> None:
        """Log in with a password that has expired, and set another.

        Raises:
            PasswordRefused: the server's password policy refuses it.
            ServiceError: see :meth:`Engine.connect`.
        """


@runtime_checkable
class SelfServiceCheck(Protocol):
    """A session that can check in advance whether its user may change its own password."""

    def check_can_set_own_password(self) -> None:
        """Check, without a change, whether ``set_own_password`` would be allowed.

        Raises:
            PermissionRefused: it would not; the text says which grant is missing.
        """


@runtime_checkable
class SiblingAccounts(Protocol):
    """A session on a server where a user may have several accounts, each with its own password: MySQL's hosts."""

    def siblings(self, account: Account, password: str) -> list[str] | None:
        """The other accounts of a user that log in with a password.

        Args:
            account: the user's account, as proven by a login.
            password: the password.

        Returns:
            The accounts other than ``account``, as statements spell them; None if the logged-in user may not see them.
        """


@runtime_checkable
class WrongPasswordLimit(Protocol):
    """A session whose server blocks users after wrong passwords, and says after how many."""

    def wrong_passwords_allowed(self) -> int | None:
        """How many wrong passwords in a row block the logged-in user; None: no number does."""


@runtime_checkable
class TransactionalPassword(Protocol):
    """A session in which a password's change takes effect at the end of a transaction."""

    def transaction(self) -> AbstractContextManager[None]:
        """A transaction. Changes in the block take effect at its end, or not at all if the block raises.

        Raises:
            ConnectionLost: the answer to the commit was lost: it may have taken effect.
        """


@runtime_checkable
class AccountAdmin(Protocol):
    """An admin's session: it sets the passwords of accounts."""

    @property
    def account(self) -> Account:
        """The admin's account."""

    def recognize(self, account: Account, password: str) -> Account:
        """The account that a login proved, as the admin sees it.

        Args:
            account: from the session that logged in with ``password``, at the admin's own host and port.
            password: the password that logged in. If a server has several accounts of one name (MySQL's hosts), those
                with this password belong to the user. The others are not changed.

        Returns:
            The account, extended to all accounts with this password.

        Raises:
            UserNotRotatable: there is no such account, or more than one that it could be.
        """

    def find_account(self, name: str) -> Account | None:
        """The account of a name from the function's settings; None if there is none.

        Never called with a name from a secret, which proves nothing.

        Raises:
            UserNotRotatable: there are several of that name.
        """

    def check_can_set_password(self, account: Account) -> None:
        """Check, without a change, whether :meth:`set_password` would succeed.

        Raises:
            UserNotRotatable: the account is a superuser or an admin, or does not log in by password.
            PermissionRefused: the admin may not; the text says which grant is missing.
        """

    def set_password(self, account: Account, new: str) -> None:
        """Change an account's password. All its other passwords become invalid.

        Raises:
            PasswordRefused: the server's password policy refuses it.
            PermissionRefused: the admin may not; the text says which grant is missing.
        """


@runtime_checkable
class SecondPassword(Protocol):
    """A session whose user can keep its current password beside a new one."""

    def why_no_second_password(self) -> str | None:
        """Why that is not possible (the version, or a missing grant); None if it is."""

    def add_own_password(self, new: str, old: str) -> None:
        """Add a password. The one before the current one becomes invalid.

        Args:
            new: the new password.
            old: the current password.

        Raises:
            CurrentPasswordMismatch: the current password is not ``old``; perhaps ``new`` was added already.
            PasswordRefused: the server's password policy refuses it.
        """


@runtime_checkable
class SecondPasswordAdmin(Protocol):
    """An admin's session that can do the same for another account."""

    def check_can_add_password(self, account: Account) -> None:
        """Check, without a change, whether :meth:`add_password` would succeed."""

    def add_password(self, account: Account, new: str, old: str) -> None:
        """Add a password to an account. ``old``, the current one, stays valid; any third one does not.

        May be repeated after any failure: if ``new`` was added already, ``old`` still stays valid.

        Raises:
            PasswordRefused: the server's password policy refuses it.
            PermissionRefused: the admin may not.
            UserNotRotatable: it can't have two passwords.
        """


@runtime_checkable
class CloneAdmin(Protocol):
    """An admin's session that can give one user exactly the privileges of another."""

    def inspect_pair(self, current: Account, other_name: str) -> Pair:
        """Inspect the two users of a secret, without a change.

        Only something that neither the secret's writer nor the users themselves can make proves that they are a pair.
        The source is the user without ``_clone``, unless a mark says otherwise.

        Args:
            current: the account that was proven.
            other_name: the second user's name, as :meth:`Engine.other_name` forms it.

        Raises:
            UserNotRotatable: one of the two is not an application's user.
        """

    def check_can_sync(self, pair: Pair) -> None:
        """Check, without a change, whether :meth:`sync_clone` and setting the second user's password would succeed.

        Raises:
            PermissionRefused: the admin may not; the text says which grant is missing.
            UserNotRotatable: one of the two has something that can't be copied.
        """

    def sync_clone(self, pair: Pair) -> Account:
        """Give the clone exactly the privileges of the source, and mark the two as a pair.

        A user who does not exist is made, with a random password that is not kept. Accounts of ``pair.current`` are
        never locked, never lose privileges, and keep their passwords. May be repeated after any failure.

        Returns:
            The second user's account. The strategy then sets its password, as the last change.

        Raises:
            PermissionRefused: the admin may not; the text says which grant is missing.
        """


class Engine(Protocol):
    """A kind of database."""

    name: ClassVar[str]
    default_port: ClassVar[int]
    second_password: ClassVar[bool]
    """Whether some version of the engine supports two passwords for a user."""
    blocks_users: ClassVar[bool]
    """Whether the server may block a user after wrong passwords. Refused logins are then not repeated needlessly."""
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
            TlsFailed: no TLS, or the certificate could not be verified.
            LoginRefused: wrong user or password.
            PermissionRefused: the user may not use that database.
            ServiceError: anything else.
        """


CLONE_SUFFIX = "_clone"


def alternate(username: str) -> str:
    """The other user's name, as in AWS's templates: ``app_clone`` for ``app``, and ``app`` for ``app_clone``.

    https://github.com/aws-samples/aws-secrets-manager-rotation-lambdas
    """
    return username.removesuffix(CLONE_SUFFIX) if username.endswith(CLONE_SUFFIX) else username + CLONE_SUFFIX


def second_name(username: str, spec: EngineSpec) -> str:
    """The name of the other user of a pair, checked against the server's limit.

    Args:
        username: the secret's user.
        spec: the engine's limits.

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
