"""Maps a secret's keys to each driver's parameter names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rotators.client.value import SecretValue

_LIBPQ = {"host": "host", "port": "port", "username": "user", "password": "password", "dbname": "dbname"}
_MYSQL = {**_LIBPQ, "dbname": "database"}
NAMES: dict[str, Mapping[str, str]] = {
    "psycopg": _LIBPQ,
    "psycopg2": _LIBPQ,
    "asyncpg": _MYSQL,
    "pymysql": _MYSQL,
    "mysql": _MYSQL,
    "MySQLdb": _MYSQL,
    "aiomysql": {**_LIBPQ, "dbname": "db"},
    "asyncmy": {**_LIBPQ, "dbname": "db"},
    "oracledb": {**_LIBPQ, "dbname": "service_name"},
    "pytds": {**_MYSQL, "host": "dsn"},
}
_DEFAULTS = {"dbname": {"psycopg": "postgres", "psycopg2": "postgres", "asyncpg": "postgres"}}


def parameters_for(driver: str, value: SecretValue, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters to connect with: the given ones, completed from the secret.

    A secret never adds or removes TLS parameters: pass the driver's own.

    Args:
        driver: the name of its package.
        value: the secret's value.
        given: the driver's parameters. They take precedence over the secret's, except for user and password.

    Raises:
        KeyError: the driver is not known here: write your own ``connect``.
    """
    names = NAMES[driver]
    found: dict[str, Any] = dict(given)
    for key, name in names.items():
        if key in {"username", "password"}:
            found[name] = value[key]
        elif name not in found and value.get(key) is not None:
            # A secret holds its port as a number or as a string.
            found[name] = int(value[key]) if key == "port" else value[key]
        elif name not in found and (default := _DEFAULTS.get(key, {}).get(driver)):
            found[name] = default
    return found


def driver_of(connect: Callable[..., Any]) -> str:
    """The name of the package that a driver's ``connect`` comes from."""
    module: str = getattr(connect, "__module__", None) or type(connect).__module__
    return module.partition(".")[0]
