"""Logs in to MySQL or MariaDB, and runs statements there, each with a time-out.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import pymysql
from pymysql import _auth
from pymysql.connections import Connection as PymysqlConnection
from pymysql.constants import CLIENT, CR
from pymysql.protocol import MysqlPacket

from rotators.engines import network
from rotators.engines.certificates import names_offered
from rotators.engines.mapping import REPEATED, connection_broke, driver_errors, no_answer
from rotators.engines.mysql.errors import LOGIN, is_lost, of_statement, server_message
from rotators.engines.mysql.quoting import has_no_account
from rotators.engines.mysql.verifiers import CACHING_SHA2, NATIVE, SHA256
from rotators.errors import (
    ConnectionLost,
    LoginRefused,
    SecretMalformed,
    ServiceError,
    ServiceFailed,
    TlsFailed,
    UserNotRotatable,
)
from rotators.limits import Limit, cut_socket, limited, within

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

    # Generic in its type stubs only.
    _PymysqlConnection = PymysqlConnection[Any]
else:
    _PymysqlConnection = PymysqlConnection

SQL_MODE = "NO_BACKSLASH_ESCAPES"
"""The sql_mode of each session."""
_UTF8MB4 = 45
# Seconds to fetch a certificate once more, for the error's text only.
_LOOK = 2.0
_FAST_PATH_SUCCEEDED = 3
_OLD_PASSWORD = b"\xfe"


class _RefusedError(Exception):
    """A login that this side ends.

    Args:
        reason: the error to raise.
    """

    def __init__(self, reason: ServiceError) -> None:
        super().__init__(reason)
        self.reason = reason


class _Driver(_PymysqlConnection):
    """PyMySQL's connection, which sends a password only by allowed plugins.

    Args:
        target: server and user, for messages.
        spoken: the plugins.
        expired: the password has expired, and only one statement may be run.
        options: PyMySQL's own.
    """

    _secure: bool
    _auth_plugin_name: str
    server_version: str

    def __init__(self, target: str, spoken: frozenset[str], *, expired: bool, **options: Any) -> None:
        self._expired = expired
        self._target = target
        self._spoken = spoken
        self.plugin = ""
        self.logged_in = False
        super().__init__(**options)

    @property
    def is_secure(self) -> bool:
        """Whether the server has been verified."""
        return self._secure

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        """Set it by a statement, unless no statement is allowed: the login has set it already."""
        if not self._expired:
            super().set_character_set(charset, collation)

    def _get_server_information(self) -> None:
        super()._get_server_information()  # type: ignore[misc]
        named = self._auth_plugin_name
        if named not in self._spoken or (named != NATIVE and not self.ssl):
            # With sha256_password PyMySQL would send the password itself at once. So have the server switch plugins.
            self._auth_plugin_name = ""
        self.plugin = self._auth_plugin_name

    def _read_packet(self, packet_type: Any = MysqlPacket) -> Any:
        packet = super()._read_packet(packet_type)  # type: ignore[no-untyped-call]
        if not self.logged_in and packet.get_all_data() == _OLD_PASSWORD:
            raise self._refusal("mysql_old_password")
        return packet

    def _process_auth(self, plugin_name: bytes, auth_packet: Any, handler: Any = None) -> Any:
        name = plugin_name.decode("ascii", "replace")
        if name not in self._spoken:
            raise self._refusal(name)
        self.plugin = name
        return super()._process_auth(plugin_name, auth_packet, handler)  # type: ignore[misc]

    def _refusal(self, plugin: str) -> _RefusedError:
        advice = "give the account one that we speak"
        if plugin in {CACHING_SHA2, SHA256}:
            advice = "it is MySQL's: if the server is one, put 'mysql' as 'engine' into the secret, and use its handler"
        return _RefusedError(
            UserNotRotatable(
                f"{self._target}: the server asks for the password by the plugin {plugin}, "
                f"and this function speaks {', '.join(sorted(self._spoken))}",
                f"{advice}, or stop rotating this secret",
            )
        )


class _FastPathOnly:
    """MySQL's plugins without TLS, as far as they do not need the password itself.

    Encrypting it with the server's key would not help: nothing proves whose key it is.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def authenticate(self, packet: Any) -> Any:
        """Prove the password to a server that remembers it.

        Raises:
            _RefusedError: the server wants the password.
        """
        connection = self._connection
        if packet.is_auth_switch_request():
            if connection.plugin == SHA256:
                self._refuse()
            salt = packet.read_all().removesuffix(b"\0")
            connection.write_packet(_auth.scramble_caching_sha2(connection.password, salt))
            packet = connection._read_packet()  # noqa: SLF001  # PyMySQL's own handlers do it
        if packet.is_extra_auth_data():
            packet.advance(1)
            if packet.read_uint8() != _FAST_PATH_SUCCEEDED:
                self._refuse()
            packet = connection._read_packet()  # noqa: SLF001
        return packet

    def _refuse(self) -> NoReturn:
        raise _RefusedError(
            TlsFailed(
                f"{self._connection._target}: the server asks for the password itself, which is never sent without TLS",  # noqa: SLF001
                "remove 'ssl' from the secret, so that the login is by TLS",
            )
        )


