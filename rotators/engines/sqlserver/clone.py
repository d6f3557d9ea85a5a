"""How an admin synchronizes one login with another: server, then each database; it sets no password.

The source of a pair is the one without ``_clone``, where both exist: what is granted to it or revoked from it reaches
the clone at the next rotation. What either owns, the other controls: nothing is handed over, since that would drop
other people's permissions on it (https://learn.microsoft.com/sql/t-sql/statements/alter-authorization-transact-sql).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.identity import Account, Pair, Relation
from rotators.engines.sqlserver import catalog, passwords, powers
from rotators.engines.sqlserver.catalog import DatabaseUser, Login, Membership, Permission
from rotators.engines.sqlserver.connection import Connection
from rotators.engines.sqlserver.powers import DBO
from rotators.engines.sqlserver.quoting import binary, name, text
from rotators.errors import PermissionRefused, ServiceFailed, UserPairMismatch
from rotators.logs import logger
from rotators.passwords import placeholder_password

# Databases in which RDS's admin is not an owner: there it can only give roles.
_SYSTEM = {"master", "msdb", "rdsadmin"}
_CONNECT = {Permission("CONNECT", ""), Permission("CONNECT SQL", "")}
# A statement on a table may take those on its columns with it: what is left is put right the second time.
_ROUNDS = (False, True)
# What an owner has control of, and GRANT CONTROL can be given on.
_OWNABLE = ("ON SCHEMA::", "ON OBJECT::")


@dataclass(frozen=True)
class _Has:
    """What a login has on the server, or a user in a database."""

    roles: frozenset[Membership]
    rights: frozenset[Permission]


@dataclass(frozen=True)
class _Roles:
    """The two of a pair.

    Args:
        source: whose rights count.
        clone: who gets them; None if it does not exist yet.
        clone_name: what it is called, or will be.
    """

    source: Login
    clone: Login | None
    clone_name: str

    @property
    def clone_sid(self) -> bytes:
        """The clone's SID, as it is or will be."""
        return derived_sid(self.source.sid, self.clone_name) if self.clone is None else self.clone.sid


def inspect(connection: Connection, current: Account, other_name: str) -> Pair:
    """Look at the two users of a secret.

    Raises:
        UserPairMismatch: one is a login and the other a contained user.
        PermissionRefused: the admin does not see enough to judge.
        UserNotRotatable: one of the two has no password of the server's, is disabled, or is an admin.
    """
    current_login = passwords.require_settable(connection, current)
    other_login = _second(connection, current_login, other_name)
    if other_login is None:
        return Pair(current_login.account, other_name, None, current_is_source=True, relation=Relation.ABSENT)
    catalog.usable(connection, other_login)
    if not other_login.contained:
        passwords.require_no_admin(connection, other_login)
    current_is_source = _is_source(current_login, other_login)
    relation, reason = _relation(connection, current_login, other_login, current_is_source=current_is_source)
    right = powers.mark(other_login.name, contained=other_login.contained)
    place = connection.database if other_login.contained else "master"
    remedy = f"USE {name(place)}; {right} TO {name(current_login.name)}"
    return Pair(current_login.account, other_name, other_login.account, current_is_source, relation, reason, remedy)


def check(connection: Connection, pair: Pair) -> None:
    """Check whether :func:`sync` would succeed, by reading.

    Raises:
        UserPairMismatch: a user of the clone's name is in a database, and is another user's.
        PermissionRefused: the admin can't pass on what the source may do; the text says what would change that.
        ServiceFailed: the source has a permission of a kind that is not known.
    """
    two = _roles(connection, pair)
    if not two.source.contained:
        wanted, present = _on_server(connection, two)
        _require_server_rights(connection, wanted, present)
    for database in _databases(connection, two.source):
        with connection.use(database):
            source_user, clone_user, orphan = _users(connection, two)
            if source_user is None and clone_user is None:
                continue
            if orphan is not None and clone_user is None:
                _require_nobodys(connection, two, orphan, database)
            # Read in any case: what can't be passed on is found here.
            wanted, present = _in_database(connection, two, source_user, clone_user)
            _require_owner(connection, database, makes_user=clone_user is None, roles=wanted.roles ^ present.roles)


