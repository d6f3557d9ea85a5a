"""Logs in over libpq, and maps failed logins to errors.

libpq gives no SQLSTATE for a failed login, only text: its own messages, which are in English here, and the server's
messages, which are in the server's language and are recognized by their form.
https://www.postgresql.org/docs/current/libpq-connect.html
"""

from __future__ import annotations

import math
import re
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg2

from rotators.engines import network
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
from rotators.limits import within

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812

    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

SCRAM, MD5 = "scram-sha-256", "md5"
# libpq's text if a server asks for MD5 and only SCRAM is allowed.
_ASKS_FOR_MD5 = re.compile(r'requirement "scram-sha-256" failed: server requested a hashed password')
_TLS_REQUEST = struct.pack("!ii", 8, 80877103)
# libpq's text for a TLS failure, without the reason: https://github.com/postgres/postgres/blob/REL_17_STABLE/src/interfaces/libpq/fe-secure-openssl.c
_OF_TLS = re.compile(r"SSL error:")
# Seconds to find that out, for the error's text only.
_LOOK = 2.0
_WITHOUT_REASON = "the database's log tells more"

# In this order: with several addresses the text has a line for each, and a server's own message says most.
_MEANINGS: tuple[tuple[str, type[ServiceError], str], ...] = (
    (
        r"password authentication failed",
        LoginRefused,
        "check the password; a role whose VALID UNTIL has passed is refused with the same words",
    ),
    (
        # What Redshift asks for a password that it keeps as sha256.
        r"unknown authentication type|authentication method \d+ not supported",
        UserNotRotatable,
        "libpq can't prove such a password: give the user one that is kept as md5 (ALTER USER … PASSWORD '…'), once",
    ),
    (
        r"channel binding",
        TlsFailed,
        "an admin's login is tied to its TLS connection: put the database's own endpoint, no pooler, into its secret",
    ),
    (
        r"PAM authentication failed|authentication method requirement .* failed|SASL .*mechanisms are supported",
        UserNotRotatable,
        "the user logs in by IAM, LDAP or another way without a stored password: there is nothing to rotate",
    ),
    (
        r"is not permitted to log in",
        UserNotRotatable,
        "the role is NOLOGIN: name a role that may log in, or give it LOGIN",
    ),
    (
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        PermissionRefused,
        "admit this user, from the function's address and over TLS, in pg_hba.conf",
    ),
    (
        r"permission denied for database",
        PermissionRefused,
        "grant the user CONNECT on that database, or name another one as 'dbname' in the secret",
    ),
    (r"database .* does not exist", ServiceFailed, "correct 'dbname' in the secret"),
    (
        r"too many (connections|clients)|connection slots",
        ServiceFailed,
        "raise the connection limit, or close connections",
    ),
    (r"starting up|shutting down|not yet accepting|in recovery mode", Unreachable, "wait until the server is up"),
    (
        r"server does not support SSL",
        TlsFailed,
        "switch TLS on in the server; nothing is ever sent without it",
    ),
    # What arrives before the server is verified says nothing about the user.
    (r"error response during SSL exchange|invalid response to SSL negotiation", ConnectionLost, _WITHOUT_REASON),
    (
        r"certificate verify failed|SSL error|could not read root certificate",
        TlsFailed,
        "put the CA that signed the server's certificate into ROTATION_CA_BUNDLE (for RDS: the global bundle of AWS)",
    ),
    (r"Connection refused", Unreachable, "check host and port in the secret, and that the server runs"),
    (
        r"No route to host|[Nn]etwork is unreachable",
        Unreachable,
        "no route to the database: attach the function to subnets of the database's VPC",
    ),
    (
        r"timeout expired|timed out",
        Unreachable,
        "let the function's security group into the database's, and attach the function to subnets that reach it",
    ),
    (r"closed the connection|SYSCALL|reset by peer|could not receive", ConnectionLost, "the rotation will be repeated"),
    # Any other message of a server at login, in any language: after SEVERITY and two blanks.
    (r"failed: \S+:  ", LoginRefused, "the server's own words tell why"),
)


@dataclass(frozen=True)
class Product:
    """A server that speaks PostgreSQL's protocol.

    Args:
        name: its name in messages.
        port: its default port.
        database: the database to use if the credentials name none.
        methods: the authentication methods, the strongest first. Never plaintext, not even to a verified server.
    """

    name: str
    port: int
    database: str
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Opened:
    """An open connection.

    Args:
        connection: psycopg2's connection, in autocommit.
        method: the authentication method used: ``scram-sha-256`` or ``md5``.
    """

    connection: Connection
    method: str


