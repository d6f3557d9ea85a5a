"""The statements that set Oracle's passwords, one or two at a time.

https://docs.oracle.com/en/database/oracle/oracle-database/19/sqlrf/ALTER-USER.html, and of two passwords:
https://docs.oracle.com/en/database/oracle/oracle-database/19/dbseg/configuring-authentication.html, "Managing Gradual
Database Password Rollover for Applications"
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from rotators.engines.identity import Account
from rotators.engines.oracle import catalog
from rotators.engines.oracle.catalog import OracleUser
from rotators.engines.oracle.connection import Connection
from rotators.engines.oracle.quoting import possible, quoted
from rotators.errors import PasswordRefused, PermissionRefused, UserNotRotatable

_BY_ADMIN = "have the admin set it: name an admin secret, the user in ROTATION_USERS, and set ALLOW_ADMIN_RESET=true"
# Whoever has one of these can make itself anybody: https://docs.oracle.com/en/database/oracle/oracle-database/19/dbseg/configuring-privilege-and-role-authorization.html
ADMIN_ROLES = frozenset({'"DBA"', '"PDB_DBA"', '"CDB_DBA"', '"IMP_FULL_DATABASE"', '"DATAPUMP_IMP_FULL_DATABASE"'})
ADMIN_PRIVILEGES = frozenset(
    {
        "ALTER USER", "ALTER DATABASE", "ALTER SYSTEM", "BECOME USER", "CREATE ANY TRIGGER",
        "GRANT ANY OBJECT PRIVILEGE", "GRANT ANY PRIVILEGE", "GRANT ANY ROLE", "GRANT ANY SCHEMA PRIVILEGE",
    }
)  # fmt: skip
LogsIn = Callable[[str, str], bool]
_ROLLOVER = "PASSWORD_ROLLOVER_TIME"
_WRONG_PASSWORDS = "FAILED_LOGIN_ATTEMPTS"


def set_own(connection: Connection, new: str, old: str) -> None:
    """Change the password of the logged-in user, and end a second one."""
    _change_own(connection, new, old)
    _end_rollover(connection, connection.user, catalog.own_status(connection))


def set_by_admin(connection: Connection, account: Account, new: str) -> None:
    """Change another's, end a second one, and unlock it where too many wrong ones have locked it."""
    found = require_usable(connection, account)
    unlock = " ACCOUNT UNLOCK" if "LOCKED" in found.status else ""
    connection.execute(f"ALTER USER {quoted(found.name)} IDENTIFIED BY {quoted(new)}{unlock}", password_of=found.name)
    _end_rollover(connection, found.name, require_usable(connection, account).status)


def add_own(connection: Connection, new: str, old: str, logs_in: LogsIn) -> None:
    """Change the password of the logged-in user; the profile keeps the old one alive."""

    def change(password: str) -> None:
        _change_own(connection, password, old)

    user = connection.user
    if _has_room(
        connection,
        user,
        catalog.own_status(connection),
        logs_in=lambda: logs_in(quoted(user), new),
        renew_present=lambda: change(old),
    ):
        change(new)


def add_by_admin(connection: Connection, account: Account, new: str, old: str, logs_in: LogsIn) -> None:
    """Change another's; its profile keeps the old one alive."""
    found = require_rolling(connection, require_usable(connection, account))

    def change(password: str) -> None:
        connection.execute(f"ALTER USER {quoted(found.name)} IDENTIFIED BY {quoted(password)}", password_of=found.name)

    if _has_room(
        connection,
        found.name,
        found.status,
        logs_in=lambda: logs_in(quoted(found.name), new),
        renew_present=lambda: change(old),
    ):
        change(new)


def why_no_second(connection: Connection) -> str | None:
    """Why the logged-in user can't keep the current password beside a new one."""
    limit = catalog.own_limit(connection, _ROLLOVER)
    if limit is None:
        return "Oracle 19.12 and newer keep a second password"
    if wrong_passwords_allowed(connection) == 1:
        # While two are alive, only a login tells whether an attempt that broke off has added the new one.
        return "ALTER PROFILE … LIMIT FAILED_LOGIN_ATTEMPTS 2, or more, would let it keep a second password"
    if _rolls_over(limit):
        return None
    return "ALTER PROFILE … LIMIT PASSWORD_ROLLOVER_TIME, for the user's profile, would let it keep a second password"


def wrong_passwords_allowed(connection: Connection) -> int | None:
    """After how many wrong passwords in a row the logged-in user is locked; None: never."""
    return _count(catalog.own_limit(connection, _WRONG_PASSWORDS))


