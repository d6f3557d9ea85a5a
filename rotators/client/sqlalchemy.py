"""Engines of SQLAlchemy 2, sync and asyncio.

::

    engine = create_engine("postgresql+psycopg://", connect_args={"sslmode": "verify-full", "sslrootcert": …})
    use_secret(engine, secret)

https://docs.sqlalchemy.org/en/20/core/events.html#sqlalchemy.events.DialectEvents.do_connect
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event, exc
from sqlalchemy.util import await_only, greenlet_spawn

from rotators.client.connect import PATIENCE, connect_with, connect_with_async
from rotators.client.parameters import parameters_for
from rotators.client.pools import is_outdated, is_outdated_async
from rotators.client.secret import Secret

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

_VERSION = "rotators.version"
# Drivers whose name in SQLAlchemy is not the name of their package.
_DRIVERS = {"mysqlconnector": "mysql", "mysqldb": "MySQLdb"}


def use_secret(engine: Engine | AsyncEngine, secret: Secret, *, patience: float = PATIENCE) -> None:
    """Make an engine log in with a secret, and its pool replace old connections after a promotion.

    Args:
        engine: its URL names the dialect and driver. A host, port or database in the URL takes precedence over the
            secret's. Set TLS in ``connect_args``.
        secret: the secret.
        patience: see :func:`rotators.client.connect_with`.
    """
    target: Engine = getattr(engine, "sync_engine", None) or engine  # type: ignore[assignment]
    dialect = target.dialect
    driver = _DRIVERS.get(dialect.driver, dialect.driver)
    last: list[tuple[Any, Any]] = []

    def log_in(arguments: Any, parameters: Any, seconds: float) -> tuple[Any, str]:
        def with_value(value: Any) -> tuple[Any, str]:
            return dialect.connect(*arguments, **parameters_for(driver, value, parameters)), value.version_id

        async def with_value_async(value: Any) -> tuple[Any, str]:
            found = await greenlet_spawn(dialect.connect, *arguments, **parameters_for(driver, value, parameters))
            return found, value.version_id

        if dialect.is_async:
            return await_only(connect_with_async(secret, with_value_async, patience=seconds))
        return connect_with(secret, with_value, patience=seconds)

    @event.listens_for(target, "do_connect")
    def connect(_dialect: Any, record: Any, arguments: Any, parameters: Any) -> Any:
        last[:] = [(arguments, dict(parameters))]
        connection, version = log_in(arguments, parameters, patience)
        record.info[_VERSION] = version
        return connection

    def probe() -> None:
        connection, _ = log_in(*last[0], 0.0)
        dialect.do_close(connection)

    async def probe_async() -> None:
        await greenlet_spawn(probe)

    @event.listens_for(target, "checkout")
    def replace(_connection: Any, record: Any, _proxy: Any) -> None:
        version = record.info.get(_VERSION)
        outdated = (
            await_only(is_outdated_async(secret, version, probe_async))
            if dialect.is_async
            else is_outdated(secret, version, probe)
        )
        if outdated:
            raise exc.DisconnectionError("made with another version of the secret")