def sync(connection: Connection, pair: Pair) -> Account:
    """Make the second user if it is missing, give the clone what the source has, and mark the two as a pair.

    Raises:
        PermissionRefused: the admin may not.
        ServiceFailed: the clone has not what the source has, in the end.
    """
    two = _roles(connection, pair)
    if not two.source.contained:
        two = _sync_login(connection, two)
    for database in _databases(connection, two.source):
        with connection.use(database):
            two = _sync_user(connection, two)
    if two.clone is None:
        raise ServiceFailed(f"{connection.where}: the clone '{two.clone_name}' was not made", "see the server's log")
    _mark(connection, two.source, two.clone)
    return (two.clone if pair.current_is_source else two.source).account


def derived_sid(source: bytes, clone_name: str) -> bytes:
    """A clone's SID: the same on every server that has the source's, so that replicas agree on who owns what."""
    return hashlib.sha256(b"rotators" + source + clone_name.encode()).digest()[:16]


def statements(
    wanted: set[Permission], present: set[Permission], grantee: str, *, again: bool = False
) -> Iterator[str]:
    """What brings a grantee from what it has to what it should have: what it keeps or gets first, what goes last.

    A column has a row of its own where it differs from its table, and a statement on the table may end that
    (https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-database-permissions-transact-sql):
    so a permission's table comes first and its columns after it, all of them again. A permission that is narrowed to
    columns is granted on them, revoked from the table, and granted on them again.

    Args:
        wanted: what should be there.
        present: what is there.
        grantee: whose it is.
        again: what is left by a first time: columns that the statement on their table did not clear.
    """
    to, has = _units(wanted), _units(present)
    for unit in sorted(to):
        yield from _bring(unit, to[unit], has.get(unit, {}), grantee, again=again)
    for unit in sorted(has.keys() - to.keys()):
        for column in sorted(has[unit]):
            yield _statement("REVOKE", unit, column, grantee)


def _units(rights: set[Permission]) -> dict[tuple[str, str], dict[str, str]]:
    """States by column (the empty one is the whole), by permission and securable."""
    units: dict[tuple[str, str], dict[str, str]] = {}
    for right in rights:
        units.setdefault((right.permission, right.on), {})[right.column] = right.state
    return units


def _bring(
    unit: tuple[str, str], to: dict[str, str], has: dict[str, str], grantee: str, *, again: bool
) -> Iterator[str]:
    columns = [column for column in sorted(to) if column]
    stale = [column for column in sorted(has) if column and column not in to]
    if "" not in to and "" in has:
        for anew in _ROUNDS:
            for column in columns:
                yield from _set(unit, column, to[column], None, grantee)
            if not anew:
                yield _statement("REVOKE", unit, "", grantee)
        return
    if to.get("") != has.get("") or (stale and "" in to and not again):
        yield from _set(unit, "", to[""], has.get(""), grantee)
        for column in columns:
            yield from _set(unit, column, to[column], None, grantee)
        return
    for column in columns:
        if to[column] != has.get(column):
            yield from _set(unit, column, to[column], has.get(column), grantee)
    for column in stale:
        yield _statement("REVOKE", unit, column, grantee)


def _set(unit: tuple[str, str], column: str, state: str, before: str | None, grantee: str) -> Iterator[str]:
    if state == "D":
        yield _statement("DENY", unit, column, grantee)
    elif state == "R":
        yield _statement("REVOKE", unit, column, grantee)
    elif state == "G" and before == "W":
        yield _statement("REVOKE GRANT OPTION FOR", unit, column, grantee)
    else:
        yield _statement("GRANT", unit, column, grantee) + (" WITH GRANT OPTION" if state == "W" else "")


def _statement(verb: str, unit: tuple[str, str], column: str, grantee: str) -> str:
    """https://learn.microsoft.com/sql/t-sql/statements/grant-transact-sql and its like for DENY and REVOKE."""
    toward = "FROM" if verb.startswith("REVOKE") else "TO"
    words = (verb, *unit, column, toward, name(grantee), "" if verb == "GRANT" else "CASCADE")
    return " ".join(filter(None, words))


def _second(connection: Connection, current_login: Login, other_name: str) -> Login | None:
    named = catalog.find_named(connection, other_name)
    if any(one.contained != current_login.contained for one in named):
        raise UserPairMismatch(
            f"of {current_login.account} and '{other_name}' at {connection.host} one is a login and the other a "
            "contained user",
            "rename the one that is somebody else's",
        )
    return named[0] if named else None


def _is_source(current_login: Login, other_login: Login) -> bool:
    """Whether the one that logged in is the source: by the SID that marks a clone, else by the names."""
    if current_login.sid == derived_sid(other_login.sid, current_login.name):
        return False
    return other_login.sid == derived_sid(current_login.sid, other_login.name) or not current_login.name.endswith(
        CLONE_SUFFIX
    )


