"""A server that speaks MySQL's protocol and does what a test's script says: to lie, to listen, or to say nothing.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basics.html
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Mapping, Sequence

from doubles.sockets import SocketServer

PLUGIN_AUTH, SECURE_CONNECTION, PROTOCOL_41, WITH_DB, TLS = 1 << 19, 1 << 15, 1 << 9, 1 << 3, 1 << 11
_TEXT_COLUMN = 253
_SALT = b"12345678", b"901234567890"
OK = b"\0\0\0\2\0\0\0"
EOF = b"\xfe\0\0\2\0"
Row = Sequence[str | None]
# What a login asks first.
WHO = "SELECT CURRENT_USER(), @@proxy_user"


class Talk:
    """One connection, as a script sees it.

    Args:
        connection: the client's.
        context: what the server presents.
        heard: all payloads of all connections, in order.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, heard: list[bytes]) -> None:
        self.socket = connection
        self.user = ""
        self._context = context
        self._heard = heard
        self._sequence = 0

    def send(self, payload: bytes) -> None:
        """A packet."""
        self.socket.sendall(len(payload).to_bytes(3, "little") + bytes([self._sequence]) + payload)
        self._sequence = (self._sequence + 1) % 256

    def receive(self) -> bytes:
        """The next packet; raises where the client is gone."""
        head = self._read(4)
        payload = self._read(int.from_bytes(head[:3], "little"))
        self._sequence = (head[3] + 1) % 256
        self._heard.append(payload)
        return payload

    def greet(self, plugin: str = "mysql_native_password", *, tls: bool = True, version: str = "8.4.0") -> None:
        """The first packet."""
        flags = PLUGIN_AUTH | SECURE_CONNECTION | PROTOCOL_41 | WITH_DB | (TLS if tls else 0)
        self.send(
            b"\x0a" + version.encode() + b"\0" + struct.pack("<I", 1) + _SALT[0] + b"\0"
            + struct.pack("<HBHHB", flags & 0xFFFF, 45, 2, flags >> 16, 21) + bytes(10) + _SALT[1] + b"\0"
            + plugin.encode() + b"\0"
        )  # fmt: skip

    def start_tls(self) -> None:
        """Take the client's request for TLS, and shake hands."""
        self.receive()
        self.socket = self._context.wrap_socket(self.socket, server_side=True)

    def take_login(self) -> None:
        """The client's user, and its first proof."""
        self.user = self.receive()[32:].split(b"\0")[0].decode()

    def login(self, plugin: str = "mysql_native_password", switch_to: str = "") -> None:
        """Everything until OK, whatever the password is."""
        self.greet(plugin)
        self.start_tls()
        self.take_login()
        if switch_to:
            self.switch(switch_to)
            self.receive()
        self.send(OK)

    def switch(self, plugin: str) -> None:
        """Ask for the password in another way."""
        self.send(b"\xfe" + plugin.encode() + b"\0" + b"".join(_SALT) + b"\0")

    def fail(self, code: int, text: str) -> None:
        """An error."""
        self.send(b"\xff" + struct.pack("<H", code) + b"#HY000" + text.encode())

    def rows(self, *rows: Row) -> None:
        """A result."""
        self.send(bytes([len(rows[0])]))
        for _ in rows[0]:
            self.send(
                b"".join(_text(part) for part in ("def", "", "", "", "c", ""))
                + b"\x0c" + struct.pack("<HIBHB", 45, 1024, _TEXT_COLUMN, 0, 0) + b"\0\0"
            )  # fmt: skip
        self.send(EOF)
        for row in rows:
            self.send(b"".join(b"\xfb" if value is None else _text(value) for value in row))
        self.send(EOF)

    def serve(self, answers: Mapping[str, Sequence[Row]] | None = None) -> None:
        """Answer statements by how they begin; what is not foreseen is done."""
        known = {
            "SELECT VERSION()": [["8.4.0"]],
            WHO: [[f"{self.user}@%", None]],
            "SHOW GLOBAL VARIABLES": [["server_uuid", "of-the-double"]],
            "SELECT @@global.read_only": [["0", "0"]],
            "SELECT 1": [["1"]],
            **(answers or {}),
        }
        while True:
            statement = self.receive()[1:].decode()
            answer = next((rows for start, rows in known.items() if statement.startswith(start)), None)
            if answer is None:
                self.send(OK)
            else:
                self.rows(*answer)

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise ConnectionResetError
            data += more
        return data


class MysqlDouble(SocketServer):
    """The server; a context manager.

    Args:
        context: its certificate.
        script: what it does with a connection, in a thread for each.
    """

    def __init__(self, context: ssl.SSLContext, script: Callable[[Talk], None]) -> None:
        super().__init__()
        self.heard: list[bytes] = []
        self._context = context
        self._script = script

    def serve(self, connection: socket.socket) -> None:
        """See the base."""
        talk = Talk(connection, self._context, self.heard)
        try:
            self._script(talk)
        finally:
            talk.socket.close()


def _text(value: str) -> bytes:
    data = value.encode()
    return bytes([len(data)]) + data
