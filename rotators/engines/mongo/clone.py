"""How an admin synchronizes one user with another.

Two roles of the database ``admin`` that allow nothing mark a pair: the source has one, the clone the
other. Only who administers ``admin``, and so the whole server, can make or grant them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.identity import Account, Pair, Relation
from rotators.engines.mongo import catalog
from rotators.engines.mongo.catalog import ADMIN, MongoUser, Role
from rotators.engines.mongo.connection import ADMIN_ADVICE, Connection
from rotators.engines.mongo.errors import NotKnown
from rotators.errors import PermissionRefused, ServiceFailed, UserNotRotatable
from rotators.logs import logger
from rotators.passwords import placeholder_password

SOURCE: Role = ("rotators_source", ADMIN)
CLONE: Role = ("rotators_clone", ADMIN)
_MARKS = {SOURCE, CLONE}
_MARKING = {"createRole", "grantRole", "revokeRole"}
_USER_ACTIONS = {"createUser", "grantRole", "revokeRole", "changePassword"}


def inspect(connection: Connection, current: Account, other_name: str) -> Pair:
    """See :meth:`rotators.engines.base.CloneAdmin.inspect_pair`.

    Raises:
        UserNotRotatable: one of the two is not there, or administers the server.
    """
    database = database_of(current)
    current_user, other_user = require(connection, current), catalog.find(connection, database, other_name)
    require_application(connection, current_user)
    if other_user is None:
        return Pair(current, other_name, None, current_is_source=True, relation=Relation.ABSENT)
    require_application(connection, other_user)
    other = account_of(current.server, other_user)
    if SOURCE in current_user.roles and CLONE in other_user.roles:
        return Pair(current, other_name, other, current_is_source=True, relation=Relation.MARKED)
    if CLONE in current_user.roles and SOURCE in other_user.roles:
        return Pair(current, other_name, other, current_is_source=False, relation=Relation.MARKED)
    is_source = not current.name.endswith(CLONE_SUFFIX)
    relation, reason = _related(connection, current_user, other_user, is_source=is_source)
    source, clone = (current_user, other_user) if is_source else (other_user, current_user)
    remedy = "" if relation is Relation.RELATED else _remedy(connection, source, clone)
    return Pair(current, other_name, other, is_source, relation, reason, remedy)


def check_can_sync(connection: Connection, pair: Pair) -> None:
    """Check whether :func:`sync` would succeed, by reading.

    Raises:
        PermissionRefused: the admin may not manage users, or not grant what the source has.
        UserNotRotatable: one of the two is gone.
    """
    source = require(connection, pair.source or pair.current)
    own = catalog.own_power(connection)
    require_right(connection, own, source.database, _USER_ACTIONS)
    for database in sorted({database for _, database in source.roles - _MARKS}):
        require_right(connection, own, database, {"grantRole"})


def sync(connection: Connection, pair: Pair) -> Account:
    """Give the clone what the source has, and leave the marks. A clone that is missing gets a placeholder password.

    Raises:
        PermissionRefused: the admin may not manage users.
        ServiceFailed: the server did not do as it was told.
    """
    source = require(connection, pair.source or pair.current)
    clone = _present(connection, pair, source)
    marks = _mark(connection, source)
    wanted = (source.roles - _MARKS) | ({CLONE} if marks else frozenset())
    name = pair.other_name if clone is None else clone.name
    if clone is None:
        placeholder = placeholder_password()
        attributes = _attributes(source, None, wanted)
        connection.run(source.database, {"createUser": name, "pwd": placeholder, **attributes})
    else:
        surplus = sorted(clone.roles - wanted - _MARKS)
        if surplus:
            logger.warning("the clone had roles that its source has not; they are revoked", user=name, roles=surplus)
        attributes = _attributes(source, clone, wanted)
        connection.run(source.database, {"updateUser": name, **attributes})
    _compare(connection, source.database, name, attributes)
    return pair.other or account_of(pair.current.server, MongoUser(name, source.database, frozenset()))


def require(connection: Connection, account: Account) -> MongoUser:
    """The user that an account is.

    Raises:
        UserNotRotatable: it is gone.
    """
    found = catalog.find(connection, database_of(account), account.name)
    if found is None:
        raise UserNotRotatable(
            f"there is no user {account} of the database '{database_of(account)}' at {connection.host}",
            "create it, or correct the secret",
        )
    return found


def require_application(connection: Connection, user: MongoUser) -> None:
    """Require that a user is not one who may give itself anything.

    Raises:
        UserNotRotatable: it is.
    """
    by = catalog.power(connection, user.roles).administers
    if by is not None:
        raise UserNotRotatable(
            f"'{user.name}' at {connection.host} is an administrator ({by})",
            "an admin's password is its own to change: rotate it as a single user without an admin secret",
        )


def require_right(connection: Connection, power: catalog.Power, database: str, actions: set[str]) -> None:
    """Require that the admin may do this to the users and roles of a database, as far as the server tells.

    Raises:
        PermissionRefused: it may not.
    """
    if power.is_certain and not power.allows(database, actions):
        raise PermissionRefused(
            f"the admin '{connection.user}' at {connection.host} lacks {', '.join(sorted(actions))} on '{database}'",
            ADMIN_ADVICE.format(user=connection.user),
        )


def account_of(server: str, user: MongoUser) -> Account:
    """A user as an account of this server."""
    return Account(server, (user.database, user.name), user.name, (user.database,))


def database_of(account: Account) -> str:
    """The database that an account logs in to."""
    [database] = account.scope
    return database


def _related(
    connection: Connection, current_user: MongoUser, other_user: MongoUser, *, is_source: bool
) -> tuple[Relation, str]:
    current_power, other_power = (
        catalog.power(connection, current_user.roles),
        catalog.power(connection, other_user.roles),
    )
    if surplus := other_power.beyond(current_power):
        return Relation.MORE_POWERFUL, surplus[0]
    if current_user.restrictions != other_user.restrictions:
        return Relation.UNRELATED, "it may log in from other addresses"
    if not is_source and (lack := current_power.beyond(other_power)):
        return Relation.UNRELATED, f"unlike it, '{current_user.name}' {lack[0].removeprefix('it ')}"
    return Relation.RELATED, ""


def _remedy(connection: Connection, source: MongoUser, clone: MongoUser) -> str:
    """For the shell, in one line: roles that are missing, and who gets them."""
    commands: list[tuple[str, Mapping[str, Any]]] = [
        (ADMIN, {"createRole": name, "privileges": [], "roles": []})
        for name, _ in sorted(_MARKS)
        if not catalog.exists(connection, (name, ADMIN))
    ]
    commands += [
        (user.database, {"grantRolesToUser": user.name, "roles": catalog.documents([mark])})
        for user, mark in ((source, SOURCE), (clone, CLONE))
    ]
    return "; ".join(
        f"db.getSiblingDB({json.dumps(database)}).runCommand({json.dumps(command)})" for database, command in commands
    )


def _present(connection: Connection, pair: Pair, source: MongoUser) -> MongoUser | None:
    """The clone as it is now; None if it does not exist yet."""
    if pair.clone is None:
        # A user that was made since then is unknown: creating it again fails.
        return None
    name = pair.clone.name
    found = catalog.find(connection, source.database, name)
    if found is None:
        raise UserNotRotatable(f"the user '{name}' at {connection.host} is gone", "the rotation will be repeated")
    return found


def _mark(connection: Connection, source: MongoUser) -> bool:
    """Make the marks where they are missing, and give the source its own; False where that can't be."""
    own = catalog.own_power(connection)
    if own.is_certain and not own.allows(ADMIN, _MARKING):
        logger.info("no mark is left: the admin may not manage roles of 'admin'", user=source.name)
        return False
    try:
        _do_mark(connection, source)
    except (PermissionRefused, NotKnown) as error:
        logger.info("no mark is left", user=source.name, reason=error.what)
        return False
    return True


