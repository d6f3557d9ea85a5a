"""A login to SQL Server, and its statements: each within its time, all of its answer read."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytds

from rotators.engines import network
from rotators.engines.mapping import driver_errors
from rotators.engines.sqlserver import errors, tls
from rotators.engines.sqlserver.quoting import binary, name
from rotators.errors import LoginRefused, ServiceError, UserNotRotatable
from rotators.limits import Limit, cut_socket, limited, within

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

tls.install()

# https://learn.microsoft.com/openspecs/windows_protocols/ms-tds/773a62b6-ee89-4c02-9e5e-344882630aac: UTF-16 units of
# a name, and of a password.
_LONGEST = 128
# Above it a message is an error: https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-error-severities
_INFORMATION = 10
# Of the time for an answer, so that the server says what holds a lock before the time is over.
_FOR_LOCKS = 0.8
# The driver waits for the rest of this after a login that failed, and would then try again.
_NO_RETRIES = 0.001


class _Wire(socket.socket):
    """A socket without the driver's time-outs, which start again with each byte."""

    def settimeout(self, value: float | None) -> None:
        """Ignore it: the time limit shuts the socket down."""


class _Units(str):
    """A text that is as long as the protocol says: python-tds puts the number of characters into the login's packet."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self.encode("utf-16-le", "surrogatepass")) // 2


class Connection:
    """A login at work.

    Args:
        driver: python-tds's connection, in autocommit.
        wire: the socket's descriptor.
        credentials: who.
        options: how long anything may take.
    """

    def __init__(self, driver: pytds.Connection, wire: int, credentials: Credentials, options: ConnectOptions) -> None:
        self._driver = driver
        self._wire = wire
        self._options = options
        self.host = credentials.host
        self.user = credentials.username
        """As the secret spells it, until the server has said who it is."""
        self.database = ""
        """Where the session is when it is in no other."""
        self.server = ""
        """Which server answered."""

    @property
    def where(self) -> str:
        """Server and user, for messages."""
        return f"SQL Server at {self.host}, as '{self.user}'"

    @property
    def lock_timeout(self) -> int:
        """Milliseconds that a statement may wait for a lock."""
        return round(self._options.timeout * 1000 * _FOR_LOCKS)

    def execute(self, statement: str, advice: str = "") -> list[tuple[Any, ...]]:
        """Run one batch, whose texts and names are quoted already.

        Args:
            statement: the batch.
            advice: what to do where a privilege is missing.

        Returns:
            the rows of its first result set. The others are read as well: an error may come after them.

        Raises:
            ServiceError: as what the server's answer means.
        """
        seconds = self._options.limit(self.where)
        limit = Limit()

        def translate(error: Exception) -> ServiceError:
            if limit.expired:
                return errors.no_answer(self.where, seconds)
            return errors.of_statement(error, self.where, advice)

        with driver_errors(translate, on_lost=self.close), limited(seconds, lambda: cut_socket(self._wire), limit):
            return self._run(statement)

    def _run(self, statement: str) -> list[tuple[Any, ...]]:
        with self._driver.cursor() as cursor:
            cursor.execute(statement)
            rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
            while cursor.nextset():
                if cursor.description:
                    cursor.fetchall()
            for _, message in cursor.messages or ():
                # An error that ended no statement.
                if message.severity > _INFORMATION:
                    raise message
            return rows

    @contextmanager
    def use(self, database: str) -> Iterator[None]:
        """Work in another database, and come back."""
        self.execute(f"USE {name(database)}", advice=f"let the admin '{self.user}' into the database '{database}'")
        try:
            yield
        finally:
            with contextlib.suppress(ServiceError):
                self.execute(f"USE {name(self.database)}")

    @contextmanager
    def as_owner(self) -> Iterator[None]:
        """Be the owner of the current database, and nothing beyond it.

        A user who may make triggers in a database could otherwise have the admin do anything on the whole server: a DDL
        trigger runs with the rights of the user who fires it. A database's user has no right outside it, and only the
        cookie leads back: https://learn.microsoft.com/sql/t-sql/statements/execute-as-transact-sql
        """
        [(cookie,)] = self.execute(
            "DECLARE @cookie varbinary(8000); EXECUTE AS USER = N'dbo' WITH COOKIE INTO @cookie; SELECT @cookie"
        )
        try:
            yield
        except ServiceError:
            with contextlib.suppress(ServiceError):
                self._revert(cookie)
            raise
        self._revert(cookie)

    def _revert(self, cookie: bytes) -> None:
        self.execute(f"DECLARE @cookie varbinary(8000) = {binary(cookie)}; REVERT WITH COOKIE = @cookie")

    def close(self) -> None:
        """End the session; never raises."""
        # Else the driver might wait for the answer to a farewell.
        with contextlib.suppress(OSError):
            cut_socket(self._wire)
        with contextlib.suppress(Exception):
            self._driver.close()


def connect(credentials: Credentials, default_port: int, options: ConnectOptions) -> Connection:
    """Log in, over verified TLS, in autocommit.

    Raises:
        ServiceError: it did not work; the kind says why.
        SecretMalformed: user, password or database can't be encoded.
        ConfigurationError: there are no CA certificates to verify the server with.
    """
    host, port = credentials.host.strip("[]"), credentials.port(default_port)
    target = f"SQL Server at {host}:{port}, user '{credentials.username}'"
    if "\\" in credentials.username:
        raise UserNotRotatable(
            f"{target} is a Windows account", "its password is the directory's: name a login of SQL Server's own"
        )
    network.require_text(credentials)
    texts = [_Units(text) for text in (credentials.username, credentials.password, credentials.dbname or "")]
    if max(map(len, texts)) > _LONGEST:
        raise LoginRefused(
            f"{target}: the user's name, password or database is longer than SQL Server takes",
            f"correct the secret: each has at most {_LONGEST} characters",
        )
    handshake = _handshake(options, host, target)
    seconds = options.limit(target)
    with driver_errors(lambda error: errors.of_login(error, target, handshake, expired=False), OSError, UnicodeError):
        # Connect here, because the driver would retry; and a name server may not answer either.
        plain = within(seconds, lambda: socket.create_connection((host, port), seconds))
    wire = _Wire(fileno=plain.detach())
    socket.socket.settimeout(wire, None)
    limit = Limit()

    def translate(error: Exception) -> ServiceError:
        wire.close()
        return errors.of_login(error, target, handshake, expired=limit.expired)

    with (
        driver_errors(translate),
        limited(options.limit(target), lambda: cut_socket(wire.fileno()), limit),
        tls.expecting(handshake),
    ):
        driver = _log_in(texts, (host, port), wire, options)
    return Connection(driver, wire.fileno(), credentials, options)


def _handshake(options: ConnectOptions, host: str, target: str) -> tls.Handshake:
    # Without a CA file python-tds would send the password in plaintext, without a word.
    network.require_ca(options, target)
    name = options.server_name or host
    if options.plaintext or options.ca_file is None:
        return tls.Handshake(None, name)
    return tls.Handshake(tls.context_of(options.ca_file), name)


def _log_in(texts: list[_Units], address: tuple[str, int], wire: _Wire, options: ConnectOptions) -> pytds.Connection:
    user, password, database = texts
    host, port = address
    return pytds.connect(
        dsn=host,
        port=port,
        user=user,
        password=password,
        database=database,
        sock=wire,
        cafile=None if options.plaintext else options.ca_file,
        validate_host=True,
        enc_login_only=False,
        autocommit=True,
        login_timeout=_NO_RETRIES,
        timeout=None,
        disable_connect_retry=True,
        appname="rotators",
    )
