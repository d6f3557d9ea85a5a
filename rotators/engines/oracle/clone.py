"""How an admin synchronizes one user with another: user, grants one by one, and a logon trigger; no password in it.

The source of a pair is the user without ``_clone``, where both exist: what is granted to it or revoked from it reaches
the clone at the next rotation. A schema belongs to its user for good, so the clone works in it: a logon trigger makes
it the current schema, and the grants let it.

That trigger is the mark of a pair as well. It lies in the admin's schema, where nobody can make one without CREATE ANY
TRIGGER (or the right to that very schema); and who has that can have the admin run what they like, for a trigger runs
with its owner's rights. So no application can make the mark: whoever could is refused as an admin.
https://docs.oracle.com/en/database/oracle/oracle-database/19/lnpls/CREATE-TRIGGER-statement.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from rotators.engines.identity import Account, Pair, Relation
from rotators.engines.oracle import catalog, passwords
from rotators.engines.oracle.catalog import OracleUser
from rotators.engines.oracle.connection import Connection
from rotators.engines.oracle.quoting import is_clone, quoted, text
from rotators.engines.rights import Right, changes
from rotators.errors import PermissionRefused, ServiceFailed, UserPairMismatch
from rotators.logs import logger
from rotators.passwords import placeholder_password

_NEEDED = {"ALTER USER", "CREATE ANY TRIGGER", "CREATE USER"}
# What lets somebody pass on anything of a kind; else each right must be held with its option.
_GRANT_ANY = {
    "role": "GRANT ANY ROLE",
    "system": "GRANT ANY PRIVILEGE",
    "object": "GRANT ANY OBJECT PRIVILEGE",
    "column": "GRANT ANY OBJECT PRIVILEGE",
    "schema": "GRANT ANY SCHEMA PRIVILEGE",
}
_LONG_NAMES_SINCE = (12, 2)
_SHORT_NAME = 30
_SYS = '"SYS".'
_COLUMN = re.compile(r' \(".*"\)')


@dataclass(frozen=True)
class _Users:
    """The two of a pair.

    Args:
        source: whose rights count.
        clone: who gets them; None if it does not exist yet.
        clone_name: what it is called, or will be.
    """

    source: OracleUser
    clone: OracleUser | None
    clone_name: str


def inspect(connection: Connection, current: Account, other_name: str) -> Pair:
    """Look at the two users of a secret.

    Raises:
        UserPairMismatch: this version takes no name of that length.
        PermissionRefused: the admin does not see enough to judge.
        UserNotRotatable: one of the two has no password of this database's, or is an admin.
    """
    if connection.version < _LONG_NAMES_SINCE and len(other_name.encode()) > _SHORT_NAME:
        raise UserPairMismatch(
            f"the other user of {current} would be '{other_name}', a name of {len(other_name.encode())} bytes",
            f"this version of Oracle takes {_SHORT_NAME}: give the secret's user a shorter name",
        )
    current_user = passwords.require_settable(connection, current)
    other_user = catalog.find_named(connection, other_name)
    if other_user is None:
        return Pair(current_user.account, other_name, None, current_is_source=True, relation=Relation.ABSENT)
    other_user = passwords.require_settable(connection, other_user.account)
    current_is_source = not is_clone(current_user.name)
    marked = _is_marked(connection, current_user, other_user)
    if not marked and _is_marked(connection, other_user, current_user):
        marked, current_is_source = True, False
    elif marked:
        current_is_source = True
    relation, reason = (
        (Relation.MARKED, "") if marked else _relation(connection, current_user, other_user, current_is_source)
    )
    two = (
        _Users(current_user, other_user, other_user.name)
        if current_is_source
        else _Users(other_user, current_user, current_user.name)
    )
    return Pair(
        current_user.account,
        other_name,
        other_user.account,
        current_is_source,
        relation,
        reason,
        _create_trigger(connection, two),
    )


def check(connection: Connection, pair: Pair) -> None:
    """Check whether :func:`sync` would succeed, by reading.

    Raises:
        PermissionRefused: the admin lacks a privilege; the text says what would give it.
        UserNotRotatable: one of the two has no password of this database's, or is an admin.
    """
    passwords.require_privileges(connection, _NEEDED)
    two = _users_of(connection, pair)
    present = set() if two.clone is None else catalog.rights(connection, two.clone_name)
    wanted = _wanted(connection, two)
    granted = {right for right in wanted if right not in present}
    revoked = {right for right in present if right.key not in {one.key for one in wanted}}
    _require_passed_on(connection, granted | revoked, two.source.name)


def sync(connection: Connection, pair: Pair) -> Account:
    """Make the second user if it is missing, give the clone what the source has, and mark the two as a pair.

    Raises:
        PermissionRefused: the admin may not.
        ServiceFailed: the clone has not what the source has, in the end.
    """
    two = _sync_user(connection, _users_of(connection, pair))
    if count := catalog.count_owned(connection, two.clone_name):
        logger.warning(
            "the clone owns objects, which are found only by its schema's name", user=two.clone_name, objects=count
        )
    wanted, present = _wanted(connection, two), catalog.rights(connection, two.clone_name)
    rds = catalog.is_rds(connection)
    for statement, values in statements(wanted, present, two.clone_name, rds=rds):
        connection.execute(statement, values)
    kept = {right.key for right in wanted}
    for right in sorted(present):
        if right.key not in kept:
            logger.warning(
                "the clone lost a right that its source has not",
                user=two.clone_name,
                right=f"{right.what} ON {right.on}" if right.on else right.what,
            )
    _sync_default_roles(connection, two.source.name, two.clone_name)
    _require_equal(connection, two, wanted)
    _sync_trigger(connection, two)
    clone = two.clone or two.source
    return (clone if pair.current_is_source else two.source).account


def trigger_of(clone_name: str) -> str:
    """The name of a clone's logon trigger, in the admin's schema: short, and the same each time."""
    return f"ROTATORS_{hashlib.sha256(clone_name.encode()).hexdigest()[:16].upper()}"


def _relation(
    connection: Connection,
    current_user: OracleUser,
    other_user: OracleUser,
    current_is_source: bool,  # noqa: FBT001  # the one thing it is about
) -> tuple[Relation, str]:
    current_powers, other_powers = (_powers(connection, user.name) for user in (current_user, other_user))
    beyond = sorted(other_powers - current_powers - _of_ones_own(current_user.name, other_powers))
    if beyond:
        return Relation.MORE_POWERFUL, f"it {beyond[0]}"
    lost = (
        []
        if current_is_source
        else sorted(current_powers - other_powers - _of_ones_own(other_user.name, current_powers))
    )
    if lost:
        return Relation.UNRELATED, f"{current_user.account} would lose what it has: it {lost[0]}"
    return Relation.RELATED, ""


def _powers(connection: Connection, user: str) -> set[str]:
    """All that a user may do, by whatever way, in words."""
    powers = set(catalog.extras(connection, user))
    for right in catalog.rights(connection, user, with_roles=True):
        plain = f"{right.what} on {right.on}" if right.on else right.what
        verb = "has the role" if right.kind == "role" else "may"
        powers.add(f"{verb} {plain}")
        if right.passed_on:
            powers.add(f"may pass on {plain}")
    return powers


def _of_ones_own(owner: str, powers: set[str]) -> set[str]:
    """The powers over a user's own schema and objects, which it has without a grant."""
    schema, inside = f" on SCHEMA {quoted(owner)}", f" on {quoted(owner)}."
    return {power for power in powers if power.endswith(schema) or inside in power}


