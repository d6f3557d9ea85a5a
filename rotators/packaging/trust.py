"""The CA certificates that a function trusts: the user's own file, or RDS's bundle, pinned by its hash."""

from __future__ import annotations

import hashlib
import ssl
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from rotators.errors import PackagingFailed
from rotators.packaging import cache

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
# https://docs.amazonaws.cn/en_us/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
TRUST_STORES = {
    "aws": "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
    "aws-cn": "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem",
    "aws-us-gov": "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem",
}
_TIMEOUT = 30


def read(path: Path, *, now: datetime | None = None) -> str:
    """Read and check a file of CA certificates.

    Args:
        path: the file (PEM).
        now: the time at which every certificate must be valid; by default the current time.

    Returns:
        The file's text.

    Raises:
        PackagingFailed: the file does not exist, holds no certificate, or one that has expired.
    """
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise PackagingFailed(
            f"the CA bundle {path} can't be read: {error.strerror}", "name a file of CA certificates (PEM)"
        ) from None
    except UnicodeDecodeError:
        raise PackagingFailed(f"the CA bundle {path} is not PEM", "convert it: openssl x509 -inform der") from None
    check(text, str(path), now=now)
    return text


def fetch(partition: str, sha256: str, url: str | None = None) -> str:
    """Fetch RDS's bundle of a partition, which must have the pinned hash.

    Args:
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
        sha256: the pinned hash of the bundle, in hex.
        url: the bundle's URL; by default that of the partition's trust store.

    Returns:
        The bundle's text.

    Raises:
        PackagingFailed: the bundle can't be fetched, has another hash, or holds a certificate that has expired.
    """
    kept = cache.folder() / f"ca-{sha256}.pem"
    if kept.is_file() and hashlib.sha256(kept.read_bytes()).hexdigest() == sha256:
        return read(kept)
    source = url or TRUST_STORES.get(partition)
    if source is None:
        raise PackagingFailed(
            f"it is not known where the partition {partition} has its CA bundle",
            "fetch it, check it, and name the file: ca_bundle: {file: global-bundle.pem}",
        )
    try:
        with urllib.request.urlopen(source, timeout=_TIMEOUT) as answer:  # noqa: S310  # https or the test's own file
            found: bytes = answer.read()
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise PackagingFailed(
            f"the CA bundle could not be fetched from {source}: {reason}",
            "fetch it elsewhere, check it, and name the file: ca_bundle: {file: global-bundle.pem}",
        ) from None
    actual = hashlib.sha256(found).hexdigest()
    if actual != sha256:
        raise PackagingFailed(
            f"the CA bundle at {source} has the SHA-256 {actual}, and {sha256} was pinned",
            "see what has changed in it; if you trust the new one, pin its hash",
        )
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(found)
    return read(kept)


def check(text: str, source: str, *, now: datetime | None = None) -> None:
    """Require that a text consists of CA certificates, all of them valid.

    Args:
        text: PEM.
        source: names the text in errors.
        now: the time at which they must be valid; by default the current time.

    Raises:
        PackagingFailed: a certificate is not a CA's, can't be read, or has expired.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise PackagingFailed(
            f"{source} holds no certificates that can be read", "give CA certificates (PEM)"
        ) from None
    authorities = context.get_ca_certs()
    # A certificate may occur twice, but each must be a CA's.
    if not authorities or len(authorities) < context.cert_store_stats()["x509"]:
        raise PackagingFailed(f"{source} holds a certificate that is not a CA's", "remove servers' own certificates")
    moment = now or datetime.now(UTC)
    for authority in authorities:
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(authority["notAfter"])), UTC)
        if ends <= moment:
            raise PackagingFailed(
                f"in {source} the CA certificate '{_name(authority)}' has expired, on {ends:%Y-%m-%d}",
                "fetch the current bundle, or remove that certificate",
            )


def _name(authority: object) -> str:
    subject = authority.get("subject", ()) if isinstance(authority, dict) else ()
    names = dict(part for parts in subject for part in parts)
    return str(names.get("commonName", names))