def _do_mark(connection: Connection, source: MongoUser) -> None:
    for name, database in sorted(_MARKS):
        if not catalog.exists(connection, (name, database)):
            connection.run(database, {"createRole": name, "privileges": [], "roles": []})
    for command, mark, due in (
        ("grantRolesToUser", SOURCE, SOURCE not in source.roles),
        ("revokeRolesFromUser", CLONE, CLONE in source.roles),
    ):
        if due:
            connection.run(source.database, {command: source.name, "roles": catalog.documents([mark])})


def _attributes(source: MongoUser, clone: MongoUser | None, roles: frozenset[Role]) -> dict[str, Any]:
    attributes = source.attributes(roles)
    if not source.custom_data and (clone is None or not clone.custom_data):
        # Not every server takes it.
        del attributes["customData"]
    if clone is not None and set(attributes.get("mechanisms", ())) >= set(clone.mechanisms):
        # One that it has not can't be added without a password.
        attributes.pop("mechanisms", None)
    if clone is not None and clone.restrictions and not source.restrictions:
        attributes["authenticationRestrictions"] = []
    return attributes


def _compare(connection: Connection, database: str, name: str, attributes: Mapping[str, Any]) -> None:
    made = catalog.find(connection, database, name)
    restrictions = tuple(attributes.get("authenticationRestrictions", ()))
    wanted = {(role["role"], role["db"]) for role in attributes["roles"]}
    if (
        made is None
        or made.roles != wanted
        or made.restrictions != restrictions
        or dict(made.custom_data) != attributes.get("customData", {})
    ):
        raise ServiceFailed(
            f"'{name}' at {connection.host} is not the equal of its source after it was made so",
            "no password was changed; the rotation will be repeated; if it fails again, compare db.getUser() of both",
        )
