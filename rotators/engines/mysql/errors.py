"""The meaning of the servers' error numbers.

https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html, https://mariadb.com/kb/en/mariadb-error-codes/
"""

from __future__ import annotations

import pymysql
from pymysql.constants import CR, ER

from rotators.engines.mapping import GRANT_ADVICE, POLICY_ADVICE, REPEATED, Code, ErrorMap, Meaning, connection_lost
from rotators.errors import (
    ConnectionLost,
    CurrentPasswordMismatch,
    LoginRefused,
    PasswordExpired,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    ServiceError,
    ServiceFailed,
    TlsFailed,
    UserNotRotatable,
)

_LOCKED = Meaning(
    UserNotRotatable, "the account is locked: unlock it (ALTER USER … ACCOUNT UNLOCK), or stop rotating this secret"
)
_BLOCKED = "the account is blocked after too many wrong passwords: "
EXPIRED = (
    "the password has expired, and whoever logs in with it may only set another: rotate it as a single user, have the "
    "admin set it (ALLOW_ADMIN_RESET=true), or set it by hand"
)

_AT_LOGIN: dict[Code, Meaning] = {
    ER.ACCESS_DENIED_ERROR: Meaning(
        LoginRefused,
        "check the password, from which hosts the user may log in, and that it needs no certificate (REQUIRE X509)",
    ),
    1698: Meaning(UserNotRotatable, "the user logs in by its operating-system account: it has no password to rotate"),
    ER.DBACCESS_DENIED_ERROR: Meaning(
        PermissionRefused, "grant the user a right on that database, or correct 'dbname'"
    ),
    ER.BAD_DB_ERROR: Meaning(ServiceFailed, "correct 'dbname' in the secret"),
    ER.HOST_NOT_PRIVILEGED: Meaning(PermissionRefused, "let the user log in from the function's address"),
    ER.HOST_IS_BLOCKED: Meaning(ServiceFailed, "run FLUSH HOSTS on the server"),
    ER.CON_COUNT_ERROR: Meaning(ServiceFailed, "raise max_connections, or close connections"),
    ER.TOO_MANY_USER_CONNECTIONS: Meaning(ServiceFailed, "raise max_user_connections, or close connections"),
    ER.USER_LIMIT_REACHED: Meaning(ServiceFailed, "raise the account's resource limit"),
    1820: Meaning(PasswordExpired, EXPIRED),
    1862: Meaning(PasswordExpired, EXPIRED),
    3118: _LOCKED,
    4151: _LOCKED,
    3159: Meaning(TlsFailed, "the server takes no login without TLS: remove 'ssl' from the secret"),
    3955: Meaning(LoginRefused, _BLOCKED + "run ALTER USER … ACCOUNT UNLOCK, or wait for its PASSWORD_LOCK_TIME"),
    4150: Meaning(LoginRefused, _BLOCKED + "run FLUSH PRIVILEGES, or have the admin set it (ALLOW_ADMIN_RESET=true)"),
    CR.CR_SSL_CONNECTION_ERROR: Meaning(TlsFailed, "switch TLS on in the server; nothing is ever sent without it"),
    CR.CR_SERVER_GONE_ERROR: Meaning(ConnectionLost, REPEATED),
    CR.CR_SERVER_LOST: Meaning(ConnectionLost, REPEATED),
}

LOGIN = ErrorMap(_AT_LOGIN, otherwise="the server's log tells more")
_OPTION_PREVENTS = 1290
_READ_ONLY_MODE = 1836
_WRITER = "put the writer's endpoint as 'host' into the secret"
_HASHES_REFUSED = Meaning(
    PermissionRefused,
    "set strict_password_validation=OFF: it takes no hashes, and MariaDB would log a password in clear",
)
STATEMENT = ErrorMap(
    {
        **dict.fromkeys(
            (
                ER.SPECIFIC_ACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR,
                ER.ACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR, 1370, 1410, 1698,
            ),
            Meaning(PermissionRefused, GRANT_ADVICE),
        ),
        **dict.fromkeys((1820, 1862), Meaning(PasswordExpired, EXPIRED)),
        # validate_password and its like; the history of passwords.
        **dict.fromkeys((1819, 3638, 4164), Meaning(PasswordRefused, POLICY_ADVICE)),
        **dict.fromkeys((_OPTION_PREVENTS, _READ_ONLY_MODE), Meaning(ReadOnlyServer, _WRITER)),
        3891: Meaning(CurrentPasswordMismatch, REPEATED),
    },
    otherwise=f"{REPEATED}; the server's log tells more",
    lost=frozenset({CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, 1053, 1927, 4031}),
)  # fmt: skip


def server_message(error: Exception) -> tuple[int, str]:
    """The server's number and text in a driver's error; the number is 0 if they are not from the server."""
    arguments = error.args
    if not arguments or not isinstance(arguments[0], int):
        return 0, ""
    return arguments[0], str(arguments[1]) if len(arguments) > 1 else ""


def is_lost(error: Exception) -> bool:
    """Whether the connection is lost."""
    return server_message(error)[0] in STATEMENT.lost or isinstance(error, OSError | pymysql.err.InterfaceError)


def of_statement(error: Exception, where: str, advice: str) -> ServiceError:
    """What a statement's failure means. The statement itself is never shown: it may hold a password.

    Args:
        error: what the driver raised.
        where: server and user, for the message.
        advice: what to do if a privilege is missing.
    """
    code, message = server_message(error)
    if is_lost(error):
        return connection_lost(where, code or None)
    if not isinstance(error, pymysql.Error):
        return ServiceFailed(
            f"{where}: the answer is none that a statement has ({type(error).__name__})",
            "see that MySQL or MariaDB itself listens there",
        )
    # The server has one number for all options that forbid a statement. Only its message names the option.
    if code == _OPTION_PREVENTS and "strict-password-validation" in message:
        kind, hint = _HASHES_REFUSED
        return kind(f"{where}: {message} [{code}]", hint, code=code)
    return STATEMENT.error(code, where, f"{message} [{code}]", advice=advice)