class Connection:
    """An open login, in autocommit, with the sql_mode ``SQL_MODE``.

    Args:
        driver: the driver's connection.
        host: the server's name, for messages.
        username: who logged in, for messages.
        options: how long a statement may take.
    """

    def __init__(self, driver: _Driver, host: str, username: str, options: ConnectOptions) -> None:
        self._driver = driver
        self._options = options
        self.host = host
        self.username = username

    @property
    def plugin(self) -> str:
        """The plugin by which the login was made."""
        return self._driver.plugin

    @property
    def greeting(self) -> str:
        """The server's version from its greeting."""
        return str(self._driver.server_version)

    def execute(self, statement: str, advice: str = "") -> list[tuple[Any, ...]]:
        """Run one statement, in which texts and names are already quoted.

        Args:
            statement: the statement. It is never shown, because it may hold a password.
            advice: what to do if a privilege is missing.

        Returns:
            The rows.

        Raises:
            ServiceError: the server refused it, or did not answer.
        """
        _, rows = self._run(statement, advice)
        return rows

    def read(self, statement: str, advice: str = "") -> list[dict[str, Any]]:
        """Like :meth:`execute`, with each row as a dict by lower-case column names."""
        columns, rows = self._run(statement, advice)
        names = [name.lower() for name in columns]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def close(self) -> None:
        """End it; never raises."""
        with contextlib.suppress(pymysql.Error, OSError):
            if self._driver.open:
                self._driver.close()

    def _run(self, statement: str, advice: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        where = f"the server at {self.host}, as '{self.username}'"
        seconds = self._options.limit(where)
        limit = Limit()
        with (
            driver_errors(lambda error: self._explain(error, where, advice, limit), on_lost=self.close),
            limited(seconds, lambda: _cut(self._driver), limit),
            self._driver.cursor() as cursor,
        ):
            cursor.execute(statement)
            columns = [str(column[0]) for column in cursor.description or ()]
            return columns, [tuple(row) for row in cursor.fetchall()]

    def _explain(self, error: Exception, where: str, advice: str, limit: Limit) -> ServiceError:
        if limit.expired:
            return no_answer(where)
        if not isinstance(error, pymysql.Error):
            # It is unknown how much of the answer was read.
            self.close()
        return of_statement(error, where, advice)


def connect(
    credentials: Credentials,
    default_port: int,
    options: ConnectOptions,
    spoken: frozenset[str],
    *,
    expired: bool = False,
) -> Connection:
    """Log in, over verified TLS, in autocommit.

    Args:
        credentials: the user and the server.
        default_port: the port if the secret has none.
        options: how to connect, and until when.
        spoken: the authentication plugins allowed; some send the password, only to a verified server.
        expired: whether the password has expired, and the login only sets another: no other statement is run.

    Raises:
        ServiceError: the login failed; the class says why.
        SecretMalformed: no server can have such a user, or such a name.
        ConfigurationError: there are no CA certificates to verify the server with.
    """
    host, port = credentials.host.strip("[]"), credentials.port(default_port)
    target = f"the server at {host}:{port}, user '{credentials.username}'"
    name = options.server_name or host
    network.require_ca(options, target)
    network.require_text(credentials)
    _require_possible(credentials, target)
    _require_tls_name(name, target, options)
    login = _Login(target, (host, port), name, options, time.monotonic() + options.limit(target))
    driver = _driver(credentials, name, target, spoken, options, expired=expired)
    limit = Limit()
    with driver_errors(
        lambda error: login.explain(error, expired=limit.expired, verified=options.plaintext or driver.is_secure)
    ):
        plain = _open(login)
        descriptor = plain.fileno()
        with limited(login.time_left, lambda: cut_socket(descriptor), limit):
            # It closes the socket if it fails.
            driver.connect(plain)
        driver.logged_in = True
    return Connection(driver, host, credentials.username, options)


def _driver(
    credentials: Credentials, name: str, target: str, spoken: frozenset[str], options: ConnectOptions, *, expired: bool
) -> _Driver:
    seconds = max(1, round(options.timeout))
    # Then only the quote must be doubled in a text, and names are in backticks. The database gives up a lock before
    # Lambda ends the function, so the error can say why.
    first = f"SET SESSION sql_mode = '{SQL_MODE}', sql_quote_show_create = 1, lock_wait_timeout = {seconds}"
    return _Driver(
        target,
        spoken,
        expired=expired,
        # PyMySQL needs only the name to verify: the socket is passed to it.
        host=name,
        user=credentials.username,
        # As bytes: PyMySQL would encode a text as latin-1.
        password=credentials.password.encode(),
        database=None if expired else credentials.dbname,
        client_flag=CLIENT.HANDLE_EXPIRED_PASSWORDS if expired else 0,
        ssl=_context(options),
        ssl_disabled=options.plaintext,
        charset="utf8mb4",
        # With an expired password, only one statement is allowed.
        autocommit=None if expired else True,
        auth_plugin_map=dict.fromkeys((CACHING_SHA2, SHA256), _FastPathOnly) if options.plaintext else None,
        init_command=None if expired else first,
        defer_connect=True,
    )


def _context(options: ConnectOptions) -> ssl.SSLContext | None:
    return None if options.plaintext else network.trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), options.ca_file or "")


