"""Logging in to DocumentDB or MongoDB, and telling apart the ways in which that fails.

https://www.mongodb.com/docs/languages/python/pymongo-driver/current/connect/,
https://docs.aws.amazon.com/documentdb/latest/developerguide/connect_programmatically.html
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo.errors import (
    ConfigurationError as DriverConfigurationError,
)
from pymongo.errors import NetworkTimeout, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from rotators.engines import network
from rotators.engines.certificates import names_offered
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

_EXTERNAL = "$external"
# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
UNAUTHORIZED, AUTHENTICATION_FAILED, AUTHENTICATION_UNSUPPORTED = 13, 18, 334
_MEANINGS: dict[int, tuple[type[ServiceError], str]] = {
    AUTHENTICATION_FAILED: (LoginRefused, "check the password, and 'authenticationDatabase'"),
    AUTHENTICATION_UNSUPPORTED: (LoginRefused, "check the password, and how the user logs in"),
    UNAUTHORIZED: (PermissionRefused, "grant the user a role"),
}


def connect(credentials: Credentials, default_port: int, options: ConnectOptions) -> pymongo.MongoClient[Any]:
    """Log in, over verified TLS, to this one server, whatever others it knows of.

    Raises:
        ServiceError: it did not work; the kind says why.
        ConfigurationError: there are no CA certificates, or a name is to be verified that the driver can't verify.
    """
    host, port = credentials.host.strip("[]"), credentials.port(default_port)
    target = f"the server at {host}:{port}, user '{credentials.username}'"
    if credentials.text("authenticationDatabase") == _EXTERNAL:
        raise UserNotRotatable(f"{target} logs in by a certificate or by IAM", "it has no password to rotate")
    network.require_ca(options, f"the server at {host}:{port}")
    network.require_own_name(options, host, port, "MongoDB's")
    milliseconds = max(1000, round(options.timeout * 1000))
    tls: dict[str, Any] = {"tls": False} if options.plaintext else {"tls": True, "tlsCAFile": options.ca_file}
    try:
        client: pymongo.MongoClient[Any] = pymongo.MongoClient(
            host,
            port,
            username=credentials.username,
            password=credentials.password,
            authSource=credentials.text("authenticationDatabase") or "admin",
            **tls,
            directConnection=True,
            # DocumentDB has no retryable writes, and ours are repeated by the rotation.
            retryWrites=False,
            retryReads=False,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
            serverMonitoringMode="poll",
            maxPoolSize=1,
        )
    except (DriverConfigurationError, ValueError, OSError) as error:
        raise ServiceFailed(f"{target}: the driver refuses the settings: {error}", "correct the secret") from None
    try:
        client.admin.command("ping")
    except (PyMongoError, OSError, UnicodeError) as error:
        client.close()
        cause: Exception = error
        if isinstance(error, ServerSelectionTimeoutError):
            # The driver tells what it met as a text only: meet it again.
            cause = network.go((host, port), options) or error
        raise _explain(cause, target, (host, port), options) from None
    return client


def _explain(error: Exception, target: str, address: tuple[str, int], options: ConnectOptions) -> ServiceError:
    cause = _root(error)
    if isinstance(cause, ssl.SSLError):
        return _of_tls(cause, target, address, options)
    if isinstance(cause, OperationFailure):
        kind, advice = _MEANINGS.get(cause.code or 0, (ServiceFailed, "the server's log tells more"))
        return kind(f"{target}: {said_by(cause)} [{cause.code}]", advice)
    if (on_the_way := network.unreachable(cause, target)) is not None:
        return on_the_way
    if isinstance(cause, NetworkTimeout) or isinstance(error, ServerSelectionTimeoutError):
        return network.no_answer(target)
    return ConnectionLost(f"{target}: the connection broke", "the rotation will be repeated")


def _of_tls(error: ssl.SSLError, target: str, address: tuple[str, int], options: ConnectOptions) -> TlsFailed:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed(
            f"{target}: TLS failed: {error.reason or 'the server speaks none'}", "switch TLS on in the server"
        )
    return network.certificate_refused(
        error,
        target,
        address[0],
        lambda: names_offered(address, options, lambda _: None),
        advice=network.OWN_NAME,
        bundle="for DocumentDB: AWS's global bundle",
    )


def _root(error: BaseException) -> BaseException:
    """What is behind the driver's error: the server's own answer, or the operating system's."""
    while not isinstance(error, OperationFailure) and error.__cause__ is not None:
        error = error.__cause__
    return error


def said_by(error: OperationFailure) -> str:
    """The server's words: without what the driver adds, which may hold the whole answer."""
    return str((error.details or {}).get("errmsg", "the command failed")).splitlines()[0]
