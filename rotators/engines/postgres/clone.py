"""How an admin gives one role exactly what another one has, on PostgreSQL 12 to 18.

The clone of the pair is a member of the source, and its sessions *are* the source
(``ALTER ROLE app_clone SET role = 'app'``): what either creates belongs to the source, what is granted to or revoked
from the source holds for both at once, and a pooler's DISCARD ALL changes nothing about that.

What proves a pair is the membership of the clone in the source, if the admin or a superuser granted it: before
PostgreSQL 15 a role may grant membership in itself, and on any version a role's owner may make others members of it.

The admin is what RDS gives: CREATEROLE, no superuser, and from version 16 on only over roles that it has the
ADMIN option on (https://www.postgresql.org/docs/16/release-16.html, "CREATEROLE").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import sql

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.identity import Account, Pair, Relation
from rotators.engines.postgres.acting import acting_as
from rotators.engines.postgres.ownership import hand_over
from rotators.engines.postgres.roles import (
    FLAGS,
    MEMBERSHIP_OPTIONS,
    Membership,
    Role,
    Settings,
    by_name,
    by_oid,
    by_oid_and_name,
    by_oids,
    execute_advised,
    memberships,
    require_admin,
    require_password_role,
    setting_statements,
    settings,
)
from rotators.errors import ServiceFailed, UserNotRotatable, UserPairMismatch
from rotators.logs import logger

if TYPE_CHECKING:
    from rotators.engines.libpq.connection import LibpqConnection

_MARK = "rotators: the second user of {}"
# Minor versions that do not apply ALTER ROLE … SET role at login, and the ones that do again: CVE-2024-10978's fix.
# https://www.postgresql.org/docs/release/17.2/
_ROLE_SETTING_IGNORED = {
    120021: "12.22",
    130017: "13.18",
    140014: "14.15",
    150009: "15.10",
    160005: "16.6",
    170001: "17.2",
}


@dataclass(frozen=True)
class _Roles:
    """The two roles of a pair; ``clone`` may have to be made yet."""

    source: Role
    clone_name: str
    clone: Role | None


def inspect(
    connection: LibpqConnection, current: Account, other_name: str, as_account: Callable[[Role], Account]
) -> Pair:
    """Look at the two roles, without a change.

    Args:
        connection: the admin's.
        current: the role that logged in.
        other_name: the second user's name.
        as_account: makes an account of a role.

    Raises:
        UserNotRotatable: one of the two is a superuser, may not log in, or logs in by IAM.
    """
    own, found = by_oid_and_name(connection, int(str(current.key)), other_name)
    current_role = _usable(connection, own, current.name)
    if found is None:
        return Pair(current, other_name, None, current_is_source=True, relation=Relation.ABSENT)
    other = _usable(connection, found, other_name)
    base, clone = (other, current_role) if current_role.name.endswith(CLONE_SUFFIX) else (current_role, other)
    account = as_account(other)
    # The role without _clone is the source, unless a rotation made it as the clone of the other.
    if _is_marked(base, clone) and _proofs(connection, clone, base):
        return Pair(
            current, other_name, account, current_is_source=current_role.oid == clone.oid, relation=Relation.MARKED
        )
    is_source = current_role.oid == base.oid
    if not _proofs(connection, base, clone):
        return Pair(
            current,
            other_name,
            account,
            current_is_source=is_source,
            relation=Relation.UNRELATED,
            reason=_why_unrelated(connection, base, clone),
            remedy=_remedy(connection, base, clone),
        )
    surplus = "" if _is_marked(clone, base) else _surplus(connection, base, clone)
    if surplus:
        return Pair(
            current,
            other_name,
            account,
            current_is_source=is_source,
            relation=Relation.MORE_POWERFUL,
            reason=surplus,
            remedy=connection.quote(_mark(clone.name, base.name)),
        )
    return Pair(current, other_name, account, current_is_source=is_source, relation=Relation.MARKED)


def check(connection: LibpqConnection, pair: Pair) -> None:
    """Do all that :func:`sync` will do, and roll it back.

    Raises:
        PermissionRefused: the admin lacks a right; the text has the statement that would give it.
        UserNotRotatable: this minor version of the server can't have two equal users.
    """
    if connection.exact_version in _ROLE_SETTING_IGNORED:
        raise UserNotRotatable(
            f"PostgreSQL at {connection.host} has a minor version that ignores ALTER ROLE … SET role at login",
            f"upgrade to {_ROLE_SETTING_IGNORED[connection.exact_version]} or newer, or rotate a single user: the "
            "second user would have other rights than the first",
        )
    roles = _roles(connection, pair)
    with connection.rolled_back():
        clone = _sync(connection, roles)
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD NULL").format(sql.Identifier(pair.other_name)))
    if roles.clone is not None:
        # The hand-over can be rehearsed only where the membership exists already.
        hand_over(connection, roles.source, clone, adopting=_is_new_to_us(connection, roles), dry_run=True)


def sync(connection: LibpqConnection, pair: Pair) -> Role:
    """Make the clone if it is missing, and give it exactly what the source has.

    Returns:
        the second user's role.

    Raises:
        PermissionRefused: the admin lacks a right; the text has the statement that would give it.
        ServiceFailed: the two are not equal although all was done.
    """
    roles = _roles(connection, pair)
    adopting = roles.clone is not None and _is_new_to_us(connection, roles)
    with connection.transaction():
        clone = _sync(connection, roles)
    if roles.clone is not None:
        hand_over(connection, roles.source, clone, adopting=adopting)
    # The mark comes last: an attempt after an interruption adopts the clone once more.
    if not _is_marked(clone, roles.source):
        with connection.transaction():
            connection.execute(_mark(clone.name, roles.source.name, clone.comment))
    _require_equal(connection, roles.source, clone)
    return clone if pair.current_is_source else roles.source


def _roles(connection: LibpqConnection, pair: Pair) -> _Roles:
    current_oid = int(str(pair.current.key))
    if pair.other is None:
        current_role = _usable(connection, by_oid(connection, current_oid), pair.current.name)
        return _Roles(current_role, pair.other_name, None)
    own, second = by_oids(connection, current_oid, int(str(pair.other.key)))
    current_role, other = _usable(connection, own, pair.current.name), _usable(connection, second, pair.other_name)
    return (
        _Roles(current_role, other.name, other)
        if pair.current_is_source
        else _Roles(other, current_role.name, current_role)
    )


def _usable(connection: LibpqConnection, role: Role | None, name: str) -> Role:
    found = require_password_role(connection, role, name)
    if found.superuser:
        raise UserNotRotatable(
            f"the role '{found.name}' at {connection.host} is a superuser",
            "alternating users are for applications: rotate this one as a single user",
        )
    return found


def _sync(connection: LibpqConnection, roles: _Roles) -> Role:
    """Inside the caller's transaction."""
    source, name = roles.source, sql.Identifier(roles.clone_name)
    require_admin(connection, [source, *([roles.clone] if roles.clone else [])])
    clone = roles.clone
    if clone is None:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
        clone = by_name(connection, roles.clone_name)
    if clone is None:
        raise UserPairMismatch(f"the role '{roles.clone_name}' was renamed meanwhile", "the rotation will be repeated")
    held = memberships(connection, clone.oid)
    _join(connection, source, clone, [one for one in held if one.group == source.oid])
    _leave_others(connection, clone, [one for one in held if one.group != source.oid])
    # A statement that a superuser has to run for the admin needs the clone: so it makes that first.
    first = None if roles.clone else _by_hand(connection, source, name)
    for change in _attributes(source, clone, connection.version):
        execute_advised(connection, sql.SQL("ALTER ROLE {} {}").format(name, change), first)
    if changes := list(setting_statements(*_wanted_settings(connection, source, clone))):
        # Older minor versions let a user write a setting "role" only if it may switch to that role.
        with acting_as(connection, [source]):
            for change in changes:
                execute_advised(connection, sql.SQL("ALTER ROLE {} {}").format(name, change), first)
    return clone


