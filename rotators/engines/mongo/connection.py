"""Logging in to DocumentDB or MongoDB, and telling apart the ways in which that fails.

https://www.mongodb.com/docs/languages/python/pymongo-driver/current/connect/,
https://docs.aws.amazon.com/documentdb/latest/developerguide/connect_programmatically.html
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo.errors import (
    ConfigurationError as DriverConfigurationError,
)
from pymongo.errors import NetworkTimeout, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from rotators.engines.certificates import names_offered
from rotators.errors import (
    ConfigurationError,
    ConnectionLost,
    LoginRefused,
    PermissionRefused,
    ServiceError,
    ServiceFailed,
    TlsFailed,
    Unreachable,
    UserNotRotatable,
)

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

_EXTERNAL = "$external"
_NAME_MISMATCH = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
UNAUTHORIZED, AUTHENTICATION_FAILED, AUTHENTICATION_UNSUPPORTED = 13, 18, 334
_MEANINGS: dict[int, tuple[type[ServiceError], str]] = {
    AUTHENTICATION_FAILED: (LoginRefused, "check the password, and 'authenticationDatabase'"),
    AUTHENTICATION_UNSUPPORTED: (LoginRefused, "check the password, and how the user logs in"),
    UNAUTHORIZED: (PermissionRefused, "grant the user a role"),
}
_BY_ERRNO = {
    errno.ECONNREFUSED: "check host and port in the secret, and that the server runs",
    errno.ENETUNREACH: "no route to the database: attach the function to subnets of the database's VPC",
    errno.EHOSTUNREACH: "no route to the database: attach the function to subnets of the database's VPC",
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
    _require(options, host, port)
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
            cause = _meet((host, port), options) or error
        raise _explain(cause, target, (host, port), options) from None
    return client


def _require(options: ConnectOptions, host: str, port: int) -> None:
    if options.plaintext:
        return
    if options.ca_file is None:
        raise ConfigurationError(
            f"there are no CA certificates to verify the server at {host}:{port} with",
            "set ROTATION_CA_BUNDLE to a file with the CA of the server's certificate",
        )
    if options.server_name not in {None, host}:
        raise ConfigurationError(
            f"the certificate of {host}:{port} is to be verified for '{options.server_name}', and MongoDB's driver "
            "verifies the host's own name only",
            "put a name that the certificate has as 'host' into the secret, and take tlsServerName away",
        )


def _meet(address: tuple[str, int], options: ConnectOptions) -> Exception | None:
    """Connect without the driver, as far as TLS; what stands against it, if anything does."""
    try:
        with socket.create_connection(address, options.timeout) as plain:
            if not options.plaintext:
                context = ssl.create_default_context(cafile=options.ca_file)
                context.wrap_socket(plain, server_hostname=address[0]).close()
    except (OSError, UnicodeError) as error:
        return error
    return None


def _explain(error: Exception, target: str, address: tuple[str, int], options: ConnectOptions) -> ServiceError:
    cause = _root(error)
    if isinstance(cause, ssl.SSLError):
        return _of_tls(cause, target, address, options)
    if isinstance(cause, OperationFailure):
        kind, advice = _MEANINGS.get(cause.code or 0, (ServiceFailed, "the server's log tells more"))
        return kind(f"{target}: {said_by(cause)} [{cause.code}]", advice)
    if isinstance(cause, socket.gaierror | UnicodeError):
        return Unreachable(
            f"the host name of {target} is unknown (DNS)", "correct 'host' in the secret, or the VPC's DNS settings"
        )
    if isinstance(cause, OSError) and cause.errno in _BY_ERRNO:
        return Unreachable(f"{target}: {cause.strerror}", _BY_ERRNO[cause.errno])
    if isinstance(cause, TimeoutError | NetworkTimeout) or isinstance(error, ServerSelectionTimeoutError):
        return Unreachable(
            f"{target}: no answer in time",
            "let the function's security group into the database's, and attach the function to subnets that reach it",
        )
    return ConnectionLost(f"{target}: the connection broke", "the rotation will be repeated")


def _of_tls(error: ssl.SSLError, target: str, address: tuple[str, int], options: ConnectOptions) -> TlsFailed:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed(
            f"{target}: TLS failed: {error.reason or 'the server speaks none'}", "switch TLS on in the server"
        )
    if error.verify_code in _NAME_MISMATCH and options.ca_file is not None:
        names = names_offered(address, options.ca_file, options.timeout, lambda _: None)
        return TlsFailed(
            f"{target}: the certificate is not for '{address[0]}', but for {', '.join(names) or 'other names'}",
            "put one of these names as 'host' into the secret",
        )
    return TlsFailed(
        f"{target}: certificate verify failed: {error.verify_message}",
        "put the CA that signed the server's certificate into ROTATION_CA_BUNDLE (for DocumentDB: AWS's global bundle)",
    )


def _root(error: BaseException) -> BaseException:
    """What is behind the driver's error: the server's own answer, or the operating system's."""
    while not isinstance(error, OperationFailure) and error.__cause__ is not None:
        error = error.__cause__
    return error


def said_by(error: OperationFailure) -> str:
    """The server's words: without what the driver adds, which may hold the whole answer."""
    return str((error.details or {}).get("errmsg", "the command failed")).splitlines()[0]
