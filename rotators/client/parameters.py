"""A secret's keys by the names that each driver gives them."""

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
    """The parameters to connect with: those that were given, and the rest of the secret.

    TLS is never among what a secret adds or removes: name the driver's own parameters for it.

    Args:
        driver: the name of its package.
        value: the secret's value.
        given: parameters of the driver, which count for more than the secret's. User and password are the secret's.

    Raises:
        KeyError: the driver is none of those known here: write a ``connect`` of your own.
    """
    names = NAMES[driver]
    found: dict[str, Any] = dict(given)
    for key, name in names.items():
        if key in {"username", "password"}:
            found[name] = value[key]
        elif name not in found and value.get(key) is not None:
            # Secrets hold a port as a number or as a text.
            found[name] = int(value[key]) if key == "port" else value[key]
        elif name not in found and (default := _DEFAULTS.get(key, {}).get(driver)):
            found[name] = default
    return found


def driver_of(connect: Callable[..., Any]) -> str:
    """The package that a function to connect is of."""
    module: str = getattr(connect, "__module__", None) or type(connect).__module__
    return module.partition(".")[0]
