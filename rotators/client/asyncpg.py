"""Connections and pools of asyncpg.

::

    pool = await create_pool(secret, ssl=context, min_size=2)

https://magicstack.github.io/asyncpg/current/api/index.html
"""

from __future__ import annotations

from typing import Any

import asyncpg

from rotators.client.connect import PATIENCE, connect_with_async
from rotators.client.parameters import parameters_for
from rotators.client.pools import is_outdated_async
from rotators.client.secret import Secret


class SecretConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that logged in with a secret. Derive your own connection class from it."""

    rotators_version: str | None = None


async def connect(secret: Secret, *, patience: float = PATIENCE, **parameters: Any) -> Any:
    """Log in.

    Args:
        secret: the secret.
        patience: see :func:`rotators.client.connect_with`.
        parameters: those of ``asyncpg.connect``. They take precedence over the secret's host, port and database.

    Returns:
        The connection.

    Raises:
        Exception: see :func:`rotators.client.connect_with`.
    """

    async def log_in(value: Any) -> Any:
        options = {"connection_class": SecretConnection, **parameters_for("asyncpg", value, parameters)}
        connection = await asyncpg.connect(**options)
        connection.rotators_version = value.version_id
        return connection

    return await connect_with_async(secret, log_in, patience=patience)


async def create_pool(secret: Secret, *, patience: float = PATIENCE, **parameters: Any) -> Any:
    """Make a pool. After a promotion, an idle connection is replaced when it is next acquired.

    Args:
        secret: the secret.
        patience: see :func:`rotators.client.connect_with`.
        parameters: those of ``asyncpg.create_pool``, except ``connect``.

    Returns:
        The pool.

    Raises:
        Exception: see :func:`rotators.client.connect_with`.
    """
    setup = parameters.pop("setup", None)
    own: dict[str, Any] = {"connection_class": SecretConnection}
    own |= {name: parameters.pop(name) for name in list(parameters) if name in _POOL}

    async def log_in(*_dsn: None, **options: Any) -> Any:
        return await connect(secret, patience=patience, **parameters, **options)

    async def prepare(connection: Any) -> None:
        if await is_outdated_async(secret, connection.rotators_version, lambda: _probe(secret, parameters)):
            # This connection still works. The pool replaces it, and the others, when each is next acquired.
            await pool.expire_connections()
        if setup is not None:
            await setup(connection)

    pool: Any = asyncpg.create_pool(connect=log_in, setup=prepare, **own)
    return await pool


_POOL = frozenset(
    {
        "min_size",
        "max_size",
        "max_queries",
        "max_inactive_connection_lifetime",
        "init",
        "reset",
        "connection_class",
        "record_class",
    }
)


async def _probe(secret: Secret, parameters: dict[str, Any]) -> None:
    connection = await connect(secret, patience=0, **parameters)
    await connection.close()
