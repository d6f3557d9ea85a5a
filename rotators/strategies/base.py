"""What a strategy is, and the rotation of a database secret as strategies see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Protocol

from rotators.engines.base import ConnectOptions, Engine, Session
from rotators.engines.names import serving
from rotators.errors import (
    EngineMismatch,
    LoginRefused,
    PairRefused,
    PendingUnusable,
    SecretMalformed,
    ServiceError,
    TlsFailed,
)

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.rotator import Rotation
    from rotators.settings import DatabaseSettings

# libpq and others take no shorter time-out, and less would fail healthy servers.
_SHORTEST_TIMEOUT = 2.0


class Strategy(Protocol):
    """A way from the current credential to the next one."""

    name: ClassVar[str]

    def propose(self, work: DatabaseRotation) -> Credentials:
        """The next credential; what would stop the rotation is found here, and nothing is changed."""

    def apply(self, work: DatabaseRotation) -> None:
        """Make the pending credential work. May be called again after any failure."""


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
    """

    rotation: Rotation[Credentials]
    engine: Engine
    settings: DatabaseSettings
    ca_file: str | None
    new_password: Callable[[], str]

    @cached_property
    def current(self) -> Credentials:
        """The credential in AWSCURRENT, checked."""
        return self._checked(self.rotation.current)

    @cached_property
    def pending(self) -> Credentials:
        """The credential under rotation, checked.

        Raises:
            PendingUnusable: it is one that nobody could use.
        """
        try:
            return self._checked(self.rotation.pending)
        except SecretMalformed as error:
            raise PendingUnusable(error.what, error.advice) from None

    @cached_property
    def previous(self) -> Credentials | None:
        """The credential in AWSPREVIOUS, where there is one that could still be of use."""
        try:
            return None if self.rotation.previous is None else self._checked(self.rotation.previous)
        except (SecretMalformed, EngineMismatch):
            # A user's first version is often a stub: it must not hide what is wrong with the others.
            return None

    @property
    def admin_arn(self) -> str | None:
        """The admin's secret: the secret's ``masterarn``, else the function's ROTATION_ADMIN_SECRET."""
        return self.current.admin_arn or self.settings.admin_secret

    @cached_property
    def admin(self) -> Credentials:
        """The admin's credential, completed: an RDS-managed secret has only user name and password.

        Raises:
            PairRefused: the admin is of another server, or is the very user whose secret this is.
            SecretsManagerError: the admin's secret may not be read, or is not there.
        """
        arn = self.admin_arn
        if arn is None:
            raise SecretMalformed(
                f"{self.current.source} names no admin secret",
                "add 'masterarn' with the ARN of the admin's secret, or set ROTATION_ADMIN_SECRET of the function",
            )
        if arn == self.rotation.secret_id:
            raise PairRefused(f"{self.current.source} names itself as its admin secret", "name the admin's secret")
        admin = self.rotation.admin(arn)
        if admin.text("host") is None:
            place = ("host", "port", "tlsServerName", "ssl")
            admin = admin.replace(**{key: self.current[key] for key in place if key in self.current})
        # The admin works where the application does, and may not be allowed into its own default database.
        admin = self._checked(admin.replace(dbname=self.current.dbname))
        port = self.engine.default_port
        if not admin.same_server(self.current, port) and not admin.same_cluster(self.current):
            raise PairRefused(
                f"the admin secret {arn} is for {admin.host}:{admin.port(port)}, and {self.current.source} is for "
                f"{self.current.host}:{self.current.port(port)}",
                "name the admin secret of the same server, or give both secrets the same dbClusterIdentifier",
            )
        if admin.username == self.current.username:
            raise PairRefused(
                f"{self.current.source} is the secret of the admin '{admin.username}' itself",
                "rotate it as a single user without an admin secret, or name another admin",
            )
        return admin

    def connect(self, credentials: Credentials) -> Session:
        """Log in within the step's time.

        Raises:
            ServiceError: as the engine's ``connect``.
        """
        plaintext = not credentials.wants_tls
        if plaintext and not self.settings.allow_plaintext:
            raise TlsFailed(
                f"{credentials.source} asks for a connection without TLS (ssl: false)",
                "remove 'ssl' from the secret, or allow it with ROTATION_ALLOW_PLAINTEXT=true",
            )
        options = ConnectOptions(
            timeout=max(_SHORTEST_TIMEOUT, min(self.settings.connect_timeout, self.rotation.time_left)),
            ca_file=self.ca_file,
            server_name=credentials.tls_server_name or self.settings.tls_server_name,
            plaintext=plaintext,
            time_left=self.rotation.time_left,
        )
        return self.engine.connect(credentials, options)

    def pending_logs_in(self) -> bool:
        """Whether the pending password is in force already, by an attempt that broke off.

        Raises:
            ServiceError: the server could not be asked.
        """
        try:
            self.connect(self.pending).close()
        except LoginRefused:
            return False
        return True

    def connect_admin(self) -> Session:
        """Log in as the admin.

        Raises:
            ServiceError: as the engine's ``connect``, and the text says that it was the admin.
        """
        try:
            return self.connect(self.admin)
        except ServiceError as error:
            raise type(error)(f"as the admin of {self.admin_arn}: {error.what}", error.advice) from None

    def login(self, *, pending: bool) -> Login:
        """Log in as the user whose secret this is, with the first of its passwords that works.

        AWSCURRENT first, so that a healthy rotation has no failed login; then, where something went wrong
        before, AWSPENDING (if ``pending``) and AWSPREVIOUS.

        Raises:
            LoginRefused: none works; the text tells each.
            ServiceError: the server could not be asked.
        """
        refusals = []
        for stage, credentials in self._candidates(pending=pending):
            try:
                return Login(stage, credentials, self.connect(credentials))
            except LoginRefused as error:
                refusals.append(f"{stage}: {error.what}")
        raise LoginRefused(
            f"no password of secret {self.rotation.secret_id} is accepted ({'; '.join(refusals)})",
            "set the user's password to the one in AWSCURRENT, or put the right one there; if it happens again, "
            "another secret or person changes the same user's password",
        )

    def _candidates(self, *, pending: bool) -> Iterator[tuple[str, Credentials]]:
        tried = {self.current.password}
        yield "AWSCURRENT", self.current
        if pending and self.pending.password not in tried:
            tried.add(self.pending.password)
            yield "AWSPENDING", self.pending
        previous = self.previous
        if (
            previous is not None
            and previous.password not in tried
            # An older version may be another user's or server's: its password is none of ours to try.
            and previous.username == self.current.username
            and previous.same_server(self.current, self.engine.default_port)
        ):
            yield "AWSPREVIOUS", previous

    def _checked(self, credentials: Credentials) -> Credentials:
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
