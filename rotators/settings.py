"""How a database rotator is to behave: the function's environment variables as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from rotators.environment import Environment

AUTO = "auto"
STRATEGIES = (AUTO, "single-user", "dual-password", "alternating-users")


@dataclass(frozen=True)
class DatabaseSettings:
    """The settings of a database rotator; ``docs/reference/settings.md`` explains each.

    Args:
        strategy: ROTATION_STRATEGY, one of ``STRATEGIES``.
        adopt_twin: ROTATION_TWIN=adopt: both users were made by hand, only their passwords are rotated.
        admin_secret: ROTATION_ADMIN_SECRET, for secrets that name no ``masterarn``.
        allow_admin_reset: ALLOW_ADMIN_RESET: the admin may repair a user who cannot log in.
        allow_plaintext: ROTATION_ALLOW_PLAINTEXT: a secret's ``ssl: false`` is obeyed.
        ca_bundle: ROTATION_CA_BUNDLE, the file of the CA certificates to trust; None: the usual places.
        tls_server_name: ROTATION_TLS_SERVER_NAME, for secrets that name no ``tlsServerName``.
        test_query: ROTATION_TEST_QUERY, run as the new user in testSecret.
        connect_timeout: ROTATION_CONNECT_TIMEOUT, seconds.
        username_limit: USERNAME_CHARACTER_LIMIT, below the engine's own; None: the engine's own.
    """

    strategy: str = AUTO
    adopt_twin: bool = False
    admin_secret: str | None = None
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
            adopt_twin=environment.choice("ROTATION_TWIN", ("manage", "adopt"), default="manage") == "adopt",
            admin_secret=environment.text("ROTATION_ADMIN_SECRET"),
            allow_admin_reset=environment.flag("ALLOW_ADMIN_RESET", default=False),
            allow_plaintext=environment.flag("ROTATION_ALLOW_PLAINTEXT", default=False),
            ca_bundle=environment.text("ROTATION_CA_BUNDLE"),
            tls_server_name=environment.text("ROTATION_TLS_SERVER_NAME"),
            test_query=environment.text("ROTATION_TEST_QUERY"),
            connect_timeout=environment.seconds("ROTATION_CONNECT_TIMEOUT", default=5.0),
            username_limit=environment.whole_number("USERNAME_CHARACTER_LIMIT", default=0) or None,
        )
