"""How an admin synchronizes one user with another: the user, then each database.

Two groups, which only a superuser can make or alter, mark a pair: the source is in the one, the clone
in the other. What the clone owns is handed over to the source, and the clone gets all privileges on what that one owns,
in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from psycopg2 import sql

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.identity import Account, Pair, Relation
from rotators.engines.libpq.connection import LibpqConnection
from rotators.engines.libpq.settings import setting_value
from rotators.engines.redshift import catalog
from rotators.engines.redshift.catalog import SCOPED, Default, RedshiftUser
from rotators.engines.redshift.passwords import verifier
from rotators.engines.rights import Right, changes
from rotators.errors import PermissionRefused, ServiceError, ServiceFailed, UserNotRotatable
from rotators.logs import logger
from rotators.passwords import placeholder_password

SOURCE, CLONE = "rotators_source", "rotators_clone"
_MARKS = {SOURCE, CLONE}
# Users of IAM and of an identity provider, who have no password here:
# https://docs.aws.amazon.com/redshift/latest/mgmt/generating-iam-credentials-steps.html
_EXTERNAL = ("IAM:", "IAMR:", "AWSIDC:")
# What CREATE USER makes.
_FRESH = {
    "CREATEDB": "NOCREATEDB",
    "VALID UNTIL": "infinity",
    "CONNECTION LIMIT": "UNLIMITED",
    "SYSLOG ACCESS": "RESTRICTED",
    "SESSION TIMEOUT": "0",
}
# Attributes that let a user do or see more, and how.
_POWERS = {"CREATEDB": "CREATEDB", "SYSLOG ACCESS": "UNRESTRICTED"}


def inspect(
    connection: LibpqConnection, current: Account, other_name: str, as_account: Callable[[RedshiftUser], Account]
) -> Pair:
    """See :meth:`rotators.engines.base.CloneAdmin.inspect_pair`.

    Args:
        connection: the admin's.
        current: the account that was proven.
        other_name: the second user's name.
        as_account: makes an account of a user.

    Raises:
        UserNotRotatable: one of the two is a superuser, or may set others' passwords, or has no password.
    """
    current_user = require_user(connection, current)
    require_application(connection, current_user)
    other_user = catalog.by_name(connection, other_name)
    if other_user is None:
        return Pair(current, other_name, None, current_is_source=True, relation=Relation.ABSENT)
    require_application(connection, other_user)
    other = as_account(other_user)
    current_groups, other_groups = (catalog.groups(connection, user.name) for user in (current_user, other_user))
    if SOURCE in current_groups and CLONE in other_groups:
        return Pair(current, other_name, other, current_is_source=True, relation=Relation.MARKED)
    if CLONE in current_groups and SOURCE in other_groups:
        return Pair(current, other_name, other, current_is_source=False, relation=Relation.MARKED)
    is_source = not current_user.name.endswith(CLONE_SUFFIX)
    relation, reason = _related(connection, current_user, other_user, is_source=is_source)
    source, clone = (current_user, other_user) if is_source else (other_user, current_user)
    remedy = "" if relation is Relation.RELATED else _remedy(connection, source, clone)
    return Pair(current, other_name, other, is_source, relation, reason, remedy)


def check(connection: LibpqConnection, pair: Pair) -> None:
    """Check whether :func:`sync` would succeed: in this database by rehearsal, in the others by reading.

    Raises:
        PermissionRefused: the admin is not a superuser.
        UserNotRotatable: one of the two has something that can't be copied.
    """
    require_admin(connection)
    source, clone = _users(connection, pair)
    name = pair.other_name if clone is None else clone.name
    _require_copied(connection, source.name, name)
    for dbname in other_databases(connection):
        with connection.connect_to(dbname) as other:
            _require_copied(other, source.name, name)
            catalog.rights(other, source.name)
    with connection.rolled_back():
        _sync(connection, source, clone, name)


def sync(connection: LibpqConnection, pair: Pair) -> RedshiftUser:
    """Make the clone if it is missing, give it what the source has, in every database, and leave the marks.

    Returns:
        the second user.

    Raises:
        PermissionRefused: the admin is not a superuser.
        ServiceFailed: the server did not do as it was told.
    """
    source, clone = _users(connection, pair)
    name = pair.other_name if clone is None else clone.name
    with connection.transaction():
        _sync(connection, source, clone, name)
    for dbname in other_databases(connection):
        with connection.connect_to(dbname) as other, other.transaction():
            _sync_database(other, source.name, name)
    _require_equal_users(connection, source, name)
    found = catalog.by_name(connection, pair.other_name)
    if found is None:
        raise ServiceFailed(
            f"the user '{pair.other_name}' at {connection.host} is gone", "the rotation will be repeated"
        )
    return found


def require_admin(connection: LibpqConnection) -> None:
    """Require that the logged-in user is a superuser, as the admin of a cluster or namespace is.

    Raises:
        PermissionRefused: it is not.
    """
    number, name = catalog.logged_in(connection)
    found = catalog.by_number(connection, number)
    if found is None or not found.superuser:
        raise PermissionRefused(
            f"the admin '{name}' at {connection.host} is no superuser",
            f"name the cluster's admin, or as it run: ALTER USER {connection.quote(sql.Identifier(name))} CREATEUSER",
        )


def require_user(connection: LibpqConnection, account: Account) -> RedshiftUser:
    """The user that an account is, who may have a password.

    Raises:
        UserNotRotatable: it is gone, or logs in by IAM.
    """
    require_password(connection, account.name)
    found = catalog.by_number(connection, int(str(account.key)))
    if found is None:
        raise UserNotRotatable(f"there is no user {account} at {connection.host}", "create it, or correct the secret")
    return found


def require_password(connection: LibpqConnection, name: str) -> None:
    """Require that a user does not belong to IAM or to an identity provider.

    Raises:
        UserNotRotatable: it is.
    """
    if name.startswith(_EXTERNAL):
        raise UserNotRotatable(
            f"'{name}' at {connection.host} logs in by IAM or an identity provider", "it has no password to rotate"
        )


def require_application(connection: LibpqConnection, user: RedshiftUser) -> None:
    """Require that a user is none who may give itself anything.

    Raises:
        UserNotRotatable: it is.
    """
    by = "superuser" if user.superuser else catalog.administers(connection, user.name)
    if by is not None:
        what = "a superuser" if user.superuser else f"an administrator ({by})"
        raise UserNotRotatable(
            f"'{user.name}' at {connection.host} is {what}",
            "an admin's password is set by itself: rotate it as a single user without an admin secret",
        )


def other_databases(connection: LibpqConnection) -> list[str]:
    """All but the one that the connection is to."""
    [(here,)] = connection.execute(sql.SQL("SELECT CURRENT_DATABASE()"))
    return [name for name in catalog.databases(connection) if name != here]


def _users(connection: LibpqConnection, pair: Pair) -> tuple[RedshiftUser, RedshiftUser | None]:
    """Source and clone as they are now; no clone where it does not exist yet."""
    source = require_user(connection, pair.source or pair.current)
    return source, None if pair.clone is None else require_user(connection, pair.clone)


def _related(
    connection: LibpqConnection, current_user: RedshiftUser, other_user: RedshiftUser, *, is_source: bool
) -> tuple[Relation, str]:
    """What the two may do in every database, where nothing is marked."""
    if surplus := _beyond(connection, other_user, current_user):
        return Relation.MORE_POWERFUL, surplus
    lack = "" if is_source else _beyond(connection, current_user, other_user)
    for dbname in other_databases(connection):
        if lack:
            break
        try:
            with connection.connect_to(dbname) as other:
                if surplus := catalog.beyond(other, other_user.name, current_user.name):
                    return Relation.MORE_POWERFUL, f"in {dbname}, {surplus}"
                lack = "" if is_source else catalog.beyond(other, current_user.name, other_user.name)
        except ServiceError as error:
            return Relation.UNRELATED, f"what it may do in the database {dbname} can't be seen: {error.what}"
    return (
        (Relation.UNRELATED, f"'{current_user.name}' may do what it may not: {lack}")
        if lack
        else (Relation.RELATED, "")
    )


def _beyond(connection: LibpqConnection, one: RedshiftUser, other: RedshiftUser) -> str:
    for word, power in _POWERS.items():
        if one.attributes[word] == power != other.attributes[word]:
            return f"it has {power}" if word == power else f"it has {word} {power}"
    if surplus := sorted(catalog.groups(connection, one.name) - catalog.groups(connection, other.name) - _MARKS):
        return f"it is in the group {surplus[0]}"
    if surplus := sorted(catalog.all_roles(connection, one.name) - catalog.all_roles(connection, other.name)):
        return f"it has the role {surplus[0]}"
    options = {right.what for right in catalog.roles(connection, other.name) if right.passed_on}
    for right in sorted(catalog.roles(connection, one.name)):
        if right.passed_on and right.what not in options:
            return f"it may grant the {right.what}"
    masks = sorted(catalog.uncopied(connection, other.name) - catalog.uncopied(connection, one.name))
    extras = sorted(catalog.uncopied(connection, one.name) - catalog.uncopied(connection, other.name))
    if extras or masks:
        return f"it has {extras[0]}" if extras else f"it lacks {masks[0]}"
    return catalog.beyond(connection, one.name, other.name)


def _remedy(connection: LibpqConnection, source: RedshiftUser, clone: RedshiftUser) -> str:
    return connection.quote(sql.SQL("; ").join(_marks(connection, source.name, clone.name)))


def _marks(connection: LibpqConnection, source: str, clone: str) -> Iterator[sql.Composable]:
    """What puts each of the two into its group, and out of the other."""
    for group, member, other in ((SOURCE, source, clone), (CLONE, clone, source)):
        held = catalog.groups(connection, member)
        if group not in held:
            verb = (
                "ALTER GROUP {} ADD USER {}" if catalog.is_group(connection, group) else "CREATE GROUP {} WITH USER {}"
            )
            yield sql.SQL(verb).format(sql.Identifier(group), sql.Identifier(member))
        if group in catalog.groups(connection, other):
            yield sql.SQL("ALTER GROUP {} DROP USER {}").format(sql.Identifier(group), sql.Identifier(other))


def _require_copied(connection: LibpqConnection, source: str, clone: str) -> None:
    of_source, of_clone = catalog.uncopied(connection, source), catalog.uncopied(connection, clone)
    if of_source != of_clone:
        whose, what = (source, of_source - of_clone) if of_source - of_clone else (clone, of_clone - of_source)
        raise UserNotRotatable(
            f"'{whose}' at {connection.host} has {min(what)}, which can't be copied from '{source}' to '{clone}'",
            "give it to a role, and the role to the user: roles are copied; or rotate this secret as a single user",
        )


def _sync(connection: LibpqConnection, source: RedshiftUser, clone: RedshiftUser | None, name: str) -> None:
    """Inside the caller's transaction: the user, this database, and the marks."""
    _sync_user(connection, source, clone, name)
    for statement in list(_marks(connection, source.name, name)):
        connection.execute(statement)
    _sync_database(connection, source.name, name)


