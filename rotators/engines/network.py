"""Maps network and TLS failures to :mod:`rotators.errors`."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rotators.errors import ConfigurationError, SecretMalformed, TlsFailed, Unreachable

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.engines.base import ConnectOptions

ContextT = TypeVar("ContextT", bound=ssl.SSLContext)
_NAME_MISMATCH = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_NOT_YET, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
# OpenSSL's reasons if the two sides have no TLS version in common: the server's alert, or OpenSSL's own refusal.
_TOO_OLD = {"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION", "NO_PROTOCOLS_AVAILABLE"}
_NOTHING_IN_COMMON = "SSLV3_ALERT_HANDSHAKE_FAILURE"
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH}
OWN_NAME = "put one of these names as 'host' into the secret"
OTHER_NAME = "put one of these names as 'tlsServerName' into the secret, or into ROTATION_TLS_SERVER_NAME"


def require_ca(options: ConnectOptions, target: str) -> None:
    """Require CA certificates to verify the server with, unless TLS is not used.

    Args:
        options: how to connect.
        target: the server, for the message.

    Raises:
        ConfigurationError: there are no CA certificates.
    """
    if not options.plaintext and options.ca_file is None:
        raise ConfigurationError(
            f"there are no CA certificates to verify {target} with",
            "set ROTATION_CA_BUNDLE to a file with the CA of the server's certificate",
        )


def require_text(credentials: Credentials) -> None:
    """Require that what a login sends can be encoded: a driver would fail on a lone surrogate with an unclear error.

    Raises:
        SecretMalformed: a value holds a lone surrogate, which JSON allows.
    """
    for key in ("username", "password", "dbname"):
        try:
            (credentials.text(key) or "").encode()
        except UnicodeEncodeError:
            raise SecretMalformed(
                f"{credentials.source}: the key '{key}' holds half of a character (a lone surrogate)",
                f"write '{key}' anew",
            ) from None


def require_own_name(options: ConnectOptions, host: str, port: int, whose: str) -> None:
    """Require that the name to verify is the host, for drivers that can't verify another.

    Raises:
        ConfigurationError: it is another name.
    """
    if not options.plaintext and options.server_name not in {None, host}:
        raise ConfigurationError(
            f"the certificate of {host}:{port} is to be verified for '{options.server_name}', and {whose} driver "
            "verifies the host's own name only",
            "put a name that the certificate has as 'host' into the secret, and remove tlsServerName",
        )


def trust(context: ContextT, ca_file: str) -> ContextT:
    """Make a TLS context verify servers by these CA certificates, over TLS 1.2 or newer.

    Args:
        context: a client's context.
        ca_file: the file of CA certificates (PEM).

    Returns:
        The context.

    Raises:
        ConfigurationError: the file holds no CA certificates.
    """
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        raise ConfigurationError(
            f"{ca_file} holds no CA certificates: {error.strerror or 'it is no PEM'}",
            "set ROTATION_CA_BUNDLE to a file with the CA of the server's certificate",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def unreachable(
    cause: BaseException,
    target: str,
    refused: str = "check host and port in the secret, and that the server runs",
) -> Unreachable | None:
    """The error for a network failure; None if it is something else.

    Args:
        cause: what the operating system or the driver raised.
        target: server and user, for the message.
        refused: what to do if the connection was refused.
    """
    if isinstance(cause, socket.gaierror | UnicodeError):
        return Unreachable(
            f"the host name of {target} is unknown (DNS)", "correct 'host' in the secret, or the VPC's DNS settings"
        )
    if isinstance(cause, TimeoutError):
        return no_answer(target)
    if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
        return Unreachable(f"{target}: {cause.strerror}", refused)
    if isinstance(cause, OSError) and cause.errno in _NO_ROUTE:
        return Unreachable(
            f"{target}: {cause.strerror}",
            "no route to the database: attach the function to subnets of the database's VPC",
        )
    return None


def no_answer(target: str) -> Unreachable:
    """The error for a server that does not answer."""
    return Unreachable(
        f"{target}: no answer in time",
        "let the function's security group into the database's, and attach the function to subnets that reach it",
    )


def certificate_refused(
    error: ssl.SSLCertVerificationError,
    target: str,
    name: str,
    names_offered: Callable[[], list[str]],
    *,
    advice: str = OTHER_NAME,
    bundle: str = "for RDS: AWS's global bundle",
) -> TlsFailed:
    """The error for a certificate that is not trusted, not valid at this time, or for another name.

    Args:
        error: what Python's ``ssl`` raised.
        target: server and user, for the message.
        name: the name to verify.
        names_offered: reads the names in the certificate.
        advice: what to do with these names.
        bundle: where to get the CA certificates.
    """
    if error.verify_code in _NAME_MISMATCH:
        return another_name(target, name, names_offered(), advice)
    if error.verify_code == _EXPIRED:
        return TlsFailed(
            f"{target}: the certificate, or that of the CA that signed it, has expired",
            "renew it, and put its CA into ROTATION_CA_BUNDLE; on RDS: aws rds modify-db-instance "
            "--db-instance-identifier NAME --ca-certificate-identifier rds-ca-rsa2048-g1 --apply-immediately",
        )
    if error.verify_code == _NOT_YET:
        return TlsFailed(f"{target}: the certificate is not valid yet", "check the server's clock, or issue it again")
    return TlsFailed(
        f"{target}: certificate verify failed: {error.verify_message}",
        f"put the CA that signed the server's certificate into ROTATION_CA_BUNDLE ({bundle})",
    )


def tls_failed(error: ssl.SSLError, target: str, advice: str) -> TlsFailed:
    """The error for a handshake that failed before the certificate could be verified.

    Args:
        error: what Python's ``ssl`` raised.
        target: server and user, for the message.
        advice: what to do, unless the TLS version is the cause.
    """
    if error.reason in {*_TOO_OLD, _NOTHING_IN_COMMON}:
        further = ", or no cipher that we take" if error.reason == _NOTHING_IN_COMMON else ""
        return TlsFailed(
            f"{target}: the server offers no TLS 1.2 or newer{further}",
            "switch TLS 1.2 on in the server; nothing is ever sent over an older one",
        )
    return TlsFailed(f"{target}: TLS failed: {error.reason or 'the server speaks none'}", advice)


def another_name(target: str, name: str, offered: list[str], advice: str = OTHER_NAME) -> TlsFailed:
    """The error for a certificate that is not for the name to verify, but for those offered."""
    names = ", ".join(offered) or "other names"
    return TlsFailed(f"{target}: the certificate is not for '{name}', but for {names}", advice)


def probe_tls(
    address: tuple[str, int],
    options: ConnectOptions,
    name: str | None = None,
    start_tls: Callable[[socket.socket], None] = lambda _: None,
) -> Exception | None:
    """Connect up to TLS without a driver, for drivers that report failures only as text.

    Args:
        address: host and port.
        options: how to connect.
        name: the name to verify in the certificate; by default the host.
        start_tls: brings the connection to the point where the TLS handshake begins.

    Returns:
        The failure; None if there is none.
    """
    try:
        with socket.create_connection(address, options.timeout) as plain:
            if not options.plaintext:
                context = ssl.create_default_context(cafile=options.ca_file)
                start_tls(plain)
                context.wrap_socket(plain, server_hostname=name or address[0]).close()
    except (OSError, UnicodeError) as error:
        return error
    return None
