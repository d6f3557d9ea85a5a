"""For applications: log in with a secret that rotates. A rotation causes no login error.

::

    from rotators.client import Secret, connect_with

    secret = Secret("prod/app")
    connection = connect_with(secret, lambda value: psycopg.connect(user=value["username"], …))

Each supported library has a module with a short helper: ``rotators.client.dbapi``, ``.sqlalchemy``, ``.psycopg_pool``,
``.asyncpg``, ``.aiomysql``, ``.django``, ``.pymongo``, ``.redis``. This package itself needs only botocore.
"""

from rotators.client.connect import connect_with, connect_with_async
from rotators.client.errors import ClientError, CredentialsRefused, LoginsUnderWay, SecretNotJson, SecretUnavailable
from rotators.client.refusals import is_refusal
from rotators.client.secret import Event, Secret
from rotators.client.value import SecretValue

__all__ = [
    "ClientError",
    "CredentialsRefused",
    "Event",
    "LoginsUnderWay",
    "Secret",
    "SecretNotJson",
    "SecretUnavailable",
    "SecretValue",
    "connect_with",
    "connect_with_async",
    "is_refusal",
]