def connect(credentials: Credentials, product: Product, options: ConnectOptions, startup: str = "") -> Opened:
    """Log in to the credentials' database, over verified TLS.

    An admin's SCRAM login is bound to the TLS connection (``channel_binding=require``), so that it can't be relayed:
    https://www.postgresql.org/docs/current/sasl-authentication.html#SASL-SCRAM-SHA-256

    Args:
        credentials: the user and the server.
        product: the kind of server.
        options: how to reach the server.
        startup: command-line options for the server's session, such as ``-c lock_timeout=0``.

    Raises:
        ServiceError: the login failed; the class says why.
        SecretMalformed: user, password or database can't be encoded.
        ConfigurationError: there are no CA certificates to verify the server with.
    """
    host, port = credentials.host, credentials.port(product.port)
    target = f"{product.name} at {host}:{port}"
    network.require_text(credentials)
    addresses = _resolve(host, port, target)
    name = options.server_name or host
    network.require_ca(options, target)
    parameters: dict[str, Any] = {
        # 'host' is the name to verify, 'hostaddr' the addresses to connect to. 'host' alone would be both.
        "host": ",".join([name] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "port": port,
        "user": credentials.username,
        "password": credentials.password,
        "dbname": credentials.dbname or product.database,
        "sslmode": "disable" if options.plaintext else "verify-full",
        "sslrootcert": "" if options.plaintext else options.ca_file,
        "gssencmode": "disable",
        "tcp_user_timeout": round(options.timeout * 1000),
        "keepalives_idle": max(1, round(options.timeout / 2)),
        "client_encoding": "UTF8",
        "application_name": "rotators",
    }
    if startup:
        parameters["options"] = startup
    user = f"{target}, user '{credentials.username}'"
    for method in product.methods:
        bound = method == SCRAM and options.admin and not options.plaintext
        try:
            connection = _open(parameters, method, user, len(addresses), options, bound=bound)
        except UnicodeError:
            raise LoginRefused(f"{target} sent a text that is not UTF-8", _WITHOUT_REASON) from None
        except TimeoutError:
            raise network.no_answer(user) from None
        except psycopg2.Error as error:
            text = str(error)
            if method != product.methods[-1] and _ASKS_FOR_MD5.search(text):
                continue
            raise _explain(text, user, (addresses[0], port), name, options) from None
        connection.autocommit = True
        return Opened(connection, method)
    raise ConfigurationError(f"{product.name} has no way to log in", "name one in Product.methods")


def _open(  # what varies between two attempts, and what does not
    parameters: dict[str, Any], method: str, user: str, addresses: int, options: ConnectOptions, *, bound: bool
) -> Connection:
    limit = options.limit(user)
    connection: Connection = within(
        limit,
        lambda: psycopg2.connect(
            **parameters,
            require_auth=method,
            channel_binding="require" if bound else "prefer",
            # Whole seconds per address. For a single address, the limit around this call ends it first.
            connect_timeout=max(1, round(limit / addresses)) if addresses > 1 else math.ceil(limit) + 1,
        ),
    )
    return connection


def _resolve(host: str, port: int, target: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(
            f"the host name of {target} is unknown (DNS)", "correct 'host' in the secret, or the VPC's DNS settings"
        ) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _explain(text: str, target: str, address: tuple[str, int], name: str, options: ConnectOptions) -> ServiceError:
    if "does not match host name" in text and options.ca_file is not None:
        names = names_offered(address, options, start_tls)
        return TlsFailed(
            f"{target}: the server's certificate is not for '{name}', but for {', '.join(names) or 'other names'}",
            network.OTHER_NAME,
        )
    if _OF_TLS.search(text) and (seen := _look(address, name, options)) is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return network.certificate_refused(seen, target, name, list)
        return network.tls_failed(seen, target, "see what listens there, and which TLS it offers")
    for pattern, kind, advice in _MEANINGS:
        if re.search(pattern, text):
            return kind(f"{target}: {_reason(text, pattern)}", advice)
    return ServiceFailed(f"{target}: {_reason(text, '')}", _WITHOUT_REASON)


def _look(address: tuple[str, int], name: str, options: ConnectOptions) -> ssl.SSLError | None:
    # Only for the message, so do not wait long for it.
    try:
        cause = within(_LOOK, lambda: network.probe_tls(address, options, name, start_tls))
    except (TimeoutError, ValueError):
        return None
    return cause if isinstance(cause, ssl.SSLError) else None


def _reason(text: str, pattern: str) -> str:
    """The line with the reason, without libpq's prefix."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = next((line for line in lines if re.search(pattern, line)), lines[0] if lines else "no reason given")
    return re.sub(r"^connection to server at .* failed: (\S+:  )?", "", line).rstrip(".")


def start_tls(plain: socket.socket) -> None:
    """Ask a server with PostgreSQL's protocol for TLS.

    Raises:
        OSError: it offers no TLS.
    """
    # https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
    plain.sendall(_TLS_REQUEST)
    if plain.recv(1) != b"S":
        raise OSError