def _relation(
    connection: Connection, current_login: Login, other_login: Login, *, current_is_source: bool
) -> tuple[Relation, str]:
    # A SID that was derived proves that the other was made for this one. The other way round it proves nothing: from
    # SQL Server 2022 on, whoever has CREATE LOGIN, and no more, may make a login of any SID.
    if _is_marked(connection, current_login, other_login) or other_login.sid == derived_sid(
        current_login.sid, other_login.name
    ):
        return Relation.MARKED, ""
    current_powers, other_powers, unseen = powers.compare(connection, current_login, other_login)
    beyond = other_powers.beyond(current_powers)
    if beyond:
        return Relation.MORE_POWERFUL, f"it {beyond[0].what} in {beyond[0].where}"
    if unseen:
        return Relation.UNRELATED, f"what it may do in the database '{unseen[0]}' can't be seen"
    lost = [] if current_is_source else current_powers.beyond(other_powers)
    if lost:
        return (
            Relation.UNRELATED,
            f"{current_login.account} would lose what it has: it {lost[0].what} in {lost[0].where}",
        )
    return Relation.RELATED, ""


def _is_marked(connection: Connection, one: Login, other: Login) -> bool:
    read = catalog.rights if one.contained else catalog.server_rights
    return powers.mark(other.name, contained=other.contained) in read(connection, [one.principal])[one.principal]


def _mark(connection: Connection, source: Login, clone: Login) -> None:
    for one, other in ((source, clone), (clone, source)):
        if _is_marked(connection, one, other):
            continue
        statement = f"{powers.mark(other.name, contained=other.contained)} TO {name(one.name)}"
        if one.contained:
            with connection.as_owner():
                connection.execute(statement)
        else:
            # https://learn.microsoft.com/sql/t-sql/statements/grant-server-permissions-transact-sql: in master only.
            with connection.use("master"):
                connection.execute(statement)


def _roles(connection: Connection, pair: Pair) -> _Roles:
    current_login = passwords.require_settable(connection, pair.current)
    other_login = None if pair.other is None else passwords.require_settable(connection, pair.other)
    if other_login is None or pair.current_is_source:
        return _Roles(current_login, other_login, pair.other_name if other_login is None else other_login.name)
    return _Roles(other_login, current_login, current_login.name)


def _databases(connection: Connection, source: Login) -> Iterator[str]:
    if source.contained:
        yield connection.database
        return
    for database in catalog.databases(connection):
        if database.obstacle:
            logger.info("a database is passed over", database=database.name, reason=database.obstacle)
        else:
            yield database.name


def _on_server(connection: Connection, two: _Roles) -> tuple[_Has, _Has]:
    """What the source has on the server, and the clone."""
    source, clone = two.source, two.clone
    memberships = catalog.server_roles(connection)
    ids = [login.principal for login in (source, clone) if login is not None]
    rights = catalog.server_rights(connection, ids)
    ignored = set() if clone is None else powers.marks((source, clone))
    # CREATE LOGIN gives it.
    has = _Has(frozenset(), frozenset(_CONNECT))
    if clone is not None:
        has = _Has(frozenset(memberships.direct(clone.principal)), frozenset(rights[clone.principal] - ignored))
    return (
        _Has(
            frozenset(memberships.direct(source.principal)),
            frozenset(_without(rights[source.principal] - ignored, f"ON LOGIN::{name(two.clone_name)}")),
        ),
        has,
    )


def _without(rights: set[Permission], on: str) -> set[Permission]:
    """All except those on one securable: a user can't be granted anything on itself."""
    return {right for right in rights if right.on != on}


def _require_server_rights(connection: Connection, wanted: _Has, present: _Has) -> None:
    """Require that the admin can pass on what the source has on the server.

    Only a member of a fixed role can add members to it; to another role, a user who may alter it:
    https://learn.microsoft.com/sql/t-sql/statements/alter-server-role-transact-sql#permissions
    """
    roles = wanted.roles ^ present.roles
    rights = {right for right in wanted.rights - present.rights if not right.on.startswith("ON LOGIN::")}
    if not (roles or rights):
        return
    admin = catalog.find(connection, catalog.whoami(connection))
    principal = 0 if admin is None else admin.principal
    own = catalog.server_roles(connection).all(principal)
    if "sysadmin" in {one.name for one in own}:
        return
    lacking = list(_roles_lacking(connection, roles, own))
    if rights and not catalog.may(connection, "CONTROL SERVER"):
        its = catalog.server_rights(connection, [principal])[principal]
        lacking += _rights_lacking(connection, rights, its)
    if lacking:
        raise PermissionRefused(
            f"the admin '{connection.user}' at {connection.host} can't pass on all that the user may do",
            f"as a sysadmin, run: {'; '.join(lacking)}",
        )


