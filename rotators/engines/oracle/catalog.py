"""What the server says of its users: the catalog's views, read into values.

https://docs.oracle.com/en/database/oracle/oracle-database/19/refrn/static-data-dictionary-views.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rotators.engines.identity import Account
from rotators.engines.oracle.connection import Connection
from rotators.engines.oracle.quoting import quoted
from rotators.engines.rights import Right
from rotators.errors import UserNotRotatable

# Every name is SYS's own: whoever may create views in the admin's schema could put others in their places.
# What any session may ask of itself: https://docs.oracle.com/en/database/oracle/oracle-database/19/sqlrf/SYS_CONTEXT.html
_WHO = """
SELECT SYS_CONTEXT('USERENV', 'SESSION_USER'), SYS_CONTEXT('USERENV', 'SESSION_USERID'),
    SYS_CONTEXT('USERENV', 'PROXY_USER'), SYS_CONTEXT('USERENV', 'DATABASE_ROLE'),
    SYS_CONTEXT('USERENV', 'AUTHENTICATION_METHOD'), SYS_CONTEXT('USERENV', 'DB_UNIQUE_NAME'),
    SYS_CONTEXT('USERENV', 'DB_DOMAIN'), SYS_CONTEXT('USERENV', 'CON_NAME')
FROM SYS.DUAL
"""
_USER = """
SELECT USERNAME, USER_ID, CREATED, ACCOUNT_STATUS, PROFILE, DEFAULT_TABLESPACE, TEMPORARY_TABLESPACE,
    AUTHENTICATION_TYPE
FROM SYS.DBA_USERS
WHERE {condition} = :1
"""
_LOCAL = "SELECT COMMON, ORACLE_MAINTAINED FROM SYS.ALL_USERS WHERE USERNAME = :1"
_OWN_STATUS = "SELECT ACCOUNT_STATUS FROM SYS.USER_USERS"
_OWN_LIMIT = "SELECT l.LIMIT FROM SYS.USER_PASSWORD_LIMITS l WHERE l.RESOURCE_NAME = :1"
_LIMIT = """
SELECT p.LIMIT, d.LIMIT
FROM SYS.DBA_PROFILES p
INNER JOIN SYS.DBA_PROFILES d ON d.RESOURCE_NAME = p.RESOURCE_NAME
WHERE p.PROFILE = :1 AND d.PROFILE = 'DEFAULT' AND p.RESOURCE_NAME = :2
"""
# A user alone, and with all roles that lead on from it.
_ALONE = "= :1"
_WITH_ROLES = """= :1 OR GRANTEE IN (
    SELECT GRANTED_ROLE FROM SYS.DBA_ROLE_PRIVS START WITH GRANTEE = :2 CONNECT BY NOCYCLE PRIOR GRANTED_ROLE = GRANTEE
)"""
_ROLES = "SELECT GRANTED_ROLE, ADMIN_OPTION, DEFAULT_ROLE FROM SYS.DBA_ROLE_PRIVS WHERE GRANTEE {who}"
_SYSTEM = "SELECT PRIVILEGE, ADMIN_OPTION FROM SYS.DBA_SYS_PRIVS WHERE GRANTEE {who}"
_OBJECTS = """
SELECT OWNER, TABLE_NAME, PRIVILEGE, GRANTABLE, TYPE FROM SYS.DBA_TAB_PRIVS WHERE GRANTEE {who}
"""
_COLUMNS = """
SELECT OWNER, TABLE_NAME, COLUMN_NAME, PRIVILEGE, GRANTABLE FROM SYS.DBA_COL_PRIVS WHERE GRANTEE {who}
"""
_SCHEMAS = "SELECT PRIVILEGE, SCHEMA, ADMIN_OPTION FROM SYS.DBA_SCHEMA_PRIVS WHERE GRANTEE {who}"
_QUOTAS = "SELECT TABLESPACE_NAME, MAX_BYTES FROM SYS.DBA_TS_QUOTAS WHERE USERNAME = :1"
_OWNED = """
SELECT OBJECT_NAME, OBJECT_TYPE
FROM SYS.DBA_OBJECTS
WHERE OWNER = :1 AND SUBOBJECT_NAME IS NULL AND GENERATED = 'N'
    AND OBJECT_TYPE IN ('TABLE', 'VIEW', 'SEQUENCE', 'PROCEDURE', 'FUNCTION', 'PACKAGE', 'TYPE', 'MATERIALIZED VIEW')