def _is_marked(connection: Connection, source: OracleUser, clone: OracleUser) -> bool:
    """Whether the admin's trigger says that one was made for the other; it must be no older than either."""
    made = catalog.trigger_made(connection, connection.user, trigger_of(clone.name))
    return made is not None and made >= max(source.created, clone.created)


def _users_of(connection: Connection, pair: Pair) -> _Users:
    current_user = passwords.require_settable(connection, pair.current)
    other_user = None if pair.other is None else passwords.require_settable(connection, pair.other)
    if other_user is None or pair.current_is_source:
        return _Users(current_user, other_user, pair.other_name if other_user is None else other_user.name)
    return _Users(other_user, current_user, current_user.name)


def _wanted(connection: Connection, two: _Users) -> set[Right]:
    """What the clone should have."""
    its = f"{quoted(two.clone_name)}."
    # No user can be granted rights on its own objects.
    wanted = {right for right in catalog.rights(connection, two.source.name) if not right.on.startswith(its)}
    return _each_once(wanted | catalog.owned(connection, two.source.name))


def _each_once(rights: set[Right]) -> set[Right]:
    """One of each right, though several users granted it: the one with its option."""
    return set({right.key: right for right in sorted(rights)}.values())


def _require_passed_on(connection: Connection, rights: set[Right], source: str) -> None:
    """Make sure, right by right, that the admin can pass on what is to be granted, and take what is to be revoked.

    RDS's admin has no GRANT ANY PRIVILEGE and no GRANT ANY ROLE:
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Oracle.Concepts.Privileges.html
    """
    privileges = catalog.privileges(connection)
    needed = {right for right in rights if _GRANT_ANY[right.kind] not in privileges}
    needed -= {right for right in needed if right.on.startswith(f"{quoted(connection.user)}.")}
    if not needed:
        return
    rds = catalog.is_rds(connection)
    held = {right.key for right in catalog.rights(connection, connection.user, with_roles=True) if right.passed_on}
    lacking = [right for right in sorted(needed) if right.key not in held and not (rds and _of_sys(right))]
    if not lacking:
        return
    grants = "; ".join(_grant(right, connection.user, rds=False, option=True)[0] for right in lacking)
    raise PermissionRefused(
        f"the admin '{connection.user}' at {connection.host} can't pass on all that '{source}' may do",
        f"have whoever may run: {grants}"
        + (
            "; on RDS nobody else can, but for rights on SYS's objects (rdsadmin.rdsadmin_util.grant_sys_object): "
            "have the admin itself create the roles that applications need, and grant these instead"
            if rds
            else f"; or grant it {', '.join(sorted({_GRANT_ANY[right.kind] for right in lacking}))}"
        ),
    )


