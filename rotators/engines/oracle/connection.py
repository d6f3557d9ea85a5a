"""Logging in to Oracle, and telling apart the ways in which that fails.

https://python-oracledb.readthedocs.io/en/latest/user_guide/connection_handling.html,
https://docs.oracle.com/en/error-help/db/
"""

from __future__ import annotations

import re
import socket
import ssl
from typing import TYPE_CHECKING, Any

import oracledb

from rotators.engines import network
from rotators.engines.certificates import names_offered
from rotators.engines.oracle import names
from rotators.errors import (
    ConnectionLost,
    LoginRefused,
    PermissionRefused,
    ServiceError,
    ServiceFailed,
    TlsFailed,
    Unreachable,
    UserNotRotatable,
)

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

# It becomes part of a connect descriptor, which has brackets of its own.
_SERVICE = re.compile(r"[\w.$#-]+", re.ASCII)
_NO_SUCH_SERVICE = {"DPY-6001", "ORA-12514"}
LOST = {"DPY-4011", "DPY-1001", "ORA-03113", "ORA-03114", "ORA-03135", "ORA-01012", "ORA-00028", "ORA-12537"}
_RESET = "have the admin set it: name an admin secret and set ALLOW_ADMIN_RESET=true"
_MEANINGS: dict[str, tuple[type[ServiceError], str]] = {
    "ORA-01017": (LoginRefused, "check the password; a user whose name is not all in upper case is written in quotes"),
    "ORA-01005": (LoginRefused, "the password is empty: put the right one into the secret"),
    "ORA-28000": (LoginRefused, "the account is locked: ALTER USER … ACCOUNT UNLOCK, then correct the secret"),
    "ORA-28001": (LoginRefused, f"the password has expired: {_RESET}"),
    "ORA-01045": (PermissionRefused, "grant the user CREATE SESSION"),
    "ORA-28009": (UserNotRotatable, "SYS logs in as SYSDBA only: name another user"),
    "ORA-12505": (ServiceFailed, "put the database's service name, or its SID, as 'dbname' into the secret"),
    "DPY-6003": (ServiceFailed, "put the database's service name, or its SID, as 'dbname' into the secret"),
    "ORA-01033": (Unreachable, "wait until the database is open"),
    "ORA-01034": (Unreachable, "wait until the database is open"),
    "ORA-12528": (Unreachable, "wait until the database is open"),
    "DPY-3001": (ServiceFailed, "the server demands native network encryption, which thin mode has not: use TCPS"),
    "ORA-12660": (ServiceFailed, "the server demands native network encryption, which thin mode has not: use TCPS"),
}
_REFUSED = "check host and port in the secret (TCPS has one of its own), and that the listener runs"


class _Context(ssl.SSLContext):
    """Verifies a name of our choice, within our time.

    The driver switches the check of the name off, compares distinguished names instead, and knows no time-out for the
    handshake.
    """

    name: str
    seconds: float

    def wrap_socket(self, sock: socket.socket, *_: Any, **__: Any) -> ssl.SSLSocket:
        """Verify ``name``, whatever is asked for."""
        self.check_hostname = True
        sock.settimeout(self.seconds)
        return super().wrap_socket(sock, server_hostname=self.name)


def connect(credentials: Credentials, default_port: int, options: ConnectOptions) -> oracledb.Connection:
    """Log in, over verified TLS (TCPS), to the service that the secret names, else to the SID of that name.

    Raises:
        ServiceError: it did not work; the kind says why.
        ConfigurationError: there are no CA certificates to verify the server with.
    """
    host, port = credentials.host.strip("[]"), credentials.port(default_port)
    target = f"Oracle at {host}:{port}, user '{credentials.username}'"
    network.require_ca(options, target)
    service = credentials.dbname or ""
    if not _SERVICE.fullmatch(service):
        raise ServiceFailed(f"{target}: there is no service '{service}'", "put its service name or SID as 'dbname'")
    if not names.possible(credentials.username):
        raise LoginRefused(f"{target}: there can be no user of that name", "correct 'username' in the secret")
    name = options.server_name or host
    parameters: dict[str, Any] = {
        # Parameters, never a connect string: a password may hold an @ or a slash.
        "user": credentials.username,
        "password": credentials.password,
        "host": host,
        "port": port,
        "protocol": "tcp" if options.plaintext else "tcps",
        "ssl_context": None if options.plaintext else _context(options, name),
        "ssl_server_dn_match": False,
        "tcp_connect_timeout": options.timeout,
        "retry_count": 0,
        "program": "rotators",
    }
    try:
        try:
            connection = oracledb.connect(**parameters, service_name=service)
        except oracledb.Error as error:
            if code_of(error) not in _NO_SUCH_SERVICE:
                raise
            connection = oracledb.connect(**parameters, sid=service)
    except (oracledb.Error, OSError, UnicodeError) as error:
        raise _explain(error, target, (host, port), name, options) from None
    connection.call_timeout = round(options.timeout * 1000)
    return connection


def _context(options: ConnectOptions, name: str) -> _Context:
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=options.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.name, context.seconds = name, options.timeout
    return context


def _explain(  # one way out for each way in which it fails
    error: Exception, target: str, address: tuple[str, int], name: str, options: ConnectOptions
) -> ServiceError:
    cause = error
    while isinstance(cause, oracledb.Error) and code_of(cause) == "DPY-6005" and cause.__cause__ is not None:
        cause = cause.__cause__  # type: ignore[assignment]
    if isinstance(cause, ssl.SSLCertVerificationError):
        return network.certificate_refused(cause, target, name, lambda: names_offered(address, options, lambda _: None))
    if isinstance(cause, ssl.SSLError):
        return TlsFailed(f"{target}: TLS failed: {cause.reason}", "name the port of TCPS, and switch it on there")
    if (on_the_way := network.unreachable(cause, target, _REFUSED)) is not None:
        return on_the_way
    code = code_of(cause)
    if code == "DPY-4011" and "timed out" in str(cause):
        return network.no_answer(target)
    if code in LOST or isinstance(cause, OSError):
        return ConnectionLost(f"{target}: the connection broke", "the rotation will be repeated")
    kind, advice = _MEANINGS.get(code, (ServiceFailed, "the listener's log and the alert log tell more"))
    return kind(f"{target}: {said(cause)}", advice)


def code_of(error: Exception) -> str:
    """Oracle's or the driver's code: ``ORA-01017``, ``DPY-6005``; empty where there is none."""
    return str(getattr(error.args[0], "full_code", "")) if error.args else ""


def said(error: Exception) -> str:
    """The server's words: its first line, without the driver's advice."""
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
