"""What the codes of Oracle and its driver mean, at a login and after it.

https://docs.oracle.com/en/error-help/db/, https://python-oracledb.readthedocs.io/en/latest/user_guide/exception_handling.html
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

import oracledb

from rotators.engines import network
from rotators.engines.mapping import REPEATED, Code, ErrorMap, Meaning, connection_broke, connection_lost
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
    Unreachable,
    UserNotRotatable,
)

NO_SUCH_SERVICE = {"DPY-6001", "ORA-12514"}
# The time that we give a call is over.
_TOO_LONG = {"DPY-4024"}
_RESET = "have the admin set it: name an admin secret, the user in ROTATION_USERS, and set ALLOW_ADMIN_RESET=true"
_OPENING = Meaning(Unreachable, "wait until the database is open")
_ENCRYPTION = Meaning(ServiceFailed, "the server demands native network encryption, which thin mode has not: use TCPS")
_SERVICE = Meaning(ServiceFailed, "put the database's service name, or its SID, as 'dbname' into the secret")
_AT_LOGIN: dict[Code, Meaning] = {
    "ORA-01017": Meaning(
        LoginRefused, "check the password; a user whose name is not all in upper case is written in quotes"
    ),
    "ORA-01005": Meaning(LoginRefused, "the password is empty: put the right one into the secret"),
    "ORA-28000": Meaning(LoginRefused, "the account is locked: ALTER USER … ACCOUNT UNLOCK, then correct the secret"),
    "ORA-28001": Meaning(LoginRefused, f"the password has expired: {_RESET}"),
    "ORA-01045": Meaning(PermissionRefused, "grant the user CREATE SESSION"),
    "ORA-28009": Meaning(UserNotRotatable, "SYS logs in as SYSDBA only: name another user"),
    "ORA-12505": _SERVICE,
    "DPY-6003": _SERVICE,
    "ORA-01033": _OPENING,
    "ORA-01034": _OPENING,
    "ORA-12528": _OPENING,
    "DPY-3001": _ENCRYPTION,
    "ORA-12660": _ENCRYPTION,
}
LOGIN = ErrorMap(_AT_LOGIN, otherwise="the listener's log and the alert log tell more")
_UNSEEN = "ORA-00942"
_LACKING = Meaning(PermissionRefused, "grant what is missing")
_NOT_HERE = Meaning(UserNotRotatable, "correct the secret, or create the user in this database")
_POLICY = Meaning(
    PasswordRefused,
    "fit PASSWORD_LENGTH and the EXCLUDE_ settings of the function to the profile's verify function",
)
STATEMENT = ErrorMap(
    {
        **dict.fromkeys((_UNSEEN, "ORA-01031", "ORA-01720", "ORA-01919", "ORA-01932"), _LACKING),
        **dict.fromkeys(("ORA-01918", "ORA-65066", "ORA-65040", "ORA-65050", "ORA-28184"), _NOT_HERE),
        "ORA-16000": Meaning(ReadOnlyServer, "put the primary's endpoint as 'host' into the secret"),
    },
    otherwise=f"{REPEATED}; the alert log tells more",
    of_passwords={
        # What a profile's verify function and its limits of reuse say.
        **dict.fromkeys(("ORA-28003", "ORA-28007", "ORA-28193", "ORA-00988", "ORA-00972"), _POLICY),
        # What a verify function of somebody's own raises.
        **dict.fromkeys((f"ORA-{number}" for number in range(20000, 21000)), _POLICY),
        **dict.fromkeys(
            ("ORA-28008", "ORA-28221", "ORA-01017"),
            Meaning(CurrentPasswordMismatch, f"the password was changed meanwhile; {REPEATED}"),
        ),
    },
    lost=frozenset(
        {"DPY-4011", "DPY-1001", "ORA-03113", "ORA-03114", "ORA-03135", "ORA-01012", "ORA-00028", "ORA-12537"}
    ),
)
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
        return network.tls_failed(cause, target, "name the port of TCPS, and switch it on there")
    if (on_the_way := network.unreachable(cause, target, _REFUSED)) is not None:
        return on_the_way
    code = code_of(cause)
    if code in _TOO_LONG or (code == "DPY-4011" and "timed out" in str(cause)):
        return network.no_answer(target)
    if code in STATEMENT.lost or not isinstance(cause, oracledb.Error):
        return connection_broke(target, code)
    return LOGIN.error(code, target, server_message(cause))


def of_statement(error: Exception, where: str, user: str, advice: str, password_of: str | None) -> ServiceError:
    """Why a statement failed. The statement itself is never shown: it may hold a password.

    Args:
        error: what the driver raised.
        where: server and user, for the message.
        user: who is logged in.
        advice: what to do where a privilege is missing.
        password_of: the user whose password the statement sets, where it does.
    """
    code = code_of(error)
    if isinstance(error, TimeoutError) or code in _TOO_LONG:
        return ConnectionLost(
            f"{where}: no answer in time",
            f"{REPEATED}; if a statement or the test query needs longer, raise ROTATION_CONNECT_TIMEOUT",
        )
    if not isinstance(error, oracledb.DatabaseError):
        return connection_lost(where, code)
    if code == _UNSEEN and not advice:
        advice = f"run: GRANT SELECT_CATALOG_ROLE TO {quoted(user)}"
    return STATEMENT.error(code, where, server_message(error), advice=advice, password_of=password_of)


def code_of(error: BaseException) -> str:
    """Oracle's or the driver's code: ``ORA-01017``, ``DPY-6005``; empty if there is none."""
    return str(getattr(error.args[0], "full_code", "")) if error.args else ""


def server_message(error: BaseException) -> str:
    """The server's words: its first line, without the driver's advice."""
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
