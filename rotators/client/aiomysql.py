"""Connections and pools of aiomysql.

::

    pool = await create_pool(secret, ssl=context, maxsize=5)

https://aiomysql.readthedocs.io/en/stable/pool.html
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiomysql

from rotators.client.connect import PATIENCE, connect_with_async
from rotators.client.parameters import parameters_for
from rotators.client.pools import is_outdated_async
from rotators.client.secret import Secret


async def connect(secret: Secret, *, patience: float = PATIENCE, **parameters: Any) -> Any:
    """Log in.

    Args:
        secret: the secret.
        patience: see :func:`rotators.client.connect_with`.
        parameters: those of ``aiomysql.connect``. They take precedence over the secret's host, port and database.

    Returns:
        The connection.

    Raises:
        Exception: see :func:`rotators.client.connect_with`.
    """

    async def log_in(value: Any) -> Any:
        return await aiomysql.connect(**parameters_for("aiomysql", value, parameters))

    return await connect_with_async(secret, log_in, patience=patience)


class SecretPool(aiomysql.Pool):  # type: ignore[misc]  # aiomysql has no types
    """A pool whose connections log in with a secret. After a promotion, idle connections are replaced."""

    def __init__(self, secret: Secret, patience: float, parameters: dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self._secret = secret
        self._patience = patience
        self._parameters = parameters
        self._version: str | None = None

    async def _fill_free_pool(self, override_min: bool) -> None:  # noqa: FBT001  # aiomysql's own signature
        async def fill(value: Any) -> None:
            self._conn_kwargs = parameters_for("aiomysql", value, self._parameters)
            await super(SecretPool, self)._fill_free_pool(override_min)
            self._version = value.version_id

        if self._version is not None and await is_outdated_async(self._secret, self._version, self._probe):
            while self._free:
                self._free.popleft().close()
        if not self._free or self.size < self.minsize:
            await connect_with_async(self._secret, fill, patience=self._patience)
        else:
            await super()._fill_free_pool(override_min)

    async def _probe(self) -> None:
        connection = await connect(self._secret, patience=0, **self._parameters)
        connection.close()


async def create_pool(secret: Secret, *, patience: float = PATIENCE, **parameters: Any) -> SecretPool:
    """Make a pool.

    Args:
        secret: the secret.
        patience: see :func:`rotators.client.connect_with`.
        parameters: those of ``aiomysql.create_pool``.

    Raises:
        Exception: see :func:`rotators.client.connect_with`.
    """
    options = {"minsize": 1, "maxsize": 10, "echo": False, "pool_recycle": -1}
    options = {name: parameters.pop(name, default) for name, default in options.items()}
    pool = SecretPool(secret, patience, parameters, loop=asyncio.get_running_loop(), **options)
    if pool.minsize > 0:
        async with pool._cond:  # noqa: SLF001  # as aiomysql's own create_pool does
            await pool._fill_free_pool(False)  # noqa: SLF001, FBT003
    return pool
