"""What a strategy is, and the rotation of a database secret as strategies see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from rotators.engines.base import ConnectOptions, Engine, ExpiredRenewal, Session, TransactionalPassword
from rotators.engines.names import serving
from rotators.errors import (
    EngineMismatch,
    LoginRefused,
    PasswordExpired,
    PendingUnusable,
    SecretMalformed,
    SecretsManagerError,
    TlsFailed,
    UserNotRotatable,
)

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.endpoints import Endpoint
    from rotators.rotator import Rotation
    from rotators.settings import DatabaseSettings

CapabilityT = TypeVar("CapabilityT")

# Several edits may follow one another; each keeps the password that is refused, which is not tried again.
_UNLABELLED_READ, _UNLABELLED_TRIED = 10, 3


class Strategy(Protocol):
    """A way from the current credential to the next one."""

    name: ClassVar[str]

    def propose(self, context: DatabaseRotation) -> Credentials:
        """The next credential; what would stop the rotation is found here, and nothing is changed."""

    def apply(self, context: DatabaseRotation) -> None:
        """Make the pending credential valid in the database. May be called again after any failure."""

    def require_unedited(self, context: DatabaseRotation) -> None:
        """Raise where AWSCURRENT was edited since the pending version was made of it.

        Raises:
            PendingUnusable: it was; nothing is lost if the pending version is discarded.
            EditedMeanwhile: it was, and the database has the pending password already.
        """


@dataclass(frozen=True)
class Login:
    """A session and the credential that opened it."""

    stage: str
    credentials: Credentials
    session: Session


@dataclass(frozen=True)
class DatabaseRotation:
    """A rotation whose secret is a database user's.

    Args:
        rotation: the step under way.
        engine: the database's kind.
        settings: the function's settings.
        ca_file: the CA certificates to trust.
        new_password: makes a password.
        resolve_admin: finds the admin's credential.
        managed_endpoint: asks AWS where the server of a managed admin secret is, by the secret's ARN and what its
            owner says of it; None where AWS does not tell.
    """

    rotation: Rotation[Credentials]
    engine: Engine
    settings: DatabaseSettings
    ca_file: str | None
    new_password: Callable[[], str]
    resolve_admin: Callable[[DatabaseRotation], Credentials]
    managed_endpoint: Callable[[str, float], Endpoint | None]

    @cached_property
    def current(self) -> Credentials:
        """The credential in AWSCURRENT, checked."""
        return self.checked(self.rotation.current)

    @cached_property
    def pending(self) -> Credentials:
        """The credential under rotation, checked.

        Raises:
            PendingUnusable: it is one that nobody could use.
        """
        try:
            return self.checked(self.rotation.pending)
        except SecretMalformed as error:
            raise PendingUnusable(error.what, error.advice) from None

    @cached_property
    def previous(self) -> Credentials | None:
        """The credential in AWSPREVIOUS, where there is one that could still be of use."""
        try:
            return None if self.rotation.previous is None else self.checked(self.rotation.previous)
        except (SecretMalformed, EngineMismatch):
            # A user's first version is often a stub: it must not hide what is wrong with the others.
            return None

    @property
    def edited_keys(self) -> list[str]:
        """The keys in which AWSCURRENT differs from the pending version, beside user and password."""
        return self.rotation.current.differing_keys(self.rotation.pending, besides=("username", "password"))

    @property
    def admin_arn(self) -> str | None:
        """The admin's secret: the secret's ``masterarn``, else the function's ROTATION_ADMIN_SECRET."""
        return self.current.admin_arn or self.settings.admin_secret

    @cached_property
    def admin(self) -> Credentials:
        """The admin's credential, with the address of its server.

        Raises:
            RotationError: as :func:`rotators.strategies.admin.resolve`.
        """
        return self.resolve_admin(self)

    def connect(self, credentials: Credentials, *, admin: bool = False) -> Session:
        """Log in within the step's time.

        Args:
            credentials: who, and where.
            admin: it is the admin who logs in.

        Raises:
            ServiceError: as the engine's ``connect``.
        """
        return self.engine.connect(credentials, self._options(credentials, admin=admin))

    @property
    def can_renew(self) -> bool:
        """Whether a user whose password has expired may set another one by itself."""
        return isinstance(self.engine, ExpiredRenewal)

    def renew(self) -> None:
        """Set the pending password with the one in AWSCURRENT, which has expired.

        Raises:
            PasswordRefused: the server's policy says no.
            ServiceError: as the engine's ``connect``.
        """
        if isinstance(self.engine, ExpiredRenewal):
            self.engine.renew_expired(self.current, self._options(self.current), self.pending.password)

    def _options(self, credentials: Credentials, *, admin: bool = False) -> ConnectOptions:
        return ConnectOptions(
            timeout=self.settings.connect_timeout,
            ca_file=self.ca_file,
            server_name=credentials.tls_server_name or self.settings.tls_server_name,
            plaintext=self.is_plaintext(credentials),
            deadline=self.rotation.deadline,
            admin=admin,
        )

    def is_plaintext(self, credentials: Credentials) -> bool:
        """Whether a secret asks for a connection without TLS, and gets it.

        Raises:
            TlsFailed: it asks, and ROTATION_ALLOW_PLAINTEXT does not allow it.
        """
        plaintext = not credentials.wants_tls
        if plaintext and not self.settings.allow_plaintext:
            raise TlsFailed(
                f"{credentials.source} asks for a connection without TLS (ssl: false)",
                "remove 'ssl' from the secret, or allow it with ROTATION_ALLOW_PLAINTEXT=true",
            )
        return plaintext

    def pending_logs_in(self) -> bool:
        """Whether the pending password is valid already, by an attempt that was interrupted.

        Raises:
            ServiceError: the server could not be asked.
        """
        try:
            self.connect(self.pending).close()
        except LoginRefused:
            return False
        return True

    def login(self, *, pending: bool) -> Login:
        """Log in as the user whose secret this is, with the first of its passwords that works.

        AWSCURRENT first, so that a healthy rotation has no failed login; then, where something went wrong before,
        AWSPENDING and AWSPREVIOUS. A repeated rotation has one refused login at a time, then, and not three in a row:
        servers count them until one is right. Where a server counts none, a few versions without a label follow.

        Args:
            pending: the version under rotation has a value; else that is found out where AWSCURRENT is refused.

        Raises:
            PasswordExpired: AWSCURRENT is the right password, and has expired.
            LoginRefused: none works; the text tells each.
            ServiceError: the server could not be asked.
        """
        refusals: list[str] = []
        code = ""
        for stage, credentials in self._candidates(refusals, pending=pending):
            try:
                return Login(stage, credentials, self.connect(credentials))
            except LoginRefused as error:
                if stage == "AWSCURRENT" and isinstance(error, PasswordExpired):
                    # The password is the right one.
                    raise
                refusals.append(f"{stage}: {error.what}; {error.advice}")
                code = code or error.code
        raise LoginRefused(
            f"no password of secret {self.rotation.secret_id} is accepted ({'; '.join(refusals)})",
            "set the user's password to the one in AWSCURRENT, or put the right one there; if it happens again, "
            "another secret or person changes the same user's password",
            code=code,
        )

    def _candidates(self, refusals: list[str], *, pending: bool) -> Iterator[tuple[str, Credentials]]:
        tried = {self.current.password}
        yield "AWSCURRENT", self.current
        if (pending or self.rotation.stored) and self._is_users(self.pending) and self.pending.password not in tried:
            tried.add(self.pending.password)
            yield "AWSPENDING", self.pending
        previous = self.previous
        if previous is not None and previous.password not in tried and self._is_users(previous):
            tried.add(previous.password)
            yield "AWSPREVIOUS", previous
        try:
            yield from self.unlabelled(tried)
        except SecretsManagerError as error:
            # It must not hide what the logins with the labelled versions have said.
            refusals.append(f"versions without a label: {error.what}; {error.advice}")

    def unlabelled(self, tried: set[str]) -> Iterator[tuple[str, Credentials]]:
        """A few versions without a label: whoever edits the secret takes AWSPREVIOUS off the one that is in force.

        That is where the label had moved and the commit had not; or AWSPENDING was removed by hand. None where the
        server blocks users after wrong passwords.

        Args:
            tried: passwords that are not to be given; those that are given join them.

        Raises:
            SecretsManagerError: they could not be listed or read.
        """
        if self.engine.blocks_users:
            return
        left = _UNLABELLED_TRIED
        for value in islice(self.rotation.unlabelled(), _UNLABELLED_READ):
            try:
                version = self.checked(value)
            except (SecretMalformed, EngineMismatch):
                continue
            if version.password in tried or not self._is_users(version):
                continue
            tried.add(version.password)
            yield "a version without a label", version
            left -= 1
            if not left:
                return

    def _is_users(self, version: Credentials) -> bool:
        """Whether a version is the user's of AWSCURRENT: else its password is none of ours to try."""
        return version.username == self.current.username and version.same_server(self.current, self.engine.default_port)

    def checked(self, credentials: Credentials) -> Credentials:
        """The same credentials, once it is clear that this engine can use them.

        Raises:
            SecretMalformed: a key is missing or wrong.
            EngineMismatch: they are another engine's.
        """
        engine = credentials.engine
        served_by = None if engine is None else serving(engine)
        # An engine of somebody's own is known by its name alone.
        if engine is not None and self.engine.name not in {served_by, engine}:
            advice = (
                f"give it the handler rotators.handlers.{served_by}.handler"
                if served_by
                else f"write one of the engines that exist; this function's is '{self.engine.name}'"
            )
            raise EngineMismatch(
                f"{credentials.source} is for the engine '{engine}', and this function rotates {self.engine.name}",
                advice,
            )
        return credentials.validate(self.engine.default_port)


def transaction_of(session: Session) -> AbstractContextManager[None]:
    """A transaction, where passwords take effect at the end of one; else nothing."""
    return session.transaction() if isinstance(session, TransactionalPassword) else nullcontext()


def require(session: Session, capability: type[CapabilityT], what: str, advice: str) -> CapabilityT:
    """A session as what it can do besides logging in.

    Args:
        session: any login.
        capability: a protocol of ``rotators.engines.base``.
        what: the sentence for a session that lacks it.
        advice: what to do then.

    Raises:
        UserNotRotatable: it can't do that.
    """
    if not isinstance(session, capability):
        raise UserNotRotatable(what, advice)
    return session
