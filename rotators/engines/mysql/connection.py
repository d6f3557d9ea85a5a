"""Logging in to MySQL or MariaDB, and telling apart the ways in which that fails.

https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html, https://mariadb.com/kb/en/mariadb-error-codes/
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any, NoReturn

import pymysql
from pymysql.constants import CLIENT, CR, ER

from rotators.engines import network
from rotators.engines.certificates import names_offered
from rotators.errors import (
    ConnectionLost,
    LoginRefused,
    PermissionRefused,
    ServiceError,
    ServiceFailed,
    TlsFailed,
    UserNotRotatable,
)

if TYPE_CHECKING:
    from pymysql.connections import Connection

    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

# Never answered: the first two send the password as it is, the third needs a package that PyMySQL does not bring.
_NOT_SPOKEN = (b"mysql_clear_password", b"dialog", b"client_ed25519")
_UTF8MB4 = 45

_MEANINGS: dict[int, tuple[type[ServiceError], str]] = {
    ER.ACCESS_DENIED_ERROR: (LoginRefused, "check the password, and from which hosts the user may log in"),
    1698: (UserNotRotatable, "the user logs in by its operating-system account: it has no password to rotate"),
    ER.DBACCESS_DENIED_ERROR: (PermissionRefused, "grant the user a right on that database, or correct 'dbname'"),
    ER.BAD_DB_ERROR: (ServiceFailed, "correct 'dbname' in the secret"),
    ER.HOST_NOT_PRIVILEGED: (PermissionRefused, "let the user log in from the function's address"),
    ER.HOST_IS_BLOCKED: (ServiceFailed, "run FLUSH HOSTS on the server"),
    ER.CON_COUNT_ERROR: (ServiceFailed, "raise max_connections, or close connections"),
    ER.TOO_MANY_USER_CONNECTIONS: (ServiceFailed, "raise max_user_connections, or close connections"),
    ER.USER_LIMIT_REACHED: (ServiceFailed, "raise the account's resource limit"),
    3118: (UserNotRotatable, "the account is locked: unlock it, or stop rotating this secret"),
    4151: (UserNotRotatable, "the account is locked: unlock it, or stop rotating this secret"),
    1862: (LoginRefused, "the password has expired: have the admin set it (ALLOW_ADMIN_RESET=true)"),
    CR.CR_SSL_CONNECTION_ERROR: (TlsFailed, "switch TLS on in the server; nothing is ever sent without it"),
    CR.CR_AUTH_PLUGIN_CANNOT_LOAD: (UserNotRotatable, "the user logs in by a plugin that has no password we can set"),
    CR.CR_SERVER_GONE_ERROR: (ConnectionLost, "the rotation will be repeated"),
    CR.CR_SERVER_LOST: (ConnectionLost, "the rotation will be repeated"),
}


class _NamedContext(ssl.SSLContext):
    """A context that verifies a name of our choice: PyMySQL passes the host's."""

    name: str

    def wrap_socket(self, sock: socket.socket, *_: Any, **__: Any) -> ssl.SSLSocket:
        """Verify ``name``, whatever is asked for."""
        return super().wrap_socket(sock, server_hostname=self.name)


class _NotSpoken:
    """What PyMySQL calls where a server asks for one of these: for an IAM user, for PAM, or as an impostor."""

    def __init__(self, _: Any) -> None: ...

    def authenticate(self, _: Any) -> NoReturn:
        """Refuse.

        Raises:
            pymysql.err.OperationalError: always.
        """
        raise pymysql.err.OperationalError(
            CR.CR_AUTH_PLUGIN_CANNOT_LOAD, "the server asks for the password in clear, or by ed25519"
        )


def connect(credentials: Credentials, default_port: int, options: ConnectOptions) -> Connection[Any]:
    """Log in, over verified TLS, in autocommit.

    Raises:
        ServiceError: it did not work; the kind says why.
        ConfigurationError: there are no CA certificates to verify the server with.
    """
    host, port = credentials.host, credentials.port(default_port)
    name = options.server_name or host
    network.require_ca(options, f"the server at {host}:{port}")
    try:
        connection: Connection[Any] = pymysql.connect(
            host=host.strip("[]"),
            port=port,
            user=credentials.username,
            # As bytes: PyMySQL would encode a text as latin-1.
            password=credentials.password.encode(),
            database=credentials.dbname,
            ssl=None if options.plaintext else _context(options.ca_file, name),
            ssl_disabled=options.plaintext,
            connect_timeout=max(1, round(options.timeout)),
            read_timeout=max(1, round(options.timeout)),
            write_timeout=max(1, round(options.timeout)),
            charset="utf8mb4",
            autocommit=True,
            auth_plugin_map=dict.fromkeys(_NOT_SPOKEN, _NotSpoken),  # type: ignore[arg-type]
            # Then the only character to be doubled in a text is the quote, and names stand in backticks.
            init_command="SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'",
        )
    except (pymysql.Error, OSError) as error:
        raise _explain(error, credentials, (host, port), name, options) from None
    return connection


def _context(ca_file: str | None, name: str) -> _NamedContext:
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.name = name
    return context


def _explain(  # one way out for each way in which it fails
    error: Exception, credentials: Credentials, address: tuple[str, int], name: str, options: ConnectOptions
) -> ServiceError:
    target = f"the server at {address[0]}:{address[1]}, user '{credentials.username}'"
    cause = getattr(error, "original_exception", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return network.certificate_refused(cause, target, name, lambda: names_offered(address, options, _start_tls))
    if isinstance(cause, ssl.SSLError):
        return TlsFailed(f"{target}: TLS failed: {cause.reason}", "see which TLS versions the server offers")
    if (on_the_way := network.unreachable(cause, target)) is not None:
        return on_the_way
    code, said = (*error.args, "", "")[:2] if error.args and isinstance(error.args[0], int) else (0, "")
    if code in _MEANINGS:
        kind, advice = _MEANINGS[code]
        return kind(f"{target}: {said} [{code}]", advice)
    if isinstance(cause, OSError):
        return ConnectionLost(f"{target}: the connection broke", "the rotation will be repeated")
    return ServiceFailed(f"{target}: {said or type(error).__name__} [{code}]", "the server's log tells more")


def _start_tls(plain: socket.socket) -> None:
    # The server greets first: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
    head = _read(plain, 4)
    _read(plain, int.from_bytes(head[:3], "little"))
    flags = CLIENT.PROTOCOL_41 | CLIENT.SSL | CLIENT.SECURE_CONNECTION
    request = struct.pack("<iIB23s", flags, 1 << 24, _UTF8MB4, b"")
    plain.sendall(len(request).to_bytes(3, "little") + b"\1" + request)


def _read(plain: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = plain.recv(length - len(data))
        if not more:
            raise OSError
        data += more
    return data
