"""Somebody where the server should be: its greeting, a certificate of a test's choice, and an ear."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from doubles.mysql_server import Talk
from doubles.sockets import SocketServer

_CHUNK = 1 << 16
_REQUEST_OF_POSTGRES = 8
# What a server of any kind answers in: it is not told which.
Front = Callable[["Ear", ssl.SSLContext | None], None]
Script = Callable[["Ear"], object]


class Ear:
    """One connection to the impostor: all that is read of it is kept, decrypted.

    Args:
        connection: the client's.
        heard: where it is kept.
    """

    def __init__(self, connection: socket.socket, heard: list[bytes]) -> None:
        self.socket = connection
        self._heard = heard

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> bytes:
        """What comes next; raises where the client is gone."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionResetError
        self._heard.append(data)
        return data

    def listen(self) -> None:
        """Hear it out, and answer nothing."""
        while True:
            self.receive()

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(self.socket, server_side=True)


def at_once(ear: Ear, context: ssl.SSLContext | None) -> None:
    """MongoDB, Oracle's TCPS, Db2: TLS from the first byte."""
    if context is not None:
        ear.start_tls(context)


def postgres(ear: Ear, context: ssl.SSLContext | None) -> None:
    """PostgreSQL and Redshift: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL"""
    ear.socket.recv(_REQUEST_OF_POSTGRES)
    ear.send(b"N" if context is None else b"S")
    if context is not None:
        ear.start_tls(context)


def mysql(ear: Ear, context: ssl.SSLContext | None) -> None:
    """MySQL and MariaDB: the greeting says whether there is TLS."""
    talk = Talk(ear.socket, context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ear._heard)
    talk.greet(tls=context is not None)
    if context is not None:
        talk.start_tls()
        ear.socket = talk.socket


class Impostor(SocketServer):
    """A listening server; a context manager.

    Args:
        front: what comes before a login.
        context: the certificate; None: it says that it has no TLS.
        script: what it does when the login comes; by default it hears the client out.
    """

    def __init__(self, front: Front, context: ssl.SSLContext | None, script: Script = Ear.listen) -> None:
        super().__init__()
        self._front, self._context, self._script = front, context, script
        self._said: list[bytes] = []

    @property
    def heard(self) -> bytes:
        """All that clients said, beside the handshakes."""
        return b"".join(self._said)

    def serve(self, connection: socket.socket) -> None:
        """See the base."""
        ear = Ear(connection, self._said)
        try:
            self._front(ear, self._context)
            self.end_later(ear.socket)
            self._script(ear)
        finally:
            ear.socket.close()


def presenting(certificate: Path, key: Path, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A server's side of TLS.

    Args:
        certificate: what it shows (PEM).
        key: its key.
        version: the only one that it speaks; one that OpenSSL itself would no longer speak by default may be asked for.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
    return context


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that its own key has signed, and the key: anyone who listens there can make one."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "self-signed.pem", folder / "self-signed.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def login_of_mongo(ear: Ear, mechanisms: list[str]) -> None:
    """Greet as MongoDB does, with these ways to log in for every user, until the client goes."""
    import bson  # noqa: PLC0415  # pymongo's: the engines' other tests do without

    while True:
        data = ear.receive()
        # https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
        _, asked, _, operation = struct.unpack_from("<iiii", data)
        hello = {
            "helloOk": True,
            "isWritablePrimary": True,
            "ismaster": True,
            "maxWireVersion": 21,
            "minWireVersion": 0,
            "saslSupportedMechs": mechanisms,
            "ok": 1,
        }
        body = bson.encode(hello)
        if operation == 2013:
            answer = struct.pack("<I", 0) + b"\0" + body
            ear.send(struct.pack("<iiii", 16 + len(answer), 1, asked, 2013) + answer)
        else:
            answer = struct.pack("<iqii", 0, 0, 0, 1) + body
            ear.send(struct.pack("<iiii", 16 + len(answer), 1, asked, 1) + answer)
