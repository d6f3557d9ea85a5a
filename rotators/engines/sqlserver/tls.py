"""The name in the server's certificate, verified on the very connection, before the login is sent.

python-tds takes a certificate whose common name is the host's, whatever other names it is made for; browsers and
Python's own ``ssl`` have not done so for years (RFC 6125, section 6.4.4). Its check is replaced by this one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytds.tls
from cryptography import x509

if TYPE_CHECKING:
    from OpenSSL.crypto import X509

_expected: ContextVar[str | None] = ContextVar("expected", default=None)


class NameMismatch(Exception):
    """The certificate is for other names.

    Args:
        names: those.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names


@contextmanager
def expecting(name: str) -> Iterator[None]:
    """Verify this name, rather than the host's, inside the block."""
    token = _expected.set(name)
    try:
        yield
    finally:
        _expected.reset(token)


def verify(cert: X509, name: bytes) -> bool:
    """Stand in for ``pytds.tls.validate_host``, with its parameters.

    Raises:
        NameMismatch: none of the certificate's alternative names is the expected one.
    """
    expected = _expected.get() or name.decode("ascii")
    offered = _names(cert)
    if not any(_matches(pattern, expected) for pattern in offered):
        raise NameMismatch(offered)
    return True


def _names(cert: X509) -> list[str]:
    extensions = cert.to_cryptography().extensions
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [
        *found.get_values_for_type(x509.DNSName),
        *(str(address) for address in found.get_values_for_type(x509.IPAddress)),
    ]


def _matches(pattern: str, expected: str) -> bool:
    try:
        return ipaddress.ip_address(pattern) == ipaddress.ip_address(expected.strip("[]"))
    except ValueError:
        pass
    pattern, expected = pattern.rstrip(".").casefold(), expected.rstrip(".").casefold()
    if pattern.startswith("*."):
        # A star stands for one label, the leftmost.
        head, _, rest = expected.partition(".")
        return bool(head) and "*" not in head and rest == pattern[2:]
    return pattern == expected


pytds.tls.validate_host = verify
