"""What the codes of Oracle and its driver mean, at a login and after it.

https://docs.oracle.com/en/error-help/db/, https://python-oracledb.readthedocs.io/en/latest/user_guide/exception_handling.html
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

import oracledb

from rotators.engines import network
from rotators.engines.oracle.quoting import quoted
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
    Unreachable,
    UserNotRotatable,
)

LOST = {"DPY-4011", "DPY-1001", "ORA-03113", "ORA-03114", "ORA-03135", "ORA-01012", "ORA-00028", "ORA-12537"}
NO_SUCH_SERVICE = {"DPY-6001", "ORA-12514"}
# The time that we give a call is over.
_TOO_LONG = {"DPY-4024"}
_REPEATED = "the rotation will be repeated"
_RESET = "have the admin set it: name an admin secret, the user in ROTATION_USERS, and set ALLOW_ADMIN_RESET=true"
_OPENING = (Unreachable, "wait until the database is open")
_ENCRYPTION = (ServiceFailed, "the server demands native network encryption, which thin mode has not: use TCPS")
_SERVICE = (ServiceFailed, "put the database's service name, or its SID, as 'dbname' into the secret")
AT_LOGIN: dict[str, tuple[type[ServiceError], str]] = {
    "ORA-01017": (LoginRefused, "check the password; a user whose name is not all in upper case is written in quotes"),
    "ORA-01005": (LoginRefused, "the password is empty: put the right one into the secret"),
    "ORA-28000": (LoginRefused, "the account is locked: ALTER USER … ACCOUNT UNLOCK, then correct the secret"),
    "ORA-28001": (LoginRefused, f"the password has expired: {_RESET}"),
    "ORA-01045": (PermissionRefused, "grant the user CREATE SESSION"),
    "ORA-28009": (UserNotRotatable, "SYS logs in as SYSDBA only: name another user"),
    "ORA-12505": _SERVICE,
    "DPY-6003": _SERVICE,
    "ORA-01033": _OPENING,
    "ORA-01034": _OPENING,
    "ORA-12528": _OPENING,
    "DPY-3001": _ENCRYPTION,
    "ORA-12660": _ENCRYPTION,
}
# What a profile's verify function and its limits of reuse say; and 20000 to 20999, a function of somebody's own.
POLICY = ("ORA-28003", "ORA-28007", "ORA-28193", "ORA-00988", "ORA-00972")
OWN_POLICY = "ORA-20"
WRONG_OLD = ("ORA-28008", "ORA-28221", "ORA-01017")
_LACKING = (PermissionRefused, "grant what is missing")
_NOT_HERE = (UserNotRotatable, "correct the secret, or create the user in this database")
IN_STATEMENTS: dict[str, tuple[type[ServiceError], str]] = {
    **dict.fromkeys(("ORA-01031", "ORA-01720", "ORA-01919", "ORA-01932"), _LACKING),
    **dict.fromkeys(("ORA-01918", "ORA-65066", "ORA-65040", "ORA-65050", "ORA-28184"), _NOT_HERE),
    "ORA-16000": (ReadOnlyServer, "put the primary's endpoint as 'host' into the secret"),
}
_UNSEEN = "ORA-00942"
_REFUSED = "check host and port in the secret (TCPS has one of its own), and that the listener runs"


def of_login(error: Exception, target: str, name: str, names_offered: Callable[[], list[str]]) -> ServiceError:
    """Why a login failed.

    Args:
        error: what the driver, ``ssl`` or the network raised.
        target: server and user, for the message.
        name: what the certificate was to be made for.
        names_offered: finds out for which names it is.
    """
    cause: BaseException = error
    while isinstance(cause, oracledb.Error) and code_of(cause) == "DPY-6005" and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return network.certificate_refused(cause, target, name, names_offered)
    if isinstance(cause, ssl.SSLError):
        return TlsFailed(f"{target}: TLS failed: {cause.reason}", "name the port of TCPS, and switch it on there")
    if (on_the_way := network.unreachable(cause, target, _REFUSED)) is not None:
        return on_the_way
    code = code_of(cause)
    if code in _TOO_LONG or (code == "DPY-4011" and "timed out" in str(cause)):
        return network.no_answer(target)
    if code in LOST or not isinstance(cause, oracledb.Error):
        return ConnectionLost(f"{target}: the connection broke", _REPEATED)
    kind, advice = AT_LOGIN.get(code, (ServiceFailed, "the listener's log and the alert log tell more"))
    return kind(f"{target}: {said(cause)}", advice)


def of_statement(  # one return for each meaning
    error: Exception, where: str, user: str, advice: str, password_of: str | None
) -> ServiceError:
    """Why a statement failed. The statement itself is never shown: it may hold a password.

    Args:
        error: what the driver raised.
        where: server and user, for the message.
        user: who is logged in.
        advice: what to do where a right is missing.
        password_of: the user whose password the statement sets, where it does.
    """
    code = code_of(error)
    if isinstance(error, TimeoutError) or code in _TOO_LONG:
        return ConnectionLost(
            f"{where}: no answer in time",
            f"{_REPEATED}; if a statement or the test query needs longer, raise ROTATION_CONNECT_TIMEOUT",
        )
    if code in LOST or not isinstance(error, oracledb.DatabaseError):
        return ConnectionLost(f"{where}: the connection was lost", _REPEATED)
    what = f"{where}: {said(error)}"
    if password_of is not None and (code in POLICY or code.startswith(OWN_POLICY)):
        return PasswordRefused(
            f"{what}: the new password of '{password_of}' is refused",
            "fit PASSWORD_LENGTH and the EXCLUDE_ settings of the function to the profile's verify function",
        )
    if password_of is not None and code in WRONG_OLD:
        return CurrentPasswordMismatch(what, f"the password was changed meanwhile; {_REPEATED}")
    if code == _UNSEEN:
        return PermissionRefused(what, advice or f"run: GRANT SELECT_CATALOG_ROLE TO {quoted(user)}")
    kind, hint = IN_STATEMENTS.get(code, (ServiceFailed, f"{_REPEATED}; the alert log tells more"))
    return kind(what, advice if advice and kind is PermissionRefused else hint)


def code_of(error: BaseException) -> str:
    """Oracle's or the driver's code: ``ORA-01017``, ``DPY-6005``; empty where there is none."""
    return str(getattr(error.args[0], "full_code", "")) if error.args else ""


def said(error: BaseException) -> str:
    """The server's words: its first line, without the driver's advice."""
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
