"""The meaning of Db2's codes.

https://www.ibm.com/docs/en/db2/11.5.x?topic=messages-sql-messages
"""

from __future__ import annotations

import re

from rotators.engines.mapping import GRANT_ADVICE, REPEATED, ErrorMap, Meaning
from rotators.errors import (
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
_LOGIN_REASONS = {
    "1": Meaning(LoginRefused, "the password has expired: have the admin set it"),
    "19": Meaning(UserNotRotatable, "the user is disabled or restricted: enable it, or stop rotating this secret"),
}
_WRONG_PASSWORD = Meaning(LoginRefused, "check the password")
_PRIMARY = Meaning(ReadOnlyServer, "put the primary's endpoint as 'host' into the secret")
_LOG = "the database's diagnostic log tells more"
CONNECT = ErrorMap(
    {
        "SQL1060N": Meaning(PermissionRefused, "grant the user CONNECT on that database"),
        "SQL1013N": Meaning(ServiceFailed, "correct 'dbname' in the secret"),
        "SQL30061N": Meaning(ServiceFailed, "correct 'dbname' in the secret"),
        "SQL1776N": _PRIMARY,
        "SQL1032N": Meaning(Unreachable, "wait until the database manager is started"),
    },
    otherwise=_LOG,
)
STATEMENT = ErrorMap(
    {
        **dict.fromkeys(
            ("SQL0551N", "SQL0552N", "SQL1060N", "SQL0567N", "SQL1092N"), Meaning(PermissionRefused, GRANT_ADVICE)
        ),
        "SQL1773N": _PRIMARY,
        **dict.fromkeys(
            ("SQL0911N", "SQL0913N", "SQL0952N"),
            Meaning(ServiceFailed, f"another session holds a lock; {REPEATED}"),
        ),
    },
    otherwise=f"{REPEATED}; {_LOG}",
    lost=frozenset({COMMUNICATION, "SQL1224N", "SQL0900N", "SQL1013N", "SQL30108N"}),
)


def code_of(error: Exception) -> str:
    """Db2's code: ``SQL30082N``; empty if there is none."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def server_message(error: Exception) -> str:
    """Db2's words in one line, without the driver's name and what follows the reason."""
    text = " ".join(str(error).split())
    return re.sub(r"^(?:\[[^\]]*\]\s*)+|\s*SQLSTATE=.*$", "", text).rstrip(".")


def of_login(error: Exception, target: str) -> ServiceError:
    """What a refused login means. Network failures are handled elsewhere.

    Args:
        error: what the driver raised.
        target: server and user, for the message.
    """
    code, message = code_of(error), server_message(error)
    if code == LOGIN:
        reason = _REASON.search(str(error))
        kind, advice = _LOGIN_REASONS.get(reason[1] if reason else "", _WRONG_PASSWORD)
        return kind(f"{target}: {message}", advice, code=code)
    return CONNECT.error(code, target, message)


def of_statement(error: Exception, where: str, advice: str) -> ServiceError:
    """What a statement's failure means. The statement's values are never shown: they may hold a password.

    Args:
        error: what the driver raised.
        where: server and user, for the message.
        advice: what to do where a privilege is missing.
    """
    return STATEMENT.error(code_of(error), where, server_message(error), advice=advice)
