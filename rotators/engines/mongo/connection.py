"""Logging in to DocumentDB or MongoDB, and running commands, each within its time.

https://www.mongodb.com/docs/languages/python/pymongo-driver/current/connect/,
https://docs.aws.amazon.com/documentdb/latest/developerguide/connect_programmatically.html
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pymongo

from rotators.engines import network
from rotators.engines.mapping import driver_errors
from rotators.engines.mongo import errors
from rotators.errors import RotationError, SecretMalformed, ServiceError, UserNotRotatable
from rotators.limits import within

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

_EXTERNAL = "$external"
# https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
_DATABASE = re.compile(r'[^/\\. "$*<>:|?\x00]{1,63}')
ADMIN_ADVICE = (
    "as the primary user, run: db.grantRolesToUser('{user}', [{{role: 'userAdminAnyDatabase', db: 'admin'}}])"
)


class Connection:
    """A login to one server: runs commands, and raises only errors of :mod:`rotators.errors`.

    Args:
        client: the driver's, logged in.
        credentials: who.
        port: where, at the host.
        options: how it was connected.
    """

    def __init__(
        self, client: pymongo.MongoClient[Any], credentials: Credentials, port: int, options: ConnectOptions
    ) -> None:
        self._client = client
        self._options = options
        self.user = credentials.username
        self.host = credentials.host
        self.address = f"{credentials.host.lower()}:{port}"

    def run(self, database: str, command: Mapping[str, Any], advice: str = "") -> Any:
        """Run a command.

        Args:
            database: where.
            command: its document.
            advice: what to do where a privilege is missing; empty: make the user an admin.

        Raises:
            ServiceError: it failed. The text is the server's; the command, which may hold a password, is not shown.
        """
        where = f"{self.host}, as '{self.user}'"

        def translate(error: Exception) -> ServiceError:
            if not isinstance(error, pymongo.errors.OperationFailure):
                self.close()
            return errors.of_command(error, where, advice or ADMIN_ADVICE.format(user=self.user))

        with driver_errors(translate):
            # Not the driver's own limit, which would send the server a field that not every one knows.
            return within(
                self._options.limit(where), lambda: self._client.get_database(database).command(dict(command))
            )

    def close(self) -> None:
        """End it; never raises."""
        with contextlib.suppress(Exception):
            self._client.close()


def connect(credentials: Credentials, default_port: int, options: ConnectOptions) -> Connection:
    """Log in, over verified TLS, to this one server, whatever others it knows of.

    Raises:
        ServiceError: it did not work; the kind says why.
        SecretMalformed: a value is none that a server could have.
        ConfigurationError: there are no CA certificates, or a name is to be verified that the driver can't verify.
    """
    host, port = credentials.host.strip("[]"), credentials.port(default_port)
    source = credentials.text("authenticationDatabase") or "admin"
    if source != _EXTERNAL and not _DATABASE.fullmatch(source):
        raise _unusable(credentials, "the key 'authenticationDatabase' is no database's name")
    target = f"the server at {host}:{port}, user '{credentials.username}'"
    if source == _EXTERNAL:
        raise UserNotRotatable(f"{target} logs in by a certificate or by IAM", "it has no password to rotate")
    network.require_text(credentials)
    network.require_ca(options, f"the server at {host}:{port}")
    network.require_own_name(options, host, port, "MongoDB's")
    ends = time.monotonic() + options.limit(target)
    _go(target, (host, port), options)
    seconds = ends - time.monotonic()
    milliseconds = max(1, round(seconds * 1000))
    tls: dict[str, Any] = {"tls": False} if options.plaintext else {"tls": True, "tlsCAFile": options.ca_file}
    with driver_errors(lambda error: _unusable(credentials, type(error).__name__)):
        client: pymongo.MongoClient[Any] = pymongo.MongoClient(
            host,
            port,
            username=credentials.username,
            password=credentials.password,
            authSource=source,
            **tls,
            directConnection=True,
            # DocumentDB has no retryable writes, and a retried rotation repeats these.
            retryWrites=False,
            retryReads=False,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
            serverMonitoringMode="poll",
            maxPoolSize=1,
        )

    def translate(error: Exception) -> RotationError:
        client.close()
        if isinstance(error, ValueError | TypeError) and not isinstance(error, OSError | UnicodeError):
            # SASLprep takes no control characters and no unassigned ones.
            return _unusable(credentials, "the driver can't send its user or password")
        return errors.of_login(error, target, (host, port), options)

    with driver_errors(translate):
        within(seconds, lambda: client.admin.command("ping"))
    return Connection(client, credentials, port, options)


def _go(target: str, address: tuple[str, int], options: ConnectOptions) -> None:
    """Go the way to the server without the driver, which searches until its time is over and tells only a text.

    Raises:
        ServiceError: something stands on it.
    """
    try:
        cause = within(options.limit(target), lambda: network.probe_tls(address, options))
    except TimeoutError as error:
        cause = error
    if cause is not None:
        raise errors.of_login(cause, target, address, options)


def _unusable(credentials: Credentials, reason: str) -> SecretMalformed:
    return SecretMalformed(f"{credentials.source}: {reason}", "correct the secret")
