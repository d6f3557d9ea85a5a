"""How an admin makes one role the equal of another, on PostgreSQL 12 to 18.

The derived role of the pair is a member of the original one, and its sessions *are* the original one
(``ALTER ROLE app_clone SET role = 'app'``): what either creates belongs to the original, what is granted to or
revoked from the original holds for both at once, and a pooler's DISCARD ALL changes nothing about that.

The admin is what RDS gives: CREATEROLE, no superuser, and from version 16 on only over roles that it has the
ADMIN option on (https://www.postgresql.org/docs/16/release-16.html, "CREATEROLE").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import sql

from rotators.errors import PairRefused, PermissionRefused, UserNotRotatable

if TYPE_CHECKING:
    from rotators.engines.postgres.session import PostgresSession

# From this version on a membership has options of its own, and CREATEROLE alone gives no power over a role.
_MEMBERSHIP_OPTIONS = 16

_FLAGS = {
    "rolinherit": "INHERIT",
    "rolcreaterole": "CREATEROLE",
    "rolcreatedb": "CREATEDB",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}
_ROLES = """
SELECT rolname, rolsuper, rolcanlogin, rolconnlimit, coalesce(rolvaliduntil::text, 'infinity'),
       rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
FROM pg_catalog.pg_roles WHERE rolname IN ({names})
"""
_IS_MEMBER = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_auth_members m
    JOIN pg_catalog.pg_roles g ON g.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member
    WHERE g.rolname = {group} AND u.rolname = {member}{with_options})
"""
_WITH_OPTIONS = " AND m.inherit_option AND m.set_option"
_SETTINGS = """
SELECT r.rolname, d.datname, s.setting
FROM pg_catalog.pg_db_role_setting c
JOIN pg_catalog.pg_roles r ON r.oid = c.setrole
LEFT JOIN pg_catalog.pg_database d ON d.oid = c.setdatabase
CROSS JOIN LATERAL pg_catalog.unnest(c.setconfig) AS s (setting)
WHERE r.rolname IN ({names})
"""
# Default privileges and user mappings hang on a role, but can't be given to another one.
_OWNS = """
SELECT DISTINCT d.datname
FROM pg_catalog.pg_shdepend o LEFT JOIN pg_catalog.pg_database d ON d.oid = o.dbid
WHERE o.deptype = 'o' AND o.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
  AND o.refobjid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {role})
  AND o.classid NOT IN ('pg_catalog.pg_default_acl'::pg_catalog.regclass,
                        'pg_catalog.pg_user_mapping'::pg_catalog.regclass)
  AND (d.datname IS NULL OR d.datallowconn)
"""
_ADMIN = """
SELECT rolsuper, rolcreaterole, ARRAY(
    SELECT r.rolname::text FROM pg_catalog.pg_roles r
    WHERE r.rolname IN ({names}) AND NOT pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER WITH ADMIN OPTION'))
FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
# Whose values are lists of names, each quoted by itself; the server keeps them so, and has no view that tells.
# https://www.postgresql.org/docs/current/sql-alterrole.html and src/bin/pg_dump/dumputils.c
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "temp_tablespaces",
}
_LIST_ITEM = re.compile(r'"((?:[^"]|"")*)"|([^,\s"]+)')


@dataclass(frozen=True)
class _Role:
    name: str
    superuser: bool
    can_log_in: bool
    connection_limit: int
    valid_until: str
    flags: Mapping[str, bool]


@dataclass(frozen=True)
class _Pair:
    """Two roles, of which the derived one plays the original one. ``derived`` may have to be made yet."""

    original: _Role
    derived_name: str
    derived: _Role | None


def level(session: PostgresSession, user: str, twin: str) -> None:
    """Make the pair's derived role if it is missing, and give it all that the original one has.

    Runs inside the caller's transaction.

    Args:
        session: the admin's.
        user: the role whose secret is current.
        twin: the other of the pair.

    Raises:
        PairRefused: the twin exists and is no member of the user, nor the user of it: somebody else's.
        PermissionRefused: the admin lacks a right; the text has the statement that would give it.
        UserNotRotatable: one of the two is a superuser, may not log in, or logs in by IAM.
    """
    pair = _pair(session, user, twin)
    require_admin(session, [pair.original.name, *([pair.derived_name] if pair.derived else [])])
    derived = sql.Identifier(pair.derived_name)
    if pair.derived is None:
        session.execute(sql.SQL("CREATE ROLE {} LOGIN").format(derived))
    _join(session, pair)
    made = pair.derived or _fresh(pair.derived_name)
    for statement in _attributes(pair.original, made):
        _do(session, sql.SQL("ALTER ROLE {} {}").format(derived, statement))
    if settings := list(_settings(session, pair)):
        # Older minor versions let nobody write a setting "role" who could not play that role.
        with _membership(session, [pair.original.name]):
            for statement in settings:
                _do(session, sql.SQL("ALTER ROLE {} {}").format(derived, statement))


def hand_over_here(session: PostgresSession, user: str, twin: str) -> None:
    """Give what the derived role owns in this database, and the databases it owns, to the original one.

    A twin that AWS's template made owns what it created. Runs inside the caller's transaction, after ``level``.
    """
    pair = _pair(session, user, twin)
    here = session.execute(sql.SQL("SELECT pg_catalog.current_database()"))[0][0]
    if {None, here} & _owns(session, pair.derived_name):
        _hand_over(session, pair)


def hand_over_elsewhere(session: PostgresSession, user: str, twin: str) -> None:
    """The same in every other database, each in a transaction of its own.

    Raises:
        PermissionRefused: the admin can't log in to one of them.
    """
    pair = _pair(session, user, twin)
    if pair.derived is None:
        return
    here = session.execute(sql.SQL("SELECT pg_catalog.current_database()"))[0][0]
    for dbname in sorted(name for name in _owns(session, pair.derived_name) if name not in {None, here}):
        with session.elsewhere(dbname) as other, other.transaction():
            _hand_over(other, pair)


def require_admin(session: PostgresSession, roles: Iterable[str]) -> None:
    """Make sure that the session's role may alter others.

    Args:
        roles: those that exist and are to be altered.

    Raises:
        PermissionRefused: it may not; the text has the statement that would change it.
    """
    names = list(roles)
    [(superuser, creates_roles, not_administered)] = session.execute(
        sql.SQL(_ADMIN).format(names=sql.SQL(", ").join(map(sql.Literal, names)))
    )
    if superuser:
        return
    admin = sql.Identifier(session.user)
    if not creates_roles:
        raise PermissionRefused(
            f"the admin '{session.user}' at {session.host} may not alter roles (no CREATEROLE)",
            _run(session, sql.SQL("ALTER ROLE {} CREATEROLE").format(admin)),
        )
    if session.version >= _MEMBERSHIP_OPTIONS and not_administered:
        grants = [
            sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(sql.Identifier(name), admin) for name in not_administered
        ]
        raise PermissionRefused(
            f"the admin '{session.user}' at {session.host} may not alter {_quoted(not_administered)}: since "
            "PostgreSQL 16 it needs the ADMIN option on each role",
            _run(session, sql.SQL("; ").join(grants)),
        )


def _pair(session: PostgresSession, user: str, twin: str) -> _Pair:
    roles = {row[0]: _role(row) for row in session.execute(sql.SQL(_ROLES).format(names=_names(user, twin)))}
    for name in (user, *([twin] if twin in roles else [])):
        session.require_password_role(name)
        if roles[name].superuser:
            raise UserNotRotatable(
                f"role '{name}' at {session.host} is a superuser",
                "alternating users are for applications: rotate this one as a single user",
            )
    if twin not in roles:
        return _Pair(roles[user], twin, None)
    if _is_member(session, twin, user):
        return _Pair(roles[user], twin, roles[twin])
    if _is_member(session, user, twin):
        return _Pair(roles[twin], user, roles[user])
    grant = sql.SQL("GRANT {} TO {}")
    base, clone = sorted((user, twin), key=len)
    raise PairRefused(
        f"the roles '{user}' and '{twin}' at {session.host} are no pair: neither is a member of the other",
        f"if '{clone}' was made to be the second user of '{base}', run: "
        f"{session.quote(grant.format(sql.Identifier(base), sql.Identifier(clone)))}; if both are kept by hand, "
        "set ROTATION_TWIN=adopt; otherwise rename the one that is somebody else's",
    )


def _join(session: PostgresSession, pair: _Pair) -> None:
    """Make the derived role a member of the original one, able to be it."""
    original, derived = sql.Identifier(pair.original.name), sql.Identifier(pair.derived_name)
    if session.version < _MEMBERSHIP_OPTIONS:
        if not _is_member(session, pair.derived_name, pair.original.name):
            session.execute(sql.SQL("GRANT {} TO {}").format(original, derived))
    elif not _is_member(session, pair.derived_name, pair.original.name, _WITH_OPTIONS):
        session.execute(sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET TRUE").format(original, derived))


def _attributes(original: _Role, derived: _Role) -> Iterator[sql.Composable]:
    for column, word in _FLAGS.items():
        if original.flags[column] != derived.flags[column]:
            yield sql.SQL(word if original.flags[column] else f"NO{word}")
    if original.connection_limit != derived.connection_limit:
        yield sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(original.connection_limit))
    if original.valid_until != derived.valid_until:
        yield sql.SQL("VALID UNTIL {}").format(sql.Literal(original.valid_until))


def _settings(session: PostgresSession, pair: _Pair) -> Iterator[sql.Composable]:
    """What to append to ALTER ROLE so that the derived role's sessions start as the original one's do."""
    found: dict[str, dict[tuple[str | None, str], str]] = {pair.original.name: {}, pair.derived_name: {}}
    rows = session.execute(sql.SQL(_SETTINGS).format(names=_names(pair.original.name, pair.derived_name)))
    for role, database, setting in rows:
        name, _, value = setting.partition("=")
        found[role][database, name] = value
    # The original one may itself play a third role: then so does the derived one.
    wanted = {(None, "role"): pair.original.name, **found[pair.original.name]}
    present = found[pair.derived_name]
    for key in sorted(present.keys() - wanted.keys(), key=str):
        yield sql.SQL("{}RESET {}").format(_in_database(key[0]), sql.Identifier(*key[1].split(".")))
    for key in sorted(wanted, key=str):
        if present.get(key) != wanted[key]:
            yield sql.SQL("{}SET {} TO {}").format(
                _in_database(key[0]), sql.Identifier(*key[1].split(".")), setting_value(key[1], wanted[key])
            )


def _hand_over(session: PostgresSession, pair: _Pair) -> None:
    with _membership(session, [pair.original.name, pair.derived_name]):
        _do(
            session,
            sql.SQL("REASSIGN OWNED BY {} TO {}").format(
                sql.Identifier(pair.derived_name), sql.Identifier(pair.original.name)
            ),
        )


@contextmanager
def _membership(session: PostgresSession, roles: Iterable[str]) -> Iterator[None]:
    """Let the admin act as these roles until the end of the block, within the transaction: nobody sees it."""
    missing = [
        role
        for role in roles
        if not session.execute(
            sql.SQL("SELECT pg_catalog.pg_has_role(current_user, {}, {})").format(
                sql.Literal(role), sql.Literal("USAGE")
            )
        )[0][0]
    ]
    options = sql.SQL(" WITH INHERIT TRUE, SET TRUE" if session.version >= _MEMBERSHIP_OPTIONS else "")
    granted_by = sql.SQL(" GRANTED BY CURRENT_USER" if session.version >= _MEMBERSHIP_OPTIONS else "")
    for role in missing:
        session.execute(sql.SQL("GRANT {} TO CURRENT_USER{}").format(sql.Identifier(role), options))
    yield
    for role in missing:
        session.execute(sql.SQL("REVOKE {} FROM CURRENT_USER{}").format(sql.Identifier(role), granted_by))


def _is_member(session: PostgresSession, member: str, group: str, with_options: str = "") -> bool:
    statement = sql.SQL(_IS_MEMBER).format(
        group=sql.Literal(group), member=sql.Literal(member), with_options=sql.SQL(with_options)
    )
    return bool(session.execute(statement)[0][0])


def _owns(session: PostgresSession, role: str) -> set[str | None]:
    """The databases in which a role owns something; None for what belongs to no database."""
    return {row[0] for row in session.execute(sql.SQL(_OWNS).format(role=sql.Literal(role)))}


def _do(session: PostgresSession, statement: sql.Composable) -> None:
    """Run a statement that somebody else may have to run for us, and say so where they must."""
    session.execute(statement, advice=_run(session, statement))


def _run(session: PostgresSession, statement: sql.Composable) -> str:
    return f"as a superuser (on RDS: the master user, or the role's creator) run once: {session.quote(statement)}"


def _role(row: tuple[object, ...]) -> _Role:
    name, superuser, can_log_in, limit, until, *flags = row
    return _Role(
        str(name),
        bool(superuser),
        bool(can_log_in),
        int(str(limit)),
        str(until),
        dict(zip(_FLAGS, map(bool, flags), strict=True)),
    )


def _fresh(name: str) -> _Role:
    """What CREATE ROLE … LOGIN makes."""
    flags = dict.fromkeys(_FLAGS, False) | {"rolinherit": True}
    return _Role(name, superuser=False, can_log_in=True, connection_limit=-1, valid_until="infinity", flags=flags)


def setting_value(name: str, value: str) -> sql.Composable:
    """A setting's value, as the server keeps it, as SET takes it."""
    if name.lower() not in _LISTS:
        return sql.Literal(value)
    items = [quoted.replace('""', '"') if quoted else bare for quoted, bare in _LIST_ITEM.findall(value)]
    return sql.SQL(", ").join(map(sql.Literal, items or [""]))


def _in_database(database: str | None) -> sql.Composable:
    return sql.SQL("") if database is None else sql.SQL("IN DATABASE {} ").format(sql.Identifier(database))


def _names(*names: str) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Literal, names))


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
