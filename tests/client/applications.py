"""Applications, one for each helper: how a program uses it. Each gives what one request does.

A request answers with the id of the server's session, so that a test sees which connection served it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiomysql
import mysql.connector
import psycopg
import psycopg2
import psycopg_pool
import pymysql
import sqlalchemy
import sqlalchemy.ext.asyncio

from rotators.client import Secret
from rotators.client import aiomysql as aiomysql_helper
from rotators.client import asyncpg as asyncpg_helper
from rotators.client import psycopg_pool as pool_helper
from rotators.client import pymongo as pymongo_helper
from rotators.client.dbapi import connect
from rotators.client.sqlalchemy import use_secret

Request = Callable[[], Any]
POSTGRES, MYSQL = "SELECT pg_backend_pid()", "SELECT CONNECTION_ID()"


def tls(server: Any) -> ssl.SSLContext:
    """Verified TLS, for the drivers that take a context."""
    return ssl.create_default_context(cafile=str(server.ca_file))


def libpq_tls(server: Any) -> dict[str, str]:
    """Verified TLS, for libpq's drivers."""
    return {"sslmode": "verify-full", "sslrootcert": str(server.ca_file)}


def _each_time(query: str, log_in: Callable[[], Any]) -> Request:
    def request() -> Any:
        with contextlib.closing(log_in()) as connection, contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(query)
            return cursor.fetchone()[0]

    return request


@contextlib.contextmanager
def of_psycopg2(secret: Secret, server: Any) -> Iterator[Request]:
    yield _each_time(POSTGRES, lambda: connect(secret, psycopg2.connect, **libpq_tls(server)))


@contextlib.contextmanager
def of_psycopg(secret: Secret, server: Any) -> Iterator[Request]:
    yield _each_time(POSTGRES, lambda: connect(secret, psycopg.connect, **libpq_tls(server)))


@contextlib.contextmanager
def of_pymysql(secret: Secret, server: Any) -> Iterator[Request]:
    yield _each_time(MYSQL, lambda: connect(secret, pymysql.connect, ssl=tls(server)))


@contextlib.contextmanager
def of_mysql_connector(secret: Secret, server: Any) -> Iterator[Request]:
    options = {"ssl_ca": str(server.ca_file), "ssl_verify_cert": True, "ssl_verify_identity": True, "use_pure": True}
    yield _each_time(MYSQL, lambda: connect(secret, mysql.connector.connect, **options))


def _engine(url: str, query: str, connect_args: dict[str, Any], secret: Secret) -> Iterator[Request]:
    engine = sqlalchemy.create_engine(url, connect_args=connect_args, pool_size=2)
    use_secret(engine, secret)

    def request() -> Any:
        with engine.connect() as connection:
            return connection.execute(sqlalchemy.text(query)).scalar()

    try:
        yield request
    finally:
        engine.dispose()


@contextlib.contextmanager
def of_sqlalchemy_postgres(secret: Secret, server: Any) -> Iterator[Request]:
    yield from _engine("postgresql+psycopg://", POSTGRES, libpq_tls(server), secret)


@contextlib.contextmanager
def of_sqlalchemy_mysql(secret: Secret, server: Any) -> Iterator[Request]:
    yield from _engine("mysql+pymysql://", MYSQL, {"ssl": tls(server)}, secret)


@contextlib.contextmanager
def of_psycopg_pool(secret: Secret, server: Any) -> Iterator[Request]:
    options = pool_helper.pool_options(secret)
    with psycopg_pool.ConnectionPool(kwargs=libpq_tls(server), min_size=1, max_size=1, **options) as pool:

        def request() -> Any:
            with pool.connection() as connection:
                return connection.execute(POSTGRES).fetchone()[0]

        yield request


class _Loop:
    """An event loop in a thread, which runs what requests do."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self.loop).result(60)

    def close(self) -> None:
        self.run(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@contextlib.contextmanager
def of_sqlalchemy_asyncio(secret: Secret, server: Any) -> Iterator[Request]:
    with contextlib.closing(_Loop()) as loop:
        engine = sqlalchemy.ext.asyncio.create_async_engine(
            "postgresql+asyncpg://", connect_args={"ssl": tls(server)}, pool_size=2
        )
        use_secret(engine, secret)

        async def request() -> Any:
            async with engine.connect() as connection:
                return (await connection.execute(sqlalchemy.text(POSTGRES))).scalar()

        try:
            yield lambda: loop.run(request())
        finally:
            loop.run(engine.dispose())


@contextlib.contextmanager
def of_async_psycopg_pool(secret: Secret, server: Any) -> Iterator[Request]:
    options = pool_helper.async_pool_options(secret)
    with contextlib.closing(_Loop()) as loop:
        pool = psycopg_pool.AsyncConnectionPool(kwargs=libpq_tls(server), min_size=1, max_size=1, open=False, **options)

        async def request() -> Any:
            async with pool.connection() as connection:
                return (await (await connection.execute(POSTGRES)).fetchone())[0]

        loop.run(pool.open())
        try:
            yield lambda: loop.run(request())
        finally:
            loop.run(pool.close())


@contextlib.contextmanager
def of_asyncpg(secret: Secret, server: Any) -> Iterator[Request]:
    with contextlib.closing(_Loop()) as loop:
        pool = loop.run(asyncpg_helper.create_pool(secret, ssl=tls(server), min_size=1, max_size=2))

        async def request() -> Any:
            async with pool.acquire() as connection:
                return await connection.fetchval(POSTGRES)

        try:
            yield lambda: loop.run(request())
        finally:
            loop.run(pool.close())


@contextlib.contextmanager
def of_aiomysql(secret: Secret, server: Any) -> Iterator[Request]:
    with contextlib.closing(_Loop()) as loop:
        pool: aiomysql.Pool = loop.run(aiomysql_helper.create_pool(secret, ssl=tls(server), maxsize=2))

        async def request() -> Any:
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute(MYSQL)
                return (await cursor.fetchone())[0]

        async def close() -> None:
            pool.close()
            await pool.wait_closed()

        try:
            yield lambda: loop.run(request())
        finally:
            loop.run(close())


@contextlib.contextmanager
def of_pymongo(secret: Secret, server: Any) -> Iterator[Request]:
    options = {"tls": True, "tlsCAFile": str(server.ca_file), "directConnection": True, "maxIdleTimeMS": 50}
    mongo = pymongo_helper.MongoSecret(secret, **options)
    try:
        yield lambda: mongo.run(lambda client: client.admin.command("ping"))
    finally:
        mongo.close()
