"""Logging in to Db2, and running statements, each within its time.

https://www.ibm.com/docs/en/db2/11.5.x?topic=odbc-cliodbc-configuration-keywords-by-category
"""

from __future__ import annotations

import contextlib
import importlib
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rotators.engines import network
from rotators.engines.certificates import names_offered
from rotators.engines.db2 import errors
from rotators.engines.mapping import REPEATED, connection_lost, driver_errors, no_answer
from rotators.errors import (
    ConfigurationError,
    ConnectionLost,
    LoginRefused,
    SecretMalformed,
    ServiceError,
    Unreachable,
)
from rotators.limits import within

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

# A connection string has no rule by which every value can be quoted: what could end one is refused, or never made.
NEVER_IN_A_VALUE = "\"'`;{}[]()=?*!@,\\/&|<>$#%^ "
_VALUE = re.compile(r"[!-~]+")
USER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_DATABASE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,7}")
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_OF_TLS = re.compile(r'protocol being used: "SSL".*"(4\d\d)"', re.DOTALL)
# What of the time the driver gets: it tries again for seconds what can't succeed, and the rest is for finding out why.
_DRIVERS_SHARE, _SHORTEST_PROBE = 0.8, 0.2


class Connection:
    """A login to one database: runs statements, and raises only errors of :mod:`rotators.errors`.

    Args:
        driver: the module.
        handle: what its ``connect`` gave.
        credentials: who.
        port: where, at the host.
        options: how it was connected.
    """

    def __init__(self, driver: Any, handle: Any, credentials: Credentials, port: int, options: ConnectOptions) -> None:
        self._driver = driver
        self._handle = handle
        self._credentials = credentials
        self._port = port
        self._options = options
        self._lost = False
        self.user = credentials.username
        self.host = credentials.host
        self.database = (credentials.dbname or "").upper()
        self.where = f"Db2 at {self.host}, as '{self.user}'"

    @property
    def deadline(self) -> float:
        """When all must have ended, on the clock of ``time.monotonic``."""
        return self._options.deadline

    def execute(self, statement: str, values: tuple[Any, ...] = (), advice: str = "") -> list[tuple[Any, ...]]:
        """Run one statement, whose names are quoted already, and read all that it gives.

        Args:
            statement: the statement.
            values: for its parameter markers.
            advice: what to do where a privilege is missing.

        Raises:
            ServiceError: as what the server's answer means.
        """
        seconds = self._options.limit(self.where)
        if self._lost:
            raise connection_lost(self.where)
        with driver_errors(lambda error: self._translate(error, advice), on_lost=self.close):
            return within(seconds, lambda: self._run(statement, values, seconds))

    def _translate(self, error: Exception, advice: str = "") -> ServiceError:
        if isinstance(error, TimeoutError):
            # The driver may still be at it, in a thread that is left behind: nothing of it is used again.
            self._lost = True
            return no_answer(self.where)
        return errors.of_statement(error, self.where, advice)

    def _run(self, statement: str, values: tuple[Any, ...], seconds: float) -> list[tuple[Any, ...]]:
        prepared = self._driver.prepare(
            self._handle, statement, {self._driver.SQL_ATTR_QUERY_TIMEOUT: max(1, int(seconds))}
        )
        self._driver.execute(prepared, *([values] if values else []))
        rows: list[tuple[Any, ...]] = []
        # A procedure may give several results, and fail in the last.
        result = prepared
        while result:
            if self._driver.num_fields(result):
                while row := self._driver.fetch_tuple(result):
                    rows.append(tuple(row))
            result = self._driver.next_result(prepared)
        self._driver.free_stmt(prepared)
        return rows

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """A transaction that is rolled back at its end."""
        self._bounded(lambda: self._driver.autocommit(self._handle, self._driver.SQL_AUTOCOMMIT_OFF))
        try:
            yield
        finally:
            with contextlib.suppress(Exception):
                self._bounded(lambda: self._driver.rollback(self._handle))
                self._bounded(lambda: self._driver.autocommit(self._handle, self._driver.SQL_AUTOCOMMIT_ON))

    def _bounded(self, work: Any) -> None:
        with driver_errors(self._translate):
            within(self._options.limit(self.where), work)

    @contextmanager
    def connected_to(self, database: str) -> Iterator[Connection]:
        """Log in to another database of the host with the same password."""
        other = connect(self._credentials.replace(dbname=database), self._port, self._options)
        try:
            yield other
        finally:
            other.close()

    def logs_in(self, user: str, password: str) -> bool:
        """Whether a user's password is accepted.

        Raises:
            ServiceError: the server could not be asked.
        """
        try:
            connect(self._credentials.replace(username=user, password=password), self._port, self._options).close()
        except LoginRefused:
            return False
        return True

    def address(self) -> str:
        """Which server this is: its address and port. In a restrictive database, an ordinary user can read no more.

        https://www.ibm.com/docs/en/db2/11.5.x?topic=ownership-default-privileges-granted-creating-database
        """
        host = self.host.strip("[]")
        try:
            found = within(
                self._options.limit(self.where), lambda: socket.getaddrinfo(host, self._port, type=socket.SOCK_STREAM)
            )
        except (OSError, UnicodeError):
            return f"{host.lower()}:{self._port}"
        addresses = {str(address[0]) for family, *_, address in found if family == socket.AF_INET}
        addresses = addresses or {str(address[0]) for *_, address in found}
        return f"{' '.join(sorted(addresses))}:{self._port}"

    def close(self) -> None:
        """End it; never raises."""
        if not self._lost:
            with contextlib.suppress(Exception):
                within(
                    max(_SHORTEST_PROBE, min(1.0, self._options.time_left)), lambda: self._driver.close(self._handle)
                )
        self._lost = True


