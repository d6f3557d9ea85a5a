"""Checks the connection to a server step by step: its name, its port, its certificate."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rotators.checks.finding import Finding, failure, ok, unknown, warning
from rotators.engines import network
from rotators.engines.inspection import StartsTls
from rotators.limits import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from rotators.engines.base import Engine

# Time enough to renew a certificate, or to add another CA to the bundle.
_SOON = timedelta(days=30)


class Way:
    """The connection to one server.

    Args:
        engine: the engine that speaks its protocol.
        host: the server's name.
        port: its port.
        subject: what findings call the server: ``server``.
        timeout: seconds for each step.
        ca_file: the file of CA certificates to trust.
        server_name: the name to verify in the certificate.
        plaintext: whether TLS is not used.
    """

    def __init__(
        self,
        engine: Engine,
        host: str,
        port: int,
        *,
        subject: str,
        timeout: float,
        ca_file: str | None,
        server_name: str | None,
        plaintext: bool,
    ) -> None:
        self._engine = engine
        self._host, self._port = host, port
        self._subject = subject
        self._timeout = timeout
        self._ca_file = ca_file
        self._name = server_name or host
        self._plaintext = plaintext
        self.stands = False
        """After :meth:`look`: whether every step worked."""

    def look(self) -> Iterator[Finding]:
        """Check everything up to TLS, without a login."""
        target = f"{self._host}:{self._port}"
        try:
            found = within(self._timeout, lambda: socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            yield self._not_reached("DNS", error, target)
            return
        addresses = dict.fromkeys(str(address[0]) for *_, address in found)
        yield ok(f"{self._subject} DNS", f"{self._host} is {', '.join(addresses)}")
        try:
            plain = socket.create_connection((self._host, self._port), self._timeout)
        except OSError as error:
            yield self._not_reached("port", error, target)
            return
        with plain:
            yield ok(f"{self._subject} port", f"{target} takes connections")
            if self._plaintext:
                self.stands = True
                yield warning(
                    f"{self._subject} TLS",
                    "none: the secret has ssl: false, and ROTATION_ALLOW_PLAINTEXT is set",
                    "remove 'ssl' from the secret, and ROTATION_ALLOW_PLAINTEXT from the function",
                )
            elif isinstance(self._engine, StartsTls):
                yield self._tls(plain, self._engine.start_tls, target)
            else:
                # TLS runs inside the engine's own protocol. The login checks it.
                self.stands = True

    def _not_reached(self, hop: str, error: Exception, target: str) -> Finding:
        found = network.unreachable(error, target)
        if found is not None:
            return Finding.of(f"{self._subject} {hop}", found)
        return failure(
            f"{self._subject} {hop}", f"{target}: {error}", "check host and port in the secret, and the network"
        )

    def _tls(self, plain: socket.socket, start: Callable[[socket.socket], None], target: str) -> Finding:
        subject = f"{self._subject} TLS"
        plain.settimeout(self._timeout)
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:
            return failure(
                subject,
                f"the CA certificates in {self._ca_file} can't be read ({type(error).__name__})",
                "set ROTATION_CA_BUNDLE to a file of certificates in PEM; for RDS: AWS's global bundle",
            )
        try:
            start(plain)
        except TimeoutError:
            return failure(subject, f"{target} does not answer", "check that the database itself listens there")
        except OSError:
            return failure(
                subject, f"{target} offers no TLS", "switch TLS on in the server; nothing is ever sent without it"
            )
        return self._handshake(plain, context, target)

    def _handshake(self, plain: socket.socket, context: ssl.SSLContext, target: str) -> Finding:
        subject = f"{self._subject} TLS"
        try:
            with context.wrap_socket(plain, server_hostname=self._name) as secure:
                certificate = dict(secure.getpeercert() or {})
                version = secure.version()
        except ssl.SSLCertVerificationError as error:
            return Finding.of(subject, network.certificate_refused(error, target, self._name, self._names))
        except ssl.SSLError as error:
            advice = "see what listens there, and which TLS it offers"
            return Finding.of(subject, network.tls_failed(error, target, advice))
        except OSError as error:
            # Some servers drop a connection that only does a handshake. The login checks it.
            self.stands = True
            return unknown(subject, f"{target} ended the handshake ({type(error).__name__})")
        self.stands = True
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
        cause = f"{version}; the certificate is for '{self._name}' and ends {ends:%Y-%m-%d}"
        if ends - datetime.fromtimestamp(time.time(), UTC) < _SOON:
            return warning(
                subject,
                cause,
                "renew it; on RDS: aws rds modify-db-instance --db-instance-identifier NAME "
                "--ca-certificate-identifier rds-ca-rsa2048-g1 --apply-immediately",
            )
        return ok(subject, cause)

    def _names(self) -> list[str]:
        from rotators.engines.base import ConnectOptions  # noqa: PLC0415  # for one message
        from rotators.engines.certificates import names_offered  # noqa: PLC0415

        if not isinstance(self._engine, StartsTls):
            return []
        options = ConnectOptions(self._timeout, ca_file=self._ca_file)
        return names_offered((self._host, self._port), options, self._engine.start_tls)
