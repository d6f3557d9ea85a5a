"""How an admin makes one login the equal of another: server, then each database, and the password last.

The original of a pair is the one without ``_clone``, where both exist: what is granted to it or revoked from it
reaches the other at the next rotation. What either owns, the other controls: nothing is handed over, since that would
drop other people's permissions on it
(https://learn.microsoft.com/sql/t-sql/statements/alter-authorization-transact-sql).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.sqlserver import catalog
from rotators.engines.sqlserver.catalog import Login, Right, User
from rotators.engines.sqlserver.quoting import binary, name, text
from rotators.errors import PairRefused, PermissionRefused, UserNotRotatable
from rotators.logs import logger
from rotators.passwords import throw_away

if TYPE_CHECKING:
    from rotators.engines.sqlserver.session import SqlserverSession

# Roles, and rights.
_Has = tuple[set[str], set[Right]]

_DBO = "dbo"
# Where RDS's admin is no owner: there roles are all that it can give.
_SYSTEM = {"master", "msdb", "rdsadmin"}
_CONNECT = {Right("CONNECT", ""), Right("CONNECT SQL", "")}
_POWERFUL = {"sysadmin", "securityadmin", "serveradmin", "db_owner", "db_securityadmin", "db_accessadmin"}


def check(session: SqlserverSession, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
    """Find out whether :func:`level` would succeed, by reading.

    Raises:
        PairRefused: the twin exists, may do what the user may not, and never was this secret's: somebody else's.
        PermissionRefused: the admin can't pass on what the user may do; the text says what would change that.
        UserNotRotatable: one of the two has no password of the server's, is disabled, or is a sysadmin.
    """
    original, derived = _pair(session, user, twin)
    found = catalog.find(session, derived)
    sid = sid_of(original.sid, derived) if found is None else found.sid
    strange = related = False

    def too_much(originals: _Has, deriveds: _Has) -> bool:
        return _is_strange(originals, deriveds) if twin == derived else _is_strange(deriveds, originals)

    require_admin(session, contained=original.contained)
    if not original.contained:
        wanted, present = _of_server(session, original.name), _of_server(session, derived)
        if found is None:
            # CREATE LOGIN gives it.
            present = set(), _CONNECT
        if "sysadmin" in wanted[0] or any(right.permission == "CONTROL SERVER" for right in wanted[1]):
            raise UserNotRotatable(
                f"'{original.name}' at {session.host} is a sysadmin",
                "alternating users are for applications: rotate this one as a single user",
            )
        strange, related = too_much(wanted, present), _is_related(wanted, present)
        _require_server_rights(session, wanted[0] - present[0], wanted[1] - present[1])
    for database in _databases(session, original):
        with session.use(database):
            mine, theirs, orphan = _users(session, original, derived, sid)
            if mine is None:
                # What the user has no part in is not its twin's either.
                strange |= theirs is not None and twin == derived
                continue
            _require_owner(session, database)
            if orphan is not None:
                [(owner,)] = session.execute(f"SELECT SUSER_SNAME({binary(orphan.sid)})")
                strange |= owner is not None
            # Read in any case: what can't be passed on is found here.
            wanted = _wanted(session, mine, set() if theirs is None else catalog.owned(session, theirs.name))
            if theirs is None or theirs.name != _DBO:
                present = (set(), set()) if theirs is None else _present(session, theirs)
                strange |= (theirs is not None or twin != derived) and too_much(wanted, present)
                related |= _is_related(wanted, present)
    # A login of that SID was made by us. Of another, some databases can't be looked into: one that shares nothing with
    # the user may have its rights there.
    ours = found is None or found.sid == sid_of(original.sid, derived)
    if not ours and (strange or not related) and not acquainted():
        raise PairRefused(
            f"the login '{twin}' at {session.host} may do what '{user}' may not, or shares nothing with it, and this "
            "secret did not hold it before: it is somebody else's",
            "rename it, or, if the two are kept by hand, set ROTATION_TWIN=adopt",
        )


def level(session: SqlserverSession, user: str, twin: str) -> None:
    """Make the derived one of the pair if it is missing, and give it what the original has. Can be repeated.

    Raises:
        PermissionRefused: the admin may not.
        UserNotRotatable: one of the two has no password of the server's.
    """
    original, derived = _pair(session, user, twin)
    if not original.contained:
        _level_login(session, original, derived)
    found = catalog.find(session, derived)
    sid = sid_of(original.sid, derived) if found is None else found.sid
    for database in _databases(session, original):
        with session.use(database):
            _level_user(session, original, derived, sid)


def require_admin(session: SqlserverSession, *, contained: bool) -> None:
    """Make sure that whoever is logged in may change others' passwords.

    Raises:
        PermissionRefused: it may not.
    """
    permission = "ALTER ANY USER" if contained else "ALTER ANY LOGIN"
    scope = "DB_NAME(), 'DATABASE'" if contained else "NULL, NULL"
    [(may,)] = session.execute(f"SELECT HAS_PERMS_BY_NAME({scope}, '{permission}')")
    if not may:
        raise PermissionRefused(
            f"the admin '{session.user}' at {session.host} may not change other users ({permission})",
            f"run: GRANT {permission} TO {name(session.user)}",
        )


def sid_of(original: bytes, twin: str) -> bytes:
    """The twin's SID: the same on every server that has the original's, so that replicas agree on who owns what."""
    return hashlib.sha256(b"rotators" + original + twin.encode()).digest()[:16]


def _pair(session: SqlserverSession, user: str, twin: str) -> tuple[Login, str]:
    """The original login, and the name of the one that is derived from it."""
    mine, theirs = catalog.require(session, user), catalog.find(session, twin)
    if theirs is not None:
        theirs = catalog.require(session, twin)
        if theirs.contained != mine.contained:
            raise PairRefused(
                f"of '{user}' and '{twin}' at {session.host} one is a login and the other a contained user",
                "rename the one that is somebody else's",
            )
        if user.endswith(CLONE_SUFFIX):
            return theirs, user
    return mine, twin


def _of_server(session: SqlserverSession, login: str) -> _Has:
    return catalog.server_roles(session, login), catalog.server_rights(session, login)


def _is_strange(wanted: _Has, present: _Has) -> bool:
    """Whether a login of the twin's name looks like anybody else's.

    A twin has rights too many where they were revoked from its original since. But then it shares the others with
    it, and none of the surplus is power over everything.

    Args:
        wanted: what the user has whose secret is current.
        present: what the one has whose password would be set.
    """
    roles, rights = present[0] - wanted[0], present[1] - wanted[1] - _CONNECT
    return bool(roles & _POWERFUL) or (bool(roles or rights) and not _is_related(wanted, present))


def _is_related(wanted: _Has, present: _Has) -> bool:
    return bool(present[0] & wanted[0]) or bool((present[1] & wanted[1]) - _CONNECT)


def _require_server_rights(session: SqlserverSession, roles: set[str], rights: set[Right]) -> None:
    [(control, any_role)] = session.execute(
        "SELECT HAS_PERMS_BY_NAME(NULL, NULL, 'CONTROL SERVER'), HAS_PERMS_BY_NAME(NULL, NULL, 'ALTER ANY SERVER ROLE')"
    )
    if control:
        return
    own_roles, own_rights = _of_server(session, session.user)
    lacking = [
        f"ALTER SERVER ROLE {name(role)} ADD MEMBER {name(session.user)}"
        for role in sorted(roles - own_roles)
        if not any_role
    ]
    passed_on = {right.key for right in own_rights if right.state == "W"}
    lacking += [
        f"GRANT {right.permission} {right.on} TO {name(session.user)} WITH GRANT OPTION".replace("  ", " ")
        for right in sorted(rights)
        if right.key not in passed_on
    ]
    if lacking:
        raise PermissionRefused(
            f"the admin '{session.user}' at {session.host} can't pass on all that the user may do",
            f"as a sysadmin, run: {'; '.join(lacking)}",
        )


def _require_owner(session: SqlserverSession, database: str) -> None:
    if database.lower() in _SYSTEM:
        return
    [(control,)] = session.execute("SELECT HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'CONTROL')")
    if not control:
        raise PermissionRefused(
            f"the admin '{session.user}' at {session.host} may not manage the users of '{database}'",
            f"run: USE {name(database)}; ALTER ROLE db_owner ADD MEMBER {name(session.user)}",
        )


def _databases(session: SqlserverSession, original: Login) -> Iterator[str]:
    if original.contained:
        yield session.database
        return
    for database, obstacle in list(catalog.databases(session)):
        if obstacle is None:
            yield database
        else:
            logger.info("a database is passed over", database=database, reason=obstacle)


def _level_login(session: SqlserverSession, original: Login, derived: str) -> None:
    options = (
        f"DEFAULT_DATABASE = {name(original.default_database or 'master')}, "
        f"DEFAULT_LANGUAGE = {name(original.default_language or 'us_english')}, "
        f"CHECK_POLICY = {_on_off(original.policy)}, CHECK_EXPIRATION = {_on_off(original.expiration)}"
    )
    present = catalog.find(session, derived)
    if present is None:
        sid = binary(sid_of(original.sid, derived))
        # Nobody knows this password: the real one comes last.
        session.execute(f"CREATE LOGIN {name(derived)} WITH PASSWORD = {text(throw_away())}, SID = {sid}, {options}")
    elif _attributes(present) != _attributes(original):
        session.execute(f"ALTER LOGIN {name(derived)} WITH {options}")
    (wanted_roles, wanted), (present_roles, rights) = (
        _of_server(session, original.name),
        _of_server(session, derived),
    )
    for verb, roles in (("ADD", wanted_roles - present_roles), ("DROP", present_roles - wanted_roles)):
        for role in sorted(roles):
            session.execute(f"ALTER SERVER ROLE {name(role)} {verb} MEMBER {name(derived)}")
    if wanted != rights:
        # https://learn.microsoft.com/sql/t-sql/statements/grant-server-permissions-transact-sql: in master only.
        with session.use("master"):
            for statement in statements(wanted, rights, derived):
                session.execute(statement)


def _level_user(session: SqlserverSession, original: Login, derived: str, sid: bytes) -> None:
    mine, theirs, orphan = _users(session, original, derived, sid)
    if mine is None and theirs is None:
        return
    if theirs is not None and theirs.name == _DBO:
        # The derived one owns the database: the original becomes its equal.
        if mine is not None and "db_owner" not in catalog.roles(session, mine.name):
            session.execute(f"ALTER ROLE [db_owner] ADD MEMBER {name(mine.name)}")
        return
    schema = mine.default_schema if mine else None
    if theirs is None and orphan is not None:
        theirs = orphan
        session.execute(f"ALTER USER {name(derived)} WITH LOGIN = {name(derived)}")
    if theirs is None:
        theirs = User(derived, b"", schema)
        _create_user(session, original, theirs)
    elif schema is not None and theirs.default_schema != schema:
        session.execute(f"ALTER USER {name(theirs.name)} WITH DEFAULT_SCHEMA = {name(schema)}")
    _level_rights(session, mine, theirs)


def _level_rights(session: SqlserverSession, mine: User | None, theirs: User) -> None:
    its = catalog.owned(session, theirs.name)
    wanted_roles, wanted = (set(), set()) if mine is None else _wanted(session, mine, its)
    present_roles, present = _present(session, theirs)
    for verb, roles in (("ADD", wanted_roles - present_roles), ("DROP", present_roles - wanted_roles)):
        for role in sorted(roles):
            session.execute(f"ALTER ROLE {name(role)} {verb} MEMBER {name(theirs.name)}")
    for statement in statements(wanted, present, theirs.name):
        session.execute(statement)
    if mine is not None and mine.name != _DBO:
        has = {right.on for right in catalog.rights(session, mine.name) if right.permission == "CONTROL"}
        for on in sorted(its - has):
            session.execute(f"GRANT CONTROL {on} TO {name(mine.name)}")


def _users(
    session: SqlserverSession, original: Login, derived: str, sid: bytes
) -> tuple[User | None, User | None, User | None]:
    """Who the two are in the present database, where a login may have another name; and one that only bears the name.

    That last one's login is gone: the database was restored here, or it is somebody else's.
    """
    found = catalog.users(session, [original.sid, sid], derived)
    mine = next((user for user in found if user.sid == original.sid), None)
    theirs = next((user for user in found if user.sid == sid), None)
    orphan = next((user for user in found if user.name == derived and user.sid not in {original.sid, sid}), None)
    return mine, theirs, orphan


def _create_user(session: SqlserverSession, original: Login, user: User) -> None:
    schema = f"DEFAULT_SCHEMA = {name(user.default_schema)}" if user.default_schema else ""
    if original.contained:
        options = [f"PASSWORD = {text(throw_away())}", schema]
        if original.default_language:
            options.append(f"DEFAULT_LANGUAGE = {name(original.default_language)}")
        session.execute(f"CREATE USER {name(user.name)} WITH {', '.join(filter(None, options))}")
        return
    session.execute(
        f"CREATE USER {name(user.name)} FOR LOGIN {name(user.name)}" + (f" WITH {schema}" if schema else "")
    )


def _wanted(session: SqlserverSession, mine: User, its: set[str]) -> _Has:
    if mine.name == _DBO:
        # There is one owner of a database. Its equal is a member of this role.
        return {"db_owner"}, {Right("CONNECT", "")}
    rights = catalog.rights(session, mine.name)
    held = {right.key for right in rights}
    rights |= {Right("CONTROL", on) for on in catalog.owned(session, mine.name) if ("CONTROL", on) not in held}
    # Nobody can be granted anything on what is its own.
    return catalog.roles(session, mine.name), {right for right in rights if right.on not in its}


def _present(session: SqlserverSession, theirs: User) -> _Has:
    return catalog.roles(session, theirs.name), catalog.rights(session, theirs.name)


def statements(wanted: set[Right], present: set[Right], grantee: str) -> Iterator[str]:
    """What brings a grantee from what it has to what it should have; each right in one statement, what is gone last.

    https://learn.microsoft.com/sql/t-sql/statements/grant-transact-sql
    """
    has, to = {right.key: right.state for right in present}, {right.key: right.state for right in wanted}
    quoted = name(grantee)
    for (permission, on), state in sorted(to.items()):
        before = has.get((permission, on))
        if before == state:
            continue
        what = " ".join(filter(None, (permission, on)))
        if state == "D":
            yield f"DENY {what} TO {quoted} CASCADE"
        elif before == "W":
            yield f"REVOKE GRANT OPTION FOR {what} FROM {quoted} CASCADE"
        else:
            yield f"GRANT {what} TO {quoted}" + (" WITH GRANT OPTION" if state == "W" else "")
    for permission, on in sorted(has.keys() - to.keys()):
        yield " ".join(filter(None, ("REVOKE", permission, on, "FROM", quoted, "CASCADE")))


def _attributes(login: Login) -> tuple[object, ...]:
    return login.default_database, login.default_language, login.policy, login.expiration


def _on_off(value: bool) -> str:  # noqa: FBT001  # the one thing it is about
    return "ON" if value else "OFF"
