"""A server that speaks TDS: prelogin, TLS, login, batches and rows. What is behind it, the caller brings.

The driver, its TLS and its login are the real ones; SQL Server is not: https://learn.microsoft.com/openspecs/windows_protocols/ms-tds
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

_BATCH, _REPLY, _ATTENTION, _PRELOGIN = 1, 4, 6, 18
_ENCRYPT_ON, _ENCRYPT_NOT_SUPPORTED, _ENCRYPT_REQUIRED = 1, 2, 3
_TDS_74 = 0x74000004
_COLLATION = b"\x09\x04\xd0\x00\x34"
_NULL = 0xFFFF
_DONE_MORE, _DONE_ERROR, _DONE_ATTENTION = 0x01, 0x02, 0x20
_CHUNK = 4000


class SqlError(Exception):
    """What the server answers where something fails.

    Args:
        number: SQL Server's own.
        message: its words.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(number, message)
        self.number = number
        self.message = message


class Batch(list[Sequence[Sequence[Any]] | SqlError]):
    """Several results of one batch, and what failed among them."""


class Session(Protocol):
    """What a login leads to."""

    database: str

    def run(self, text: str) -> Sequence[Sequence[Any]] | Batch:
        """Answer a batch with rows of texts, numbers, bytes and None; none where it gives none."""


class _Hangup(Exception):
    """The other side is gone."""


class TdsServer:
    """A listening server; a context manager.

    Args:
        log_in: user, password and database to a session; raises SqlError.
        certificate: a PEM file with certificate and key; None: the server offers no encryption.
        reply: how a session's answers are sent.
        instead_of_tls: what the server says where the handshake should begin.
        farewell: how it ends TLS after a login: it does so before it hears anything.
        context: its side of TLS; by default one of the certificate's.
        encryption: what it says of encryption, whatever it does.
    """

    def __init__(
        self,
        log_in: Callable[[str, str, str], Session],
        certificate: Path | None,
        *,
        reply: Callable[[socket.socket, bytes], None] | None = None,
        instead_of_tls: SqlError | None = None,
        farewell: bool = False,
        context: ssl.SSLContext | None = None,
        encryption: int | None = None,
    ) -> None:
        self._log_in = log_in
        self.context = context
        self.encryption = encryption
        self.certificate = certificate
        self.reply = reply
        self.instead_of_tls = instead_of_tls
        self.farewell = farewell
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # close() alone would leave the thread in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with connection:
                _Connection(connection, self).serve(self._log_in)
        except (_Hangup, OSError):
            return
        finally:
            self._open.discard(connection)


class _Connection:
    def __init__(self, plain: socket.socket, server: TdsServer) -> None:
        self._plain = plain
        self._server = server
        self._certificate = server.certificate
        self._reply: Callable[[socket.socket, bytes], None] = socket.socket.sendall
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._buffer = b""

    def serve(self, log_in: Callable[[str, str, str], Session]) -> None:
        _, asked = self._read_message()
        self._answer_prelogin(encrypted=self._encryption_asked(asked))
        _, login = self._read_message()
        try:
            session = log_in(*_read_login(login))
        except SqlError as error:
            self._send(_REPLY, _error(error) + _done(status=_DONE_ERROR))
            return
        self._send(_REPLY, _database(session.database) + _login_ack() + _done())
        self._reply = self._server.reply or self._reply
        if self._server.farewell:
            self._say_farewell()
        while True:
            kind, body = self._read_message()
            if kind == _ATTENTION:
                # The driver leaves rows unread; all of them are on their way already.
                self._send(_REPLY, _done(status=_DONE_ATTENTION))
                continue
            if kind != _BATCH:
                # No test may pass on what this server does not do.
                self._send(_REPLY, _error(SqlError(50000, f"this server takes batches only, not {kind}")) + _done())
                continue
            (headers,) = struct.unpack_from("<I", body)
            try:
                answer = _answer(session.run(body[headers:].decode("utf-16-le")))
            except SqlError as error:
                answer = _error(error) + _done(status=_DONE_ERROR)
            except Exception as error:  # noqa: BLE001  # a test's failure must reach the test, through the driver
                answer = _error(SqlError(50000, f"{type(error).__name__}: {error}")) + _done(status=_DONE_ERROR)
            self._send(_REPLY, answer)

    def _answer_prelogin(self, *, encrypted: bool) -> None:
        self._send(_REPLY, self._prelogin(encrypted=encrypted))
        if self._certificate is None:
            return
        if not encrypted:
            # It demands TLS, and both sides hang up.
            raise _Hangup
        if self._server.instead_of_tls is not None:
            self._send(_REPLY, _error(self._server.instead_of_tls) + _done(status=_DONE_ERROR))
        self._handshake()

    def _say_farewell(self) -> None:
        if self._tls is not None:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            self._plain.sendall(self._outgoing.read())
        raise _Hangup

    def _prelogin(self, *, encrypted: bool) -> bytes:
        # https://learn.microsoft.com/openspecs/windows_protocols/ms-tds/60f56408-0188-4cd5-8b90-25c6f2423868
        demanded = _ENCRYPT_ON if encrypted else _ENCRYPT_REQUIRED
        encryption = _ENCRYPT_NOT_SUPPORTED if self._certificate is None else demanded
        if self._server.encryption is not None:
            encryption = self._server.encryption
        # VERSION at 11, six bytes; ENCRYPTION at 17, one byte.
        return struct.pack(">BHHBHHB", 0, 11, 6, 1, 17, 1, 255) + bytes([16, 0, 0, 0, 0, 0, encryption])

    @staticmethod
    def _encryption_asked(asked: bytes) -> bool:
        position = 0
        while asked[position] != 255:
            token, offset, _ = struct.unpack_from(">BHH", asked, position)
            if token == 1:
                return asked[offset] != _ENCRYPT_NOT_SUPPORTED
            position += 5
        return False

    def _handshake(self) -> None:
        context = self._server.context
        if context is None:
            assert self._certificate is not None
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send_pending(_PRELOGIN)
                _, data = self._read_message()
                self._incoming.write(data)
            except ssl.SSLError:
                # The client does not trust us: it hears why, and goes.
                self._send_pending(_PRELOGIN)
                raise _Hangup from None
            else:
                self._send_pending(_PRELOGIN)
                self._tls = tls
                return

    def _send_pending(self, kind: int) -> None:
        if data := self._outgoing.read():
            self._send(kind, data)

    def _send(self, kind: int, body: bytes) -> None:
        pieces = [body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK)] or [b""]
        packets = b"".join(
            struct.pack(">BBHHBB", kind, int(number == len(pieces)), len(piece) + 8, 0, number % 256, 0) + piece
            for number, piece in enumerate(pieces, 1)
        )
        if self._tls is not None:
            self._tls.write(packets)
            packets = self._outgoing.read()
        self._reply(self._plain, packets)

    def _read_message(self) -> tuple[int, bytes]:
        body = b""
        while True:
            kind, last, length, *_ = struct.unpack(">BBHHBB", self._read(8))
            body += self._read(length - 8)
            if last & 1:
                return kind, body

    def _read(self, length: int) -> bytes:
        while len(self._buffer) < length:
            data = self._plain.recv(1 << 16)
            if not data:
                raise _Hangup
            if self._tls is None:
                self._buffer += data
                continue
            self._incoming.write(data)
            with contextlib.suppress(ssl.SSLWantReadError):
                while more := self._tls.read(1 << 16):
                    self._buffer += more
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken


