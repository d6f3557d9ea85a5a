"""What Db2's codes mean, in one place.

https://www.ibm.com/docs/en/db2/11.5.x?topic=messages-sql-messages
"""

from __future__ import annotations

import re

from rotators.errors import (
    ConnectionLost,
    LoginRefused,
    PermissionRefused,
    ReadOnlyServer,
    ServiceError,
    ServiceFailed,
    Unreachable,
    UserNotRotatable,
)

_CODE = re.compile(r"\b(SQL\d{4,5}N|CLI\d{4}E)\b")
_REASON = re.compile(r'reason "(\d+)"')
LOGIN, COMMUNICATION, TLS = "SQL30082N", "SQL30081N", "SQL20576N"
# https://www.ibm.com/docs/en/db2/11.5.x?topic=messages-sql30000-sql30499#sql30082n
_LOGIN_REASONS: dict[str, tuple[type[ServiceError], str]] = {
    "1": (LoginRefused, "the password has expired: have the admin set it"),
    "19": (UserNotRotatable, "the user is disabled or restricted: enable it, or stop rotating this secret"),
}
_OF_CONNECTING: dict[str, tuple[type[ServiceError], str]] = {
    "SQL1060N": (PermissionRefused, "grant the user CONNECT on that database"),
    "SQL1013N": (ServiceFailed, "correct 'dbname' in the secret"),
    "SQL30061N": (ServiceFailed, "correct 'dbname' in the secret"),
    "SQL1776N": (ReadOnlyServer, "put the primary's endpoint as 'host' into the secret"),
    "SQL1032N": (Unreachable, "wait until the database manager is started"),
}
_PERMISSION = {"SQL0551N", "SQL0552N", "SQL1060N", "SQL0567N", "SQL1092N"}
_LOST = {COMMUNICATION, "SQL1224N", "SQL0900N", "SQL1013N", "SQL30108N"}
_LOCKED = {"SQL0911N", "SQL0913N", "SQL0952N"}
_READ_ONLY = "SQL1773N"


def code_of(error: Exception) -> str:
    """Db2's code: ``SQL30082N``; empty where there is none."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def server_message(error: Exception) -> str:
    """Db2's words in one line, without the driver's name and what follows the reason."""
    text = " ".join(str(error).split())
    return re.sub(r"^(?:\[[^\]]*\]\s*)+|\s*SQLSTATE=.*$", "", text).rstrip(".")


def of_login(error: Exception, target: str) -> ServiceError:
    """What the refusal of a login means, but for what happened on the way.

    Args:
        error: what the driver raised.
        target: server and user, for the message.
    """
    code, words = code_of(error), server_message(error)
    if code == LOGIN:
        reason = _REASON.search(str(error))
        kind, advice = _LOGIN_REASONS.get(reason[1] if reason else "", (LoginRefused, "check the password"))
        return kind(f"{target}: {words}", advice)
    kind, advice = _OF_CONNECTING.get(code, (ServiceFailed, "the database's diagnostic log tells more"))
    return kind(f"{target}: {words}", advice)


def of_statement(error: Exception, where: str, advice: str) -> ServiceError:
    """What a statement's failure means. The statement's values are never shown: they may hold a password.

    Args:
        error: what the driver raised.
        where: server and user, for the message.
        advice: what to do where a right is missing.
    """
    code = code_of(error)
    what = f"{where}: {server_message(error)}"
    if code in _LOST:
        return ConnectionLost(f"{where}: the connection was lost", "the rotation will be repeated")
    if code in _PERMISSION:
        return PermissionRefused(what, advice or "grant what the server says is missing")
    if code == _READ_ONLY:
        return ReadOnlyServer(what, "put the primary's endpoint as 'host' into the secret")
    if code in _LOCKED:
        return ServiceFailed(what, "another session holds a lock; the rotation will be repeated")
    return ServiceFailed(what, "the rotation will be repeated; the database's diagnostic log tells more")
