"""Logging in to Db2, and telling apart the ways in which that fails.

https://www.ibm.com/docs/en/db2/11.5.x?topic=odbc-cliodbc-configuration-keywords-by-category
"""

from __future__ import annotations

import importlib
import re
import ssl
from typing import TYPE_CHECKING, Any

from rotators.engines import network
from rotators.engines.certificates import names_offered
from rotators.errors import (
    ConfigurationError,
    ConnectionLost,
    LoginRefused,
    PermissionRefused,
    ReadOnlyServer,
    SecretMalformed,
    ServiceError,
    ServiceFailed,
    TlsFailed,
    Unreachable,
    UserNotRotatable,
)

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

# A connection string has no rule by which every value can be quoted: what could end one is refused, or never made.
NEVER_IN_A_VALUE = "\"'`;{}[]()=?*!@,\\/&|<>$#%^ "
_VALUE = re.compile(r"[!-~]+")
USER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_DATABASE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,7}")
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_CODE = re.compile(r"\b(SQL\d{4,5}N|CLI\d{4}E)\b")
_REASON = re.compile(r'reason "(\d+)"')
_LOGIN, _COMMUNICATION, _TLS = "SQL30082N", "SQL30081N", "SQL20576N"
_OF_TLS = re.compile(r'protocol being used: "SSL".*"(4\d\d)"', re.DOTALL)
# https://www.ibm.com/docs/en/db2/11.5.x?topic=messages-sql30000-sql30499#sql30082n
_LOGIN_REASONS: dict[str, tuple[type[ServiceError], str]] = {
    "1": (LoginRefused, "the password has expired: have the admin set it"),
    "19": (UserNotRotatable, "the user is disabled or restricted: enable it, or stop rotating this secret"),
}
_MEANINGS: dict[str, tuple[type[ServiceError], str]] = {
    "SQL1060N": (PermissionRefused, "grant the user CONNECT on that database"),
    "SQL1013N": (ServiceFailed, "correct 'dbname' in the secret"),
    "SQL30061N": (ServiceFailed, "correct 'dbname' in the secret"),
    "SQL1776N": (ReadOnlyServer, "put the primary's endpoint as 'host' into the secret"),
    "SQL1032N": (Unreachable, "wait until the database manager is started"),
}


class Connection:
    """The driver's connection: statements with values, and rows.

    The driver is imported here alone, where it is needed: it is 136 MB, and there is none for arm64.

    Args:
        handle: what ``ibm_db.connect`` gave.
    """

    def __init__(self, driver: Any, handle: Any) -> None:
        self._driver = driver
        self._handle = handle

    def run(self, statement: str, values: tuple[Any, ...], timeout: int) -> list[tuple[Any, ...]]:
        """Run a statement.

        Raises:
            Exception: as the driver raises it, of no class of its own.
        """
        options = {self._driver.SQL_ATTR_QUERY_TIMEOUT: timeout}
        prepared = self._driver.prepare(self._handle, statement, options)
        self._driver.execute(prepared, *([values] if values else []))
        rows: list[tuple[Any, ...]] = []
        if self._driver.num_fields(prepared):
            while row := self._driver.fetch_tuple(prepared):
                rows.append(tuple(row))
        self._driver.free_stmt(prepared)
        return rows

    def in_transaction(self, *, begin: bool) -> None:
        """Begin a transaction, or roll it back."""
        if begin:
            self._driver.autocommit(self._handle, self._driver.SQL_AUTOCOMMIT_OFF)
        else:
            self._driver.rollback(self._handle)
            self._driver.autocommit(self._handle, self._driver.SQL_AUTOCOMMIT_ON)

    def close(self) -> None:
        """End it."""
        self._driver.close(self._handle)


def connect(credentials: Credentials, default_port: int, options: ConnectOptions) -> Connection:
    """Log in, over verified TLS, in autocommit.

    Raises:
        ServiceError: it did not work; the kind says why.
        SecretMalformed: a value can't stand in a connection string.
        ConfigurationError: there are no CA certificates, or a name is to be verified that the driver can't verify.
    """
    host, port = credentials.host.strip("[]"), credentials.port(default_port)
    target = f"Db2 at {host}:{port}, user '{credentials.username}'"
    text = _string(credentials, host, port, options)
    driver = importlib.import_module("ibm_db")
    try:
        handle = driver.connect(text, "", "")
    except Exception as error:  # noqa: BLE001  # the driver has no class of its own
        raise _explain(error, target, (host, port), options) from None
    return Connection(driver, handle)


def _string(credentials: Credentials, host: str, port: int, options: ConnectOptions) -> str:
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
    seconds = max(1, round(options.timeout))
    parts = {
        "DATABASE": credentials.dbname,
        "HOSTNAME": host,
        "PORT": port,
        "PROTOCOL": "TCPIP",
        "UID": credentials.username,
        "PWD": credentials.password,
        "CONNECTTIMEOUT": seconds,
        "TCPIPCONNECTTIMEOUT": seconds,
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
    code, words = code_of(error), said(error)
    if code == _LOGIN:
        reason = _REASON.search(str(error))
        number = reason[1] if reason else ""
        kind, advice = _LOGIN_REASONS.get(number, (LoginRefused, "check the password"))
        return kind(f"{target}: {words}", advice)
    if code == _TLS:
        return network.another_name(
            target, address[0], names_offered(address, options, lambda _: None), network.OWN_NAME
        )
    if code == _COMMUNICATION:
        return _of_communication(str(error), target, address, options)
    kind, advice = _MEANINGS.get(code, (ServiceFailed, "the database's diagnostic log tells more"))
    return kind(f"{target}: {words}", advice)


def _of_communication(text: str, target: str, address: tuple[str, int], options: ConnectOptions) -> ServiceError:
    """The driver gives one message for all: the way is gone again, as far as it goes."""
    found = _OF_TLS.search(text)
    cause = network.go(address, options)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return network.certificate_refused(
            cause, target, address[0], lambda: names_offered(address, options, lambda _: None), advice=network.OWN_NAME
        )
    if isinstance(cause, ssl.SSLError):
        return TlsFailed(f"{target}: TLS failed", "name the port of TLS (for RDS: ssl_svcename), and switch it on")
    if cause is not None:
        return network.unreachable(cause, target) or network.no_answer(target)
    if "Timeout" in text:
        return Unreachable(f"{target}: no answer in time", "see what keeps the server busy")
    detail = f" (TLS, {found[1]})" if found else ""
    return ConnectionLost(f"{target}: the connection broke{detail}", "the rotation will be repeated")


def code_of(error: Exception) -> str:
    """Db2's code: ``SQL30082N``; empty where there is none."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def said(error: Exception) -> str:
    """Db2's words in one line, without the driver's name and what follows the reason."""
    text = " ".join(str(error).split())
    return re.sub(r"^(?:\[[^\]]*\]\s*)+|\s*SQLSTATE=.*$", "", text).rstrip(".")