def _read_login(body: bytes) -> tuple[str, str, str]:
    def text(position: int) -> bytes:
        offset, length = struct.unpack_from("<HH", body, position)
        return body[offset : offset + 2 * length]

    def decoded(text: bytes) -> str:
        # python-tds counts characters, and not UTF-16's units: with an emoji in it a name ends in half of one. A server
        # knows no such user, and says so.
        return text.decode("utf-16-le", errors="surrogatepass")

    # https://learn.microsoft.com/openspecs/windows_protocols/ms-tds/773a62b6-ee89-4c02-9e5e-344882630aac
    hidden = bytes(((byte ^ 0xA5) << 4 | (byte ^ 0xA5) >> 4) & 0xFF for byte in text(44))
    return decoded(text(40)), decoded(hidden), decoded(text(68))


def _short(value: str) -> bytes:
    return bytes([len(value)]) + value.encode("utf-16-le")


def _token(kind: int, body: bytes) -> bytes:
    return struct.pack("<BH", kind, len(body)) + body


def _login_ack() -> bytes:
    return _token(0xAD, struct.pack(">BI", 1, _TDS_74) + _short("Microsoft SQL Server") + bytes([16, 0, 0, 0]))


def _database(name: str) -> bytes:
    return _token(0xE3, bytes([1]) + _short(name) + _short("master"))


def _error(error: SqlError) -> bytes:
    message = error.message.encode("utf-16-le", errors="surrogatepass")
    body = struct.pack("<IBBH", error.number, 1, 14, len(message) // 2) + message
    return _token(0xAA, body + _short("double") + _short("") + struct.pack("<I", 1))


def _done(status: int = 0) -> bytes:
    return struct.pack("<BHHQ", 0xFD, status, 0, 0)


def _answer(results: Sequence[Sequence[Any]] | Batch) -> bytes:
    if not isinstance(results, Batch):
        return _rows(results) + _done()
    tokens = b""
    for number, result in enumerate(results, 1):
        more = _DONE_MORE if number < len(results) else 0
        if isinstance(result, SqlError):
            tokens += _error(result) + _done(status=_DONE_ERROR | more)
        else:
            tokens += _rows(result) + _done(status=more)
    return tokens


def _rows(rows: Sequence[Sequence[Any]]) -> bytes:
    if not rows:
        return b""
    kinds = [next((type(value) for value in column if value is not None), str) for column in zip(*rows, strict=True)]
    described = struct.pack("<BH", 0x81, len(kinds))
    for kind in kinds:
        described += struct.pack("<IH", 0, 1)
        if kind is int:
            described += b"\x26\x08"
        elif kind is bytes:
            described += struct.pack("<BH", 0xA5, 8000)
        else:
            described += struct.pack("<BH", 0xE7, 8000) + _COLLATION
        described += _short("c")
    return described + b"".join(
        b"\xd1" + b"".join(_value(kind, value) for kind, value in zip(kinds, row, strict=True)) for row in rows
    )


def _value(kind: type, value: Any) -> bytes:
    if kind is int:
        return b"\0" if value is None else struct.pack("<Bq", 8, value)
    if value is None:
        return struct.pack("<H", _NULL)
    data: bytes = value if kind is bytes else value.encode("utf-16-le")
    return struct.pack("<H", len(data)) + data
