"""The names in a server's certificate, for the error that says which one was expected."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rotators.engines.base import ConnectOptions


def names_offered(
    address: tuple[str, int], options: ConnectOptions, start_tls: Callable[[socket.socket], None]
) -> list[str]:
    """Read the names in a server's certificate.

    Args:
        address: host and port.
        options: how to connect. The certificate must be valid except for its name.
        start_tls: brings the connection to the point where the TLS handshake begins.

    Returns:
        DNS names and addresses as in the certificate; empty if it could not be read.
    """
    context = ssl.create_default_context(cafile=options.ca_file)
    context.check_hostname = False
    try:
        with socket.create_connection(address, options.timeout) as plain:
            start_tls(plain)
            with context.wrap_socket(plain) as secure:
                certificate = secure.getpeercert() or {}
    except (OSError, ValueError):
        return []
    alternatives = certificate.get("subjectAltName", ())
    return [str(entry[1]) for entry in alternatives]
