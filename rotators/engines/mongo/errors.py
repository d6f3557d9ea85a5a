"""The meaning of the servers' and the driver's errors.

https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from pymongo.errors import NetworkTimeout, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from rotators.engines import network
from rotators.engines.certificates import names_offered
from rotators.engines.mapping import REPEATED, ErrorMap, Meaning, connection_broke, connection_lost, no_answer
from rotators.errors import (
    LoginRefused,
    PasswordRefused,
    PermissionRefused,
    ReadOnlyServer,
    ServiceError,
    ServiceFailed,
    TlsFailed,
    UserNotRotatable,
)

if TYPE_CHECKING:
    from rotators.engines.base import ConnectOptions

BAD_VALUE, USER_NOT_FOUND, UNAUTHORIZED, AUTHENTICATION_FAILED, AUTHENTICATION_UNSUPPORTED = 2, 11, 13, 18, 334
_READ_ONLY = (10107, 13435, 189)  # NotWritablePrimary, NotPrimaryNoSecondaryOk, PrimarySteppedDown
# FailedToParse, CommandNotFound, InvalidOptions, NotImplemented, Unknown feature, IDLUnknownField
_NOT_KNOWN = (BAD_VALUE, 9, 59, 72, 238, 303, 40415)


class NotKnown(ServiceFailed):
    """The server does not know a command, or a field of it."""


LOGIN = ErrorMap(
    {
        AUTHENTICATION_FAILED: Meaning(LoginRefused, "check the password, and 'authenticationDatabase'"),
        AUTHENTICATION_UNSUPPORTED: Meaning(LoginRefused, "check the password, and how the user logs in"),
        UNAUTHORIZED: Meaning(PermissionRefused, "grant the user a role"),
    },
    otherwise="the server's log tells more",
)
COMMAND = ErrorMap(
    {
        UNAUTHORIZED: Meaning(PermissionRefused, "grant the user what is missing"),
        USER_NOT_FOUND: Meaning(UserNotRotatable, "create the user, or correct the secret"),
        **dict.fromkeys(_READ_ONLY, Meaning(ReadOnlyServer, "put the cluster's endpoint as 'host' into the secret")),
        **dict.fromkeys(_NOT_KNOWN, Meaning(NotKnown, "the server does not know the command, or a field of it")),
    },
    otherwise=REPEATED,
)


def of_login(error: BaseException, target: str, address: tuple[str, int], options: ConnectOptions) -> ServiceError:
    """What the failure of a login means.

    Args:
        error: what the driver raised, or what it met while it looked for the server.
        target: server and user, for the message.
        address: host and port.
        options: how it was connected.
    """
    cause = _root(error)
    if isinstance(cause, ssl.SSLError):
        return _of_tls(cause, target, address, options)
    if isinstance(cause, OperationFailure):
        return LOGIN.error(cause.code or 0, target, f"{server_message(cause)} [{cause.code}]")
    if (on_the_way := network.unreachable(cause, target)) is not None:
        return on_the_way
    if isinstance(cause, NetworkTimeout) or isinstance(error, ServerSelectionTimeoutError):
        return network.no_answer(target)
    return connection_broke(target)


def of_command(error: BaseException, where: str, advice: str) -> ServiceError:
    """What the failure of a command means. The command, which may hold a password, is not shown.

    Args:
        error: what the driver raised.
        where: server and user, for the message.
        advice: what to do where a privilege is missing.
    """
    if isinstance(error, OperationFailure):
        return _of_answer(error, where, advice)
    if isinstance(error, TimeoutError) or (isinstance(error, PyMongoError) and error.timeout):
        return no_answer(where)
    if isinstance(error, PyMongoError | OSError):
        return connection_lost(where)
    # BSON can't hold everything that JSON can: a lone surrogate, for one.
    return ServiceFailed(f"{where}: the driver can't send this: {type(error).__name__}", "correct the secret's values")


def _of_answer(error: OperationFailure, where: str, advice: str) -> ServiceError:
    message = f"{server_message(error)} [{error.code}]"
    # The server has one code for every wrong command, and tells only in the message what is wrong.
    if error.code == BAD_VALUE and "password" in message.lower():
        return PasswordRefused(
            f"{where}: {message}",
            "fit PASSWORD_LENGTH and EXCLUDE_CHARACTERS to what the server takes",
            code=error.code,
        )
    return COMMAND.error(error.code or 0, where, message, advice=advice)


def server_message(error: OperationFailure) -> str:
    """The server's words: without what the driver adds, which may hold the whole answer."""
    lines = str((error.details or {}).get("errmsg", "")).splitlines()
    return lines[0] if lines else "the command failed"


def _of_tls(error: ssl.SSLError, target: str, address: tuple[str, int], options: ConnectOptions) -> TlsFailed:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return network.tls_failed(error, target, "switch TLS on in the server")
    return network.certificate_refused(
        error,
        target,
        address[0],
        lambda: names_offered(address, options, lambda _: None),
        advice=network.OWN_NAME,
        bundle="for DocumentDB: AWS's global bundle",
    )


def _root(error: BaseException) -> BaseException:
    """The cause of the driver's error: the server's answer, or the operating system's error."""
    while not isinstance(error, OperationFailure) and error.__cause__ is not None:
        error = error.__cause__
    return error
