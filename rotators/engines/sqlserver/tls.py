"""TLS for python-tds by Python's own ``ssl``, with the certificate's name verified before the login is sent.

The driver's own way needs pyOpenSSL, takes a certificate by its common name whatever other names it is made for
(browsers and Python have not done so for years: RFC 6125, section 6.4.4), and breaks with newer versions of it.
:func:`install` puts this one into its place.

In TDS 7 the handshake travels in PRELOGIN packets:
https://learn.microsoft.com/openspecs/windows_protocols/ms-tds/60f56408-0188-4cd5-8b90-25c6f2423868
"""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytds.tls
from pytds.tds_base import PacketType

from rotators.engines import network

_CHUNK = 65536


class NameMismatch(Exception):
    """The certificate is for other names.

    Args:
        names: those.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names


class TlsDemanded(Exception):
    """The server accepts only TLS, and the secret asks for a connection without it."""


class NotTls(Exception):
    """The server sent something else instead of the handshake."""


class Rerouted(Exception):
    """The server sends its clients to another one, which was not asked for."""


@dataclass
class Handshake:
    """What is to be verified, and whether it has been.

    Args:
        context: verifies the chain; None: there is to be no TLS.
        name: what the certificate must be made for.
        verified: whether the server has shown that it is the one.
    """

    context: ssl.SSLContext | None
    name: str
    verified: bool = False


_expected: ContextVar[Handshake] = ContextVar("expected")


def context_of(ca_file: str) -> ssl.SSLContext:
    """What verifies a server's certificate by these CA certificates.

    Raises:
        ConfigurationError: the file holds none.
    """
    context = network.trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ca_file)
    # By ``verify_name`` instead, for the error to tell the names that there are.
    context.check_hostname = False
    # TDS 7 has no room for TLS 1.3, whose handshake ends after the client's last word.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextmanager
def expecting(handshake: Handshake) -> Iterator[None]:
    """Verify by this, in the logins inside the block."""
    token = _expected.set(handshake)
    try:
        yield
    finally:
        _expected.reset(token)


class Channel:
    """The connection as python-tds uses it, after the TLS handshake."""

    def __init__(self, transport: Any, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self._transport = transport
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing

    def gettimeout(self) -> float | None:
        """The socket's own."""
        timeout: float | None = self._transport.gettimeout()
        return timeout

    def settimeout(self, timeout: float | None) -> None:
        """Hand it on to the socket."""
        self._transport.settimeout(timeout)

    def sendall(self, data: bytes | bytearray, flags: int = 0) -> None:  # noqa: ARG002  # as a socket's
        """Encrypt and send."""
        self._tls.write(bytes(data))
        self._transport.sendall(self._outgoing.read())

    def recv(self, size: int, flags: int = 0) -> bytes:  # noqa: ARG002  # as a socket's
        """Receive and decrypt; nothing where the other side has ended it, with TLS's farewell or without."""
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                data = self._transport.recv(_CHUNK)
                if not data:
                    return b""
                self._incoming.write(data)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def recv_into(self, buffer: bytearray | memoryview, size: int = 0, flags: int = 0) -> int:  # noqa: ARG002
        """As :meth:`recv`, into a buffer."""
        data = self.recv(size or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """End it."""
        self._transport.close()


def install() -> None:
    """Have python-tds do TLS by this module."""
    pytds.tls.OPENSSL_AVAILABLE = True
    pytds.tls.create_context = _create_context
    pytds.tls.establish_channel = _establish


def verify_name(names: list[str], expected: str) -> None:
    """Require that a certificate is made for a name.

    Raises:
        NameMismatch: none of its names is the expected one.
    """
    if not any(_matches(pattern, expected) for pattern in names):
        raise NameMismatch(names)


def _create_context(ca_file: str) -> ssl.SSLContext:
    """Replaces ``pytds.tls.create_context``."""
    expected = _expected.get(None)
    return context_of(ca_file) if expected is None or expected.context is None else expected.context


def _establish(session: Any) -> None:
    """Replaces ``pytds.tls.establish_channel``.

    Raises:
        Rerouted: the server that was asked for has sent the driver here.
        TlsDemanded: no TLS was asked for.
        NotTls: the server does not answer with a handshake.
        NameMismatch: the certificate is another server's.
        ssl.SSLError: it is not trusted, or TLS failed.
    """
    login = session.conn._login  # noqa: SLF001  # where the driver keeps it
    expected = _expected.get(None) or Handshake(login.tls_ctx, login.server_name)
    if expected.context is None:
        raise TlsDemanded
    if expected.verified:
        raise Rerouted
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        tls = expected.context.wrap_bio(incoming, outgoing, server_hostname=expected.name)
    except ValueError:
        # No name that the server could be asked for; the certificate will not have it either.
        tls = expected.context.wrap_bio(incoming, outgoing)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            _send(session, outgoing)
            _receive(session, incoming)
        except ssl.SSLError:
            # The server hears why.
            with contextlib.suppress(OSError):
                _send(session, outgoing)
            raise
        else:
            break
    _send(session, outgoing)
    certificate = tls.getpeercert() or {}
    alternatives: Any = certificate.get("subjectAltName", ())
    verify_name([str(value) for kind, value in alternatives if kind in {"DNS", "IP Address"}], expected.name)
    channel = Channel(session.conn.sock, tls, incoming, outgoing)
    session.conn.sock = session._writer._transport = session._reader._transport = channel  # noqa: SLF001
    expected.verified = True


def _send(session: Any, outgoing: ssl.MemoryBIO) -> None:
    if data := outgoing.read():
        writer = session._writer  # noqa: SLF001  # the driver's own way to packets
        writer.begin_packet(PacketType.PRELOGIN)
        writer.write(data)
        writer.flush()


def _receive(session: Any, incoming: ssl.MemoryBIO) -> None:
    reader = session._reader  # noqa: SLF001  # the driver's own way to packets
    if reader.begin_response().type != PacketType.PRELOGIN:
        raise NotTls
    while not reader.stream_finished():
        incoming.write(reader.recv(_CHUNK))


def _matches(pattern: str, expected: str) -> bool:
    try:
        return ipaddress.ip_address(pattern) == ipaddress.ip_address(expected.strip("[]"))
    except ValueError:
        pass
    pattern, expected = pattern.rstrip(".").casefold(), expected.rstrip(".").casefold()
    if pattern.startswith("*."):
        # A star stands for one label, the leftmost.
        head, _, rest = expected.partition(".")
        return bool(head) and "*" not in head and rest == pattern[2:]
    return pattern == expected