def _of_sys(right: Right) -> bool:
    return right.kind == "object" and right.on.startswith(_SYS)


def _sync_user(connection: Connection, two: _Users) -> _Users:
    source, clone, name = two.source, two.clone, two.clone_name
    options = (
        f"PROFILE {quoted(source.profile)} DEFAULT TABLESPACE {quoted(source.default_tablespace)} "
        f"TEMPORARY TABLESPACE {quoted(source.temporary_tablespace)}"
    )
    if clone is None:
        connection.execute(
            f"CREATE USER {quoted(name)} IDENTIFIED BY {quoted(placeholder_password())} {options}", password_of=name
        )
        clone = catalog.find_named(connection, name)
        if clone is None:
            raise ServiceFailed(f"{connection.where}: the user '{name}' is gone", "see who drops it")
    elif _attributes(clone) != _attributes(source):
        connection.execute(f"ALTER USER {quoted(name)} {options}")
    wanted, had = catalog.quotas(connection, source.name), catalog.quotas(connection, name)
    for tablespace in sorted(wanted.keys() | had.keys()):
        size = wanted.get(tablespace, 0)
        if size != had.get(tablespace, 0):
            quota = "UNLIMITED" if size < 0 else str(size)
            connection.execute(f"ALTER USER {quoted(name)} QUOTA {quota} ON {quoted(tablespace)}")
    return _Users(source, clone, name)


def _attributes(user: OracleUser) -> tuple[str, ...]:
    return user.profile, user.default_tablespace, user.temporary_tablespace


