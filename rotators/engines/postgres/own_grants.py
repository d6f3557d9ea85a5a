"""Revokes what was granted to the clone itself: it would keep a right that its source loses.

https://www.postgresql.org/docs/current/ddl-priv.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import sql

from rotators.engines.postgres.acting import acting_as
from rotators.engines.postgres.roles import Role, by_oid, execute_advised
from rotators.errors import PermissionRefused
from rotators.logs import logger

if TYPE_CHECKING:
    from rotators.engines.libpq.connection import LibpqConnection

# Each kind of object: its word in GRANT, its catalog, its name, its schema, its list of grants, and the function that
# tells whether a role has a right on it, in whatever way.
_KINDS = (
    ("TABLE", "pg_class", "relname", "relnamespace", "relacl", "has_table_privilege", "o.relkind <> 'S'"),
    ("SEQUENCE", "pg_class", "relname", "relnamespace", "relacl", "has_sequence_privilege", "o.relkind = 'S'"),
    ("SCHEMA", "pg_namespace", "nspname", None, "nspacl", "has_schema_privilege", "true"),
    ("DATABASE", "pg_database", "datname", None, "datacl", "has_database_privilege", "true"),
    ("TYPE", "pg_type", "typname", "typnamespace", "typacl", "has_type_privilege", "true"),
    ("LANGUAGE", "pg_language", "lanname", None, "lanacl", "has_language_privilege", "true"),
    (
        "FOREIGN DATA WRAPPER",
        "pg_foreign_data_wrapper",
        "fdwname",
        None,
        "fdwacl",
        "has_foreign_data_wrapper_privilege",
        "true",
    ),
    ("FOREIGN SERVER", "pg_foreign_server", "srvname", None, "srvacl", "has_server_privilege", "true"),
    ("TABLESPACE", "pg_tablespace", "spcname", None, "spcacl", "has_tablespace_privilege", "true"),
)
_OF_KIND = """
SELECT '{kind}', {schema}, o.{name}::text, NULL::text, a.privilege_type, a.is_grantable, a.grantor::bigint,
       pg_catalog.{has}({{source}}::pg_catalog.oid, o.oid, a.privilege_type || a.option)
FROM pg_catalog.{catalog} o CROSS JOIN LATERAL {explode} a WHERE a.grantee = {{clone}} AND {condition}
"""
_OF_COLUMNS = """
SELECT 'TABLE', o.relnamespace::bigint, o.relname::text, t.attname::text, a.privilege_type, a.is_grantable,
       a.grantor::bigint,
       pg_catalog.has_column_privilege({{source}}::pg_catalog.oid, o.oid, t.attnum, a.privilege_type || a.option)
FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class o ON o.oid = t.attrelid CROSS JOIN LATERAL {explode} a
WHERE a.grantee = {{clone}}
"""
# regprocedure's text is quoted by the server, and means this very routine.
_OF_ROUTINES = """
SELECT 'ROUTINE', NULL::bigint, o.oid::pg_catalog.regprocedure::text, NULL::text, a.privilege_type, a.is_grantable,
       a.grantor::bigint,
       pg_catalog.has_function_privilege({{source}}::pg_catalog.oid, o.oid, a.privilege_type || a.option)