def _roles_lacking(connection: Connection, roles: frozenset[Membership], own: set[Membership]) -> Iterator[str]:
    """What would let the admin change who is in these roles."""
    admin = name(connection.user)
    for role in sorted(roles, key=lambda one: one.name):
        if role.fixed and role not in own:
            yield f"ALTER SERVER ROLE {name(role.name)} ADD MEMBER {admin}"
        elif not role.fixed and not catalog.may_alter_role(connection, role.name):
            yield f"GRANT ALTER ON SERVER ROLE::{name(role.name)} TO {admin}"


def _rights_lacking(connection: Connection, rights: set[Permission], own: set[Permission]) -> Iterator[str]:
    """What would let the admin pass these on."""
    passed_on = {right.key for right in own if right.state == "W"}
    for right in sorted(rights):
        if right.key not in passed_on:
            words = ("GRANT", right.permission, right.on, "TO", name(connection.user), "WITH GRANT OPTION")
            yield " ".join(filter(None, words))


def _require_owner(connection: Connection, database: str, *, makes_user: bool, roles: frozenset[Membership]) -> None:
    """Require that the admin may manage the users of the current database.

    In a system database, where RDS's admin is no owner, it needs what it uses, and no more.
    """
    if catalog.may(connection, "CONTROL", here=True):
        return
    admin = name(connection.user)
    lacking = [f"ALTER ROLE db_owner ADD MEMBER {admin}"]
    if database.lower() in _SYSTEM:
        may_make = not makes_user or catalog.may(connection, "ALTER ANY USER", here=True)
        lacking = [] if may_make else [f"GRANT ALTER ANY USER TO {admin}"]
        lacking += [
            f"GRANT ALTER ON ROLE::{name(role.name)} TO {admin}"
            for role in sorted(roles, key=lambda one: one.name)
            if not catalog.may_alter_role(connection, role.name, here=True)
        ]
    if lacking:
        raise PermissionRefused(
            f"the admin '{connection.user}' at {connection.host} may not manage the users of '{database}'",
            f"run: USE {name(database)}; {'; '.join(lacking)}",
        )


def _require_nobodys(connection: Connection, two: _Roles, orphan: DatabaseUser, database: str) -> None:
    """Require that a user that only bears the clone's name is one that lost its login, and owns nothing."""
    if not (two.source.contained or orphan.contained):
        [(owner,)] = connection.execute(f"SELECT SUSER_SNAME({binary(orphan.sid)})")
        if owner is None and not catalog.owned(connection, [orphan.principal]):
            return
    raise UserPairMismatch(
        f"'{orphan.name}' in the database '{database}' at {connection.host} is somebody else's user",
        "rename it, or drop it if nobody needs it",
    )


@contextmanager
def _changing(connection: Connection) -> Iterator[None]:
    """Change a database's users without firing a trigger as the admin.

    Raises:
        PermissionRefused: there is a trigger, and the admin may not be the database's owner.
    """
    if catalog.may(connection, "CONTROL", here=True):
        with connection.as_owner():
            yield
        return
    if catalog.has_triggers(connection):
        raise PermissionRefused(
            f"{connection.where}: a system database has a DDL trigger, which would run with the admin's rights",
            "disable it, or have the admin own the database",
        )
    yield


def _sync_login(connection: Connection, two: _Roles) -> _Roles:
    source = two.source
    options = (
        f"DEFAULT_DATABASE = {name(source.default_database or 'master')}, "
        f"DEFAULT_LANGUAGE = {name(source.default_language or 'us_english')}, "
        f"CHECK_POLICY = {_on_off(source.policy)}, CHECK_EXPIRATION = {_on_off(source.expiration)}"
    )
    clone = two.clone
    if clone is None:
        sid = binary(two.clone_sid)
        connection.execute(
            f"CREATE LOGIN {name(two.clone_name)} WITH PASSWORD = {text(placeholder_password())}, "
            f"SID = {sid}, {options}"
        )
        clone = catalog.find_login(connection, f"p.sid = {sid}")
        if clone is None:
            raise ServiceFailed(f"{connection.where}: the login '{two.clone_name}' is gone", "see who drops it")
        two = _Roles(source, clone, clone.name)
    elif _attributes(clone) != _attributes(source):
        connection.execute(f"ALTER LOGIN {name(clone.name)} WITH {options}")
    for again in _ROUNDS:
        wanted, present = _on_server(connection, two)
        if wanted == present:
            return two
        for verb, roles in (("ADD", wanted.roles - present.roles), ("DROP", present.roles - wanted.roles)):
            for role in sorted(roles, key=lambda one: one.name):
                connection.execute(f"ALTER SERVER ROLE {name(role.name)} {verb} MEMBER {name(clone.name)}")
        plan = list(statements(set(wanted.rights), set(present.rights), clone.name, again=again))
        if plan:
            with connection.use("master"):
                for statement in plan:
                    connection.execute(statement)
        _tell(clone, wanted, present, "the server")
    _require_equal(connection, *_on_server(connection, two), "the server")
    return two