def _sync_default_roles(connection: Connection, source: str, clone: str) -> None:
    (wanted, every), (present, _) = (
        catalog.default_roles(connection, source),
        catalog.default_roles(connection, clone),
    )
    if wanted != present:
        spelled = "ALL" if wanted == every else ", ".join(map(quoted, sorted(wanted))) or "NONE"
        connection.execute(f"ALTER USER {quoted(clone)} DEFAULT ROLE {spelled}")


def _require_equal(connection: Connection, two: _Users, wanted: set[Right]) -> None:
    """Make sure that the clone has what its source has, in the end."""
    differs = sorted(wanted ^ _each_once(catalog.rights(connection, two.clone_name)))
    if differs:
        what = ", ".join(f"{right.what} ON {right.on}" if right.on else right.what for right in differs[:3])
        raise ServiceFailed(
            f"{connection.where}: '{two.clone_name}' has not what '{two.source.name}' has: {what}",
            "see who granted it: what another user granted, that one revokes",
        )


def _sync_trigger(connection: Connection, two: _Users) -> None:
    clone = two.clone
    if clone is not None and _is_marked(connection, two.source, clone):
        return
    name = trigger_of(two.clone_name)
    if catalog.trigger_made(connection, connection.user, name) is not None:
        # The trigger is older than the two: it was made for users who were dropped.
        connection.execute(f"DROP TRIGGER {quoted(connection.user)}.{quoted(name)}")
    connection.execute(_create_trigger(connection, two))


def _create_trigger(connection: Connection, two: _Users) -> str:
    # An error in the trigger would refuse the login. Ignored, it leaves the clone in its own schema.
    return (
        f"CREATE TRIGGER {quoted(connection.user)}.{quoted(trigger_of(two.clone_name))} "
        f"AFTER LOGON ON {quoted(two.clone_name)}.SCHEMA BEGIN "
        f"EXECUTE IMMEDIATE {text(f'ALTER SESSION SET CURRENT_SCHEMA = {quoted(two.source.name)}')}; "
        "EXCEPTION WHEN OTHERS THEN NULL; END;"
    )


def statements(
    wanted: set[Right], present: set[Right], grantee: str, *, rds: bool
) -> Iterator[tuple[str, list[str | bool]]]:
    """What brings a grantee from what it has to what it should have, one right in one statement.

    https://docs.oracle.com/en/database/oracle/oracle-database/19/sqlrf/REVOKE.html
    """
    for granting, right in changes(wanted, present, _unit):
        yield _grant(right, grantee, rds=rds, option=right.passed_on) if granting else _revoke(right, grantee, rds=rds)


def _unit(right: Right) -> tuple[str, str]:
    """A privilege is revoked from a table and all its columns at once."""
    return _COLUMN.sub("", right.what), right.on


def _grant(right: Right, grantee: str, *, rds: bool, option: bool) -> tuple[str, list[str | bool]]:
    if rds and _of_sys(right):
        return (
            "BEGIN rdsadmin.rdsadmin_util.grant_sys_object(:1, :2, :3, :4); END;",
            [right.on[len(_SYS) + 1 : -1], grantee, right.what, option],
        )
    on = f" ON {right.on}" if right.on else ""
    word = "GRANT" if right.kind in {"object", "column"} else "ADMIN"
    return f"GRANT {right.what}{on} TO {quoted(grantee)}" + (f" WITH {word} OPTION" if option else ""), []


def _revoke(right: Right, grantee: str, *, rds: bool) -> tuple[str, list[str | bool]]:
    if rds and _of_sys(right):
        return (
            "BEGIN rdsadmin.rdsadmin_util.revoke_sys_object(:1, :2, :3); END;",
            [right.on[len(_SYS) + 1 : -1], grantee, right.what],
        )
    on = f" ON {right.on}" if right.on else ""
    return f"REVOKE {_COLUMN.sub('', right.what)}{on} FROM {quoted(grantee)}", []
