from __future__ import annotations

import hashlib
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotators.errors import PackagingFailed
from rotators.packaging import cache, trust
from rotators.packaging.bundles import Bundles
from rotators.testing.servers.certificates import CertificateAuthority


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of one CA."""
    return CertificateAuthority(tmp_path).ca_file


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_bundle_becomes_the_layers_file(bundle: Path) -> None:
    archive = Bundles(compiled=False).trust(trust.read(bundle))
    with zipfile.ZipFile(archive.path) as file:
        assert file.namelist() == ["rotators/ca-bundle.pem"]
        assert file.read("rotators/ca-bundle.pem") == bundle.read_bytes()


def test_one_that_has_expired_is_named(bundle: Path) -> None:
    later = datetime.now(UTC) + timedelta(days=365 * 200)
    with pytest.raises(PackagingFailed, match=r"the CA certificate '.+' has expired, on 2.*fetch the current bundle"):
        trust.read(bundle, now=later)


def test_a_servers_own_certificate_is_no_authority(bundle: Path) -> None:
    server = CertificateAuthority(bundle.parent, "another CA").issue(["db.example"])
    bundle.write_bytes(bundle.read_bytes() + server.certificate_file.read_bytes())
    with pytest.raises(PackagingFailed, match="holds a certificate that is not a CA's"):
        trust.read(bundle)


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_holds_no_certificate_is_refused(bundle: Path, content: bytes) -> None:
    bundle.write_bytes(content)
    with pytest.raises(PackagingFailed, match="holds no certificates that can be read"):
        trust.read(bundle)


def test_a_file_that_is_missing_or_binary_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed, match=r"missing\.pem can't be read: No such file"):
        trust.read(tmp_path / "missing.pem")
    (tmp_path / "ca.der").write_bytes(b"\x30\x82\xff")
    with pytest.raises(PackagingFailed, match="is not PEM"):
        trust.read(tmp_path / "ca.der")


def test_the_pinned_bundle_is_fetched_once_and_any_other_is_refused(bundle: Path) -> None:
    pin = hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert trust.fetch("aws", pin, bundle.as_uri()) == bundle.read_text()
    bundle.unlink()
    assert "BEGIN CERTIFICATE" in trust.fetch("aws", pin, bundle.as_uri())
    # Whatever happens to the copy that was kept, it is fetched again rather than believed.
    next(cache.folder().glob("ca-*.pem")).write_text("something else")
    with pytest.raises(PackagingFailed, match="could not be fetched from file:"):
        trust.fetch("aws", pin, bundle.as_uri())
    bundle.write_text("something else")
    with pytest.raises(PackagingFailed, match=f"and {pin} was pinned"):
        trust.fetch("aws", pin, bundle.as_uri())
    assert set(trust.TRUST_STORES) == {"aws", "aws-cn", "aws-us-gov"}
    assert all(url.startswith("https://") for url in trust.TRUST_STORES.values())
