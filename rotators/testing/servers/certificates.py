"""Makes a certificate authority, and certificates for servers under test."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rotators.testing.servers.accounts import SystemAccount

# Certificates are valid from an hour ago, so that a test may set the clock back a little.
_BEFORE = dt.timedelta(hours=1)
_DAY = dt.timedelta(days=1)
_LIFETIME = 2 * _DAY
_LONGEST_COMMON_NAME = 64


@dataclass(frozen=True)
class ServerCertificate:
    """The files with a certificate and its private key, for a server."""

    certificate_file: Path
    key_file: Path


class CertificateAuthority:
    """A CA with a new key, which signs certificates for servers.

    Its certificates pass Python's VERIFY_X509_STRICT and OpenSSL's `-x509_strict` (RFC 5280). The CA's key is never
    written to disk.

    Args:
        folder: an existing folder for the files.
        name: the CA's name.

    Attributes:
        ca_file: the CA's certificate (PEM), for clients to verify with.
    """

    def __init__(self, folder: Path, name: str = "rotators test CA") -> None:
        self._folder = folder.absolute()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._issued = 0
        certificate = self._sign_itself()
        self.ca_file = self._folder / f"{_file_name(name)}.pem"
        _write(self.ca_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)

    def issue(
        self,
        names: Iterable[str],
        *,
        common_name: str | None = None,
        expired: bool = False,
        not_yet: bool = False,
        folder: Path | None = None,
        account: SystemAccount | None = None,
    ) -> ServerCertificate:
        """Make a server certificate and write it, with its key, to a folder.

        Args:
            names: DNS names and IP addresses to certify, at least one.
            common_name: the subject; by default the first name. Clients verify the names, not this.
            expired: make one that expired a day ago.
            not_yet: make one that becomes valid in a day.
            folder: the folder; by default the CA's. The server must be able to reach it.
            account: the server's account. It becomes the key's owner, because servers refuse a key that others can
                read (PostgreSQL: https://www.postgresql.org/docs/current/ssl-tcp.html). Needs root if it is not the
                current account.

        Raises:
            ValueError: no names, or one that is not ASCII.
        """
        names = list(names)
        if not names:
            raise ValueError("a certificate needs at least one name")
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        begins = now - _BEFORE
        if expired or not_yet:
            begins = now + (_DAY if not_yet else -_DAY - _LIFETIME)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_subject(common_name or names[0]))
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(self._authority_key(), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self._issued += 1
        stem = f"{self.ca_file.stem}-{self._issued}-{_file_name(names[0])}"
        folder = (folder or self._folder).absolute()
        issued = ServerCertificate(folder / f"{stem}.pem", folder / f"{stem}.key")
        _write(issued.certificate_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(issued.key_file, private, 0o600)
        if account is not None:
            account.own(issued.key_file)
        return issued

    def _sign_itself(self) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        public = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(self._subject)
            .issuer_name(self._subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            # Older than any certificate that it signs, including expired ones.
            .not_valid_before(now - 3 * _LIFETIME)
            .not_valid_after(now + 2 * _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _authority_key(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_COMMON_NAME])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def _write(path: Path, content: bytes, mode: int) -> None:
    # Made with its final mode: others can never read a key, and the umask does not make a certificate unreadable.
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(content)
    path.chmod(mode)
