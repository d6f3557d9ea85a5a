"""The statements that set SQL Server's passwords.

https://learn.microsoft.com/sql/t-sql/statements/alter-login-transact-sql,
https://learn.microsoft.com/sql/t-sql/statements/alter-user-transact-sql
"""

from __future__ import annotations

from rotators.engines.identity import Account
from rotators.engines.sqlserver import catalog
from rotators.engines.sqlserver.catalog import Login
from rotators.engines.sqlserver.connection import Connection
from rotators.engines.sqlserver.quoting import name, text
from rotators.errors import PermissionRefused, UserNotRotatable

# A user with one of these can act as any other user: https://learn.microsoft.com/sql/relational-databases/security/authentication-access/server-level-roles
ADMIN_ROLES = frozenset({"sysadmin", "securityadmin", "##MS_LoginManager##"})
ADMIN_RIGHTS = frozenset({"CONTROL SERVER", "ALTER ANY LOGIN", "IMPERSONATE ANY LOGIN", "ALTER ANY SERVER ROLE"})


def set_own(connection: Connection, account: Account, new: str, old: str) -> None:
    """Change the password of the logged-in user."""
    found = catalog.require(connection, account)
    kind = "USER" if found.contained else "LOGIN"
    connection.execute(
        f"ALTER {kind} {name(found.name)} WITH PASSWORD = {text(new)} OLD_PASSWORD = {text(old)}",
        advice="the password that the secret holds may have been changed meanwhile; the rotation will be repeated",
    )


def set_by_admin(connection: Connection, account: Account, new: str) -> None:
    """Change another's, and unlock it where wrong ones have locked it."""
    found = catalog.require(connection, account)
    if found.contained:
        with connection.as_owner():
            connection.execute(f"ALTER USER {name(found.name)} WITH PASSWORD = {text(new)}")
        return
    [(locked,)] = connection.execute(f"SELECT LOGINPROPERTY({text(found.name)}, 'IsLocked')")
    connection.execute(f"ALTER LOGIN {name(found.name)} WITH PASSWORD = {text(new)}" + (" UNLOCK" if locked else ""))


def require_settable(connection: Connection, account: Account) -> Login:
    """Require that the logged-in user may change an account's password, and should.

    Raises:
        PermissionRefused: it may not.
        UserNotRotatable: the account has power over others, or no password.
    """
    found = catalog.require(connection, account)
    require_admin(connection, contained=found.contained)
    if not found.contained:
        require_no_admin(connection, found)
    return found


def require_admin(connection: Connection, *, contained: bool) -> None:
    """Require that the logged-in user may change others' passwords, and see what they may do.

    Raises:
        PermissionRefused: it may not.
    """
    if contained:
        if not catalog.may(connection, "CONTROL", here=True):
            raise PermissionRefused(
                f"the admin '{connection.user}' at {connection.host} may not manage the users of "
                f"'{connection.database}'",
                f"run: USE {name(connection.database)}; ALTER ROLE db_owner ADD MEMBER {name(connection.user)}",
            )
        return
    # Without the second, the server keeps silent about others' memberships.
    for permission in ("ALTER ANY LOGIN", "VIEW ANY DEFINITION"):
        if not catalog.may(connection, permission):
            raise PermissionRefused(
                f"the admin '{connection.user}' at {connection.host} lacks {permission}",
                f"run: GRANT {permission} TO {name(connection.user)}",
            )


def require_no_admin(connection: Connection, found: Login) -> None:
    """Require that a login is an application's.

    Raises:
        UserNotRotatable: it has power over other logins.
    """
    roles = catalog.server_roles(connection).all(found.principal)
    rights = catalog.server_rights(connection, [found.principal, *(one.role for one in roles)])
    powers = ADMIN_ROLES & {one.name for one in roles}
    powers |= {
        right.permission
        for right in catalog.together(rights, rights)
        if right.permission in ADMIN_RIGHTS and right.state in {"G", "W"}
    }
    if powers:
        raise UserNotRotatable(
            f"the login {found.account} at {connection.host} is an admin ({', '.join(sorted(powers))})",
            "an admin sets passwords of applications' logins only: rotate this one as a single user, by itself",
        )