def _require_possible(credentials: Credentials, target: str) -> None:
    if has_no_account(credentials.username):
        raise SecretMalformed(
            f"{credentials.source}: {target} can't exist: names there have no characters beyond U+FFFF (emoji)",
            "correct 'username'",
        )


def _require_tls_name(name: str, target: str, options: ConnectOptions) -> None:
    if options.plaintext or options.server_name is None:
        return
    try:
        usable = bool(name.encode("idna")) and not name.startswith(".")
    except UnicodeError:
        usable = False
    if not usable:
        raise TlsFailed(
            f"{target}: the certificate can't be verified for '{name}', which is no host's name",
            "correct 'tlsServerName' in the secret, or ROTATION_TLS_SERVER_NAME",
        )


def _open(login: _Login) -> socket.socket:
    """Connect to the first of a host's addresses that answers.

    Raises:
        OSError: none answers, or there is no such host.
    """
    host, port = login.address
    found = within(login.time_left, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    failure: OSError = OSError("the host has no address")
    for family, kind, protocol, _, address in found:
        left = login.time_left
        if not left:
            raise TimeoutError
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(left)
            plain.connect(address)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            plain.close()
            failure = error
        else:
            return plain
    raise failure


def _cut(driver: _Driver) -> None:
    open_socket: socket.socket | None = driver._sock  # type: ignore[attr-defined]  # noqa: SLF001  # to end its read
    if open_socket is not None:
        cut_socket(open_socket.fileno())


@dataclass(frozen=True)
class _Login:
    """A login attempt.

    Args:
        target: server and user, for messages.
        address: host and port.
        name: the name to verify in the certificate.
        options: how to connect, and until when.
        until: when it must have ended, on the clock of ``time.monotonic``.
    """

    target: str
    address: tuple[str, int]
    name: str
    options: ConnectOptions
    until: float

    @property
    def time_left(self) -> float:
        """Seconds until it must have ended."""
        return max(0.0, self.until - time.monotonic())

    def explain(self, error: Exception, *, expired: bool, verified: bool) -> ServiceError:
        """The error for what ended it.

        Args:
            error: what was raised.
            expired: whether this side's time limit ended it.
            verified: whether the server was verified, or need not be.
        """
        if isinstance(error, _RefusedError):
            return error.reason
        cause = getattr(error, "original_exception", error)
        return self._on_the_way(cause, expired=expired) or self._answered(error, verified=verified)

    def _on_the_way(self, cause: Exception, *, expired: bool) -> ServiceError | None:
        """The error for a failure of the network or of TLS; None if the server itself refused."""
        if isinstance(cause, ssl.SSLCertVerificationError):
            return network.certificate_refused(cause, self.target, self.name, self._names_offered)
        if expired:
            return network.no_answer(self.target)
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return network.tls_failed(cause, self.target, "see what listens there, and which TLS it offers")
        return network.unreachable(cause, self.target)

    def _answered(self, error: Exception, *, verified: bool) -> ServiceError:
        code, message = server_message(error)
        if not verified and code != CR.CR_SSL_CONNECTION_ERROR:
            # The server is not verified yet: any answer counts as a lost connection.
            kind, advice = LOGIN.codes.get(code, (ConnectionLost, ""))
            hint = f"; if it was the server that said [{code}]: {advice}" if kind is not ConnectionLost else ""
            return ConnectionLost(
                f"{self.target}: the connection ended before the server was verified", f"{REPEATED}{hint}"
            )
        if code not in LOGIN.codes and is_lost(error):
            return connection_broke(self.target, code or None)
        if not isinstance(error, pymysql.Error):
            return ServiceFailed(
                f"{self.target}: the answer is none that a login has ({type(error).__name__})",
                "see that MySQL or MariaDB itself listens there",
            )
        return LOGIN.error(code, self.target, f"{message or type(error).__name__} [{code}]")

    def _names_offered(self) -> list[str]:
        # Only for the message, so do not wait long for it.
        seconds = max(0.1, min(_LOOK, self.time_left))
        try:
            return within(seconds, lambda: names_offered(self.address, self.options, start_tls))
        except TimeoutError:
            return []


def start_tls(plain: socket.socket) -> None:
    """Read the server's greeting, and ask for TLS.

    Raises:
        OSError: the connection ended.
    """
    # The server greets first.
    head = _receive(plain, 4)
    _receive(plain, int.from_bytes(head[:3], "little"))
    flags = CLIENT.PROTOCOL_41 | CLIENT.SSL | CLIENT.SECURE_CONNECTION
    request = struct.pack("<iIB23s", flags, 1 << 24, _UTF8MB4, b"")
    plain.sendall(len(request).to_bytes(3, "little") + b"\1" + request)


def _receive(plain: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = plain.recv(length - len(data))
        if not more:
            raise OSError
        data += more
    return data


def own_login(connection: Connection, username: str) -> tuple[str, str]:
    """The account that logged in, according to the server.

    Args:
        connection: the login.
        username: the user in the secret.

    Returns:
        Its user and host, as in mysql.user.

    Raises:
        LoginRefused: the account is another one than the secret names.
        UserNotRotatable: it is a proxy account, or one that accepts any user name.
    """
    [(current, proxy)] = connection.execute("SELECT CURRENT_USER(), @@proxy_user")
    # No host has an @ in it, and a name may.
    user, _, host = str(current).rpartition("@")
    if proxy:
        raise UserNotRotatable(
            f"'{username}' at {connection.host} logs in as the proxy of '{user}'@'{host}', whose password is another",
            "rotate the account that is logged in to, or give this one no PROXY",
        )
    if not user:
        raise UserNotRotatable(
            f"'{username}' at {connection.host} is no user there: the anonymous account ''@'{host}' took the login",
            "drop that account (DROP USER), and create the user, or correct the secret",
        )
    if user != username:
        raise LoginRefused(
            f"'{username}' at {connection.host} was logged in as another user, '{user}'@'{host}'",
            "put that user's name into the secret, if it is the right one",
        )
    return user, host
