"""A login to Oracle, and its statements, each within its time.

https://python-oracledb.readthedocs.io/en/latest/user_guide/connection_handling.html
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import oracledb

from rotators.engines import network
from rotators.engines.certificates import names_offered
from rotators.engines.mapping import connection_lost, driver_errors
from rotators.engines.oracle import errors, quoting
from rotators.errors import LoginRefused, ServiceError, ServiceFailed, UserNotRotatable
from rotators.limits import cut_socket, within

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

# It becomes part of a connect descriptor, which has brackets of its own.
_SERVICE = re.compile(r"[\w.$#-]+", re.ASCII)
# Of the time for an answer: the driver then asks the server to stop, which is better than to hang up.
_FOR_THE_DRIVER = 0.8
# Seconds for the driver to say good-bye to the server.
_FAREWELL = 1.0


class _Context(ssl.SSLContext):
    """Verifies a name of our choice, within our time.

    The driver switches the check of the name off, compares distinguished names instead, and knows no time-out for the
    handshake.
    """

    name: str
    seconds: float
    descriptor: int | None = None

    def wrap_socket(self, sock: socket.socket, *_: Any, **__: Any) -> ssl.SSLSocket:
        """Verify ``name``, whatever is asked for."""
        self.check_hostname = True
        self.descriptor = sock.fileno()
        sock.settimeout(self.seconds)
        return super().wrap_socket(sock, server_hostname=self.name)

    def cut(self) -> None:
        """Shut the connection down, whoever waits for it."""
        if self.descriptor is not None:
            with contextlib.suppress(OSError):
                cut_socket(self.descriptor)


class Connection:
    """A login at work.

    Args:
        driver: python-oracledb's connection.
        context: what TLS goes by; None: there is none.
        credentials: who.
        options: how long anything may take.
    """

    def __init__(
        self, driver: oracledb.Connection, context: _Context | None, credentials: Credentials, options: ConnectOptions
    ) -> None:
        self._driver: oracledb.Connection | None = driver
        self._context = context
        self._options = options
        self.host = credentials.host
        self.user = quoting.fold(credentials.username)
        """As the server reads the secret, until it has said who it is."""
        self.server = ""
        """Which database answered."""
        self.container = ""
        """Which of its pluggable databases."""
        self.version = tuple(int(number) for number in driver.version.split("."))

    @property
    def where(self) -> str:
        """Server and user, for messages."""
        return f"Oracle at {self.host}, as '{self.user}'"

    def execute(
        self, statement: str, values: Sequence[Any] = (), advice: str = "", password_of: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement, whose names are quoted already.

        Args:
            statement: the statement; one, since the server takes no more at a time.
            values: for its bind variables.
            advice: what to do where a privilege is missing.
            password_of: the user whose password the statement sets, where it does.

        Returns:
            its rows.

        Raises:
            ServiceError: as what the server's answer means.
        """
        seconds = self._options.limit(self.where)
        driver = self._driver
        if driver is None:
            raise connection_lost(self.where)
        with driver_errors(
            lambda error: errors.of_statement(error, self.where, self.user, advice, password_of),
            on_lost=self._abandon,
        ):
            driver.call_timeout = round(seconds * 1000 * _FOR_THE_DRIVER)
            return within(seconds, lambda: _run(driver, statement, values))

    def _abandon(self) -> None:
        """Use the connection no more, and do not close it: another thread may still wait for its answer."""
        self._driver = None
        if self._context is not None:
            self._context.cut()

    def close(self) -> None:
        """End the session; never raises."""
        driver, self._driver = self._driver, None
        if driver is not None:
            try:
                within(_FAREWELL, driver.close)
            except Exception:  # noqa: BLE001  # it is over either way
                self._abandon()


def _run(driver: oracledb.Connection, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with driver.cursor() as cursor:
        cursor.execute(statement, list(values))
        rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        for further in _implicit_results(cursor):
            further.fetchall()
        return rows


def _implicit_results(cursor: oracledb.Cursor) -> list[Any]:
    """The result sets that a block gave back by DBMS_SQL.RETURN_RESULT: their errors come as they are read."""
    try:
        return list(cursor.getimplicitresults())
    except oracledb.InterfaceError:
        # The driver's word for none.
        return []


def connect(credentials: Credentials, default_port: int, options: ConnectOptions) -> Connection:
    """Log in, over verified TLS (TCPS), to the service that the secret names, else to the SID of that name.

    Raises:
        ServiceError: it did not work; the kind says why.
        SecretMalformed: user or password can't be encoded.
        ConfigurationError: there are no CA certificates to verify the server with.
    """
    host, port = credentials.host.strip("[]"), credentials.port(default_port)
    target = f"Oracle at {host}:{port}, user '{credentials.username}'"
    network.require_text(credentials)
    network.require_ca(options, target)
    service = credentials.dbname or ""
    if not _SERVICE.fullmatch(service):
        raise ServiceFailed(f"{target}: there is no service '{service}'", "put its service name or SID as 'dbname'")
    if quoting.is_proxied(credentials.username):
        raise UserNotRotatable(
            f"{target} asks for a login through another user", "name the user itself, with its own password"
        )
    if not quoting.possible(credentials.username):
        raise LoginRefused(f"{target}: there can be no user of that name", "correct 'username' in the secret")
    name = options.server_name or host
    seconds = options.limit(target)
    context = _context(options, name, seconds)
    parameters: dict[str, Any] = {
        # Parameters, never a connect string: a password may hold an @ or a slash.
        "user": credentials.username,
        "password": credentials.password,
        "host": host,
        "port": port,
        "protocol": "tcp" if context is None else "tcps",
        "ssl_context": context,
        "ssl_server_dn_match": False,
        "tcp_connect_timeout": seconds,
        "retry_count": 0,
        "program": "rotators",
    }

    def translate(error: Exception) -> ServiceError:
        if context is not None:
            context.cut()
        offered = _offered(lambda: names_offered((host, port), options, lambda _: None), seconds)
        return errors.of_login(error, target, name, offered)

    with driver_errors(translate):
        driver = within(seconds, lambda: _log_in(parameters, service))
    return Connection(driver, context, credentials, options)


def _offered(ask: Callable[[], list[str]], seconds: float) -> Callable[[], list[str]]:
    def offered() -> list[str]:
        try:
            return within(seconds, ask)
        except TimeoutError:
            return []

    return offered


def _log_in(parameters: dict[str, Any], service: str) -> oracledb.Connection:
    try:
        return oracledb.connect(**parameters, service_name=service)
    except oracledb.Error as error:
        if errors.code_of(error) not in errors.NO_SUCH_SERVICE:
            raise
        return oracledb.connect(**parameters, sid=service)


def _context(options: ConnectOptions, name: str, seconds: float) -> _Context | None:
    if options.plaintext:
        return None
    context = network.trust(_Context(ssl.PROTOCOL_TLS_CLIENT), options.ca_file or "")
    context.name, context.seconds = name, seconds
    return context