def _join(connection: LibpqConnection, source: Role, clone: Role, held: list[Membership]) -> None:
    """Make the clone a member of the source that may SET ROLE to it."""
    if connection.version < MEMBERSHIP_OPTIONS:
        if not held:
            connection.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(source.name), sql.Identifier(clone.name))
            )
    elif not any(one.inherit and one.can_set for one in held):
        connection.execute(
            sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET TRUE").format(
                sql.Identifier(source.name), sql.Identifier(clone.name)
            )
        )


def _leave_others(connection: LibpqConnection, clone: Role, others: list[Membership]) -> None:
    """Take the clone out of every other role: through the source it is in those that the source is in."""
    for one in others:
        granted_by: sql.Composable = sql.SQL("")
        if connection.version >= MEMBERSHIP_OPTIONS and one.grantor_name:
            granted_by = sql.SQL(" GRANTED BY {}").format(sql.Identifier(one.grantor_name))
        execute_advised(
            connection,
            sql.SQL("REVOKE {} FROM {}{}").format(
                sql.Identifier(one.group_name), sql.Identifier(clone.name), granted_by
            ),
        )
        logger.warning("the second user is no member of a role itself any more", role=one.group_name)


def _attributes(source: Role, clone: Role, version: int) -> Iterator[sql.Composable]:
    for column, word in FLAGS.items():
        wanted = source.flags[column]
        if column == "rolinherit" and version < MEMBERSHIP_OPTIONS:
            # Otherwise the clone has none of the source's rights until it acts as the source: not even CONNECT.
            wanted = True
        if wanted != clone.flags[column]:
            yield sql.SQL(word if wanted else f"NO{word}")
    if source.connection_limit != clone.connection_limit:
        yield sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(source.connection_limit))
    if source.valid_until != clone.valid_until:
        yield sql.SQL("VALID UNTIL {}").format(sql.Literal(source.valid_until))