def connect(credentials: Credentials, default_port: int, options: ConnectOptions) -> Connection:
    """Log in, over verified TLS, in autocommit.

    Raises:
        ServiceError: it did not work; the kind says why.
        SecretMalformed: a value can't be in a connection string.
        ConfigurationError: there are no CA certificates, or a name is to be verified that the driver can't verify.
    """
    host, port = credentials.host.strip("[]"), credentials.port(default_port)
    target = f"Db2 at {host}:{port}, user '{credentials.username}'"
    seconds = options.limit(target)
    ends = time.monotonic() + seconds
    text = _string(credentials, host, port, options, seconds)
    driver = importlib.import_module("ibm_db")

    def translate(error: Exception) -> ServiceError:
        left = replace(options, timeout=max(_SHORTEST_PROBE, ends - time.monotonic()))
        return _explain(error, target, (host, port), left)

    with driver_errors(translate):
        handle = within(seconds * _DRIVERS_SHARE, lambda: driver.connect(text, "", ""))
    return Connection(driver, handle, credentials, port, options)


def _string(credentials: Credentials, host: str, port: int, options: ConnectOptions, seconds: float) -> str:
    values = {
        "dbname": (credentials.dbname or "", _DATABASE),
        "host": (host, _HOST),
        "username": (credentials.username, USER),
        "password": (credentials.password, _VALUE),
    }
    for key, (value, form) in values.items():
        if not form.fullmatch(value) or (key == "password" and set(value) & set(NEVER_IN_A_VALUE)):
            raise SecretMalformed(
                f"{credentials.source}: the key '{key}' holds what can't stand in Db2's connection string",
                "a password takes letters, digits and -._~+: alone; a user's and a database's name letters and digits",
            )
    parts = {
        "DATABASE": credentials.dbname,
        "HOSTNAME": host,
        "PORT": port,
        "PROTOCOL": "TCPIP",
        "UID": credentials.username,
        "PWD": credentials.password,
        "CONNECTTIMEOUT": max(1, int(seconds)),
        "TCPIPCONNECTTIMEOUT": max(1, int(seconds)),
        "PROGRAMNAME": "rotators",
    }
    if not options.plaintext:
        parts |= {
            "SECURITY": "SSL",
            "SSLSERVERCERTIFICATE": _ca_file(host, port, options),
            # Off by default. Without it any certificate of the CA would do.
            "SSLCLIENTHOSTNAMEVALIDATION": "BASIC",
        }
    return "".join(f"{key}={value};" for key, value in parts.items())


def _ca_file(host: str, port: int, options: ConnectOptions) -> str:
    network.require_ca(options, f"Db2 at {host}:{port}")
    network.require_own_name(options, host, port, "Db2's")
    ca_file = options.ca_file or ""
    if ";" in ca_file:
        raise ConfigurationError(f"ROTATION_CA_BUNDLE is {ca_file}", "name a file without a semicolon")
    return ca_file


def _explain(error: Exception, target: str, address: tuple[str, int], options: ConnectOptions) -> ServiceError:
    if isinstance(error, TimeoutError):
        return _on_the_way(target, address, options) or network.no_answer(target)
    code = errors.code_of(error)
    if code == errors.TLS:
        return network.another_name(
            target, address[0], names_offered(address, options, lambda _: None), network.OWN_NAME
        )
    if code == errors.COMMUNICATION:
        return _of_communication(str(error), target, address, options)
    return errors.of_login(error, target)


def _of_communication(text: str, target: str, address: tuple[str, int], options: ConnectOptions) -> ServiceError:
    """The error for a failed connection: the driver has one message for all causes, so the way is tried without it."""
    on_the_way = _on_the_way(target, address, options)
    if on_the_way is not None:
        return on_the_way
    if "Timeout" in text:
        return Unreachable(f"{target}: no answer in time", "see what keeps the server busy")
    found = _OF_TLS.search(text)
    detail = f" (TLS, {found[1]})" if found else ""
    return ConnectionLost(f"{target}: the connection broke{detail}", REPEATED, code=errors.COMMUNICATION)


def _on_the_way(target: str, address: tuple[str, int], options: ConnectOptions) -> ServiceError | None:
    """The error for a failure of the network or of TLS; None if there is none."""
    try:
        cause = within(options.timeout, lambda: network.probe_tls(address, options))
    except TimeoutError as error:
        cause = error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return network.certificate_refused(
            cause, target, address[0], lambda: names_offered(address, options, lambda _: None), advice=network.OWN_NAME
        )
    if isinstance(cause, ssl.SSLError):
        return network.tls_failed(cause, target, "name the port of TLS (for RDS: ssl_svcename), and switch it on")
    return None if cause is None else network.unreachable(cause, target) or network.no_answer(target)
