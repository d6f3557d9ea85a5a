"""An admin that acts as another role for the length of a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg2 import sql

from rotators.engines.postgres.roles import MEMBERSHIP_OPTIONS, Role, memberships, run_once

if TYPE_CHECKING:
    from rotators.engines.libpq.connection import LibpqConnection


@contextmanager
def acting_as(connection: LibpqConnection, roles: list[Role]) -> Iterator[None]:
    """Let the admin act as these roles until the end of the block, within the transaction: no other session sees it.

    What it had before is there again afterwards, row by row.
    """
    back: list[sql.Composable] = []
    [(oid, inherits)] = connection.execute(
        sql.SQL("SELECT oid::bigint, rolinherit FROM pg_catalog.pg_roles WHERE rolname = current_user")
    )
    granted = {(one.group, one.grantor): one for one in memberships(connection, oid)}
    if connection.version < MEMBERSHIP_OPTIONS and not inherits:
        # There the member's own attribute decides whether it has what it was granted.
        connection.execute(sql.SQL("ALTER ROLE CURRENT_USER INHERIT"))
        back.append(sql.SQL("ALTER ROLE CURRENT_USER NOINHERIT"))
    for role in (one for one in roles if one.oid != oid):
        name = sql.Identifier(role.name)
        if connection.version < MEMBERSHIP_OPTIONS:
            if any(group == role.oid for group, _ in granted):
                continue
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))
            back.append(sql.SQL("REVOKE {} FROM CURRENT_USER").format(name))
            continue
        if any(one.group == role.oid and one.inherit and one.can_set for one in granted.values()):
            continue
        own = granted.get((role.oid, oid))
        connection.execute(
            sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE GRANTED BY CURRENT_USER").format(name),
            advice=run_once(connection, sql.SQL("GRANT {} TO CURRENT_USER WITH ADMIN OPTION").format(name)),
        )
        if own is None:
            back.append(sql.SQL("REVOKE {} FROM CURRENT_USER GRANTED BY CURRENT_USER").format(name))
        else:
            options = f"INHERIT {own.inherit}, SET {own.can_set}".upper()
            back.append(sql.SQL(f"GRANT {{}} TO CURRENT_USER WITH {options} GRANTED BY CURRENT_USER").format(name))
    yield
    for statement in reversed(back):
        connection.execute(statement)