def _wanted_settings(connection: LibpqConnection, source: Role, clone: Role) -> tuple[Settings, Settings]:
    of_source, of_clone, of_everyone = settings(connection, source, clone)
    wanted = {key: value for key, value in of_source.items() if key[1] != "role"}
    # The source may itself play a third role, by its own setting or by its database's: then so does the clone.
    own, defaults = (
        {database: value for (database, name), value in found.items() if name == "role"}
        for found in (of_source, of_everyone)
    )
    for database in {None, *own, *defaults}:
        # In the order in which the server asks: what it refuses, it passes over.
        settings_found = [own.get(database), own.get(None), defaults.get(database), defaults.get(None)]
        played = (_played(connection, source, value) for value in settings_found if value is not None)
        wanted[database, "role"] = next((role for role in played if role is not None), source.name)
    return wanted, of_clone


def _played(connection: LibpqConnection, source: Role, value: str) -> str | None:
    """The clone's setting "role" where its source has one; None if the server ignores the source's at login."""
    if value == "none":
        return source.name
    mode = "SET" if connection.version >= MEMBERSHIP_OPTIONS else "MEMBER"
    rows = connection.execute(
        sql.SQL(
            "SELECT pg_catalog.pg_has_role({}::pg_catalog.oid, r.oid, {}) FROM pg_catalog.pg_roles r "
            "WHERE r.rolname = {}"
        ).format(sql.Literal(source.oid), sql.Literal(mode), sql.Literal(value))
    )
    return value if rows == [(True,)] else None


def _require_equal(connection: LibpqConnection, source: Role, clone: Role) -> None:
    """Compare once more: what the statements were to bring about, the catalog must show."""
    source_now, clone_now = by_oids(connection, source.oid, clone.oid)
    if source_now is None or clone_now is None:
        raise ServiceFailed(f"one of '{source.name}', '{clone.name}' is gone", "the rotation will be repeated")
    differences = [
        *(connection.quote(change) for change in _attributes(source_now, clone_now, connection.version)),
        *(connection.quote(one) for one in setting_statements(*_wanted_settings(connection, source_now, clone_now))),
    ]
    if differences:
        raise ServiceFailed(
            f"'{clone.name}' at {connection.host} still differs from '{source.name}': {'; '.join(differences)}",
            "somebody changed one of them at this moment; the rotation will be repeated",
        )


