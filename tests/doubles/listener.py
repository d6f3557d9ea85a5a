"""A port that takes connections, over TLS if it has a certificate, and says nothing that a database would say."""

from __future__ import annotations

import socket
import ssl
import threading


class Listener:
    """Keeps what it is sent.

    Args:
        context: what it presents; None: it speaks no TLS.
        hangs_up: it closes what it has heard; else it stays silent.
    """

    def __init__(self, context: ssl.SSLContext | None, *, hangs_up: bool) -> None:
        self._context = context
        self._hangs_up = hangs_up
        self.heard = b""
        self._open: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            try:
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                    self._open.append(connection)
                self.heard += connection.recv(4096)
            except OSError:
                # A client that does not trust us is gone, and so is what it was told.
                connection.close()
                continue
            if self._hangs_up:
                connection.close()

    def close(self) -> None:
        """Stop, and close what is open."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for connection in self._open:
            connection.close()
