"""Whom a password is told: each way in which a server's TLS can be wrong, for the user's login and the admin's.

Where the server should be there is somebody else, who shows what a test gives them, and keeps all that they hear. What
is kept must not hold a password in any spelling; and nothing may have changed, in database or secret.
"""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import os
import socket
import ssl
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from doubles import impostor
from doubles.impostor import Ear, Impostor, presenting, self_signed
from doubles.tds import SqlError, TdsServer
from targets import ALTERNATING, rotated

from rotators import errors
from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.mongo import MongoEngine
from rotators.engines.mysql import MysqlEngine
from rotators.engines.oracle import OracleEngine
from rotators.engines.postgres import PostgresEngine
from rotators.engines.redshift import RedshiftEngine
from rotators.engines.sqlserver import SqlserverEngine
from rotators.testing import RotationService
from rotators.testing.servers.accounts import SystemAccount
from rotators.testing.servers.certificates import CertificateAuthority, ServerCertificate

FRONTS = {
    "PostgresTarget": impostor.postgres,
    "RedshiftTarget": impostor.postgres,
    "MysqlTarget": impostor.mysql,
}
USER, PASSWORD = "app_of_the_wire", "of-the-wire-3141592653"


class Certificates:
    """What an impostor can show.

    Args:
        folder: where the files go.

    Attributes:
        trusted: the CA that the function trusts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.trusted = CertificateAuthority(folder, "trusted")
        self._other = CertificateAuthority(folder, "another")

    def bundle(self, *more: Path) -> str:
        """The trusted CA, and those of real servers."""
        file = self._folder / "bundle.pem"
        file.write_bytes(b"".join(path.read_bytes() for path in (self.trusted.ca_file, *more)))
        return str(file)

    def good(self) -> ssl.SSLContext:
        return _shown(self._issue())

    def expired(self) -> ssl.SSLContext:
        return _shown(self._issue(expired=True))

    def not_yet(self) -> ssl.SSLContext:
        return _shown(self._issue(not_yet=True))

    def of_another_name(self) -> ssl.SSLContext:
        return _shown(self._issue("db.example"))

    def of_another_authority(self) -> ssl.SSLContext:
        return _shown(self._other.issue(["localhost"], folder=self._folder, account=_me()))

    def self_signed(self) -> ssl.SSLContext:
        return presenting(*self_signed(self._folder, "localhost"))

    def old(self, version: ssl.TLSVersion) -> ssl.SSLContext:
        return _shown(self._issue(), version)

    def _issue(self, name: str = "localhost", **how: bool) -> ServerCertificate:
        return self.trusted.issue([name], folder=self._folder, account=_me(), **how)


def _me() -> SystemAccount:
    return SystemAccount(os.geteuid(), os.getegid())


def _shown(issued: ServerCertificate, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    return presenting(issued.certificate_file, issued.key_file, version)


RENEW, TRUST, NAMES = "renew it", "put the CA that signed", "but for db.example"
NEWER = "no TLS 1.2 or newer"
# Each with what the error says: the cause, and what to do.
FAULTS: dict[str, tuple[Callable[[Certificates], ssl.SSLContext | None], tuple[str, ...]]] = {
    "expired": (Certificates.expired, ("has expired", RENEW)),
    "not yet valid": (Certificates.not_yet, ("is not valid yet", "clock")),
    "signed by itself": (Certificates.self_signed, ("self-signed certificate", TRUST)),
    "of another authority": (Certificates.of_another_authority, ("unable to get local issuer certificate", TRUST)),
    "of another name": (Certificates.of_another_name, ("is not for 'localhost'", NAMES)),
    "TLS 1.0": (lambda shown: shown.old(ssl.TLSVersion.TLSv1), (NEWER, "switch TLS 1.2 on")),
    "TLS 1.1": (lambda shown: shown.old(ssl.TLSVersion.TLSv1_1), (NEWER, "switch TLS 1.2 on")),
    "none: taken out on the way": (lambda _: None, ("TLS",)),
}


class _Tds:
    """The impostor of SQL Server, whose TLS travels in its own packets."""

    def __init__(self, context: ssl.SSLContext | None, encryption: int | None = None) -> None:
        self._said: list[str] = []
        self._context = context
        # A certificate stands for a server that encrypts; what it shows is the context's.
        pem = None if context is None else Path(os.devnull)
        self._server = TdsServer(self._note, pem, context=context, encryption=encryption)
        self.port = self._server.port

    def _note(self, user: str, password: str, database: str) -> Any:
        self._said += [user, password, database]
        raise SqlError(18456, "Login failed.")

    @property
    def heard(self) -> bytes:
        return "\n".join(self._said).encode()

    def __enter__(self) -> _Tds:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)


def pretending(target: Any, context: ssl.SSLContext | None) -> Any:
    """The impostor of a target's server."""
    if type(target).__name__.startswith("Sqlserver"):
        return _Tds(context)
    # It takes one message, and hangs up.
    return Impostor(FRONTS.get(type(target).__name__, impostor.at_once), context, Ear.receive)