def _proofs(connection: LibpqConnection, group: Role, member: Role) -> list[Membership]:
    """The memberships that show that an admin made one role the other's: granted by this admin, or by a superuser."""
    return [one for one in memberships(connection, member.oid) if one.group == group.oid and one.by_admin]


def _why_unrelated(connection: LibpqConnection, base: Role, clone: Role) -> str:
    forth = [one for one in memberships(connection, clone.oid) if one.group == base.oid]
    back = [one for one in memberships(connection, base.oid) if one.group == clone.oid]
    if forth:
        by = ", ".join(f"'{one.grantor_name}'" for one in forth)
        return f"'{clone.name}' is a member of '{base.name}' by a grant of {by}, and not of the admin's"
    if back:
        return f"'{base.name}' is a member of '{clone.name}', and not the other way round"
    return f"'{clone.name}' is no member of '{base.name}'"


def _remedy(connection: LibpqConnection, base: Role, clone: Role) -> str:
    names = {"base": sql.Identifier(base.name), "clone": sql.Identifier(clone.name)}
    held = any(one.group == base.oid for one in memberships(connection, clone.oid))
    # Before PostgreSQL 16 a membership has one grantor, and granting it again changes nothing.
    again = "REVOKE {base} FROM {clone}; " if held and connection.version < MEMBERSHIP_OPTIONS else ""
    if any(one.group == clone.oid for one in memberships(connection, base.oid)):
        # Memberships can't go round in a circle.
        again += "REVOKE {clone} FROM {base}; "
    return connection.quote(sql.SQL(again + "GRANT {base} TO {clone}").format(**names))


def _surplus(connection: LibpqConnection, source: Role, clone: Role) -> str:
    """What an unmarked clone may do that its source may not; empty if there is nothing."""
    for column, word in FLAGS.items():
        if column != "rolinherit" and clone.flags[column] and not source.flags[column]:
            return f"'{clone.name}' has {word}, which '{source.name}' has not"
    for one in memberships(connection, clone.oid):
        if one.group == source.oid:
            continue
        [(shared,)] = connection.execute(
            sql.SQL("SELECT pg_catalog.pg_has_role({}::pg_catalog.oid, {}::pg_catalog.oid, 'MEMBER')").format(
                sql.Literal(source.oid), sql.Literal(one.group)
            )
        )
        if not shared:
            return f"'{clone.name}' is a member of '{one.group_name}', and '{source.name}' is not"
    return ""


def _is_new_to_us(connection: LibpqConnection, roles: _Roles) -> bool:
    """Whether no rotation has synchronized the clone yet: its users may then rely on its own grants."""
    if roles.clone is None or _is_marked(roles.clone, roles.source):
        return False
    _, of_clone, _ = settings(connection, roles.source, roles.clone)
    return of_clone.get((None, "role")) != roles.source.name


def _is_marked(clone: Role, source: Role) -> bool:
    """Whether the clone's comment marks it as the source's: only a role's admin can write that."""
    return clone.comment.endswith(_MARK.format(source.name))


def _mark(clone: str, source: str, comment: str = "") -> sql.Composable:
    text = "\n".join(part for part in (comment, _MARK.format(source)) if part)
    return sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(clone), sql.Literal(text))


def _by_hand(connection: LibpqConnection, source: Role, clone: sql.Identifier) -> sql.Composable:
    """The statement that makes the clone, for a superuser to run before a statement about it."""
    statements = ["CREATE ROLE {clone} LOGIN", "GRANT {source} TO {clone}"]
    if connection.version >= MEMBERSHIP_OPTIONS:
        statements.append("GRANT {clone} TO {admin} WITH ADMIN OPTION")
    return sql.SQL("; ".join(statements)).format(
        clone=clone, source=sql.Identifier(source.name), admin=sql.Identifier(connection.user)
    )
