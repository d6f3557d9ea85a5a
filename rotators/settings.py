"""How a database rotator is to behave: the function's environment variables as one value."""

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
        admin_host: ROTATION_ADMIN_HOST, where admins work whose secrets name no host: host and port, or None for the
            engine's own port.
        users: ROTATION_USERS: the user of each secret, by the secret's name or ARN, as whoever deploys has named it.
        values: ROTATION_VALUES: what each secret is to hold beside the password, by the secret's name or ARN.
        allow_admin_reset: ALLOW_ADMIN_RESET: the admin may repair a user who cannot log in.
        allow_plaintext: ROTATION_ALLOW_PLAINTEXT: a secret's ``ssl: false`` is obeyed.
        ca_bundle: ROTATION_CA_BUNDLE, the file of the CA certificates to trust; None: the usual places.
        tls_server_name: ROTATION_TLS_SERVER_NAME, for secrets that name no ``tlsServerName``.
        test_query: ROTATION_TEST_QUERY, run as the new user in testSecret.
        connect_timeout: ROTATION_CONNECT_TIMEOUT, seconds.
        username_limit: USERNAME_CHARACTER_LIMIT, below the engine's own; None: the engine's own.
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
        """Read them.

        Raises:
            ConfigurationError: a variable holds what it can't hold.
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
        """The user whom whoever deploys has named for a secret; None where none is named.

        ROTATION_USERS may name the secret by its whole ARN, by its ARN without the six characters that Secrets Manager
        adds, or by its name; the more exact one counts.

        Args:
            secret_arn: the whole ARN, as Secrets Manager spells it.
        """
        return next((self.users[name] for name in _names(secret_arn) if name in self.users), None)

    def values_of(self, secret_arn: str) -> Mapping[str, Any]:
        """What ROTATION_VALUES says of a secret, named as in :meth:`user_of`; empty where it says nothing.

        Args:
            secret_arn: the whole ARN, as Secrets Manager spells it.
        """
        return next((self.values[name] for name in _names(secret_arn) if name in self.values), {})


# A hyphen and so many characters follow a secret's name in its ARN.
_ADDED = 6
_HIGHEST_PORT = 65535
# A name or an IPv4 address, or an IPv6 address in brackets, each with or without a port; or an IPv6 address alone.
_ADDRESS = re.compile(
    r"(?:(?P<name>[^\s:/@\[\],?#]+)|\[(?P<bracketed>[0-9A-Fa-f:.%\w]+)\])(?::(?P<port>[0-9]{1,5}))?"
    r"|(?P<address>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)"
)


def _names(secret_arn: str) -> list[str]:
    """What a secret may be called by, the most exact name first."""
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
    partial, hyphen, added = secret_arn.rpartition("-")
    return [secret_arn, partial, partial.partition(":secret:")[2]] if hyphen and len(added) == _ADDED else [secret_arn]


def address(text: str) -> tuple[str, int | None]:
    """A server's address: ``host``, ``host:port``, ``::1`` or ``[::1]:port``.

    Raises:
        ValueError: it is none.
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
            "ROTATION_USERS is no JSON object of secrets and their users",
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
            "ROTATION_VALUES is no JSON object of secrets and what they hold beside the password",
            'set it to {"<the secret\'s name or ARN>": {"host": …, "username": …}}',
        )
    return found