"""
_TRIGGER = """
SELECT CREATED FROM SYS.DBA_OBJECTS WHERE OWNER = :1 AND OBJECT_NAME = :2 AND OBJECT_TYPE = 'TRIGGER'
"""
# What lets a user log in as another, act in another database, or connect to other hosts.
_PROXIES = "SELECT CLIENT FROM SYS.DBA_PROXIES WHERE PROXY = :1"
_LINKS = "SELECT DB_LINK FROM SYS.DBA_DB_LINKS WHERE OWNER = :1"
_HOSTS = """
SELECT HOST, PRIVILEGE FROM SYS.DBA_HOST_ACES
WHERE GRANT_TYPE = 'GRANT' AND (PRINCIPAL = :1 OR PRINCIPAL IN (
    SELECT GRANTED_ROLE FROM SYS.DBA_ROLE_PRIVS START WITH GRANTEE = :2 CONNECT BY NOCYCLE PRIOR GRANTED_ROLE = GRANTEE
))
"""
_SUPER = "SELECT COUNT(*) FROM SYS.V_$PWFILE_USERS WHERE USERNAME = :1"
_PRIVILEGES = "SELECT PRIVILEGE FROM SYS.SESSION_PRIVS"
_RDS = "SELECT COUNT(*) FROM SYS.ALL_OBJECTS WHERE OWNER = 'RDSADMIN' AND OBJECT_NAME = 'RDSADMIN_UTIL'"
SCHEMA_PRIVILEGES_SINCE = (23,)
# On what GRANT names its object's kind: https://docs.oracle.com/en/database/oracle/oracle-database/19/sqlrf/GRANT.html
_KINDS = {"DIRECTORY", "EDITION", "MINING MODEL", "SQL TRANSLATION PROFILE", "USER"}
_YES = "YES"
_EVERYTHING = {
    "TABLE": ("SELECT", "INSERT", "UPDATE", "DELETE", "ALTER", "INDEX", "REFERENCES"),
    "VIEW": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "MATERIALIZED VIEW": ("SELECT",),
    "SEQUENCE": ("SELECT", "ALTER"),
}
# From 23ai on a schema's whole use can be granted: what its owner may do there, and no other schema.
_WHOLE_SCHEMA = (
    "SELECT ANY TABLE", "INSERT ANY TABLE", "UPDATE ANY TABLE", "DELETE ANY TABLE", "CREATE ANY TABLE",
    "ALTER ANY TABLE", "DROP ANY TABLE", "CREATE ANY INDEX", "ALTER ANY INDEX", "DROP ANY INDEX",
    "SELECT ANY SEQUENCE", "CREATE ANY SEQUENCE", "ALTER ANY SEQUENCE", "DROP ANY SEQUENCE", "CREATE ANY VIEW",
    "DROP ANY VIEW", "EXECUTE ANY PROCEDURE", "CREATE ANY PROCEDURE", "ALTER ANY PROCEDURE", "DROP ANY PROCEDURE",
    "EXECUTE ANY TYPE", "CREATE ANY TYPE", "ALTER ANY TYPE", "DROP ANY TYPE",
)  # fmt: skip


@dataclass(frozen=True)
class Session:
    """What a session says of itself.

    Args:
        account: who logged in.
        role: the database's, ``PRIMARY`` or a standby.
        method: how the login was proven.
    """

    account: Account
    role: str
    method: str


@dataclass(frozen=True)
class OracleUser:
    """A user.

    Args:
        account: who it is.
        created: when it was made.
        status: ``OPEN``, ``EXPIRED(GRACE)``, ``LOCKED(TIMED)``, ``OPEN & IN ROLLOVER``, …
        authentication: ``PASSWORD``, ``EXTERNAL``, ``GLOBAL`` or ``NONE``.
    """

    account: Account
    created: datetime
    status: str
    profile: str
    default_tablespace: str
    temporary_tablespace: str
    authentication: str

    @property
    def name(self) -> str:
        """As the catalog spells it."""
        return self.account.name


def whoami(connection: Connection) -> Session:
    """Who logged in, and where; told to the connection as well.

    Raises:
        UserNotRotatable: somebody logged in for somebody else: the password is another user's.
    """
    [(user, number, proxy, role, method, database, domain, container)] = connection.execute(_WHO)
    connection.user = str(user)
    if proxy is not None:
        raise UserNotRotatable(
            f"{connection.where}: '{proxy}' logged in for that user, whose password this is not",
            "name the user itself, with its own password",
        )
    # An instance says nothing more that any user may ask, and the instances of a cluster have the same users.
    connection.server = ".".join(filter(None, (database, domain)))
    connection.container = str(container)
    return Session(account(connection, str(user), number), str(role), str(method))


def account(connection: Connection, name: str, number: Any) -> Account:
    """A user of this database, by its number: names come again, numbers do not."""
    place = f"{connection.server}/{connection.container}"
    return Account(place, int(number), name, (connection.container,))


def find(connection: Connection, of: Account) -> OracleUser | None:
    """The user that an account is, if it is still there."""
    return _user(connection, "USER_ID", of.key)


def find_named(connection: Connection, name: str) -> OracleUser | None:
    """A user, by its name in the catalog."""
    return _user(connection, "USERNAME", name)


def _user(connection: Connection, column: str, value: Any) -> OracleUser | None:
    for name, number, created, *rest in connection.execute(_USER.format(condition=column), [value]):
        return OracleUser(account(connection, str(name), number), created, *map(str, rest))
    return None


def require_local(connection: Connection, name: str) -> None:
    """Make sure that a user is this database's own.

    Raises:
        UserNotRotatable: it is Oracle's own, or common to all pluggable databases.
    """
    for common, maintained in connection.execute(_LOCAL, [name]):
        if maintained == "Y":
            raise UserNotRotatable(
                f"'{name}' at {connection.host} is a user of Oracle's own", "name an application's user"
            )
        if common == _YES:
            raise UserNotRotatable(
                f"'{name}' at {connection.host} is common to all pluggable databases, and its password is the root's",
                "name a local user of this database",
            )


def own_status(connection: Connection) -> str:
    """The account's status of the logged-in user."""
    [(status,)] = connection.execute(_OWN_STATUS)
    return str(status)


