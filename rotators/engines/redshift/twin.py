"""How an admin makes one user the equal of another: the user, then each database, and the password last.

The original of a pair is the user without ``_clone``, where both exist: what is granted to it or revoked from it
reaches the other at the next rotation. What the derived one owns is handed over to the original, and gets all
privileges on what that one owns, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from psycopg2 import sql

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.postgres.twin import setting_value
from rotators.engines.redshift import catalog
from rotators.engines.redshift.catalog import Default, User
from rotators.engines.redshift.passwords import verifier
from rotators.engines.rights import Right, changes
from rotators.errors import PairRefused, PermissionRefused, UserNotRotatable
from rotators.passwords import throw_away

if TYPE_CHECKING:
    from rotators.engines.redshift.session import RedshiftSession

# What CREATE USER makes.
_FRESH = {
    "CREATEDB": "NOCREATEDB",
    "VALID UNTIL": "infinity",
    "CONNECTION LIMIT": "UNLIMITED",
    "SYSLOG ACCESS": "RESTRICTED",
    "SESSION TIMEOUT": "0",
}


def require_admin(session: RedshiftSession) -> None:
    """Make sure that whoever is logged in is a superuser, as the admin of a cluster or namespace is.

    Raises:
        PermissionRefused: it is not.
    """
    found = catalog.find(session, session.user)
    if found is None or not found.superuser:
        raise PermissionRefused(
            f"the admin '{session.user}' at {session.host} is no superuser",
            f"name the cluster's admin, or as it run: ALTER USER {_name(session, session.user)} CREATEUSER",
        )


def check(session: RedshiftSession, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
    """Find out whose the twin is.

    Raises:
        PairRefused: it exists, may do what the user may not, and never was this secret's: somebody else's.
    """
    if catalog.find(session, twin) is None:
        return
    wanted, present = _everything(session, user), _everything(session, twin)
    if present & wanted:
        return
    for dbname in other_databases(session):
        with session.elsewhere(dbname) as other:
            wanted |= {(dbname, one) for one in _here(other, user)}
            present |= {(dbname, one) for one in _here(other, twin)}
    surplus = present - wanted
    if surplus and not present & wanted and not acquainted():
        raise PairRefused(
            f"the user '{twin}' at {session.host} may do what '{user}' may not, and this secret did not hold it "
            "before: it is somebody else's user",
            "rename it, or, if the two are kept by hand, set ROTATION_TWIN=adopt",
        )


def level_user(session: RedshiftSession, original: str, derived: str) -> None:
    """Make the derived user if it is missing, and level what belongs to no database: attributes, groups, roles."""
    mine, theirs = session.require_password_user(original), catalog.find(session, derived)
    name = sql.Identifier(derived)
    if theirs is None:
        # Nobody knows this password: the real one comes last.
        password = sql.Literal(verifier(derived, throw_away()))
        session.execute(sql.SQL("CREATE USER {} PASSWORD {}").format(name, password), password_of=derived)
        theirs = User(derived, superuser=False, settings={}, attributes=dict(_FRESH))
    for statement in (*_attributes(mine, theirs), *_settings(mine, theirs)):
        session.execute(sql.SQL("ALTER USER {} {}").format(name, statement))
    wanted, present = catalog.groups(session, original), catalog.groups(session, derived)
    for verb, groups in (("ADD", wanted - present), ("DROP", present - wanted)):
        for group in sorted(groups):
            text = f"ALTER GROUP {{}} {verb} USER {{}}"
            session.execute(sql.SQL(text).format(sql.Identifier(group), name))
    for statement in _grants(catalog.roles(session, original), catalog.roles(session, derived), derived):
        session.execute(statement)


def level_database(session: RedshiftSession, original: str, derived: str) -> None:
    """Level what was granted in the present database, and hand over what the derived one owns."""
    things, _ = catalog.owned(session, derived)
    for thing in things:
        # Quoted already, and never formatted: a name may hold braces.
        session.execute(sql.SQL(f"ALTER {thing} OWNER TO ") + sql.Identifier(original))
    _, as_owner = catalog.owned(session, original)
    wanted = catalog.rights(session, original) | as_owner
    for statement in _grants(wanted, catalog.rights(session, derived), derived):
        session.execute(statement)
    mine, theirs = catalog.defaults(session, original), catalog.defaults(session, derived)
    expected = {_renamed(one, original, derived) for one in mine}
    for default in sorted(theirs - expected, key=str):
        session.execute(_default(default, granting=False))
    for default in sorted(expected - theirs, key=str):
        session.execute(_default(default, granting=True))


def other_databases(session: RedshiftSession) -> list[str]:
    """All but the one that the session is in."""
    [(here,)] = session.execute(sql.SQL("SELECT CURRENT_DATABASE()"))
    return [name for name in catalog.databases(session) if name != here]


def pair(session: RedshiftSession, user: str, twin: str) -> tuple[str, str]:
    """The original of two users, and the one that is derived from it.

    Raises:
        UserNotRotatable: one of the two is a superuser or has no password.
    """
    there = catalog.find(session, twin)
    for name in (user, *([twin] if there is not None else [])):
        if session.require_password_user(name).superuser:
            raise UserNotRotatable(
                f"'{name}' at {session.host} is a superuser",
                "alternating users are for applications: rotate this one as a single user",
            )
    return (twin, user) if there is not None and user.endswith(CLONE_SUFFIX) else (user, twin)


def _everything(session: RedshiftSession, user: str) -> set[object]:
    """What a user has in the whole cluster, and in the present database."""
    roles = {right.key for right in catalog.roles(session, user)}
    return {*catalog.groups(session, user), *roles, *_here(session, user)}


def _here(session: RedshiftSession, user: str) -> set[object]:
    rights = catalog.rights(session, user) | catalog.owned(session, user)[1]
    return {right.key for right in rights}


def _attributes(mine: User, theirs: User) -> Iterator[sql.Composable]:
    for word, value in mine.attributes.items():
        if theirs.attributes[word] == value:
            continue
        if word == "CREATEDB":
            yield sql.SQL(value)
        elif word == "VALID UNTIL":
            yield sql.SQL("VALID UNTIL {}").format(sql.Literal(value))
        elif word == "SESSION TIMEOUT" and value == "0":
            yield sql.SQL("RESET SESSION TIMEOUT")
        else:
            yield sql.SQL(f"{word} {value}")


def _settings(mine: User, theirs: User) -> Iterator[sql.Composable]:
    for name in sorted(theirs.settings.keys() - mine.settings.keys()):
        yield sql.SQL("RESET {}").format(sql.Identifier(name))
    for name, value in sorted(mine.settings.items()):
        if theirs.settings.get(name) != value:
            yield sql.SQL("SET {} TO {}").format(sql.Identifier(name), setting_value(name, value))


def _grants(wanted: set[Right], present: set[Right], grantee: str) -> Iterator[sql.Composable]:
    """One statement per object: those on datashares and on databases can't share one.

    https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
    """
    for granting, right in changes(wanted, present, lambda right: right.key):
        on = f" ON {right.on}" if right.on else ""
        if granting:
            word = "ADMIN" if right.kind == "role" else "GRANT"
            option = sql.SQL(f" WITH {word} OPTION" if right.passed_on else "")
            yield sql.SQL(f"GRANT {right.what}{on} TO ") + sql.Identifier(grantee) + option
        else:
            yield sql.SQL(f"REVOKE {right.what}{on} FROM ") + sql.Identifier(grantee)


def _renamed(default: Default, original: str, derived: str) -> Default:
    """The same for the other user: what it gives, or what it gets."""
    if default.owner == original:
        return Default(derived, *_rest(default), default.grantee, default.kind, default.passed_on)
    return Default(default.owner, *_rest(default), derived, default.kind, default.passed_on)


def _rest(default: Default) -> tuple[str | None, str, str]:
    return default.schema, default.objects, default.privilege


def _default(default: Default, *, granting: bool) -> sql.Composable:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_DEFAULT_PRIVILEGES.html"""
    where = sql.SQL("") if default.schema is None else sql.SQL("IN SCHEMA {} ").format(sql.Identifier(default.schema))
    kinds = {"group": "GROUP ", "role": "ROLE "}
    public = default.kind == "public"
    grantee = sql.SQL("PUBLIC") if public else sql.Identifier(default.grantee)
    return sql.SQL("ALTER DEFAULT PRIVILEGES FOR USER {} {}{} {} ON {} {} {}{}{}").format(
        sql.Identifier(default.owner),
        where,
        sql.SQL("GRANT" if granting else "REVOKE"),
        sql.SQL(default.privilege),
        sql.SQL(default.objects),
        sql.SQL("TO" if granting else "FROM"),
        sql.SQL("" if public else kinds.get(default.kind, "")),
        grantee,
        sql.SQL(" WITH GRANT OPTION" if granting and default.passed_on else ""),
    )


def _name(session: RedshiftSession, user: str) -> str:
    return session.quote(sql.Identifier(user))
