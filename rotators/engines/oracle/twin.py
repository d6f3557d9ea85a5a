"""How an admin makes one user the equal of another: user, grants one by one, a logon trigger, and the password last.

The original of a pair is the user without ``_clone``, where both exist: what is granted to it or revoked from it
reaches the other at the next rotation. A schema belongs to its user for good, so the other one works in it: a logon
trigger makes it the current schema, and the grants let it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rotators.engines.oracle import catalog
from rotators.engines.oracle.catalog import User
from rotators.engines.oracle.names import is_clone, quoted, text
from rotators.engines.rights import Right, changes
from rotators.errors import PairRefused, PermissionRefused, UserNotRotatable
from rotators.logs import logger
from rotators.passwords import throw_away

if TYPE_CHECKING:
    from rotators.engines.oracle.session import OracleSession

_NEEDED = {
    "ALTER USER", "CREATE ANY TRIGGER", "CREATE USER", "GRANT ANY OBJECT PRIVILEGE", "GRANT ANY PRIVILEGE",
    "GRANT ANY ROLE",
}  # fmt: skip
_NEEDED_FOR_SCHEMAS = "GRANT ANY SCHEMA PRIVILEGE"
_POWERFUL = {'"DBA"', '"IMP_FULL_DATABASE"', '"EXP_FULL_DATABASE"'}
_LONG_NAMES_SINCE = (12, 2)
_SHORT_NAME = 30
_SYS = '"SYS".'
_COLUMN = re.compile(r' \(".*"\)')


def check(session: OracleSession, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
    """Find out whether :func:`level` would succeed, by reading.

    Raises:
        PairRefused: the twin exists, may do what the user may not, and never was this secret's: somebody else's.
        PermissionRefused: the admin lacks a privilege; the text has the statement that would give it.
        UserNotRotatable: one of the two has no password of this database's, or is an administrator.
    """
    if session.user in {user, twin}:
        raise PairRefused(f"'{session.user}' at {session.host} is the admin itself", "name another admin")
    if session.version < _LONG_NAMES_SINCE and len(twin.encode()) > _SHORT_NAME:
        raise PairRefused(
            f"the other user of '{user}' would be '{twin}', a name of {len(twin.encode())} bytes",
            f"this version of Oracle takes {_SHORT_NAME}: give the secret's user a shorter name",
        )
    schemas = session.version >= catalog.SCHEMA_PRIVILEGES_SINCE
    require_privileges(session, _NEEDED | ({_NEEDED_FOR_SCHEMAS} if schemas else set()))
    original, derived = _pair(session, user, twin)
    mine = catalog.rights(session, original.name)
    if '"DBA"' in {right.what for right in mine}:
        raise UserNotRotatable(
            f"'{original.name}' at {session.host} is a DBA",
            "alternating users are for applications: rotate this one as a single user",
        )
    if catalog.find(session, twin) is not None:
        has, theirs = catalog.rights(session, user), catalog.rights(session, twin)
        # The derived one owns nothing. What the original owns, the derived one has its grants on.
        owner = catalog.count_owned(session, twin) > 0 and (twin == derived or not _works_for(has, twin))
        if twin == derived:
            has |= catalog.owned(session, user)
        if (owner or _is_strange(has, theirs)) and not acquainted():
            raise PairRefused(
                f"the user '{twin}' at {session.host} may do what '{user}' may not, or owns something, and this secret "
                "did not hold it before: it is somebody else's",
                "rename it, or, if the two are kept by hand, set ROTATION_TWIN=adopt",
            )


def level(session: OracleSession, user: str, twin: str) -> None:
    """Make the derived one of the pair if it is missing, and give it what the original has. Can be repeated.

    Raises:
        PermissionRefused: the admin may not.
        UserNotRotatable: one of the two has no password of this database's.
    """
    original, derived = _pair(session, user, twin)
    _level_user(session, original, derived)
    its = f"{quoted(derived)}."
    # Nobody can be granted anything on what is its own.
    wanted = {right for right in catalog.rights(session, original.name) if not right.on.startswith(its)}
    wanted |= catalog.owned(session, original.name)
    if count := catalog.count_owned(session, derived):
        logger.warning("the twin owns objects, which neither finds without their schema", twin=derived, objects=count)
    present = catalog.rights(session, derived)
    rds = catalog.is_rds(session)
    for statement, values in statements(wanted, present, derived, rds=rds):
        session.execute(statement, values)
    _level_default_roles(session, original.name, derived)
    name = trigger_of(derived)
    if catalog.has_trigger(session, name):
        return
    # A trigger that fails would keep the twin out: better in, and in a schema of its own.
    session.execute(
        f"CREATE TRIGGER {quoted(session.user)}.{quoted(name)} "
        f"AFTER LOGON ON {quoted(derived)}.SCHEMA BEGIN "
        f"EXECUTE IMMEDIATE {text(f'ALTER SESSION SET CURRENT_SCHEMA = {quoted(original.name)}')}; "
        "EXCEPTION WHEN OTHERS THEN NULL; END;"
    )


def require_usable(session: OracleSession, name: str) -> User:
    """A user whose password this database keeps.

    Raises:
        UserNotRotatable: there is none, it is locked by somebody, or it is of another kind.
    """
    found = catalog.find(session, name)
    if found is None:
        raise UserNotRotatable(f"there is no user '{name}' at {session.host}", "create it, or correct the secret")
    if found.authentication != "PASSWORD":
        raise UserNotRotatable(
            f"'{name}' at {session.host} is identified as {found.authentication}", "it has no password to rotate"
        )
    if "LOCKED" in found.status and "TIMED" not in found.status:
        raise UserNotRotatable(f"'{name}' at {session.host} is locked", "unlock it, or stop rotating this secret")
    catalog.require_local(session, name)
    return found


def require_privileges(session: OracleSession, needed: set[str]) -> None:
    """Make sure that whoever is logged in has these system privileges.

    Raises:
        PermissionRefused: it has not; the text has the statement that would give them.
    """
    lacking = sorted(needed - catalog.privileges(session))
    if lacking:
        raise PermissionRefused(
            f"the admin '{session.user}' at {session.host} lacks {', '.join(lacking)}",
            f"run: GRANT {', '.join(lacking)} TO {quoted(session.user)}",
        )


def trigger_of(derived: str) -> str:
    """The name of a twin's logon trigger, in the admin's schema: short, and the same each time."""
    return f"ROTATORS_{hashlib.sha256(derived.encode()).hexdigest()[:16].upper()}"


def _pair(session: OracleSession, user: str, twin: str) -> tuple[User, str]:
    mine = require_usable(session, user)
    if catalog.find(session, twin) is None:
        return mine, twin
    theirs = require_usable(session, twin)
    return (theirs, user) if is_clone(user) else (mine, twin)


def _level_user(session: OracleSession, original: User, derived: str) -> None:
    options = (
        f"PROFILE {quoted(original.profile)} DEFAULT TABLESPACE {quoted(original.default_tablespace)} "
        f"TEMPORARY TABLESPACE {quoted(original.temporary_tablespace)}"
    )
    present = catalog.find(session, derived)
    if present is None:
        # Nobody knows this password: the real one comes last.
        session.execute(
            f"CREATE USER {quoted(derived)} IDENTIFIED BY {quoted(throw_away())} {options}", password_of=derived
        )
    elif _attributes(present) != _attributes(original):
        session.execute(f"ALTER USER {quoted(derived)} {options}")
    wanted, had = catalog.quotas(session, original.name), catalog.quotas(session, derived)
    for tablespace in sorted(wanted.keys() | had.keys()):
        size = wanted.get(tablespace, 0)
        if size != had.get(tablespace, 0):
            quota = "UNLIMITED" if size < 0 else str(size)
            session.execute(f"ALTER USER {quoted(derived)} QUOTA {quota} ON {quoted(tablespace)}")


def _attributes(user: User) -> tuple[str, ...]:
    return user.profile, user.default_tablespace, user.temporary_tablespace


def _level_default_roles(session: OracleSession, original: str, derived: str) -> None:
    (wanted, every), (present, _) = catalog.default_roles(session, original), catalog.default_roles(session, derived)
    if wanted != present:
        spelled = "ALL" if wanted == every else ", ".join(map(quoted, sorted(wanted))) or "NONE"
        session.execute(f"ALTER USER {quoted(derived)} DEFAULT ROLE {spelled}")


def _is_strange(wanted: set[Right], present: set[Right]) -> bool:
    """Whether a user of the twin's name looks like anybody else's.

    A twin has rights too many where they were revoked from its original since. But then it shares the others with
    it, and none of the surplus is power over everything.
    """

    def plain(rights: set[Right]) -> set[tuple[str, str]]:
        return {(right.what, right.on) for right in rights if right.what != "CREATE SESSION"}

    surplus = plain(present) - plain(wanted)
    powerful = any(what in _POWERFUL or (not on and " ANY " in what) for what, on in surplus)
    return powerful or (bool(surplus) and not plain(present) & plain(wanted))


def _works_for(rights: set[Right], owner: str) -> bool:
    """Whether one has rights on what another owns."""
    return any(right.on.startswith(f"{quoted(owner)}.") or right.on == f"SCHEMA {quoted(owner)}" for right in rights)


def statements(
    wanted: set[Right], present: set[Right], grantee: str, *, rds: bool
) -> Iterator[tuple[str, list[str | bool]]]:
    """What brings a grantee from what it has to what it should have, one right in one statement.

    https://docs.oracle.com/en/database/oracle/oracle-database/19/sqlrf/REVOKE.html
    """
    for granting, right in changes(wanted, present, _unit):
        yield (_grant if granting else _revoke)(right, grantee, rds=rds)


def _unit(right: Right) -> tuple[str, str]:
    """A privilege is revoked from a table and all its columns at once."""
    return _COLUMN.sub("", right.what), right.on


def _grant(right: Right, grantee: str, *, rds: bool) -> tuple[str, list[str | bool]]:
    if rds and right.kind == "object" and right.on.startswith(_SYS):
        return (
            "BEGIN rdsadmin.rdsadmin_util.grant_sys_object(:1, :2, :3, :4); END;",
            [right.on[len(_SYS) + 1 : -1], grantee, right.what, right.passed_on],
        )
    on = f" ON {right.on}" if right.on else ""
    word = "GRANT" if right.kind in {"object", "column"} else "ADMIN"
    option = f" WITH {word} OPTION" if right.passed_on else ""
    return f"GRANT {right.what}{on} TO {quoted(grantee)}{option}", []


def _revoke(right: Right, grantee: str, *, rds: bool) -> tuple[str, list[str | bool]]:
    if rds and right.kind == "object" and right.on.startswith(_SYS):
        return (
            "BEGIN rdsadmin.rdsadmin_util.revoke_sys_object(:1, :2, :3); END;",
            [right.on[len(_SYS) + 1 : -1], grantee, right.what],
        )
    on = f" ON {right.on}" if right.on else ""
    return f"REVOKE {_COLUMN.sub('', right.what)}{on} FROM {quoted(grantee)}", []
