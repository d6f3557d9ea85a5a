"""Clients of redis-py.

::

    pool = ConnectionPool(connection_class=connection_class(secret, SSLConnection), ssl_ca_certs=…, host=…, port=…)
    client = Redis(connection_pool=pool)

Use ``connection_class`` where you can name a connection class. ``SecretProvider`` is for code that only takes a
credential provider. It gives the version that works, but redis-py does not tell a provider of a refused login, and
retries it like a network error.

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
    """Gives the user and password of the version that works.

    Args:
        secret: the secret. Without a ``username``, it is for Redis's default user.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """The user and password, or only the password."""
        return credentials_of(self._secret.logins.candidates(self._secret.get())[0])

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Like :meth:`get_credentials`, without blocking the event loop."""
        return credentials_of(self._secret.logins.candidates(await self._secret.get_async())[0])


def credentials_of(value: SecretValue) -> tuple[str] | tuple[str, str]:
    """The user and password of a version; only the password if it has no ``username``."""
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
    """Make a connection class that logs in with a secret.

    Args:
        secret: the secret.
        base: redis-py's class to derive from: ``SSLConnection`` for TLS.
        patience: see :func:`rotators.client.connect_with`.
    """

    class SecretConnection(base):  # type: ignore[misc]  # the base is known only at run time
        """A connection that logs in with a secret."""

        def connect(self) -> None:
            """Connect and log in, unless already connected."""
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
