"""How an admin synchronizes one user with another: the user and its groups on the host, what was granted in the
database, and the mark that it is a clone.

What either owns, the other gets the owner's rights on. Names are the catalog's: in upper case.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.db2 import catalog, tasks
from rotators.engines.db2.catalog import MAKE_MARK, MARK, Grants
from rotators.engines.db2.connection import Connection
from rotators.engines.db2.quoting import authid, quoted
from rotators.engines.identity import Account, Pair, Relation
from rotators.engines.rights import Right, changes
from rotators.errors import (
    PasswordRefused,
    PermissionRefused,
    ServiceError,
    ServiceFailed,
    UserNotRotatable,
    UserPairMismatch,
)
from rotators.logs import logger
from rotators.passwords import placeholder_password

_COLUMN = re.compile(r' \(".*"\)')
_ROLE = re.compile(r'ROLE "(.*)"')


def inspect(connection: Connection, current: Account, other_name: str) -> Pair:
    """See :meth:`rotators.engines.base.CloneAdmin.inspect_pair`.

    Raises:
        UserNotRotatable: one of the two administers the database.
        PermissionRefused: the admin may not run tasks.
    """
    own_id, other_id = authid(current.name), authid(other_name)
    other = catalog.account_of(connection, other_id)
    is_source = not own_id.endswith(authid(CLONE_SUFFIX))
    require_application(connection, current)
    is_known = catalog.is_known(connection, other_id)
    if is_known:
        require_application(connection, other)
        for clone, current_is_source in ((other_id, True), (own_id, False)):
            if catalog.is_marked(connection, clone):
                return Pair(current, other_name, other, current_is_source, Relation.MARKED)
    others = tasks.other_databases(connection)
    if not is_known and not _is_known_elsewhere(connection, other_id, others):
        return Pair(current, other_name, None, current_is_source=True, relation=Relation.ABSENT)
    relation, reason = _related(connection, own_id, other_id, others, is_source=is_source)
    remedy = "" if relation is Relation.RELATED else _remedy(connection, other_id if is_source else own_id)
    return Pair(current, other_name, other, is_source, relation, reason, remedy)


def require_application(connection: Connection, account: Account) -> None:
    """Require that an account does not administer the database.

    Raises:
        UserNotRotatable: it does.
    """
    if powers := catalog.authorities(connection, authid(account.name)) & catalog.ADMINISTRATIVE:
        raise UserNotRotatable(
            f"{account} at {connection.host} is an administrator ({', '.join(sorted(powers))})",
            "alternating users and repairs are for applications: let RDS manage this one's password",
        )


def require_known(connection: Connection, account: Account) -> None:
    """Require that an account has a right in the database, or is in a group.

    Raises:
        UserNotRotatable: it has not.
    """
    if not catalog.is_known(connection, authid(account.name)):
        raise UserNotRotatable(
            f"there is no user {account} with any right in '{connection.database}' at {connection.host}",
            "create it and grant it CONNECT, or correct the secret",
        )


def check_can_sync(connection: Connection, pair: Pair) -> None:
    """Check whether :func:`sync` would succeed, by reading.

    Raises:
        PermissionRefused: the admin may not grant, or may not run tasks.
        UserNotRotatable: the source has something that can't be copied.
    """
    tasks.require(connection)
    admin = catalog.account(connection)
    if not catalog.may_grant(connection, authid(admin.name)):
        raise PermissionRefused(
            f"the admin {admin} at {connection.host} may not grant rights in '{connection.database}'",
            f"connect to rdsadmin and run: CALL rdsadmin.dbadm_grant(?, '{connection.database}', 'ACCESSCTRL', "
            f"'USER {admin.name}')",
        )
    source = authid((pair.source or pair.current).name)
    clone = authid(pair.clone_name)
    if extras := catalog.uncopied(connection, source) - catalog.uncopied(connection, clone):
        raise UserNotRotatable(
            f"'{source}' at {connection.host} has {min(extras)}, which an admin of RDS can't give to '{clone}'",
            "revoke it, or rotate this secret as a single user",
        )
    _require_grantable(connection, authid(admin.name), source, clone)


def sync(connection: Connection, pair: Pair) -> Account:
    """Make the clone if it is missing, give it what the source has, and mark it. Can be repeated.

    Raises:
        PermissionRefused: the admin may not.
        UserPairMismatch: the host has a user of that name, of whom nothing is known here.
        ServiceFailed: the server did not do as it was told.
    """
    source = authid((pair.source or pair.current).name)
    clone = authid(pair.clone_name)
    wanted = catalog.groups(connection, source)
    if pair.clone is None:
        # Placeholder: the strategy sets the password last.
        placeholder = placeholder_password()
        try:
            tasks.add_user(connection, clone, placeholder, wanted)
        except PasswordRefused as error:
            raise UserPairMismatch(
                f"the user '{pair.other_name}' at {connection.host} could not be made: {error.what}",
                "if the host has one of that name, nothing shows whose it is: rename it, or remove it where an attempt "
                "left it behind without any right; else see rdsadmin.get_task_status",
            ) from None
    else:
        present = catalog.groups(connection, clone)
        _say(clone, "groups", present - wanted)
        tasks.set_groups(connection, clone, add=wanted - present, remove=present - wanted)
    _sync(connection, source, clone)
    _mark(connection, clone)
    _compare(connection, source, clone, wanted)
    return pair.other or catalog.account_of(connection, pair.other_name)


def statements(wanted: set[Right], present: set[Right], grantee: str) -> Iterator[str]:
    """What brings a grantee from what it has to what it should have, one right in one statement.

    https://www.ibm.com/docs/en/db2/11.5.x?topic=statements-grant-table-view-nickname-privileges
    """
    whom = f"USER {quoted(grantee)}"
    for granting, right in changes(wanted, present, _unit):
        on = "" if not right.on else f" OF {right.on}" if right.kind == "tablespace" else f" ON {right.on}"
        if granting:
            word = "ADMIN" if right.kind == "role" else "GRANT"
            yield f"GRANT {right.what}{on} TO {whom}" + (f" WITH {word} OPTION" if right.passed_on else "")
        else:
            restrict = " RESTRICT" if right.kind in {"routine", "sequence", "variable"} else ""
            yield f"REVOKE {_COLUMN.sub('', right.what)}{on} FROM {whom}{restrict}"


def _unit(right: Right) -> tuple[str, str]:
    """A privilege is revoked from a table and all its columns at once."""
    return _COLUMN.sub("", right.what), right.on


def _is_known_elsewhere(connection: Connection, user: str, databases: list[str]) -> bool:
    """Whether another database of the host knows a user.

    One that can't be asked is left out: the host refuses to make a user whom it has.
    """
    for database in databases:
        with contextlib.suppress(ServiceError), connection.connected_to(database) as other:
            if catalog.is_known(other, user):
                return True
    return False


def _related(
    connection: Connection, own_id: str, other_id: str, others: list[str], *, is_source: bool
) -> tuple[Relation, str]:
    """What the two may do in every database of the host, where nothing is marked."""
    if surplus := sorted(catalog.groups(connection, other_id) - catalog.groups(connection, own_id)):
        return Relation.MORE_POWERFUL, f"it is in the group {surplus[0]}"
    if not is_source and (lack := sorted(catalog.groups(connection, own_id) - catalog.groups(connection, other_id))):
        return Relation.UNRELATED, f"it is not in the group {lack[0]}, and '{own_id}' is"
    found = _compared(connection, own_id, other_id, is_source=is_source)
    for database in others:
        if found is not None:
            break
        try:
            with connection.connected_to(database) as other:
                found = _compared(other, own_id, other_id, is_source=is_source)
        except ServiceError as error:
            found = Relation.UNRELATED, f"what it may do in the database {database} can't be seen: {error.what}"
    return found or (Relation.RELATED, "")


def _compared(connection: Connection, own_id: str, other_id: str, *, is_source: bool) -> tuple[Relation, str] | None:
    if surplus := catalog.beyond(connection, other_id, own_id):
        return Relation.MORE_POWERFUL, f"in {connection.database}, {surplus}"
    if not is_source and (lack := catalog.beyond(connection, own_id, other_id)):
        return Relation.UNRELATED, f"in {connection.database}, '{own_id}' may do what it may not: {lack}"
    return None


def _remedy(connection: Connection, clone: str) -> str:
    grant = f"GRANT {MARK.what} ON {MARK.on} TO USER {quoted(clone)}"
    return grant if catalog.has_mark(connection) else f"{MAKE_MARK}; {grant}"


def _require_grantable(connection: Connection, admin: str, source: str, clone: str) -> None:
    missing = _wanted(catalog.grants(connection, source), catalog.grants(connection, clone))
    missing -= catalog.grants(connection, clone).all
    beyond = sorted(right.what for right in missing if right.what in catalog.BEYOND_ACCESSCTRL)
    authorities = catalog.authorities(connection, admin)
    if beyond and "SECADM" not in authorities:
        raise PermissionRefused(
            f"the admin '{admin}' at {connection.host} may not grant {beyond[0]}, which '{source}' has",
            f"revoke it from '{source}', or rotate this secret as a single user",
        )
    found = {right.what: right for right in missing if _ROLE.fullmatch(right.what)}
    if "SECADM" in authorities:
        return
    for what, right in sorted(found.items()):
        name = _ROLE.sub(r"\1", what).replace('""', '"')
        if name not in catalog.roles_to_pass_on(connection, admin):
            option = "Y" if right.passed_on else "N"
            raise PermissionRefused(
                f"the admin '{admin}' at {connection.host} may not grant the role {name}, which '{source}' has",
                f"connect to rdsadmin and run: CALL rdsadmin.grant_role(?, '{connection.database}', '{name}', "
                f"'USER {clone}', '{option}')",
            )


def _wanted(source: Grants, clone: Grants) -> set[Right]:
    own = {right.on for right in clone.implicit}
    return {right for right in source.all if right.on not in own or not right.on}


def _sync(connection: Connection, source: str, clone: str) -> None:
    of_source, of_clone = catalog.grants(connection, source), catalog.grants(connection, clone)
    wanted = _wanted(of_source, of_clone)
    keys = {right.key for right in wanted}
    surplus = {f"{right.what} on {right.on}" for right in of_clone.explicit if right.key not in keys}
    _say(clone, "rights", surplus)
    for statement in statements(wanted, set(of_clone.explicit), clone):
        connection.execute(statement)
    # What the clone made: the source gets the owner's rights on it, too.
    held = {right.key for right in of_source.all}
    for statement in statements({right for right in of_clone.implicit if right.key not in held}, set(), source):
        connection.execute(statement)


def _mark(connection: Connection, clone: str) -> None:
    if catalog.is_marked(connection, clone):
        return
    try:
        if not catalog.has_mark(connection):
            connection.execute(MAKE_MARK)
        connection.execute(f"GRANT {MARK.what} ON {MARK.on} TO USER {quoted(clone)}")
    except PermissionRefused as error:
        logger.info("no mark is left on the clone", user=clone, reason=error.what)


def _compare(connection: Connection, source: str, clone: str, groups: set[str]) -> None:
    of_source, of_clone = catalog.grants(connection, source), catalog.grants(connection, clone)
    wanted = _wanted(of_source, of_clone)
    if catalog.groups(connection, clone) != groups or wanted - of_clone.all or of_clone.explicit - wanted:
        raise ServiceFailed(
            f"'{clone}' at {connection.host} is not the equal of '{source}' after it was made so",
            "no password was changed; the rotation will be repeated; if it fails again, compare their rows in SYSCAT",
        )


def _say(clone: str, what: str, surplus: set[str]) -> None:
    if surplus:
        logger.warning(
            f"the clone had {what} that its source has not; they are taken", user=clone, lost=sorted(surplus)
        )