def _sync_user(connection: LibpqConnection, source: RedshiftUser, clone: RedshiftUser | None, clone_name: str) -> None:
    """Make the clone if it is missing, and synchronize what belongs to no database: attributes, groups, roles."""
    name = sql.Identifier(clone_name)
    if clone is None:
        # Placeholder: the strategy sets the password last.
        password = sql.Literal(verifier(clone_name, placeholder_password()))
        connection.execute(sql.SQL("CREATE USER {} PASSWORD {}").format(name, password), password_of=clone_name)
        clone = RedshiftUser(0, clone_name, superuser=False, settings={}, attributes=dict(_FRESH))
    for statement in (*_attributes(source, clone), *_settings(source, clone)):
        connection.execute(sql.SQL("ALTER USER {} {}").format(name, statement))
    wanted = catalog.groups(connection, source.name) - _MARKS
    present = catalog.groups(connection, clone_name) - _MARKS
    _say(clone_name, "groups", present - wanted)
    for verb, groups in (("ADD", wanted - present), ("DROP", present - wanted)):
        for group in sorted(groups):
            text = f"ALTER GROUP {{}} {verb} USER {{}}"
            connection.execute(sql.SQL(text).format(sql.Identifier(group), name))
    of_source, of_clone = catalog.roles(connection, source.name), catalog.roles(connection, clone_name)
    _say(clone_name, "roles", {right.what for right in of_clone} - {right.what for right in of_source})
    for statement in _grants(of_source, of_clone, clone_name):
        connection.execute(statement)