def spellings(password: str, user: str = USER) -> set[bytes]:
    """What may not be heard of a password: itself, and what is as good where its hash is the password's equal."""
    plain = password.encode()
    hashed = (hashlib.sha1(plain).digest(), hashlib.sha256(plain).digest(), hashlib.md5(plain + user.encode()).digest())  # noqa: S324 # fmt: skip
    return {
        plain, base64.b64encode(plain), plain.hex().encode(), quote(password).encode(), password.encode("utf-16-le"),
        json.dumps(password).encode(), *hashed, *(one.hex().encode() for one in hashed),
    }  # fmt: skip


def is_silent(heard: bytes, password: str, user: str) -> bool:
    return not [one for one in spellings(password, user) if one in heard]


def current(service: RotationService, arn: str) -> str:
    return next(version for version, stages in service.labels(arn).items() if "AWSCURRENT" in stages)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.mark.parametrize("whose", ["the user's", "the admin's"])
def test_no_server_of_the_wrong_certificate_hears_a_login(
    target: Any, rotation_service: RotationService, certificates: Certificates, *, whose: str
) -> None:
    """The impostor is at the address of one of the two secrets; afterwards all is as it was, and works."""
    subject = rotated(target, rotation_service, ALTERNATING, ROTATION_CONNECT_TIMEOUT="5")
    own_ca = Path(str(subject.rotator._environment._variables["ROTATION_CA_BUNDLE"]))
    bundle = certificates.bundle(own_ca)
    subject.rotator._environment._variables["ROTATION_CA_BUNDLE"] = bundle  # type: ignore[index]
    arn = subject.arn if whose == "the user's" else subject.value["masterarn"]
    value = rotation_service.value(arn)
    client = rotation_service.client
    rotation = rotation_service.stage(subject.arn)

    def through(context: ssl.SSLContext | None, *, whole: bool = True) -> tuple[errors.RotationError, bytes]:
        with pretending(target, context) as somebody:
            changed = {**value, "host": "localhost", "port": somebody.port}
            client.put_secret_value(SecretId=arn, SecretString=json.dumps(changed))
            before = current(rotation_service, subject.arn)
            options = ConnectOptions(2.0, ca_file=bundle, admin=True)
            with pytest.raises(errors.RotationError) as failed:  # noqa: PT012  # one of the two
                if whole:
                    rotation_service.invoke(rotation, "createSecret")
                else:
                    subject.rotator._engine.connect(Credentials(changed), options)
            with pytest.raises(KeyError):
                rotation_service.value(subject.arn, "AWSPENDING")
            assert current(rotation_service, subject.arn) == before
            return failed.value, somebody.heard

    for fault, (make, says) in FAULTS.items():
        # At the admin's address it is the user who comes first: the admin's own login is tried by itself.
        error, heard = through(make(certificates), whole=arn == subject.arn or fault == "of another authority")
        assert type(error) is errors.TlsFailed, f"{fault}: {type(error).__name__}: {error}"
        for text in (*says, error.advice):
            assert text in str(error), f"{fault}: {error}"
        for name in (value["username"], subject.application.username):
            assert name.encode() not in heard, fault
            assert name.encode("utf-16-le") not in heard, fault
        assert is_silent(heard, value["password"], value["username"]), fault
        assert value["password"] not in str(error)
    # The ear works: with a certificate that is right it hears who comes.
    if type(target).__name__ != "Db2Target":
        subject.rotator._environment._variables["ROTATION_CONNECT_TIMEOUT"] = "2"  # type: ignore[index]
        error, heard = through(certificates.good())
        assert isinstance(error, errors.RotationError)
        assert heard
        if type(target).__name__ != "SqlserverDouble":
            assert is_silent(heard, value["password"], value["username"])
    client.put_secret_value(SecretId=arn, SecretString=json.dumps(value))
    # After a refused login a rotation may have been given up.
    waits = any("AWSPENDING" in stages for stages in rotation_service.labels(subject.arn).values())
    assert (rotation_service.retry if waits else rotation_service.rotate)(subject.arn).error is None
    target.work(subject.value)
    target.work(target.secret(subject.application))