def _sync_user(connection: Connection, two: _Roles) -> _Roles:
    """Synchronize the pair in the current database; gives the pair back, with a contained clone that was made."""
    source_user, clone_user, orphan = _users(connection, two)
    if source_user is None and clone_user is None:
        return two
    if clone_user is not None and clone_user.name == DBO:
        _add_to_owners(connection, source_user)
        return two
    schema = source_user.default_schema if source_user else None
    if clone_user is None or (schema is not None and clone_user.default_schema != schema):
        with _changing(connection):
            if orphan is not None and clone_user is None:
                connection.execute(f"ALTER USER {name(orphan.name)} WITH LOGIN = {name(two.clone_name)}")
            elif clone_user is None:
                connection.execute(_create_user(two, schema))
            if schema is not None and (clone_user is not None or orphan is not None):
                called = name((clone_user or orphan).name)  # type: ignore[union-attr]
                connection.execute(f"ALTER USER {called} WITH DEFAULT_SCHEMA = {name(schema)}")
        if two.clone is None:
            two = _Roles(two.source, _made(connection, two.clone_name), two.clone_name)
        source_user, clone_user, _ = _users(connection, two)
        if clone_user is None:
            raise ServiceFailed(f"{connection.where}: the user '{two.clone_name}' is gone", "see who drops it")
    _sync(connection, two, source_user, clone_user)
    return two


def _made(connection: Connection, clone_name: str) -> Login:
    found = catalog.find_contained(connection, f"u.name = {text(clone_name)}")
    if found is None:
        raise ServiceFailed(f"{connection.where}: the user '{clone_name}' is gone", "see who drops it")
    return found


def _add_to_owners(connection: Connection, source_user: DatabaseUser | None) -> None:
    """Make the source a member of db_owner where the clone owns the database."""
    if source_user is None or "db_owner" in {one.name for one in catalog.roles(connection).all(source_user.principal)}:
        return
    with _changing(connection):
        connection.execute(f"ALTER ROLE [db_owner] ADD MEMBER {name(source_user.name)}")


def _sync(connection: Connection, two: _Roles, source_user: DatabaseUser | None, clone_user: DatabaseUser) -> None:
    for again in _ROUNDS:
        wanted, present = _in_database(connection, two, source_user, clone_user)
        plan = [
            f"ALTER ROLE {name(role.name)} {verb} MEMBER {name(clone_user.name)}"
            for verb, roles in (("ADD", wanted.roles - present.roles), ("DROP", present.roles - wanted.roles))
            for role in sorted(roles, key=lambda one: one.name)
        ]
        plan += statements(set(wanted.rights), set(present.rights), clone_user.name, again=again)
        plan += [] if source_user is None else _given_back(connection, source_user, clone_user)
        if not plan:
            return
        with _changing(connection):
            for statement in plan:
                connection.execute(statement)
        _tell(clone_user, wanted, present, connection.user)
    _require_equal(connection, *_in_database(connection, two, source_user, clone_user), f"the user '{clone_user.name}'")


def _given_back(connection: Connection, source_user: DatabaseUser, clone_user: DatabaseUser) -> list[str]:
    """What gives the source control of what the clone owns."""
    if source_user.name == DBO:
        return []
    owned = catalog.owned(connection, [clone_user.principal])[clone_user.principal]
    has = {right.on for right in catalog.rights(connection, [source_user.principal])[source_user.principal]
           if right.permission == "CONTROL" and right.state in {"G", "W"}}  # fmt: skip
    return [f"GRANT CONTROL {on} TO {name(source_user.name)}" for on in sorted(owned - has)]


