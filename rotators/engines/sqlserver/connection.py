"""Logging in to SQL Server, and telling apart the ways in which that fails.

https://learn.microsoft.com/sql/relational-databases/errors-events/mssqlserver-18456-database-engine-error
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytds
from OpenSSL import SSL

from rotators.engines import network
from rotators.engines.sqlserver import tls
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
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

_RESET = "have the admin set it: name an admin secret and set ALLOW_ADMIN_RESET=true"
_MEANINGS: dict[int, tuple[type[ServiceError], str]] = {
    4060: (PermissionRefused, "map the login to a user in that database, or correct 'dbname' in the secret"),
    4064: (PermissionRefused, "give the login a default database that it may use, or the secret a 'dbname'"),
    18452: (UserNotRotatable, "the server takes Windows logins only: switch SQL Server authentication on"),
    18456: (LoginRefused, "check the password; for a contained user also 'dbname'"),
    18470: (UserNotRotatable, "the login is disabled: enable it, or stop rotating this secret"),
    18486: (LoginRefused, "the login is locked out: ALTER LOGIN … WITH PASSWORD = … UNLOCK, then correct the secret"),
    18487: (LoginRefused, f"the password has expired: {_RESET}"),
    18488: (LoginRefused, f"the password must be changed: {_RESET}"),
    17892: (PermissionRefused, "a logon trigger refused the user"),
    978: (ServiceFailed, "the database is a secondary replica that takes no such connection: name the listener"),
}


def connect(credentials: Credentials, default_port: int, options: ConnectOptions) -> pytds.Connection:
    """Log in, over verified TLS, in autocommit.

    Raises:
        ServiceError: it did not work; the kind says why.
        ConfigurationError: there are no CA certificates to verify the server with.
    """
    host, port = credentials.host.strip("[]"), credentials.port(default_port)
    target = f"SQL Server at {host}:{port}, user '{credentials.username}'"
    if "\\" in credentials.username:
        raise UserNotRotatable(
            f"{target} is a Windows account", "its password is the directory's: name a login of SQL Server's own"
        )
    if "\\" in host:
        raise ServiceFailed(f"{target}: the host names an instance", "write host and port of that instance instead")
    # Without it python-tds would send the password in plaintext, without a word.
    network.require_ca(options, target)
    name = options.server_name or host
    try:
        # Made here: the driver would try a refused connection again and again.
        plain = socket.create_connection((host, port), options.timeout)
        with tls.expecting(name):
            return pytds.connect(
                dsn=host,
                port=port,
                user=credentials.username,
                password=credentials.password,
                database=credentials.dbname,
                sock=plain,
                cafile=None if options.plaintext else options.ca_file,
                validate_host=True,
                enc_login_only=False,
                autocommit=True,
                login_timeout=options.timeout,
                timeout=options.timeout,
                disable_connect_retry=True,
                appname="rotators",
            )
    except tls.NameMismatch as error:
        raise TlsFailed(
            f"{target}: the certificate is not for '{name}', but for {', '.join(error.names) or 'no name at all'}",
            "put one of these names as 'tlsServerName' into the secret, or into ROTATION_TLS_SERVER_NAME",
        ) from None
    except (pytds.Error, SSL.Error, OSError, UnicodeError, EOFError) as error:
        raise _explain(error, target) from None


def _explain(error: Exception, target: str) -> ServiceError:  # one way out for each way in which it fails
    # The driver turns what it might try again into a time-out at its end.
    cause: Any = error.__cause__ if isinstance(error, TimeoutError) and error.__cause__ is not None else error
    number = getattr(cause, "msg_no", None)
    if isinstance(cause, pytds.DatabaseError) and number:
        kind, advice = _MEANINGS.get(number, (ServiceFailed, "the server's log tells more"))
        return kind(f"{target}: {said(cause)} [{number}]", advice)
    if isinstance(cause, SSL.Error):
        return _of_tls(cause, target)
    if (on_the_way := network.unreachable(cause, target)) is not None:
        return on_the_way
    if isinstance(cause, OSError | EOFError | pytds.ClosedConnectionError):
        return ConnectionLost(f"{target}: the connection broke", "the rotation will be repeated")
    if (isinstance(cause, pytds.Error) and "ncryption" in str(cause)) or "ENCRYPT_ON" in str(cause):
        return TlsFailed(
            f"{target}: the server does not encrypt", "switch TLS on in the server; nothing is ever sent without it"
        )
    return ServiceFailed(f"{target}: the driver failed: {said(cause)}", "the server's log tells more")


def _of_tls(error: SSL.Error, target: str) -> TlsFailed:
    reasons = [str(reason[-1]) for reason in (error.args[0] if error.args else []) if reason]
    if any("certificate verify failed" in reason for reason in reasons):
        return TlsFailed(
            f"{target}: certificate verify failed",
            "put the CA that signed the server's certificate into ROTATION_CA_BUNDLE (for RDS: AWS's global bundle)",
        )
    return TlsFailed(
        f"{target}: TLS failed: {', '.join(reasons) or 'the server broke it off'}", "see which versions it offers"
    )


def said(error: Exception) -> str:
    """The server's words, in one line."""
    return " ".join(str(error.args[0] if error.args else type(error).__name__).split()).rstrip(".")