def log_in(engine: Any, port: int, certificates: Certificates, *, admin: bool, **keys: Any) -> errors.RotationError:
    """Try to log in there, which must be refused."""
    value = {"host": "localhost", "port": port, "username": USER, "password": PASSWORD, "dbname": "APP", **keys}
    options = ConnectOptions(5.0, ca_file=certificates.bundle(), admin=admin)
    with pytest.raises(errors.RotationError) as refused:
        engine.connect(Credentials(value), options)
    assert PASSWORD not in str(refused.value)
    assert not isinstance(refused.value, errors.UnexpectedError)
    return refused.value


def answers(*messages: bytes) -> Callable[[Ear], None]:
    """What a server of PostgreSQL's kind says, each after something of the client's."""

    def script(ear: Ear) -> None:
        for message in messages:
            ear.receive()
            ear.send(message)
        ear.receive()

    return script


def asking(method: int, more: bytes = b"") -> bytes:
    """AuthenticationRequest: https://www.postgresql.org/docs/current/protocol-message-formats.html"""
    return b"R" + struct.pack("!ii", 8 + len(more), method) + more


READY = b"Z" + struct.pack("!i", 5) + b"I"
ASKS = {
    "in clear": asking(3),
    "by GSS": asking(7),
    "by SSPI": asking(9),
    "by a way that is none": asking(99),
    "not at all": asking(0) + READY,
    "by a mechanism that is none": asking(10, b"PLAIN\0OAUTHBEARER\0\0"),
}


