"""Connect with a DB-API driver: psycopg 3, psycopg2, PyMySQL, mysql-connector, oracledb, python-tds.

::

    connection = connect(secret, psycopg.connect, sslmode="verify-full", sslrootcert="/etc/ssl/rds.pem")

https://peps.python.org/pep-0249/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rotators.client.connect import PATIENCE, connect_with
from rotators.client.parameters import driver_of, parameters_for
from rotators.client.secret import Secret

T = TypeVar("T")


def connect(secret: Secret, driver_connect: Callable[..., T], *, patience: float = PATIENCE, **parameters: Any) -> T:
    """Log in with a secret's host, port, database, user and password.

    Args:
        secret: the secret.
        driver_connect: the driver's ``connect``.
        patience: see :func:`rotators.client.connect_with`.
        parameters: the driver's own; always set TLS and a connection time-out. They take precedence over the secret's
            host, port and database.

    Returns:
        The driver's connection.

    Raises:
        Exception: see :func:`rotators.client.connect_with`.
    """
    driver = driver_of(driver_connect)
    return connect_with(
        secret, lambda value: driver_connect(**parameters_for(driver, value, parameters)), patience=patience
    )
