"""The meaning of SQL Server's error numbers, at a login and after it.

https://learn.microsoft.com/sql/relational-databases/errors-events/mssqlserver-18456-database-engine-error,
https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors
"""

from __future__ import annotations

import ssl
from typing import Any

import pytds

from rotators.engines import network
from rotators.engines.mapping import (
    GRANT_ADVICE,
    REPEATED,
    Code,
    ErrorMap,
    Meaning,
    connection_broke,
    connection_lost,
)
from rotators.engines.sqlserver import tls
from rotators.errors import (
    ConnectionLost,
    LoginRefused,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    ServiceError,
    ServiceFailed,
    TlsFailed,
    UserNotRotatable,
)

_RESET = "have the admin set it: name an admin secret, the user in ROTATION_USERS, and set ALLOW_ADMIN_RESET=true"
_WRITER = "put the listener's or the primary's endpoint as 'host' into the secret"
_AT_LOGIN: dict[Code, Meaning] = {
    4060: Meaning(PermissionRefused, "map the login to a user in that database, or correct 'dbname' in the secret"),
    4064: Meaning(PermissionRefused, "give the login a default database that it may use, or the secret a 'dbname'"),
    18452: Meaning(UserNotRotatable, "the server takes Windows logins only: switch SQL Server authentication on"),
    18456: Meaning(LoginRefused, "check the password; for a contained user also 'dbname'"),
    18470: Meaning(UserNotRotatable, "the login is disabled: enable it, or stop rotating this secret"),
    18486: Meaning(
        LoginRefused, "the login is locked out: ALTER LOGIN … WITH PASSWORD = … UNLOCK, then correct the secret"
    ),
    18487: Meaning(LoginRefused, f"the password has expired: {_RESET}"),
    18488: Meaning(LoginRefused, f"the password must be changed: {_RESET}"),
    17892: Meaning(PermissionRefused, "a logon trigger refused the user"),
    978: Meaning(ServiceFailed, "the database is a secondary replica that takes no such connection: name the listener"),
}
LOGIN = ErrorMap(_AT_LOGIN, otherwise="the server's log tells more")
STATEMENT = ErrorMap(
    {
        **dict.fromkeys(
            (229, 230, 262, 297, 300, 916, 4613, 15151, 15157, 15247), Meaning(PermissionRefused, GRANT_ADVICE)
        ),
        **dict.fromkeys(
            (15113, 15114, 15115, 15116, 15117, 15118, 15119, 33062),
            Meaning(PasswordRefused, "fit PASSWORD_LENGTH and the EXCLUDE_ settings to the server's password policy"),
        ),
        **dict.fromkeys((976, 978, 982, 983, 3906), Meaning(ReadOnlyServer, _WRITER)),
        1222: Meaning(ServiceFailed, f"another session holds a lock; {REPEATED}"),
        15007: Meaning(UserNotRotatable, "create the login, or correct the secret"),
    },
    otherwise=f"{REPEATED}; the server's log tells more",
)


def of_login(  # noqa: PLR0911  # one return for each meaning
    error: Exception, target: str, handshake: tls.Handshake, *, expired: bool
) -> ServiceError:
    """Why a login failed.

    Before a server is verified, its answers may come from anyone: then its texts and numbers are ignored.

    Args:
        error: what the driver, ``ssl`` or the network raised.
        target: server and user, for the message.
        handshake: whether the server was verified, if it was to be.
        expired: whether the time was over.
    """
    # The driver wraps what it might try again.
    cause: Any = error.__cause__ if isinstance(error, TimeoutError) and error.__cause__ is not None else error
    if expired:
        return network.no_answer(target)
    if (refused := _of_tls(cause, target, handshake)) is not None:
        return refused
    if isinstance(cause, tls.Rerouted):
        return ServiceFailed(f"{target}: the server sends its clients to another one", "name that one as 'host'")
    number = getattr(cause, "msg_no", None)
    believed = handshake.verified or handshake.context is None
    if believed and isinstance(cause, pytds.DatabaseError) and number:
        return LOGIN.error(number, target, f"{server_message(cause)} [{number}]")
    if isinstance(cause, OSError) and (on_the_way := network.unreachable(cause, target)) is not None:
        return on_the_way
    if isinstance(cause, OSError | EOFError | pytds.ClosedConnectionError):
        return connection_broke(target)
    if believed and isinstance(cause, pytds.Error):
        return ServiceFailed(f"{target}: the driver failed: {server_message(cause)}", "the server's log tells more")
    return ConnectionLost(
        f"{target}: the server does not answer as SQL Server does", f"see that 'port' is SQL Server's; {REPEATED}"
    )


def of_statement(error: Exception, where: str, advice: str) -> ServiceError:
    """Why a statement failed. The statement itself is never shown: it may hold a password.

    Args:
        error: what the driver raised.
        where: server and user, for the message.
        advice: what to do where a privilege is missing.
    """
    number = getattr(error, "msg_no", None)
    if not isinstance(error, pytds.DatabaseError) or not number:
        return connection_lost(where)
    return STATEMENT.error(number, where, f"{server_message(error)} [{number}]", advice=advice)


def no_answer(where: str, seconds: float) -> ConnectionLost:
    """The error for a statement that takes too long: it may have been carried out."""
    return ConnectionLost(
        f"{where}: no answer within {seconds:.1f} s",
        f"{REPEATED}; if a statement or the test query needs longer, raise ROTATION_CONNECT_TIMEOUT",
    )


def _of_tls(cause: Exception, target: str, handshake: tls.Handshake) -> ServiceError | None:
    if isinstance(cause, tls.NameMismatch):
        return network.another_name(target, handshake.name, cause.names)
    if isinstance(cause, tls.TlsDemanded) or "encryption enabled but it is required" in str(cause):
        return TlsFailed(
            f"{target}: the server takes connections over TLS only, and the secret asks for one without (ssl: false)",
            "remove 'ssl' from the secret",
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return network.certificate_refused(cause, target, handshake.name, list)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return network.tls_failed(cause, target, "see that the server offers TLS 1.2")
    # The driver's own words.
    if isinstance(cause, pytds.Error) and ("not supported by server" in str(cause) or "ENCRYPT_ON" in str(cause)):
        return TlsFailed(
            f"{target}: the server does not encrypt", "switch TLS on in the server; nothing is ever sent without it"
        )
    return None


def server_message(error: Exception) -> str:
    """The server's words, in one line."""
    return " ".join(str(error.args[0] if error.args else type(error).__name__).split()).rstrip(".")