def _users(connection: Connection, two: _Roles) -> tuple[DatabaseUser | None, DatabaseUser | None, DatabaseUser | None]:
    """Who the two are in the current database, where a login may have another name; and one that only bears the name.

    That last one's login is gone: the database was restored here, or it is another user's.
    """
    source, clone = two.source.sid, two.clone_sid
    found = catalog.users(connection, [source, clone], two.clone_name)
    if two.source.contained and two.clone is None:
        clone = b""
    source_user = next((user for user in found if user.sid == source), None)
    clone_user = next((user for user in found if user.sid == clone), None)
    orphan = next((user for user in found if user.sid not in {source, clone}), None)
    return source_user, clone_user, orphan


def _create_user(two: _Roles, default_schema: str | None) -> str:
    schema = f"DEFAULT_SCHEMA = {name(default_schema)}" if default_schema else ""
    called = name(two.clone_name)
    if not two.source.contained:
        return f"CREATE USER {called} FOR LOGIN {called}" + (f" WITH {schema}" if schema else "")
    options = [f"PASSWORD = {text(placeholder_password())}", schema]
    if two.source.default_language:
        options.append(f"DEFAULT_LANGUAGE = {name(two.source.default_language)}")
    return f"CREATE USER {called} WITH {', '.join(filter(None, options))}"


def _in_database(
    connection: Connection, two: _Roles, source_user: DatabaseUser | None, clone_user: DatabaseUser | None
) -> tuple[_Has, _Has]:
    """What the clone should have in the current database, and what it has."""
    ids = [user.principal for user in (source_user, clone_user) if user is not None]
    memberships = catalog.roles(connection)
    rights, owned = catalog.rights(connection, ids), catalog.owned(connection, ids)
    ignored = set() if two.clone is None else powers.marks((two.source, two.clone))
    its = set() if clone_user is None else owned.get(clone_user.principal, set())
    present = _Has(frozenset(), frozenset())
    if clone_user is not None:
        direct = frozenset(memberships.direct(clone_user.principal))
        present = _Has(direct, frozenset(rights[clone_user.principal] - ignored))
    if source_user is None:
        return _Has(frozenset(), frozenset()), present
    if source_user.name == DBO:
        # There is one owner of a database. Its equal is a member of this role.
        owners = {one for one in memberships.direct(source_user.principal) | present.roles if one.name == "db_owner"}
        return _Has(frozenset(owners or {Membership(0, "db_owner", fixed=True)}), frozenset(_CONNECT_HERE)), present
    wanted = rights[source_user.principal] - ignored
    held = {right.on for right in wanted if right.permission == "CONTROL" and not right.column}
    wanted |= {
        Permission("CONTROL", on)
        for on in owned.get(source_user.principal, set())
        if on.startswith(_OWNABLE) and on not in held
    }
    # A user can't be granted rights on what it owns, nor on itself.
    self_on = f"ON USER::{name(clone_user.name if clone_user else two.clone_name)}"
    wanted = {right for right in _without(wanted, self_on) if right.on not in its}
    return _Has(frozenset(memberships.direct(source_user.principal)), frozenset(wanted)), present


_CONNECT_HERE = {Permission("CONNECT", "")}


def _tell(clone: Login | DatabaseUser, wanted: _Has, present: _Has, where: str) -> None:
    """Log what only the clone had, and has lost."""
    kept = {right.key for right in wanted.rights}
    for role in sorted(present.roles - wanted.roles, key=lambda one: one.name):
        logger.warning("the clone lost a role that its source has not", user=clone.name, role=role.name, place=where)
    for right in sorted(present.rights):
        if right.state in {"G", "W"} and right.key not in kept:
            logger.warning("the clone lost a right that its source has not", user=clone.name, right=str(right))


def _require_equal(connection: Connection, wanted: _Has, present: _Has, where: str) -> None:
    """Require that the two may do the same, in the end."""
    if wanted == present:
        return
    roles = {one.name for one in wanted.roles} ^ {one.name for one in present.roles}
    differs = sorted(roles) + sorted(map(str, wanted.rights ^ present.rights))
    raise ServiceFailed(
        f"{connection.where}: of {where}, the clone has not what its source has: {', '.join(differs[:3])}",
        "see who granted it, and as whom: what another login granted, that one revokes",
    )


def _attributes(login: Login) -> tuple[object, ...]:
    return login.default_database, login.default_language, login.policy, login.expiration


def _on_off(value: bool) -> str:  # noqa: FBT001  # the one thing it is about
    return "ON" if value else "OFF"
