"""Hands over to the source what the clone owns, and revokes what was granted to the clone itself, in every database.

The clone's sessions act as the source, so it should own nothing. A clone that AWS's template made owns what it created,
and SET ROLE NONE lets any clone act as itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import sql

from rotators.engines.libpq.errors import LockHeld
from rotators.engines.postgres.acting import acting_as
from rotators.engines.postgres.own_grants import take_grants
from rotators.engines.postgres.roles import Role, execute_advised, run_once
from rotators.errors import PermissionRefused
from rotators.logs import logger

if TYPE_CHECKING:
    from rotators.engines.libpq.connection import LibpqConnection

# While this session waits for a lock on a table, the application's queries queue up behind it.
_LOCK_WAIT = "SET LOCAL lock_timeout = '300ms'"
# Default privileges and user mappings hang on a role, but can't be given to another one.
# Nobody connects to some databases: a DROP DATABASE that was interrupted leaves one with a limit of -2.
_OWNS = """
SELECT DISTINCT d.datname, d.datname IS NULL OR d.datname = pg_catalog.current_database()
FROM pg_catalog.pg_shdepend o LEFT JOIN pg_catalog.pg_database d ON d.oid = o.dbid
WHERE o.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND o.refobjid = {role} AND (
    o.deptype = 'o' AND o.classid NOT IN ('pg_catalog.pg_default_acl'::pg_catalog.regclass,
                                          'pg_catalog.pg_user_mapping'::pg_catalog.regclass)
    OR o.deptype = 'a')
  AND (d.datname IS NULL OR d.datallowconn AND d.datconnlimit <> -2)
"""
_HERE = """
SELECT o.deptype = 'o', o.classid::bigint, o.objid::bigint,
       pg_catalog.pg_describe_object(o.classid, o.objid, 0)
FROM pg_catalog.pg_shdepend o
WHERE o.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND o.refobjid = {role} AND o.deptype IN ('o', 'a')
  AND o.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
  AND (o.deptype = 'a' OR o.classid NOT IN ('pg_catalog.pg_default_acl'::pg_catalog.regclass,
                                            'pg_catalog.pg_user_mapping'::pg_catalog.regclass))
ORDER BY 4
"""
# One by one where a lock is held. A table's own sequences, indexes and row type follow it.
_RELATIONS = """
SELECT c.relkind::text, n.nspname, c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relowner = {role} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
      AND c.relkind = 'S')
ORDER BY 2, 3
"""
_KINDS = {
    "r": "TABLE",
    "p": "TABLE",
    "v": "VIEW",
    "m": "MATERIALIZED VIEW",
    "f": "FOREIGN TABLE",
    "S": "SEQUENCE",
}


@dataclass(frozen=True)
class _Belonging:
    owned: bool
    class_id: int
    object_id: int
    described: str


def hand_over(connection: LibpqConnection, source: Role, clone: Role, *, adopting: bool, dry_run: bool = False) -> None:
    """Give the source what the clone owns, and take from the clone what it was granted itself, in every database.

    What another session has locked is left for the next rotation, and logged.

    Args:
        connection: the admin's.
        source: the role whose privileges count.
        clone: the other one.
        adopting: the clone was not marked until now: the source gets what was granted to it.
        dry_run: change nothing; only find out whether it could be done.

    Raises:
        PermissionRefused: the admin may not; the text has the statement that would change it.
    """
    databases = connection.execute(sql.SQL(_OWNS).format(role=sql.Literal(clone.oid)))
    if any(here for _, here in databases):
        _hand_over_here(connection, source, clone, adopting=adopting, dry_run=dry_run)
    for dbname in sorted(name for name, here in databases if not here):
        with _connected(connection, dbname, clone) as other:
            _hand_over_here(other, source, clone, adopting=adopting, dry_run=dry_run)


def _connected(connection: LibpqConnection, dbname: str, clone: Role) -> LibpqConnection:
    try:
        return connection.connect_to(dbname)
    except PermissionRefused as error:
        connect = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
            sql.Identifier(dbname), sql.Identifier(connection.user)
        )
        raise error.reworded(
            f"the admin hands over what '{clone.name}' has in the database '{dbname}': {error.what}",
            run_once(connection, connect),
        ) from None


def _hand_over_here(connection: LibpqConnection, source: Role, clone: Role, *, adopting: bool, dry_run: bool) -> None:
    belongings = _belongings(connection, clone)
    if any(one.owned for one in belongings):
        try:
            with connection.transaction(keep=not dry_run), acting_as(connection, [source, clone]):
                connection.execute(sql.SQL(_LOCK_WAIT))
                execute_advised(connection, _reassign(source, clone))
        except LockHeld:
            _hand_over_singly(connection, source, clone, dry_run=dry_run)
        if not dry_run:
            left = [one.described for one in _belongings(connection, clone) if one.owned]
            logger.info(
                "what the second user owned belongs to the first one now",
                owned=[one.described for one in belongings if one.owned and one.described not in left],
                left_for_the_next_rotation=left,
            )
    if any(not one.owned for one in belongings):
        with connection.transaction(keep=not dry_run):
            connection.execute(sql.SQL(_LOCK_WAIT))
            take_grants(connection, source, clone, adopting=adopting, dry_run=dry_run)


def _hand_over_singly(connection: LibpqConnection, source: Role, clone: Role, *, dry_run: bool) -> None:
    """One relation at a time, so that one that is in use does not hold up the others."""
    for kind, schema, name in connection.execute(sql.SQL(_RELATIONS).format(role=sql.Literal(clone.oid))):
        change = sql.SQL("ALTER {} {} OWNER TO {}").format(
            sql.SQL(_KINDS[kind]), sql.Identifier(schema, name), sql.Identifier(source.name)
        )
        try:
            with connection.transaction(keep=not dry_run), acting_as(connection, [source, clone]):
                connection.execute(sql.SQL(_LOCK_WAIT))
                execute_advised(connection, change)
        except LockHeld:
            if not dry_run:
                logger.warning("in use: handed over at a later rotation", relation=f"{schema}.{name}")


def _belongings(connection: LibpqConnection, role: Role) -> list[_Belonging]:
    rows = connection.execute(sql.SQL(_HERE).format(role=sql.Literal(role.oid)))
    return [_Belonging(*row) for row in rows]


def _reassign(source: Role, clone: Role) -> sql.Composable:
    return sql.SQL("REASSIGN OWNED BY {} TO {}").format(sql.Identifier(clone.name), sql.Identifier(source.name))