def _sync_database(connection: LibpqConnection, source: str, clone: str) -> None:
    """Synchronize what was granted in the current database, and hand over what the clone owns."""
    things, _ = catalog.owned(connection, clone)
    for thing in things:
        # Quoted already, and never formatted: a name may hold braces.
        connection.execute(sql.SQL(f"ALTER {thing} OWNER TO ") + sql.Identifier(source))
    if things:
        logger.warning("what the clone owned is handed over to its source", user=clone, things=things)
    _, as_owner = catalog.owned(connection, source)
    granted, present = catalog.rights(connection, source), catalog.rights(connection, clone)
    wanted = {right.key for right in granted | as_owner}
    _say(clone, "rights", {f"{right.what} on {right.on}" for right in present if right.key not in wanted})
    for statement in _grants(granted | as_owner, present, clone):
        connection.execute(statement)
    of_source, of_clone = catalog.defaults(connection, source), catalog.defaults(connection, clone)
    expected = {_renamed(one, source, clone) for one in of_source}
    for default in sorted(of_clone - expected, key=str):
        connection.execute(_default(default, granting=False))
    for default in sorted(expected - of_clone, key=str):
        connection.execute(_default(default, granting=True))
    _require_equal(connection, granted, as_owner, clone)


def _require_equal(connection: LibpqConnection, granted: set[Right], as_owner: set[Right], clone: str) -> None:
    """Compare once more: what was granted to the source, the clone must have, and nothing beyond.

    Not every right of an owner is one that can be granted on each of its objects: these need not be there.
    """
    has = catalog.rights(connection, clone)
    missing = granted - has - as_owner
    surplus = {right.key for right in has} - {right.key for right in granted | as_owner}
    missing = {right for right in missing if (right.key, True) not in {(one.key, one.passed_on) for one in has}}
    if missing or surplus:
        raise _unequal(connection, clone)


