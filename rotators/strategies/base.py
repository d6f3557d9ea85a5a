"""The interface of strategies, and the rotation of a database secret as strategies see it."""

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
    """How to get from the current credential to the next one."""

    name: ClassVar[str]

    def propose(self, context: DatabaseRotation) -> Credentials:
        """The next credential. Checks for whatever would stop the rotation, and changes nothing."""

    def apply(self, context: DatabaseRotation) -> None:
        """Make the pending credential valid in the database. May be called again after any failure."""

    def require_unedited(self, context: DatabaseRotation) -> None:
        """Raise an error if AWSCURRENT was edited after the pending version was made from it.

        Raises:
            PendingUnusable: it was edited; the pending version can be discarded without loss.
            EditedMeanwhile: it was edited, and the database already has the pending password.
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
        rotation: the current step.
        engine: the kind of database.
        settings: the function's settings.
        ca_file: the CA certificates to trust.
        new_password: makes a password.
        resolve_admin: finds the admin's credential.
        managed_endpoint: asks AWS for the server of a managed admin secret, by the secret's ARN and a deadline; gives
            None if AWS does not say.
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
            PendingUnusable: it can't be used.
        """
        try:
            return self.checked(self.rotation.pending)
        except SecretMalformed as error:
            raise PendingUnusable(error.what, error.advice) from None

    @cached_property
    def previous(self) -> Credentials | None:
        """The credential in AWSPREVIOUS; None if there is none that can be used."""
        try:
            return None if self.rotation.previous is None else self.checked(self.rotation.previous)
        except (SecretMalformed, EngineMismatch):
            # A secret's first version is often a placeholder. It must not hide what is wrong with the others.
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
            RotationError: see :func:`rotators.strategies.admin.resolve`.
        """
        return self.resolve_admin(self)

    def connect(self, credentials: Credentials, *, admin: bool = False) -> Session:
        """Log in within the step's time.

        Args:
            credentials: the user and the server.
            admin: whether the admin logs in.

        Raises:
            ServiceError: see the engine's ``connect``.
        """
        return self.engine.connect(credentials, self._options(credentials, admin=admin))

    @property
    def can_renew(self) -> bool:
        """Whether a user with an expired password may set another one itself."""
        return isinstance(self.engine, ExpiredRenewal)

    def renew(self) -> None:
        """Set the pending password with the one in AWSCURRENT, which has expired.

        Raises:
            PasswordRefused: the server's password policy refuses it.
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
            TlsFailed: it asks for that, and ROTATION_ALLOW_PLAINTEXT does not allow it.
        """
        plaintext = not credentials.wants_tls
        if plaintext and not self.settings.allow_plaintext:
            raise TlsFailed(
                f"{credentials.source} asks for a connection without TLS (ssl: false)",
                "remove 'ssl' from the secret, or allow it with ROTATION_ALLOW_PLAINTEXT=true",
            )
        return plaintext

    def pending_logs_in(self) -> bool:
        """Whether an interrupted attempt already made the pending password valid.

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
        """Whether a version is for the user in AWSCURRENT. If not, its password must not be tried."""
        return version.username == self.current.username and version.same_server(self.current, self.engine.default_port)

    def checked(self, credentials: Credentials) -> Credentials:
        """The credentials, after checking that this engine can use them.

        Raises:
            SecretMalformed: a key is missing or wrong.
            EngineMismatch: they are for another engine.
        """
        engine = credentials.engine
        served_by = None if engine is None else serving(engine)
        # Of an engine that a user wrote, only the name is known.
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
    """A transaction, if the session's passwords take effect at its end; otherwise a block without effect."""
    return session.transaction() if isinstance(session, TransactionalPassword) else nullcontext()


def require(session: Session, capability: type[CapabilityT], what: str, advice: str) -> CapabilityT:
    """Require that a session has an ability, and return it with that type.

    Args:
        session: any session.
        capability: a protocol of ``rotators.engines.base``.
        what: the error's text for a session that lacks it.
        advice: what to do then.

    Raises:
        UserNotRotatable: the session lacks it.
    """
    if not isinstance(session, capability):
        raise UserNotRotatable(what, advice)
    return session
