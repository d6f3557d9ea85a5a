"""Verifiers: what PostgreSQL is sent instead of a password, so that no log of its holds one.

https://www.postgresql.org/docs/current/libpq-misc.html#LIBPQ-PQENCRYPTPASSWORDCONN
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from rotators.engines.libpq.login import MD5, SCRAM

if TYPE_CHECKING:
    from rotators.engines.libpq.connection import LibpqConnection


def set_password(connection: LibpqConnection, role: sql.Composable, name: str, new: str, method: str) -> None:
    """Set a role's password, as a verifier that libpq makes.

    Args:
        connection: of the role itself, or of an admin.
        role: the role, as ALTER ROLE takes it.
        name: its name.
        new: the password from now on.
        method: how the role proved its password at its last login, so that it surely can again.
    """
    verifier = encrypt_password(new, name, scope=connection.raw, algorithm=_algorithm(connection, method))
    connection.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(verifier)),
        advice=f"where rds.restrict_password_commands is on, grant rds_password to '{connection.user}'",
        password_of=name,
    )


def _algorithm(connection: LibpqConnection, method: str) -> str:
    """SCRAM, unless the role logs in by MD5 and the server keeps to that.

    password_encryption alone decides nothing: a database's owner may set it, and pg_hba.conf may admit by SCRAM only.
    """
    if method != MD5:
        return SCRAM
    [(configured,)] = connection.execute(sql.SQL("SHOW password_encryption"))
    return MD5 if configured == MD5 else SCRAM