def require_settable(connection: Connection, account: Account) -> OracleUser:
    """Make sure that the logged-in user may change an account's password, and should.

    Raises:
        PermissionRefused: it may not.
        UserNotRotatable: the account has power over others, or no password of this database's.
    """
    require_privileges(connection, {"ALTER USER"})
    found = require_usable(connection, account)
    rights = catalog.rights(connection, found.name, with_roles=True)
    powers = {right.what for right in rights if right.kind == "system" and right.what in ADMIN_PRIVILEGES}
    powers |= {right.what.strip('"') for right in rights if right.what in ADMIN_ROLES}
    if any(right.on == f"SCHEMA {quoted(connection.user)}" for right in rights):
        powers.add("rights in the admin's schema")
    if catalog.is_super(connection, found.name):
        powers.add("the password file")
    if powers:
        raise UserNotRotatable(
            f"{account} at {connection.host} is an admin ({', '.join(sorted(powers))})",
            "an admin sets passwords of applications' users only: rotate this one as a single user, by itself",
        )
    return found


def require_usable(connection: Connection, account: Account) -> OracleUser:
    """A user whose password this database keeps.

    Raises:
        UserNotRotatable: there is none, it is locked by somebody, or it is of another kind.
    """
    found = catalog.find(connection, account)
    if found is None:
        raise UserNotRotatable(f"there is no user {account} at {connection.host}", "create it, or correct the secret")
    if found.authentication != "PASSWORD":
        raise UserNotRotatable(
            f"{account} at {connection.host} is identified as {found.authentication}", "it has no password to rotate"
        )
    if "LOCKED" in found.status and "TIMED" not in found.status:
        raise UserNotRotatable(f"{account} at {connection.host} is locked", "unlock it, or stop rotating this secret")
    catalog.require_local(connection, found.name)
    return found


def require_rolling(connection: Connection, found: OracleUser) -> OracleUser:
    """The same user, once it is clear that its profile keeps a second password.

    Raises:
        UserNotRotatable: it does not.
    """
    if _count(catalog.limit_of(connection, found.profile, _WRONG_PASSWORDS)) == 1:
        raise UserNotRotatable(
            f"one wrong password locks {found.account} at {connection.host}, and whether a second one was added, only "
            "a login tells",
            f"run: ALTER PROFILE {quoted(found.profile)} LIMIT FAILED_LOGIN_ATTEMPTS 2, or more",
        )
    if _rolls_over(catalog.limit_of(connection, found.profile, _ROLLOVER)):
        return found
    raise UserNotRotatable(
        f"the profile '{found.profile}' of {found.account} at {connection.host} keeps one password per user",
        f"on Oracle 19.12 or newer, run: ALTER PROFILE {quoted(found.profile)} LIMIT PASSWORD_ROLLOVER_TIME 1",
    )


def require_privileges(connection: Connection, needed: set[str]) -> None:
    """Make sure that the logged-in user has these system privileges.

    Raises:
        PermissionRefused: it has not; the text has the statement that would give them.
    """
    lacking = sorted(needed - catalog.privileges(connection))
    if lacking:
        raise PermissionRefused(
            f"the admin '{connection.user}' at {connection.host} lacks {', '.join(lacking)}",
            f"run: GRANT {', '.join(lacking)} TO {quoted(connection.user)}",
        )


def _change_own(connection: Connection, new: str, old: str) -> None:
    user = connection.user
    if not possible(old):
        raise PasswordRefused(f"the present password of '{user}' can't stand in a statement", _BY_ADMIN)
    connection.execute(f"ALTER USER {quoted(user)} IDENTIFIED BY {quoted(new)} REPLACE {quoted(old)}", password_of=user)


def _has_room(
    connection: Connection, user: str, status: str, *, logs_in: Callable[[], bool], renew_present: Callable[[], None]
) -> bool:
    """Make room for a second password; False where the new one logs in already, by an attempt that broke off.

    Changed again while two are alive, the older would stay and the present one end: the older one ends first. But where
    a rotation was given up after it had added its own password, the present one is the older. So it is set once more
    before, which makes it the newer one in any case; unless the profile remembers passwords and takes none twice.
    """
    if not _in_rollover(status):
        return True
    if logs_in():
        return False
    with contextlib.suppress(PasswordRefused):
        renew_present()
    _end_rollover(connection, user, status)
    return True


def _end_rollover(connection: Connection, user: str, status: str) -> None:
    if _in_rollover(status):
        connection.execute(f"ALTER USER {quoted(user)} EXPIRE PASSWORD ROLLOVER PERIOD")


def _in_rollover(status: str) -> bool:
    return "IN ROLLOVER" in status


def _count(limit: str | None) -> int | None:
    """A profile's limit as a number; None if it is UNLIMITED or DEFAULT."""
    return int(limit) if limit is not None and limit.isdigit() else None


def _rolls_over(limit: str | None) -> bool:
    """Whether a profile's PASSWORD_ROLLOVER_TIME is more than zero."""
    try:
        return float(limit or 0) > 0
    except ValueError:
        return False
