"""The settings of a database rotator, read from the function's environment variables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from rotators.environment import Environment
from rotators.errors import ConfigurationError

AUTO = "auto"
STRATEGIES = (AUTO, "single-user", "dual-password", "alternating-users")


@dataclass(frozen=True)
class DatabaseSettings:
    """The settings of a database rotator; ``docs/reference/settings.md`` explains each.

    Args:
        strategy: ROTATION_STRATEGY, one of ``STRATEGIES``.
        passwords_only: ROTATION_TWIN=adopt: both users were made by hand, only their passwords are rotated.
        admin_secret: ROTATION_ADMIN_SECRET, for secrets that name no ``masterarn``.
        admin_host: ROTATION_ADMIN_HOST, the server for admin secrets that name no host: host and port; None as the
            port means the engine's default.
        users: ROTATION_USERS: the user of each secret, by the secret's name or ARN, as the deployment names it.
        values: ROTATION_VALUES: what each secret should hold beside the password, by the secret's name or ARN.
        allow_admin_reset: ALLOW_ADMIN_RESET: the admin may repair a user who cannot log in.
        allow_plaintext: ROTATION_ALLOW_PLAINTEXT: a secret's ``ssl: false`` takes effect.
        ca_bundle: ROTATION_CA_BUNDLE, the file of CA certificates to trust; None: the usual places.
        tls_server_name: ROTATION_TLS_SERVER_NAME, for secrets that name no ``tlsServerName``.
        test_query: ROTATION_TEST_QUERY, run in testSecret with the new credential.
        connect_timeout: ROTATION_CONNECT_TIMEOUT, seconds.
        username_limit: USERNAME_CHARACTER_LIMIT, at most the engine's limit; None: the engine's limit.
    """

    strategy: str = AUTO
    passwords_only: bool = False
    admin_secret: str | None = None
    admin_host: tuple[str, int | None] | None = None
    users: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    allow_admin_reset: bool = False
    allow_plaintext: bool = False
    ca_bundle: str | None = None
    tls_server_name: str | None = None
    test_query: str | None = None
    connect_timeout: float = 5.0
    username_limit: int | None = None

    @classmethod
    def from_environment(cls, environment: Environment) -> Self:
        """Read the settings from environment variables.

        Raises:
            ConfigurationError: a variable has a wrong value.
        """
        return cls(
            strategy=environment.choice("ROTATION_STRATEGY", STRATEGIES, default=AUTO),
            passwords_only=environment.choice("ROTATION_TWIN", ("manage", "adopt"), default="manage") == "adopt",
            admin_secret=environment.text("ROTATION_ADMIN_SECRET"),
            admin_host=_admin_host(environment.text("ROTATION_ADMIN_HOST")),
            users=_users(environment.text("ROTATION_USERS")),
            values=_values(environment.text("ROTATION_VALUES")),
            allow_admin_reset=environment.flag("ALLOW_ADMIN_RESET", default=False),
            allow_plaintext=environment.flag("ROTATION_ALLOW_PLAINTEXT", default=False),
            ca_bundle=environment.text("ROTATION_CA_BUNDLE"),
            tls_server_name=environment.text("ROTATION_TLS_SERVER_NAME"),
            test_query=environment.text("ROTATION_TEST_QUERY"),
            connect_timeout=environment.seconds("ROTATION_CONNECT_TIMEOUT", default=5.0),
            username_limit=environment.whole_number("USERNAME_CHARACTER_LIMIT", default=0) or None,
        )

    def user_of(self, secret_arn: str) -> str | None:
        """The user that ROTATION_USERS names for a secret; None if it names none.

        ROTATION_USERS may name the secret by its whole ARN, by its ARN without the six characters that Secrets Manager
        adds, or by its name. The most exact one counts.

        Args:
            secret_arn: the whole ARN, as Secrets Manager returns it.
        """
        return next((self.users[name] for name in _names(secret_arn) if name in self.users), None)

    def values_of(self, secret_arn: str) -> Mapping[str, Any]:
        """What ROTATION_VALUES says about a secret, named as in :meth:`user_of`; empty if it says nothing.

        Args:
            secret_arn: the whole ARN, as Secrets Manager returns it.
        """
        return next((self.values[name] for name in _names(secret_arn) if name in self.values), {})


# In a secret's ARN, its name is followed by a hyphen and this many characters.
_ADDED = 6
_HIGHEST_PORT = 65535
# A name, an IPv4 address or an IPv6 address in brackets, each with or without a port; or a bare IPv6 address.
_ADDRESS = re.compile(
    r"(?:(?P<name>[^\s:/@\[\],?#]+)|\[(?P<bracketed>[0-9A-Fa-f:.%\w]+)\])(?::(?P<port>[0-9]{1,5}))?"
    r"|(?P<address>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)"
)


def _names(secret_arn: str) -> list[str]:
    """The ways to name a secret, the most exact one first."""
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
    partial, hyphen, added = secret_arn.rpartition("-")
    return [secret_arn, partial, partial.partition(":secret:")[2]] if hyphen and len(added) == _ADDED else [secret_arn]


def address(text: str) -> tuple[str, int | None]:
    """Read a server's address: ``host``, ``host:port``, ``::1`` or ``[::1]:port``.

    Returns:
        The host, and the port if there is one.

    Raises:
        ValueError: the text is not an address.
    """
    match = _ADDRESS.fullmatch(text.strip())
    port = int(match["port"]) if match and match["port"] else None
    if match is None or not 1 <= (1 if port is None else port) <= _HIGHEST_PORT:
        raise ValueError("neither a host nor host:port")
    return match["bracketed"] or match["address"] or match["name"], port


def _admin_host(text: str | None) -> tuple[str, int | None] | None:
    try:
        return None if text is None else address(text)
    except ValueError as error:
        raise ConfigurationError(
            f"ROTATION_ADMIN_HOST is {error}", "set it to the endpoint of the admin's server"
        ) from None


def _users(text: str | None) -> dict[str, str]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(user, str) and user for user in found.values()):
        raise ConfigurationError(
            "ROTATION_USERS is not a JSON object of secrets and their users",
            'set it to {"<the secret\'s name or ARN>": "<its user\'s name>"}',
        )
    return found


def _values(text: str | None) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if (
        not isinstance(found, dict)
        or not all(isinstance(values, dict) for values in found.values())
        or any("password" in values for values in found.values())
    ):
        # Not echoed: it may hold a password.
        raise ConfigurationError(
            "ROTATION_VALUES is not a JSON object of secrets and what they hold beside the password",
            'set it to {"<the secret\'s name or ARN>": {"host": …, "username": …}}',
        )
    return found
