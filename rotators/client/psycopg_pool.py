"""Pools of psycopg 3.

::

    pool = ConnectionPool(**pool_options(secret), kwargs={"sslmode": "verify-full", "sslrootcert": "/etc/ssl/rds.pem"})

https://www.psycopg.org/psycopg3/docs/advanced/pool.html
"""

from __future__ import annotations

from typing import Any

import psycopg

from rotators.client.connect import PATIENCE, connect_with, connect_with_async
from rotators.client.parameters import parameters_for
from rotators.client.pools import is_outdated, is_outdated_async
from rotators.client.secret import Secret


def pool_options(secret: Secret, *, patience: float = PATIENCE) -> dict[str, Any]:
    """Options for a ``ConnectionPool`` that logs in with a secret, and replaces old connections after a promotion.

    Args:
        secret: the secret.
        patience: see :func:`rotators.client.connect_with`.

    Returns:
        ``connection_class`` and ``check``.
    """

    class SecretConnection(psycopg.Connection[Any]):
        """A connection that was made with a secret."""

        rotators_version: str | None = None
        rotators_parameters: tuple[str, dict[str, Any]] = ("", {})

        @classmethod
        def connect(cls, conninfo: str = "", **parameters: Any) -> Any:
            """Log in."""

            def log_in(value: Any) -> Any:
                connection: Any = super(SecretConnection, cls).connect(
                    conninfo, **parameters_for("psycopg", value, parameters)
                )
                connection.rotators_version = value.version_id
                connection.rotators_parameters = (conninfo, parameters)
                return connection

            return connect_with(secret, log_in, patience=patience)

    def check(connection: Any) -> None:
        conninfo, parameters = connection.rotators_parameters

        def probe() -> None:
            connect_with(
                secret,
                lambda value: psycopg.connect(conninfo, **parameters_for("psycopg", value, parameters)),
                patience=0,
            ).close()

        if is_outdated(secret, connection.rotators_version, probe):
            # This connection still works. The pool closes it when it is returned.
            connection._pool.drain()  # noqa: SLF001  # the pool that asks

    return {"connection_class": SecretConnection, "check": check}


def async_pool_options(secret: Secret, *, patience: float = PATIENCE) -> dict[str, Any]:
    """Like :func:`pool_options`, for ``AsyncConnectionPool``."""

    class SecretConnection(psycopg.AsyncConnection[Any]):
        """A connection that was made with a secret."""

        rotators_version: str | None = None
        rotators_parameters: tuple[str, dict[str, Any]] = ("", {})

        @classmethod
        async def connect(cls, conninfo: str = "", **parameters: Any) -> Any:
            """Log in."""

            async def log_in(value: Any) -> Any:
                connection: Any = await super(SecretConnection, cls).connect(
                    conninfo, **parameters_for("psycopg", value, parameters)
                )
                connection.rotators_version = value.version_id
                connection.rotators_parameters = (conninfo, parameters)
                return connection

            return await connect_with_async(secret, log_in, patience=patience)

    async def check(connection: Any) -> None:
        conninfo, parameters = connection.rotators_parameters

        async def log_in(value: Any) -> Any:
            return await psycopg.AsyncConnection.connect(conninfo, **parameters_for("psycopg", value, parameters))

        async def probe() -> None:
            await (await connect_with_async(secret, log_in, patience=0)).close()

        if await is_outdated_async(secret, connection.rotators_version, probe):
            await connection._pool.drain()  # noqa: SLF001  # the pool that asks

    return {"connection_class": SecretConnection, "check": check}
