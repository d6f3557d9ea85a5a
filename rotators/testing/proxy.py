"""A TCP proxy between a client and a database server that loses chosen packets.

TLS passes through: the client verifies the server's own certificate, and the proxy can read nothing. Its host is
"localhost", like the server's, so only the port differs:

    with PacketProxy(server.host, server.port) as proxy:
        secret = server.secret(app.username, app.password, port=proxy.port)
        rotate(secret)
        for point in proxy.points():
            proxy.reset()
            proxy.lose_answer(*point)
            rotate(secret)
            proxy.settle()
            assert proxy.fired

The place of a fault is exact, so that a test gets the same fault each time:

- A packet is a TLS record of the client, because TCP has no packets: two writes may arrive as one piece or as two.
  Before TLS (PostgreSQL's SSLRequest) and without it, one packet is what arrives at once. There clients send a message
  and wait for the answer, so this is exact too.
- Packets are counted within their connection, and connections in the order in which they are made. A count over all
  connections would vary: a client closes a connection without waiting for an answer, so its last packet (a database's
  "quit", TLS's close_notify) arrives before or after the next connection's first one.

Only packets of the client count. This works for any protocol, even if the server speaks first, and if the request for
TLS and the ClientHello arrive together (MySQL does both).
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from rotators.engines.sessions import Closing

_LOOPBACK = "127.0.0.1"
_CHUNK = 65536
_CONNECT_TIMEOUT = 10
# https://www.rfc-editor.org/rfc/rfc8446#section-5.1: content type, version, length of what follows.
_RECORD_HEADER = struct.Struct("!BHH")
_RECORD_TYPES = range(20, 25)
_RECORD_VERSIONS = range(0x0300, 0x0305)
# The record that begins TLS: a handshake, and in it a ClientHello.
_CLIENT_HELLO = re.compile(rb"\x16\x03[\x00-\x04]..\x01", re.DOTALL)
# Search only a connection's first chunks: later, the same bytes are data.
_TLS_BEGINS_WITHIN = 4
# https://www.postgresql.org/docs/current/protocol-message-formats.html (SSLRequest, and its answer)
_TLS_REQUEST = struct.pack("!ii", 8, 80877103)
_TLS_REFUSED = b"N"


class Point(NamedTuple):
    """A packet of a client: the number of its connection, and its number in the connection, both counted from 1."""

    connection: int
    packet: int


class PacketProxy(Closing):
    """A proxy on the loopback interface, from its construction until `close` or the end of its `with` block.

    It has one fault at a time: each call of `cut_before`, `lose_answer`, `refuse_tls`, `blackhole` and `delay` replaces
    the fault before. The counts continue; `reset` starts them again.

    Args:
        target_host: the server.
        target_port: its port.
        on_packet: called before a client's packet or a server's answer is passed on, from the connection's thread.

    Attributes:
        host: "localhost": the host for clients, also the name to verify in the server's certificate.
        port: the proxy's port, on 127.0.0.1.
    """

    host = "localhost"

    def __init__(self, target_host: str, target_port: int, *, on_packet: Callable[[], None] = lambda: None) -> None:
        self._target = (target_host, target_port)
        self._state = _State(on_packet)
        self._links: list[_Link] = []
        self._marks: dict[tuple[str, int], threading.Event] = {}
        self._listener = socket.create_server((_LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name=f"proxy-{self.port}", daemon=True)
        self._acceptor.start()

    @property
    def packets(self) -> int:
        """How many packets have arrived on connections made since the last reset, including lost ones."""
        return sum(self._state.counts)

    @property
    def connections(self) -> int:
        """How many connections clients have made since the last reset."""
        return len(self._state.counts)

    @property
    def fired(self) -> bool:
        """Whether the fault (other than a delay) has happened. Exact after `settle`."""
        return self._state.fired

    def points(self) -> list[Point]:
        """Wait until all connections are closed. Returns every packet since the last reset, as a place for a fault.

        Raises:
            TimeoutError: a client left a connection open.
        """
        self.settle()
        return [
            Point(connection, packet)
            for connection, count in enumerate(self._state.counts, start=1)
            for packet in range(1, count + 1)
        ]

    def settle(self, timeout: float = 10) -> None:
        """Wait until all connections are closed on both sides.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: one is still open.
        """
        self._catch_up()
        deadline = time.monotonic() + timeout
        for link in self._links:
            if not link.wait(max(0, deadline - time.monotonic())):
                raise TimeoutError(f"a connection through {self.host}:{self.port} is still open")

    def reset(self) -> None:
        """Forward everything again, and count from 1. Open connections stay open, and are not counted."""
        self._catch_up()
        self._state.reset()

    def cut_before(self, connection: int, packet: int) -> None:
        """Once: drop that packet before it reaches the server, and close both sides.

        Args:
            connection: which connection since the last reset, from 1.
            packet: which packet of it, from 1.

        Raises:
            ValueError: it has passed already, or a number is below 1.
        """
        self._state.ask(_Wish(fate=_Fate.CUT, at=Point(connection, packet)))

    def lose_answer(self, connection: int, packet: int) -> None:
        """Once: pass that packet to the server, wait for its answer, drop the answer, and close both sides.

        The answer is the next thing that the server sends, or its closing of the connection. Until then the client's
        packets pass, because the server may need more before it answers: a TLS handshake's last record and the first
        message.

        Args:
            connection: which connection since the last reset, from 1.
            packet: which packet of it, from 1.

        Raises:
            ValueError: it has passed already, or a number is below 1.
        """
        self._state.ask(_Wish(fate=_Fate.LOSE_ANSWER, at=Point(connection, packet)))

    def refuse_tls(self) -> None:
        """Answer PostgreSQL's request for TLS like a server without TLS, and forward what follows.

        A second packet shows that the client continues in plaintext.
        """
        self._state.ask(_Wish(refuses_tls=True))

    def blackhole(self) -> None:
        """Accept connections and never answer, on open ones too: like a firewall that drops packets."""
        self._state.ask(_Wish(fate=_Fate.DROP))

    def delay(self, seconds: float) -> None:
        """Delay each packet of a client.

        Args:
            seconds: how long.
        """
        self._state.ask(_Wish(delay=seconds))

    def cut(self) -> None:
        """Close every connection that is open now. New ones are forwarded as before."""
        for link in self._links:
            link.hang_up()

    def lead_to(self, host: str, port: int) -> None:
        """Forward connections to another server from now on, like an endpoint's name after a failover.

        Args:
            host: the server.
            port: its port.
        """
        self._target = (host, port)

    def close(self) -> None:
        """Close all connections and stop listening. May be called again."""
        self._state.closing.set()
        self._catch_up()
        self._acceptor.join()
        for link in self._links:
            link.close()

    def _catch_up(self) -> None:
        """Wait until all clients' connections are accepted: make another one, which is accepted after them."""
        with contextlib.suppress(ConnectionRefusedError), socket.socket() as mark:  # refused: closed already
            mark.bind((_LOOPBACK, 0))
            accepted = self._marks[mark.getsockname()] = threading.Event()
            mark.connect((_LOOPBACK, self.port))
            accepted.wait(_CONNECT_TIMEOUT)

    def _accept(self) -> None:
        with self._listener:
            while True:
                client, address = self._listener.accept()
                mark = self._marks.pop(address, None)
                if mark is not None:
                    client.close()
                    mark.set()
                    if self._state.closing.is_set():
                        return
                    continue
                # Replaced, not changed: `settle` may be walking through it.
                still_open = [link for link in self._links if link.is_open]
                self._links = [*still_open, _Link(self._state, client, self._target)]


