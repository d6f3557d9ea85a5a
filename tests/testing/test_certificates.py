from __future__ import annotations

import os
import ssl
import stat

import pytest
from cryptography import x509

from rotators.testing.servers.accounts import SystemAccount
from rotators.testing.servers.certificates import CertificateAuthority


def shake_hands(certificate, ca_file, name):
    """A TLS handshake in memory, with the client as strict as Python can be."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    client_context = ssl.create_default_context(cafile=ca_file)
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    return client.getpeercert()


@pytest.fixture
def authority(tmp_path):
    return CertificateAuthority(tmp_path)


@pytest.mark.parametrize("name", ["localhost", "db.internal", "127.0.0.1", "::1"])
def test_every_name_given_is_certified(authority, name):
    certificate = authority.issue(["localhost", "db.internal", "127.0.0.1", "::1"])

    shake_hands(certificate, authority.ca_file, name)


def test_a_name_may_be_a_wildcard(authority):
    certificate = authority.issue(["*.rds.example"])

    shake_hands(certificate, authority.ca_file, "shop.rds.example")


@pytest.mark.parametrize("name", ["db.internal", "127.0.0.2"])
def test_a_name_not_given_is_refused(authority, name):
    certificate = authority.issue(["localhost", "127.0.0.1"], common_name=name)

    with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not valid for"):
        shake_hands(certificate, authority.ca_file, name)


def test_an_expired_certificate_is_refused_for_that_reason(authority):
    certificate = authority.issue(["localhost"], expired=True)

    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        shake_hands(certificate, authority.ca_file, "localhost")


def test_another_authority_does_not_vouch_for_it_even_under_the_same_name(authority, tmp_path):
    (tmp_path / "other").mkdir()
    other = CertificateAuthority(tmp_path / "other")
    certificate = authority.issue(["localhost"])

    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        shake_hands(certificate, other.ca_file, "localhost")


def test_the_common_name_is_the_first_name_or_the_one_given(authority):
    long = "a" * 60 + ".example"

    assert shake_hands(authority.issue(["a.example"]), authority.ca_file, "a.example")["subject"] == (
        (("commonName", "a.example"),),
    )
    given = authority.issue(["a.example"], common_name="b")
    assert shake_hands(given, authority.ca_file, "a.example")["subject"] == ((("commonName", "b"),),)
    shake_hands(authority.issue([long]), authority.ca_file, long)  # a common name ends at 64 characters


def test_files_are_readable_for_those_who_may_and_nobody_else(authority, tmp_path):
    before = os.umask(0o077)
    try:
        account = SystemAccount.for_servers()
        certificate = authority.issue(["localhost"], account=account)
    finally:
        os.umask(before)

    key = certificate.key_file.stat()
    assert stat.S_IMODE(key.st_mode) == 0o600
    assert (key.st_uid, key.st_gid) == (account.uid, account.gid)
    assert stat.S_IMODE(certificate.certificate_file.stat().st_mode) == 0o644
    assert b"PRIVATE" not in authority.ca_file.read_bytes()
    keys = [path for path in tmp_path.iterdir() if b"PRIVATE" in path.read_bytes()]
    assert keys == [certificate.key_file]


def test_without_an_account_the_key_is_ours(authority):
    assert authority.issue(["localhost"]).key_file.stat().st_uid == os.geteuid()


def test_certificates_go_to_another_folder_on_request(authority, tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()

    first, second = (authority.issue(["localhost"], folder=folder) for _ in range(2))

    assert len({first.certificate_file, first.key_file, second.certificate_file, second.key_file}) == 4
    assert {path.parent for path in (first.certificate_file, first.key_file)} == {folder}
    assert first.certificate_file.is_absolute()


def test_a_file_is_never_written_over(authority, tmp_path):
    with pytest.raises(FileExistsError):
        CertificateAuthority(tmp_path)


def test_without_a_name_there_is_no_certificate(authority):
    with pytest.raises(ValueError, match="at least one name"):
        authority.issue([])


def test_a_name_that_is_not_ascii_is_refused(authority):
    with pytest.raises(ValueError, match="A-label"):
        authority.issue(["bücher.example"])


def test_serial_numbers_differ(authority):
    serials = {
        x509.load_pem_x509_certificate(authority.issue(["a"]).certificate_file.read_bytes()).serial_number
        for _ in range(3)
    }

    assert len(serials) == 3
