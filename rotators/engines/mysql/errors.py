"""What the servers' error numbers mean.

https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html, https://mariadb.com/kb/en/mariadb-error-codes/
"""

from __future__ import annotations

from typing import NamedTuple

import pymysql
from pymysql.constants import CR, ER

from rotators.errors import (
    ConnectionLost,
    CurrentPasswordMismatch,
    LoginRefused,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    ServiceError,
    ServiceFailed,
    TlsFailed,
    UserNotRotatable,
)


class Meaning(NamedTuple):
    """An error of ours, and what to do then."""

    kind: type[ServiceError]
    advice: str


_REPEATED = "the rotation will be repeated"
_LOCKED = Meaning(
    UserNotRotatable, "the account is locked: unlock it (ALTER USER … ACCOUNT UNLOCK), or stop rotating this secret"
)
_BLOCKED = "the account is blocked after too many wrong passwords: "
EXPIRED = (
    "the password has expired, and whoever logs in with it may do nothing: have the admin set it "
    "(ALLOW_ADMIN_RESET=true), or set it by hand"
)

LOGIN: dict[int, Meaning] = {
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
    1820: Meaning(LoginRefused, EXPIRED),
    1862: Meaning(LoginRefused, EXPIRED),
    3118: _LOCKED,
    4151: _LOCKED,
    3159: Meaning(TlsFailed, "the server takes no login without TLS: remove 'ssl' from the secret"),
    3955: Meaning(LoginRefused, _BLOCKED + "run ALTER USER … ACCOUNT UNLOCK, or wait for its PASSWORD_LOCK_TIME"),
    4150: Meaning(LoginRefused, _BLOCKED + "run FLUSH PRIVILEGES, or have the admin set it (ALLOW_ADMIN_RESET=true)"),
    CR.CR_SSL_CONNECTION_ERROR: Meaning(TlsFailed, "switch TLS on in the server; nothing is ever sent without it"),
    CR.CR_SERVER_GONE_ERROR: Meaning(ConnectionLost, _REPEATED),
    CR.CR_SERVER_LOST: Meaning(ConnectionLost, _REPEATED),
}

_LOST = {CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, 1053, 1927, 4031}
_REFUSED = {
    ER.SPECIFIC_ACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, ER.ACCESS_DENIED_ERROR,
    ER.COLUMNACCESS_DENIED_ERROR, 1370, 1410, 1698,
}  # fmt: skip
# validate_password and its like; the history of passwords.
_POLICY = {1819, 3638, 4164}
_OPTION_PREVENTS = 1290
_READ_ONLY_MODE = 1836
_WRONG_CURRENT_PASSWORD = 3891
_MUST_CHANGE = {1820, 1862}
_WRITER = "put the writer's endpoint as 'host' into the secret"


def server_message(error: Exception) -> tuple[int, str]:
    """A driver's error as the server's number and text; 0 where the server said nothing."""
    arguments = error.args
    if not arguments or not isinstance(arguments[0], int):
        return 0, ""
    return arguments[0], str(arguments[1]) if len(arguments) > 1 else ""


def is_lost(error: Exception) -> bool:
    """Whether the connection is gone."""
    return server_message(error)[0] in _LOST or isinstance(error, OSError | pymysql.err.InterfaceError)


def meaning_of(code: int, message: str, advice: str) -> Meaning:  # noqa: PLR0911  # one return per error code
    """What a statement's failure means.

    Args:
        code: the server's number.
        message: its text.
        advice: what to do where a right is missing.
    """
    if code in _REFUSED:
        return Meaning(PermissionRefused, advice or "grant what the server says is missing")
    if code in _MUST_CHANGE:
        return Meaning(LoginRefused, EXPIRED)
    if code in _POLICY:
        return Meaning(
            PasswordRefused,
            "fit PASSWORD_LENGTH and the EXCLUDE_ settings of the function to the server's password policy",
        )
    if code == _OPTION_PREVENTS and "strict-password-validation" in message:
        return Meaning(
            PermissionRefused,
            "set strict_password_validation=OFF: it takes no hashes, and MariaDB would log a password in clear",
        )
    if code in {_OPTION_PREVENTS, _READ_ONLY_MODE}:
        return Meaning(ReadOnlyServer, _WRITER)
    if code == _WRONG_CURRENT_PASSWORD:
        return Meaning(CurrentPasswordMismatch, _REPEATED)
    return Meaning(ServiceFailed, f"{_REPEATED}; the server's log tells more")