class _Fate(Enum):
    """What happens to a client's packet."""

    FORWARD = auto()
    CUT = auto()
    LOSE_ANSWER = auto()
    DROP = auto()


@dataclass(frozen=True)
class _Wish:
    """The requested fault. Without `at`, it applies to every packet."""

    fate: _Fate = _Fate.FORWARD
    at: Point | None = None
    refuses_tls: bool = False
    delay: float = 0


class _State:
    """The counts and the wish, shared by the proxy and its connections' threads."""

    def __init__(self, on_packet: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self.on_packet = on_packet
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self.wish = _Wish()
            self.fired = False
            # One number per connection. A new list: an older connection keeps counting in the old one.
            self.counts: list[int] = []

    def ask(self, wish: _Wish) -> None:
        with self._lock:
            if wish.at is not None:
                if min(wish.at) < 1:
                    raise ValueError(f"{wish.at}: connections and packets are counted from 1")
                if wish.at.connection <= len(self.counts) and wish.at.packet <= self.counts[wish.at.connection - 1]:
                    raise ValueError(f"{wish.at} has passed already")
            self.wish = wish
            self.fired = False

    def add_connection(self) -> tuple[list[int], int]:
        with self._lock:
            self.counts.append(0)
            return self.counts, len(self.counts)

    def count_packet(self, counts: list[int], connection: int) -> _Fate:
        with self._lock:
            counts[connection - 1] += 1
            here = Point(connection, counts[connection - 1])
            wish = self.wish
            meant = wish.at is None or (wish.at == here and counts is self.counts)
            if wish.fate is _Fate.FORWARD or not meant:
                return _Fate.FORWARD
            self.fired = True
            return wish.fate

    def refuses(self, packet: bytes) -> bool:
        with self._lock:
            refused = self.wish.refuses_tls and packet == _TLS_REQUEST
            self.fired = self.fired or refused
            return refused


class _Link:
    """A client's connection and its connection to the server, each read by a thread."""

    def __init__(self, state: _State, client: socket.socket, target: tuple[str, int]) -> None:
        self._state = state
        self._place = state.add_connection()
        self._client = client
        self._server: socket.socket | None = None
        self._target = target
        self._losing_answer = False
        self._thread = threading.Thread(target=self._run, name="proxy-client", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        return self._thread.is_alive()

    def wait(self, timeout: float) -> bool:
        self._thread.join(timeout)
        return not self.is_open

    def close(self) -> None:
        self.hang_up()
        self._thread.join()

    def _run(self) -> None:
        with self._client, contextlib.suppress(OSError):
            if self._state.wish.fate is _Fate.DROP:
                for _ in _packets(self._client):
                    self._state.count_packet(*self._place)
                return
            with socket.create_connection(self._target, _CONNECT_TIMEOUT) as self._server:
                if not self._state.closing.is_set():
                    self._serve(self._server)

    def _serve(self, server: socket.socket) -> None:
        server.settimeout(None)
        for side in (self._client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = threading.Thread(target=self._pass_answers, args=(server,), name="proxy-server", daemon=True)
        answers.start()
        for packet in _packets(self._client):
            self._pass_packet(packet, server)
        # The client is done; the server may still have to answer, and to close.
        _end(server, socket.SHUT_WR)
        answers.join()

    def _pass_packet(self, packet: bytes, server: socket.socket) -> None:
        self._state.on_packet()
        fate = self._state.count_packet(*self._place)
        if self._state.closing.wait(self._state.wish.delay):
            return
        # A closed side is noticed where it is read. Here, keep counting what the client sends.
        with contextlib.suppress(OSError):
            if self._state.refuses(packet):
                self._client.sendall(_TLS_REFUSED)
            elif fate is _Fate.CUT:
                self.hang_up()
            elif fate is not _Fate.DROP:
                # Noted before the packet is sent: its answer may arrive at once.
                self._losing_answer = self._losing_answer or fate is _Fate.LOSE_ANSWER
                server.sendall(packet)

    def _pass_answers(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (chunk := server.recv(_CHUNK)) and not self._losing_answer:
                self._state.on_packet()
                if self._state.wish.fate is not _Fate.DROP:
                    self._client.sendall(chunk)
        if self._losing_answer:
            self.hang_up()
        else:
            # Close only this direction: the client's last packet may be on its way, and must be counted.
            _end(self._client, socket.SHUT_WR)

    def hang_up(self) -> None:
        _end(self._client, socket.SHUT_RDWR)
        if self._server is not None:
            _end(self._server, socket.SHUT_RDWR)


def _packets(client: socket.socket) -> Iterator[bytes]:
    """The client's packets, as this module's docstring defines them, until it closes."""
    pending = b""
    in_tls = False
    looks = _TLS_BEGINS_WITHIN
    while chunk := _receive(client):
        pending += chunk
        if not in_tls:
            hello = _CLIENT_HELLO.search(pending) if looks else None
            looks = max(0, looks - 1)
            in_tls = hello is not None
            start = hello.start() if hello else len(pending)
            if start:
                yield pending[:start]
                pending = pending[start:]
        while in_tls and len(pending) >= _RECORD_HEADER.size:
            kind, version, length = _RECORD_HEADER.unpack_from(pending)
            end = _RECORD_HEADER.size + length
            if kind not in _RECORD_TYPES or version not in _RECORD_VERSIONS:
                # TLS inside a protocol's own packets (SQL Server's): from here on, take them as they arrive.
                in_tls = False
                end = len(pending)
            elif len(pending) < end:
                break
            yield pending[:end]
            pending = pending[end:]


def _receive(client: socket.socket) -> bytes:
    try:
        return client.recv(_CHUNK)
    except OSError:
        return b""  # reset instead of closed


def _end(side: socket.socket, direction: int) -> None:
    with contextlib.suppress(OSError):
        side.shutdown(direction)
