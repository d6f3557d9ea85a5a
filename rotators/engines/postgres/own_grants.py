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
# The server quotes regprocedure's text, which identifies exactly this routine.
_OF_ROUTINES = """
SELECT 'ROUTINE', NULL::bigint, o.oid::pg_catalog.regprocedure::text, NULL::text, a.privilege_type, a.is_grantable,
       a.grantor::bigint,
       pg_catalog.has_function_privilege({{source}}::pg_catalog.oid, o.oid, a.privilege_type || a.option)
FROM pg_catalog.pg_proc o CROSS JOIN LATERAL {explode} a WHERE a.grantee = {{clone}}
"""
# Before PostgreSQL 18 no function tells whether a role has a right on a large object; of defaults none ever does.
_SHARED = """(pg_catalog.pg_has_role({{source}}::pg_catalog.oid, {owner}, 'USAGE') OR EXISTS (
    SELECT FROM pg_catalog.aclexplode({acl}) s WHERE s.privilege_type = a.privilege_type
      AND (s.is_grantable OR NOT a.is_grantable)
      AND (s.grantee = 0 OR pg_catalog.pg_has_role({{source}}::pg_catalog.oid, s.grantee, 'USAGE'))))"""
_OF_LARGE_OBJECTS = """
SELECT 'LARGE OBJECT', NULL::bigint, o.oid::text, NULL::text, a.privilege_type, a.is_grantable, a.grantor::bigint,
       {shared}
FROM pg_catalog.pg_largeobject_metadata o CROSS JOIN LATERAL {explode} a WHERE a.grantee = {{clone}}
"""
# What each object gets that a role makes from now on. The clone's own defaults are for what it makes itself.
_OF_DEFAULTS = """
SELECT 'DEFAULT', o.defaclnamespace::bigint, pg_catalog.pg_get_userbyid(o.defaclrole)::text,
       CASE o.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                            WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END,
       a.privilege_type, a.is_grantable, a.grantor::bigint, {shared}
FROM pg_catalog.pg_default_acl o CROSS JOIN LATERAL {explode} a
WHERE a.grantee = {{clone}} AND o.defaclrole <> {{clone}}
"""
_OF_PARAMETERS = """
SELECT 'PARAMETER', NULL::bigint, o.parname, NULL::text, a.privilege_type, a.is_grantable, a.grantor::bigint,
       pg_catalog.has_parameter_privilege({{source}}::pg_catalog.oid, o.parname, a.privilege_type || a.option)
FROM pg_catalog.pg_parameter_acl o CROSS JOIN LATERAL {explode} a WHERE a.grantee = {{clone}}
"""
_PARAMETERS_SINCE = 15
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
        _OF_LARGE_OBJECTS.format(
            shared=_SHARED.format(owner="o.lomowner", acl="o.lomacl"), explode=_EXPLODE.format(acl="o.lomacl")
        ),
        _OF_DEFAULTS.format(
            shared=_SHARED.format(owner="o.defaclrole", acl="o.defaclacl"), explode=_EXPLODE.format(acl="o.defaclacl")
        ),
    ]
)
_ALL_SINCE_15 = f"{_ALL} UNION ALL {_OF_PARAMETERS.format(explode=_EXPLODE.format(acl='o.paracl'))}"
_GRANTS = """
SELECT g.kind, n.nspname, g.name, g.part, g.privilege, g.grantable, g.grantor, g.present
FROM ({all}) AS g (kind, schema, name, part, privilege, grantable, grantor, present)
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = g.schema::pg_catalog.oid
ORDER BY 1, 2, 3, 4, 5
"""


@dataclass(frozen=True)
class _Grant:
    """One right that was granted to the clone itself; ``present`` if the source has it too."""

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
        """As GRANT and REVOKE take it: ``SELECT ("a") ON TABLE "s"."t"``; of a default, as a log has it."""
        if self.kind == "DEFAULT":
            return sql.SQL("{} ON {} to come of {}").format(
                sql.SQL(self.privilege), sql.SQL(str(self.part)), sql.Identifier(self.name)
            )
        if self.kind in {"ROUTINE", "LARGE OBJECT"}:
            on: sql.Composable = sql.SQL(self.name)
        elif self.kind == "PARAMETER":
            on = sql.Identifier(*self.name.split("."))
        else:
            on = sql.Identifier(self.name) if self.schema is None else sql.Identifier(self.schema, self.name)
        column = sql.SQL("") if self.part is None else sql.SQL(" ({})").format(sql.Identifier(self.part))
        return sql.SQL("{}{} ON {} {}").format(sql.SQL(self.privilege), column, sql.SQL(self.kind), on)

    def given(self, role: Role) -> sql.Composable:
        """The statement that grants it to a role."""
        option = sql.SQL(" WITH GRANT OPTION" if self.grantable else "")
        return self._change(sql.SQL("GRANT"), sql.SQL("TO {}{}").format(sql.Identifier(role.name), option))

    def taken(self, role: Role, cascade: str = "") -> sql.Composable:
        """The statement that revokes it from a role."""
        return self._change(sql.SQL("REVOKE"), sql.SQL("FROM {}{}").format(sql.Identifier(role.name), sql.SQL(cascade)))

    def _change(self, verb: sql.SQL, whom: sql.Composable) -> sql.Composable:
        if self.kind != "DEFAULT":
            return sql.SQL("{} {} {}").format(verb, self.what, whom)
        place = sql.SQL("") if self.schema is None else sql.SQL(" IN SCHEMA {}").format(sql.Identifier(self.schema))
        return sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{} {} {} ON {} {}").format(
            sql.Identifier(self.name), place, verb, sql.SQL(self.privilege), sql.SQL(str(self.part)), whom
        )


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
    too_much = [connection.quote(grant.taken(clone)) for grant in left if not grant.present]
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
    every = _ALL_SINCE_15 if connection.version >= _PARAMETERS_SINCE else _ALL
    statement = sql.SQL(_GRANTS.format(all=every)).format(source=sql.Literal(source.oid), clone=sql.Literal(clone.oid))
    for row in connection.execute(statement):
        yield _Grant(*row)


def _give(connection: LibpqConnection, grant: _Grant, source: Role) -> str:
    _run(connection, grant, source, grant.given(source))
    return connection.quote(grant.what)


def _revoke(connection: LibpqConnection, grant: _Grant, source: Role, clone: Role) -> None:
    """Revoke it, where the admin may; a REVOKE of somebody else's grant is answered with a warning only."""
    try:
        _run(connection, grant, source, grant.taken(clone, " CASCADE"))
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