FROM pg_catalog.pg_proc o CROSS JOIN LATERAL {explode} a WHERE a.grantee = {{clone}}
"""
_EXPLODE = """(SELECT e.*, CASE WHEN e.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS option
               FROM pg_catalog.aclexplode({acl}) e)"""
_ALL = " UNION ALL ".join(
    [
        *(
            _OF_KIND.format(
                kind=kind,
                catalog=catalog,
                name=name,
                schema="NULL::bigint" if schema is None else f"o.{schema}::bigint",
                has=has,
                condition=condition,
                explode=_EXPLODE.format(acl=f"o.{acl}"),
            )
            for kind, catalog, name, schema, acl, has, condition in _KINDS
        ),
        _OF_COLUMNS.format(explode=_EXPLODE.format(acl="t.attacl")),
        _OF_ROUTINES.format(explode=_EXPLODE.format(acl="o.proacl")),
    ]
)
_GRANTS = f"""
SELECT g.kind, n.nspname, g.name, g.part, g.privilege, g.grantable, g.grantor, g.present
FROM ({_ALL}) AS g (kind, schema, name, part, privilege, grantable, grantor, present)
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = g.schema::pg_catalog.oid
ORDER BY 1, 2, 3, 4, 5
"""  # noqa: S608  # made of the constants above


@dataclass(frozen=True)
class _Grant:
    """One right that was granted to the clone itself; ``present`` where the source has it, too."""

    kind: str
    schema: str | None
    name: str
    part: str | None
    privilege: str
    grantable: bool
    grantor: int
    present: bool

    @property
    def what(self) -> sql.Composable:
        """As GRANT and REVOKE take it: ``SELECT ("a") ON TABLE "s"."t"``."""
        if self.kind == "ROUTINE":
            on: sql.Composable = sql.SQL(self.name)
        else:
            on = sql.Identifier(self.name) if self.schema is None else sql.Identifier(self.schema, self.name)
        column = sql.SQL("") if self.part is None else sql.SQL(" ({})").format(sql.Identifier(self.part))
        return sql.SQL("{}{} ON {} {}").format(sql.SQL(self.privilege), column, sql.SQL(self.kind), on)


def take_grants(connection: LibpqConnection, source: Role, clone: Role, *, adopting: bool, dry_run: bool) -> None:
    """Revoke what the clone was granted itself in this database. Runs inside the caller's transaction.

    Args:
        connection: the admin's.
        source: the role whose rights both have.
        clone: the other one.
        adopting: what the source lacks, it is given first.
        dry_run: it will be rolled back: say nothing.

    Raises:
        PermissionRefused: the clone may do something that the source may not, and the admin can't change that.
    """
    before = list(_granted(connection, source, clone))
    given = [_give(connection, grant, source) for grant in before if adopting and not grant.present]
    for grant in before:
        _revoke(connection, grant, source, clone)
    left = list(_granted(connection, source, clone))
    too_much = [
        connection.quote(sql.SQL("REVOKE {} FROM {}").format(grant.what, sql.Identifier(clone.name)))
        for grant in left
        if not grant.present
    ]
    if too_much:
        raise PermissionRefused(
            f"'{clone.name}' at {connection.host} was granted itself what '{source.name}' may not, and the admin "
            f"'{connection.user}' can't revoke it",
            f"as the objects' owner, run once: {'; '.join(too_much)}",
        )
    if dry_run:
        return
    texts = {one: connection.quote(one.what) for one in (*before, *left)}
    kept = {texts[one] for one in left}
    revoked = [texts[one] for one in before if texts[one] not in kept]
    if revoked:
        logger.warning(
            "what the second user was granted itself is revoked: it has the first one's rights",
            revoked=revoked,
            given_to_the_first=given,
        )
    if kept:
        logger.warning(
            "the second user was granted itself what the first one may, too; only the objects' owners can revoke it",
            kept=sorted(kept),
        )


def _granted(connection: LibpqConnection, source: Role, clone: Role) -> Iterator[_Grant]:
    statement = sql.SQL(_GRANTS).format(source=sql.Literal(source.oid), clone=sql.Literal(clone.oid))
    for row in connection.execute(statement):
        yield _Grant(*row)


def _give(connection: LibpqConnection, grant: _Grant, source: Role) -> str:
    option = sql.SQL(" WITH GRANT OPTION" if grant.grantable else "")
    statement = sql.SQL("GRANT {} TO {}{}").format(grant.what, sql.Identifier(source.name), option)
    _run(connection, grant, source, statement)
    return connection.quote(grant.what)


def _revoke(connection: LibpqConnection, grant: _Grant, source: Role, clone: Role) -> None:
    """Revoke it, where the admin may; a REVOKE of somebody else's grant is answered with a warning only."""
    statement = sql.SQL("REVOKE {} FROM {} CASCADE").format(grant.what, sql.Identifier(clone.name))
    try:
        _run(connection, grant, source, statement)
    except PermissionRefused:
        # It stays; the caller sees that, and says what that means.
        return


def _run(connection: LibpqConnection, grant: _Grant, source: Role, statement: sql.Composable) -> None:
    """Run a statement as the role that granted the right, where the admin may act as it, else as the admin itself."""
    grantor = by_oid(connection, grant.grantor)
    try:
        # The source has the way to the object: USAGE on its schema.
        with connection.savepoint(), acting_as(connection, [source, *([grantor] if grantor else [])]):
            connection.execute(statement)
    except PermissionRefused:
        with connection.savepoint():
            execute_advised(connection, statement)