def own_limit(connection: Connection, name: str) -> str | None:
    """A limit of the profile of the logged-in user; None if the version has none of that name."""
    for (limit,) in connection.execute(_OWN_LIMIT, [name]):
        return str(limit)
    return None


def limit_of(connection: Connection, profile: str, name: str) -> str | None:
    """A profile's limit; None if the version has none of that name."""
    for limit, default in connection.execute(_LIMIT, [profile, name]):
        return str(default if limit == "DEFAULT" else limit)
    return None


def rights(connection: Connection, grantee: str, *, with_roles: bool = False) -> set[Right]:
    """All that was granted to a user.

    Args:
        connection: an admin's.
        grantee: the user.
        with_roles: what was granted to its roles as well, and to theirs.
    """
    values = [grantee, grantee] if with_roles else [grantee]
    return set(_rights(connection, _WITH_ROLES if with_roles else _ALONE, values))


def default_roles(connection: Connection, grantee: str) -> tuple[set[str], set[str]]:
    """The roles that a login begins with, and all."""
    rows = connection.execute(_ROLES.format(who=_ALONE), [grantee])
    return {str(role) for role, _, default in rows if default == _YES}, {str(role) for role, _, _ in rows}


def quotas(connection: Connection, user: str) -> dict[str, int]:
    """Bytes by tablespace; -1 without a limit."""
    return {str(tablespace): int(size) for tablespace, size in connection.execute(_QUOTAS, [user])}


def owned(connection: Connection, owner: str) -> set[Right]:
    """What would let another user do with a user's own objects what that one may do."""
    if connection.version >= SCHEMA_PRIVILEGES_SINCE:
        return {Right("schema", privilege, f"SCHEMA {quoted(owner)}") for privilege in _WHOLE_SCHEMA}
    return {
        Right("object", privilege, f"{quoted(owner)}.{quoted(item)}")
        for item, kind in connection.execute(_OWNED, [owner])
        for privilege in _EVERYTHING.get(kind, ("EXECUTE",))
    }


def trigger_made(connection: Connection, owner: str, name: str) -> datetime | None:
    """When a trigger was made; None if there is none."""
    for (created,) in connection.execute(_TRIGGER, [owner, name]):
        return created  # type: ignore[no-any-return]  # the driver's, for a DATE
    return None


def count_owned(connection: Connection, owner: str) -> int:
    """How many objects a user owns."""
    return len(connection.execute(_OWNED, [owner]))


def extras(connection: Connection, user: str) -> Iterator[str]:
    """What a user may do beyond what was granted, in words."""
    yield from (f"may log in as '{client}'" for (client,) in connection.execute(_PROXIES, [user]))
    yield from (f"has the database link '{link}'" for (link,) in connection.execute(_LINKS, [user]))
    for host, privilege in connection.execute(_HOSTS, [user, user]):
        yield f"may {privilege} at '{host}'"
    if is_super(connection, user):
        yield "is in the password file"
    if count_owned(connection, user):
        yield f"owns what is in the schema {quoted(user)}"


def is_super(connection: Connection, user: str) -> bool:
    """Whether a user may log in AS SYSDBA, or the like."""
    return bool(connection.execute(_SUPER, [user])[0][0])


def privileges(connection: Connection) -> set[str]:
    """The system privileges of the logged-in user, by whatever role."""
    return {str(privilege) for (privilege,) in connection.execute(_PRIVILEGES)}


def is_rds(connection: Connection) -> bool:
    """Whether this is RDS, whose admin passes rights on SYS's objects on by a package only."""
    return bool(connection.execute(_RDS)[0][0])


def _rights(connection: Connection, who: str, values: list[str]) -> Iterator[Right]:
    def read(statement: str) -> list[tuple[Any, ...]]:
        return connection.execute(statement.format(who=who), values)

    for role, admin, _ in read(_ROLES):
        yield Right("role", quoted(role), passed_on=admin == _YES)
    for privilege, admin in read(_SYSTEM):
        yield Right("system", str(privilege), passed_on=admin == _YES)
    for owner, item, privilege, grantable, kind in read(_OBJECTS):
        named = f"{kind} {quoted(item)}" if kind in _KINDS else f"{quoted(owner)}.{quoted(item)}"
        yield Right("object", str(privilege), named, grantable == _YES)
    for owner, item, column, privilege, grantable in read(_COLUMNS):
        yield Right("column", f"{privilege} ({quoted(column)})", f"{quoted(owner)}.{quoted(item)}", grantable == _YES)
    if connection.version >= SCHEMA_PRIVILEGES_SINCE:
        for privilege, schema, admin in read(_SCHEMAS):
            yield Right("schema", str(privilege), f"SCHEMA {quoted(schema)}", admin == _YES)