@pytest.mark.server
class TestWhatAVerifiedServerMayAskFor:
    """Its certificate is right: an attacker's with the server's name. It asks for the password in a way of its own."""

    @pytest.mark.parametrize("admin", [False, True])
    @pytest.mark.parametrize("engine", [PostgresEngine, RedshiftEngine])
    @pytest.mark.parametrize("how", ASKS)
    def test_postgresqls_kind_gets_it_in_no_other_way_than_its_own(
        self, certificates: Certificates, engine: Any, how: str, *, admin: bool
    ) -> None:
        with Impostor(impostor.postgres, certificates.good(), answers(ASKS[how])) as somebody:
            error = log_in(engine(), somebody.port, certificates, admin=admin)
        assert isinstance(error, errors.UserNotRotatable | errors.LoginRefused | errors.TlsFailed), error
        assert USER.encode() in somebody.heard
        assert is_silent(somebody.heard, PASSWORD, USER)

    @pytest.mark.parametrize("admin", [False, True])
    @pytest.mark.parametrize("engine", [PostgresEngine, RedshiftEngine])
    def test_md5_is_a_hash_of_the_servers_salt(self, certificates: Certificates, engine: Any, *, admin: bool) -> None:
        """Accepted, for servers that keep MD5: the answer is worth nothing at another salt, nor is it the verifier."""
        salt = b"salt"
        with Impostor(impostor.postgres, certificates.good(), answers(asking(5, salt))) as somebody:
            log_in(engine(), somebody.port, certificates, admin=admin)
        verifier = hashlib.md5(PASSWORD.encode() + USER.encode()).hexdigest()  # noqa: S324  # PostgreSQL's own
        proof = b"md5" + hashlib.md5(verifier.encode() + salt).hexdigest().encode()  # noqa: S324  # the same
        assert proof in somebody.heard
        assert is_silent(somebody.heard, PASSWORD, USER)

    def test_an_admin_proves_nothing_that_could_be_passed_on(self, certificates: Certificates) -> None:
        """SCRAM without its tie to the TLS connection: enough for a user, and refused for an admin."""
        offer = asking(10, b"SCRAM-SHA-256\0\0")
        heard = {}
        for admin in (False, True):
            with Impostor(impostor.postgres, certificates.good(), answers(offer)) as somebody:
                error = log_in(PostgresEngine(), somebody.port, certificates, admin=admin)
            heard[admin] = somebody.heard
            assert is_silent(somebody.heard, PASSWORD, USER)
        assert isinstance(error, errors.TlsFailed)
        assert "channel binding" in str(error)
        assert b"SCRAM-SHA-256" in heard[False]
        assert b"SCRAM-SHA-256" not in heard[True]

    @pytest.mark.parametrize("plugin", ["mysql_clear_password", "dialog", "mysql_old_password", "auth_gssapi_client"])
    def test_mysqls_admin_is_asked_in_vain(self, certificates: Certificates, plugin: str) -> None:
        """The user's login: tests/security/test_mysql.py."""

        def script(ear: Ear) -> None:
            ear.receive()
            ear.send(_packet(2 + 1, b"\xfe" + plugin.encode() + b"\0" + b"12345678901234567890\0"))
            ear.receive()

        with Impostor(impostor.mysql, certificates.good(), script) as somebody:
            error = log_in(MysqlEngine(), somebody.port, certificates, admin=True)
        assert isinstance(error, errors.UserNotRotatable), error
        assert is_silent(somebody.heard, PASSWORD, USER)

    @pytest.mark.parametrize("mechanisms", [["PLAIN"], ["MONGODB-CR"], [], ["PLAIN", "GSSAPI", "MONGODB-X509"]])
    def test_mongodbs_kind_proves_it_by_scram(self, certificates: Certificates, mechanisms: list[str]) -> None:
        with Impostor(
            impostor.at_once, certificates.good(), lambda ear: impostor.login_of_mongo(ear, mechanisms)
        ) as somebody:
            log_in(MongoEngine(), somebody.port, certificates, admin=True)
        assert b"saslStart" in somebody.heard
        assert b"SCRAM-SHA-" in somebody.heard
        assert b"PLAIN" not in somebody.heard
        assert is_silent(somebody.heard, PASSWORD, USER)

    @pytest.mark.parametrize("encryption", [0, 2, 7, 255])
    def test_sql_server_gets_no_login_outside_of_tls(self, certificates: Certificates, encryption: int) -> None:
        """Off after the login, not supported, and values that there are none of."""
        with _Tds(certificates.good(), encryption) as somebody:
            error = log_in(SqlserverEngine(), somebody.port, certificates, admin=True)
        assert isinstance(error, errors.TlsFailed | errors.ConnectionLost), error
        assert somebody.heard == b""

    @pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
    @pytest.mark.parametrize("protocol", ["tcp", "tcps"])
    def test_oracles_listener_sends_nobody_on_to_a_place_without_tls(
        self, certificates: Certificates, protocol: str
    ) -> None:
        """A REDIRECT to another address: by TCP nothing is told there, and by TCPS its name is verified as well."""
        elsewhere = None if protocol == "tcp" else certificates.of_another_name()
        with Impostor(impostor.at_once, elsewhere, Ear.receive) as other:
            address = f"(ADDRESS=(PROTOCOL={protocol})(HOST=localhost)(PORT={other.port}))"

            def script(ear: Ear) -> None:
                ear.receive()
                data = address.encode() + b"\0" + b"(DESCRIPTION=" + address.encode() + b")"
                # Its length, and in a packet of its own the address.
                for body in (struct.pack("!H", len(data)), data):
                    ear.send(struct.pack("!HHBBH", 8 + len(body), 0, 5, 0, 0) + body)
                ear.receive()

            with Impostor(impostor.at_once, certificates.good(), script) as listener:
                error = log_in(OracleEngine(), listener.port, certificates, admin=True)
        # The driver has left its first socket behind.
        gc.collect()
        assert isinstance(error, errors.TlsFailed)
        assert other.connections
        assert b"DESCRIPTION" not in other.heard
        assert is_silent(other.heard, PASSWORD, USER)


def _packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_the_old_versions_are_really_spoken(certificates: Certificates, version: ssl.TLSVersion) -> None:
    """Else a refusal of them would be no wonder: a client that takes them is served."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificates.bundle())
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = version
    with (
        Impostor(impostor.at_once, certificates.old(version), Ear.receive) as old,
        socket.create_connection(("localhost", old.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.version() == version.name.replace("v1_", "v1.")