def _require_equal_users(connection: LibpqConnection, source: RedshiftUser, clone: str) -> None:
    made = catalog.by_name(connection, clone)
    groups = [catalog.groups(connection, name) - _MARKS for name in (source.name, clone)]
    roles = [catalog.roles(connection, name) for name in (source.name, clone)]
    if (
        made is None
        or list(_attributes(source, made))
        or list(_settings(source, made))
        or groups[0] != groups[1]
        or roles[0] != roles[1]
    ):
        raise _unequal(connection, clone)


def _unequal(connection: LibpqConnection, clone: str) -> ServiceFailed:
    return ServiceFailed(
        f"'{clone}' at {connection.host} is not the equal of its source after it was made so",
        "no password was changed; the rotation will be repeated; if it fails again, compare SHOW GRANTS of both",
    )


def _say(clone: str, what: str, surplus: set[str]) -> None:
    if surplus:
        message = f"the clone had {what} that its source has not; they are revoked"
        logger.warning(message, user=clone, revoked=sorted(surplus))


def _attributes(source: RedshiftUser, clone: RedshiftUser) -> Iterator[sql.Composable]:
    for word, value in source.attributes.items():
        if clone.attributes[word] == value:
            continue
        if word == "CREATEDB":
            yield sql.SQL(value)
        elif word == "VALID UNTIL":
            yield sql.SQL("VALID UNTIL {}").format(sql.Literal(value))
        elif word == "SESSION TIMEOUT" and value == "0":
            yield sql.SQL("RESET SESSION TIMEOUT")
        else:
            yield sql.SQL(f"{word} {value}")


def _settings(source: RedshiftUser, clone: RedshiftUser) -> Iterator[sql.Composable]:
    for name in sorted(clone.settings.keys() - source.settings.keys()):
        yield sql.SQL("RESET {}").format(sql.Identifier(name))
    for name, value in sorted(source.settings.items()):
        if clone.settings.get(name) != value:
            yield sql.SQL("SET {} TO {}").format(sql.Identifier(name), setting_value(name, value))


def _grants(wanted: set[Right], present: set[Right], grantee: str) -> Iterator[sql.Composable]:
    """One statement per object: those on datashares and on databases can't share one.

    https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
    """
    for granting, right in changes(wanted, present, lambda right: right.key):
        # Scoped ones are on all that is there, and will be: SELECT FOR TABLES IN SCHEMA "s".
        on = f" {'FOR' if right.kind == SCOPED else 'ON'} {right.on}" if right.on else ""
        if granting:
            word = "ADMIN" if right.kind == "role" else "GRANT"
            option = sql.SQL(f" WITH {word} OPTION" if right.passed_on else "")
            yield sql.SQL(f"GRANT {right.what}{on} TO ") + sql.Identifier(grantee) + option
        else:
            yield sql.SQL(f"REVOKE {right.what}{on} FROM ") + sql.Identifier(grantee)


def _renamed(default: Default, source: str, clone: str) -> Default:
    """The same for the other user: what it gives, or what it gets."""
    if default.owner == source:
        return Default(clone, *_rest(default), default.grantee, default.kind, default.passed_on)
    return Default(default.owner, *_rest(default), clone, default.kind, default.passed_on)


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
