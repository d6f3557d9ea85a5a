"""Clients of redis-py.

::

    pool = ConnectionPool(connection_class=connection_class(secret, SSLConnection), ssl_ca_certs=…, host=…, port=…)
    client = Redis(connection_pool=pool)

``SecretProvider`` alone gives the version that works to whatever takes a credential provider; but redis-py tells a
provider nothing of a refusal, and repeats a refused login as if the network had failed. ``connection_class`` does
better, and is what to use where a connection class can be named.

https://redis.io/docs/latest/develop/clients/redis-py/connect/
"""

from __future__ import annotations

from typing import Any

from redis.connection import Connection
from redis.credentials import CredentialProvider

from rotators.client.connect import PATIENCE, connect_with
from rotators.client.secret import Secret
from rotators.client.value import SecretValue


class SecretProvider(CredentialProvider):
    """Gives user and password of the version that works.

    Args:
        secret: the secret; without a ``username`` it is the default user's.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """User and password, or the password alone."""
        return credentials_of(self._secret.logins.candidates(self._secret.get())[0])

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """As :meth:`get_credentials`, without blocking the event loop."""
        return credentials_of(self._secret.logins.candidates(await self._secret.get_async())[0])


def credentials_of(value: SecretValue) -> tuple[str] | tuple[str, str]:
    """User and password of a version."""
    user, password = value.get("username"), str(value["password"])
    return (str(user), password) if user else (password,)


class _Fixed(CredentialProvider):
    """One version's user and password."""

    def __init__(self, value: SecretValue) -> None:
        self._value = value

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """User and password."""
        return credentials_of(self._value)


def connection_class(secret: Secret, base: type[Any] = Connection, *, patience: float = PATIENCE) -> type[Any]:
    """A class of connections that log in with a secret.

    Args:
        secret: the secret.
        base: redis-py's class: ``SSLConnection`` for TLS.
        patience: see :func:`rotators.client.connect_with`.
    """

    class SecretConnection(base):  # type: ignore[misc]  # which one is known when it runs
        """A connection that logs in with a secret."""

        def connect(self) -> None:
            """Connect, where it is not connected yet, and log in."""
            if self._sock is None:
                connect_with(secret, self._log_in, patience=patience)

        def _log_in(self, value: SecretValue) -> None:
            self.credential_provider = _Fixed(value)
            try:
                self.connect_check_health(check_health=True)
            except BaseException:
                self.disconnect()
                raise

    return SecretConnection
