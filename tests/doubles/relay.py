"""A machine between a function and its server: one that goes silent or slow, and one that ends TLS and passes on."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from types import TracebackType
from typing import Self

_CHUNK = 65536
# https://www.postgresql.org/docs/current/protocol-message-formats.html (SSLRequest)
_TLS_REQUEST = struct.pack("!ii", 8, 80877103)


class Relay:
    """Passes bytes on, both ways; after so many from the server, at a trickle or not at all.

    Args:
        host: the server's.
        port: the server's.
        after: bytes of the server's that pass at full speed, in each connection; may be changed later.
        every: seconds between two bytes from then on; None: nothing passes any more.
    """

    def __init__(self, host: str, port: int, *, after: int, every: float | None = None) -> None:
        self._target = (host, port)
        self.after = after
        self._every = every
        self._closed = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._closed.set()
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            self.connections += 1
            self._open += [client, server]
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        try:
            client, server = self.greet(client, server)
        except OSError:
            client.close()
            server.close()
            return
        threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
        passed = 0
        with contextlib.suppress(OSError):
            while data := server.recv(_CHUNK):
                free = max(0, self.after - passed)
                client.sendall(data[:free])
                passed += len(data)
                for byte in data[free:]:
                    if self._closed.wait(self._every):
                        return
                    client.sendall(bytes([byte]))
        client.close()

    def greet(self, client: socket.socket, server: socket.socket) -> tuple[socket.socket, socket.socket]:
        """What both are to go on with."""
        return client, server

    def _pass(self, source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                to.sendall(data)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)


class PostgresTlsRelay(Relay):
    """Ends a client's TLS with a certificate of its own, and passes all on over TLS of its own.

    So an attacker whom the client trusts for another name would have a login made for somewhere else.

    Args:
        host: the server's.
        port: the server's.
        context: the certificate that it shows.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(host, port, after=1 << 40)

    def greet(self, client: socket.socket, server: socket.socket) -> tuple[socket.socket, socket.socket]:
        client.recv(len(_TLS_REQUEST))
        client.sendall(b"S")
        server.sendall(_TLS_REQUEST)
        server.recv(1)
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        ends = self._context.wrap_socket(client, server_side=True), trusting.wrap_socket(server)
        self._open += ends
        return ends
