"""Reads roles from PostgreSQL's catalog: their attributes, memberships and settings.

https://www.postgresql.org/docs/current/catalogs.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg2 import sql

from rotators.engines.libpq.settings import setting_value
from rotators.errors import PermissionRefused, UserNotRotatable

if TYPE_CHECKING:
    from rotators.engines.libpq.connection import LibpqConnection

# From this version on a membership has options of its own, and CREATEROLE alone gives no power over a role.
MEMBERSHIP_OPTIONS = 16

FLAGS = {
    "rolinherit": "INHERIT",
    "rolcreaterole": "CREATEROLE",
    "rolcreatedb": "CREATEDB",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}
# Not any membership in rds_iam counts: since PostgreSQL 16 whoever creates a role is a member of it, without being able
# to be it, and an admin that created a user of IAM still logs in by password.
_ROLE = """
SELECT r.oid::bigint, r.rolname, r.rolsuper, r.rolcanlogin, r.rolconnlimit, coalesce(r.rolvaliduntil::text, 'infinity'),
       coalesce(r.rolvaliduntil < pg_catalog.now(), false),
       NOT r.rolsuper AND EXISTS (
           SELECT FROM pg_catalog.pg_roles i
           WHERE i.rolname = 'rds_iam' AND (pg_catalog.pg_has_role(r.oid, i.oid, 'USAGE') OR EXISTS (
               SELECT FROM pg_catalog.pg_auth_members m WHERE m.roleid = i.oid AND m.member = r.oid))),
       coalesce(pg_catalog.shobj_description(r.oid, 'pg_authid'), ''),
       r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls
FROM pg_catalog.pg_roles r WHERE {condition}
"""
_MEMBERSHIPS = """
SELECT m.roleid::bigint, g.rolname, m.grantor::bigint, coalesce(b.rolname, ''),
       coalesce(b.rolsuper OR b.rolname = current_user, false), {options}
FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles g ON g.oid = m.roleid LEFT JOIN pg_catalog.pg_roles b ON b.oid = m.grantor
WHERE m.member = {member} ORDER BY g.rolname, m.grantor
"""
_SETTINGS = """
SELECT c.setrole::bigint, d.datname, s.setting
FROM pg_catalog.pg_db_role_setting c
LEFT JOIN pg_catalog.pg_database d ON d.oid = c.setdatabase
CROSS JOIN LATERAL pg_catalog.unnest(c.setconfig) AS s (setting)
WHERE c.setrole IN ({everyone}, {first}, {second})
"""
_EVERYONE = 0
_ADMIN = """
SELECT rolsuper, rolcreaterole, ARRAY(
    SELECT r.rolname::text FROM pg_catalog.pg_roles r
    WHERE r.oid IN ({oids}) AND NOT pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER WITH ADMIN OPTION'))
FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
# (database or None for all, name): value
Settings = Mapping[tuple[str | None, str], str]


@dataclass(frozen=True)
class Role:
    """A role, as the catalog shows it.

    Args:
        oid: its identity.
        name: its name.
        superuser: whether it may do everything.
        can_log_in: LOGIN.
        connection_limit: CONNECTION LIMIT; -1: none.
        valid_until: VALID UNTIL; ``infinity``: for ever.
        expired: whether that has passed.
        by_iam: whether it logs in by IAM, without a password.
        comment: COMMENT ON ROLE; empty: none.
        flags: its other attributes, by their column.
    """

    oid: int
    name: str
    superuser: bool
    can_log_in: bool
    connection_limit: int
    valid_until: str
    expired: bool
    by_iam: bool
    comment: str
    flags: Mapping[str, bool]

    @classmethod
    def made(cls, name: str) -> Role:
        """What CREATE ROLE … LOGIN makes; its oid is not known yet."""
        flags = dict.fromkeys(FLAGS, False) | {"rolinherit": True}
        return cls(
            0,
            name,
            superuser=False,
            can_log_in=True,
            connection_limit=-1,
            valid_until="infinity",
            expired=False,
            by_iam=False,
            comment="",
            flags=flags,
        )


@dataclass(frozen=True)
class Membership:
    """One grant of a role to another.

    Args:
        group: the oid of the role that was granted.
        group_name: its name.
        grantor: the oid of the role that granted it.
        grantor_name: its name; empty if it is gone.
        by_admin: whether that is the role that is logged in, or a superuser.
        inherit: INHERIT; before PostgreSQL 16 the member's own attribute decides, and this is true.
        can_set: SET; before PostgreSQL 16 every member can.
        admin: ADMIN OPTION.
    """

    group: int
    group_name: str
    grantor: int
    grantor_name: str
    by_admin: bool
    inherit: bool
    can_set: bool
    admin: bool


def by_oid(connection: LibpqConnection, oid: int) -> Role | None:
    """A role by its identity; None if it is gone."""
    return next(iter(_read(connection, sql.SQL("r.oid = {}").format(sql.Literal(oid)))), None)


def by_oids(connection: LibpqConnection, first: int, second: int) -> tuple[Role | None, Role | None]:
    """Two roles by their identities, at one time."""
    found = {role.oid: role for role in _read(connection, _either(oid=first, other=sql.SQL("r.oid"), value=second))}
    return found.get(first), found.get(second)


def by_oid_and_name(connection: LibpqConnection, oid: int, name: str) -> tuple[Role | None, Role | None]:
    """A role by its identity, and one by its name, to the letter; at one time."""
    found = _read(connection, _either(oid=oid, other=sql.SQL("r.rolname"), value=name))
    return (
        next((role for role in found if role.oid == oid), None),
        next((role for role in found if role.name == name), None),
    )


def by_name(connection: LibpqConnection, name: str) -> Role | None:
    """A role by its exact name; None if there is none."""
    return next(iter(_read(connection, sql.SQL("r.rolname = {}").format(sql.Literal(name)))), None)


def memberships(connection: LibpqConnection, member: int) -> list[Membership]:
    """What roles a role was granted, and by whom."""
    options = "m.inherit_option, m.set_option" if connection.version >= MEMBERSHIP_OPTIONS else "true, true"
    rows = connection.execute(
        sql.SQL(_MEMBERSHIPS).format(options=sql.SQL(f"{options}, m.admin_option"), member=sql.Literal(member))
    )
    return [Membership(*row) for row in rows]


def settings(connection: LibpqConnection, first: Role, second: Role) -> tuple[Settings, Settings, Settings]:
    """The settings of two roles, in all databases and in single ones, and those of every role that has no own ones.

    The last are those of ALTER DATABASE, and of ALTER ROLE ALL.
    """
    found: dict[int, dict[tuple[str | None, str], str]] = {first.oid: {}, second.oid: {}, _EVERYONE: {}}
    oids = {"everyone": _EVERYONE, "first": first.oid, "second": second.oid}
    rows = connection.execute(sql.SQL(_SETTINGS).format(**{name: sql.Literal(oid) for name, oid in oids.items()}))
    for oid, database, setting in rows:
        name, _, value = setting.partition("=")
        found[oid][database, name] = value
    return found[first.oid], found[second.oid], found[_EVERYONE]


def require_password_role(connection: LibpqConnection, role: Role | None, name: str) -> Role:
    """A role that logs in by a password that can be set.

    Raises:
        UserNotRotatable: there is none, it may not log in, or it logs in by IAM.
    """
    if role is None:
        raise UserNotRotatable(f"there is no role '{name}' at {connection.host}", "create it, or correct the secret")
    if not role.can_log_in:
        raise UserNotRotatable(
            f"the role '{role.name}' at {connection.host} may not log in (NOLOGIN)",
            "give it LOGIN, or stop rotating this secret",
        )
    if role.by_iam:
        raise UserNotRotatable(
            f"the role '{role.name}' at {connection.host} logs in by IAM (it is a member of rds_iam)",
            "it has no password to rotate: stop rotating this secret, or revoke rds_iam from it",
        )
    return role


def require_admin(connection: LibpqConnection, altered: list[Role]) -> None:
    """Require that the role that is logged in may alter others.

    Args:
        connection: the admin's.
        altered: those that exist and are to be altered.

    Raises:
        PermissionRefused: it may not; the text has the statement that would change it.
    """
    oids = sql.SQL(", ").join(sql.Literal(role.oid) for role in altered)
    [(superuser, creates_roles, not_administered)] = connection.execute(sql.SQL(_ADMIN).format(oids=oids))
    if superuser:
        return
    admin = sql.Identifier(connection.user)
    if not creates_roles:
        raise PermissionRefused(
            f"the admin '{connection.user}' at {connection.host} may not alter roles (no CREATEROLE)",
            run_once(connection, sql.SQL("ALTER ROLE {} CREATEROLE").format(admin)),
        )
    if connection.version >= MEMBERSHIP_OPTIONS and not_administered:
        grants = [
            sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(sql.Identifier(name), admin) for name in not_administered
        ]
        raise PermissionRefused(
            f"the admin '{connection.user}' at {connection.host} may not alter {quoted(not_administered)}: since "
            "PostgreSQL 16 it needs the ADMIN option on each role",
            run_once(connection, sql.SQL("; ").join(grants)),
        )


def run_once(connection: LibpqConnection, statement: sql.Composable) -> str:
    """The advice to run a statement that the admin may not."""
    text = connection.quote(statement)
    return f"as a superuser (on RDS: the master user, or the role's creator) run once: {text}"


def execute_advised(
    connection: LibpqConnection, statement: sql.Composable, first: sql.Composable | None = None
) -> None:
    """Run a statement. If the admin may not run it, the error says who must.

    Args:
        connection: the admin's.
        statement: the statement.
        first: what they must run before it.

    Raises:
        PermissionRefused: the admin may not; the text has the statements.
    """
    by_hand = statement if first is None else sql.SQL("; ").join([first, statement])
    connection.execute(statement, advice=run_once(connection, by_hand))


def setting_statements(wanted: Settings, present: Settings) -> Iterator[sql.Composable]:
    """What to append to ALTER ROLE to change the present settings into the wanted ones."""
    for key in sorted(present.keys() - wanted.keys(), key=str):
        yield sql.SQL("{}RESET {}").format(_in_database(key[0]), sql.Identifier(*key[1].split(".")))
    for key in sorted(wanted, key=str):
        if present.get(key) != wanted[key]:
            yield sql.SQL("{}SET {} TO {}").format(
                _in_database(key[0]), sql.Identifier(*key[1].split(".")), setting_value(key[1], wanted[key])
            )


def quoted(names: list[str]) -> str:
    """Names for a person."""
    return ", ".join(f"'{name}'" for name in names)


def _in_database(database: str | None) -> sql.Composable:
    return sql.SQL("") if database is None else sql.SQL("IN DATABASE {} ").format(sql.Identifier(database))


def _either(*, oid: int, other: sql.SQL, value: int | str) -> sql.Composable:
    return sql.SQL("r.oid = {} OR {} = {}").format(sql.Literal(oid), other, sql.Literal(value))


def _read(connection: LibpqConnection, condition: sql.Composable) -> list[Role]:
    return [_role(row) for row in connection.execute(sql.SQL(_ROLE).format(condition=condition))]


def _role(row: tuple[Any, ...]) -> Role:
    oid, name, superuser, can_log_in, limit, until, expired, by_iam, comment, *flags = row
    return Role(
        oid,
        str(name),
        superuser=superuser,
        can_log_in=can_log_in,
        connection_limit=limit,
        valid_until=str(until),
        expired=expired,
        by_iam=by_iam,
        comment=str(comment),
        flags=dict(zip(FLAGS, flags, strict=True)),
    )
