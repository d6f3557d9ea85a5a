"""A TCP proxy between a client and a database server that loses packets at a chosen place.

TLS passes through unbroken: the client verifies the server's own certificate, and the proxy can read nothing. Its
host is "localhost" as the server's, so only the port differs:

    with PacketProxy(server.host, server.port) as proxy:
        secret = server.secret(app.username, app.password, port=proxy.port)
        rotate(secret)
        for point in proxy.points():
            proxy.reset()
            proxy.lose_answer(*point)
            rotate(secret)
            proxy.settle()
            assert proxy.fired

Where a fault comes is exact, so that a test meets the same one each time:

- A packet is what the client cut: a TLS record. TCP has no packets, what is written in two pieces arrives as one or
  as two. Before TLS (PostgreSQL's SSLRequest) and without it, what arrives at once is one packet; there clients send
  a message and await the answer, so that is as sure.
- A packet is counted within its connection, and connections are counted as they are made. A count over all would
  depend on chance: a client closes a connection without awaiting an answer, so its farewell (a database's "quit", and
  TLS's close_notify) arrives before or after the next connection's first packet.

Only what the client sends counts. All this holds for any protocol, also where the server speaks first and where the
request for TLS and the ClientHello come together (MySQL does both).
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
# Looked for in a connection's first chunks only: later, the same bytes are data.
_TLS_BEGINS_WITHIN = 4
# https://www.postgresql.org/docs/current/protocol-message-formats.html (SSLRequest, and its answer)
_TLS_REQUEST = struct.pack("!ii", 8, 80877103)
_TLS_REFUSED = b"N"


class Point(NamedTuple):
    """A packet of a client: which connection's, and which of that connection. Both are counted from 1."""

    connection: int
    packet: int


class PacketProxy(Closing):
    """A proxy on the loopback interface, from now until `close` or the end of its `with` block.

    It is asked for one thing at a time: each of `cut_before`, `lose_answer`, `refuse_tls`, `blackhole` and `delay`
    replaces what was asked before. The counts go on; `reset` starts them again.

    Args:
        target_host: the server.
        target_port: its port.
        on_packet: called before a client's packet or a server's answer is passed on, from the connection's thread.

    Attributes:
        host: "localhost": where clients connect to, and what they verify the server's certificate by.
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
        """How many packets have come by now, over all connections made since the last reset. Lost ones count."""
        return sum(self._state.counts)

    @property
    def connections(self) -> int:
        """How many connections clients have made since the last reset."""
        return len(self._state.counts)

    @property
    def fired(self) -> bool:
        """Whether what was asked for (a delay aside) has happened. Sure after `settle`."""
        return self._state.fired

    def points(self) -> list[Point]:
        """Every packet since the last reset, once all connections are closed: the places where a fault can be.

        Raises:
            TimeoutError: a client has left a connection open.
        """
        self.settle()
        return [
            Point(connection, packet)
            for connection, count in enumerate(self._state.counts, start=1)
            for packet in range(1, count + 1)
        ]

    def settle(self, timeout: float = 10) -> None:
        """Wait until all connections are closed, from the client's side and the server's.

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
        """Forward everything again, and count from 1. Connections that are open stay so, and are not counted."""
        self._catch_up()
        self._state.reset()

    def cut_before(self, connection: int, packet: int) -> None:
        """Once: the server does not get that packet; both sides are closed instead.

        Args:
            connection: which connection since the last reset, from 1.
            packet: which packet of it, from 1.

        Raises:
            ValueError: it has passed already, or a number is below 1.
        """
        self._state.ask(_Wish(fate=_Fate.CUT, at=Point(connection, packet)))

    def lose_answer(self, connection: int, packet: int) -> None:
        """Once: the server gets that packet, but its answer is awaited and dropped, and both sides are closed.

        The answer is what the server sends next, or that it closes. Until then the client's packets pass, since it
        may have to send more before the server says anything: a TLS handshake's last record and the first message.

        Args:
            connection: which connection since the last reset, from 1.
            packet: which packet of it, from 1.

        Raises:
            ValueError: it has passed already, or a number is below 1.
        """
        self._state.ask(_Wish(fate=_Fate.LOSE_ANSWER, at=Point(connection, packet)))

    def refuse_tls(self) -> None:
        """Answer PostgreSQL's request for TLS as a server without TLS does, and forward what follows.

        A client that goes on in plaintext shows itself by its second packet.
        """
        self._state.ask(_Wish(refuses_tls=True))

    def blackhole(self) -> None:
        """Accept connections and never answer; open ones fall silent too. As a firewall that drops packets."""
        self._state.ask(_Wish(fate=_Fate.DROP))

    def delay(self, seconds: float) -> None:
        """Hold back each packet of a client for so long."""
        self._state.ask(_Wish(delay=seconds))

    def cut(self) -> None:
        """Close every connection that is open now. New ones are forwarded as before."""
        for link in self._links:
            link.hang_up()

    def lead_to(self, host: str, port: int) -> None:
        """Lead connections to another server from now on, as an endpoint's name does after a failover."""
        self._target = (host, port)

    def close(self) -> None:
        """Close all connections and stop listening. Again is no error."""
        self._state.closing.set()
        self._catch_up()
        self._acceptor.join()
        for link in self._links:
            link.close()

    def _catch_up(self) -> None:
        """Wait until the connections that clients have made are accepted: one of our own, made after them, is."""
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
    """What becomes of a client's packet."""

    FORWARD = auto()
    CUT = auto()
    LOSE_ANSWER = auto()
    DROP = auto()


@dataclass(frozen=True)
class _Wish:
    """What the proxy was asked for. Without `at`, for every packet."""

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
            # One number per connection. A new list: a connection from before goes on counting in the old one.
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
    """A client's connection and the one to the server that belongs to it, each read by a thread."""

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
        # A side that is gone shows where it is read: here it is no reason to stop counting what the client sends.
        with contextlib.suppress(OSError):
            if self._state.refuses(packet):
                self._client.sendall(_TLS_REFUSED)
            elif fate is _Fate.CUT:
                self.hang_up()
            elif fate is not _Fate.DROP:
                # Noted before the packet goes: its answer may be here at once.
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
            # Only this direction: the client's farewell may be on its way, and is to be counted.
            _end(self._client, socket.SHUT_WR)

    def hang_up(self) -> None:
        _end(self._client, socket.SHUT_RDWR)
        if self._server is not None:
            _end(self._server, socket.SHUT_RDWR)


def _packets(client: socket.socket) -> Iterator[bytes]:
    """What the client sends, cut as this module's docstring says, until it closes."""
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
                # TLS inside a protocol's own packets (SQL Server's): from here on as they come.
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
