"""What the server says of its users: the catalog's views, read into values.

https://docs.oracle.com/en/database/oracle/oracle-database/19/refrn/static-data-dictionary-views.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rotators.engines.oracle.names import quoted
from rotators.engines.rights import Right
from rotators.errors import UserNotRotatable

if TYPE_CHECKING:
    from rotators.engines.oracle.session import OracleSession

_USER = """
SELECT USERNAME, ACCOUNT_STATUS, PROFILE, DEFAULT_TABLESPACE, TEMPORARY_TABLESPACE, AUTHENTICATION_TYPE
FROM DBA_USERS
WHERE USERNAME = :1
"""
_LOCAL = "SELECT COMMON, ORACLE_MAINTAINED FROM ALL_USERS WHERE USERNAME = :1"
_OWN_STATUS = "SELECT ACCOUNT_STATUS FROM USER_USERS"
_ROLLOVER = """
SELECT p.LIMIT, d.LIMIT
FROM DBA_PROFILES p
INNER JOIN DBA_PROFILES d ON d.RESOURCE_NAME = p.RESOURCE_NAME
WHERE p.PROFILE = :1 AND d.PROFILE = 'DEFAULT' AND p.RESOURCE_NAME = 'PASSWORD_ROLLOVER_TIME'
"""
_ROLES = "SELECT GRANTED_ROLE, ADMIN_OPTION, DEFAULT_ROLE FROM DBA_ROLE_PRIVS WHERE GRANTEE = :1"
_SYSTEM = "SELECT PRIVILEGE, ADMIN_OPTION FROM DBA_SYS_PRIVS WHERE GRANTEE = :1"
_OBJECTS = "SELECT OWNER, TABLE_NAME, PRIVILEGE, GRANTABLE, TYPE FROM DBA_TAB_PRIVS WHERE GRANTEE = :1"
_COLUMNS = "SELECT OWNER, TABLE_NAME, COLUMN_NAME, PRIVILEGE, GRANTABLE FROM DBA_COL_PRIVS WHERE GRANTEE = :1"
_SCHEMAS = "SELECT PRIVILEGE, SCHEMA, ADMIN_OPTION FROM DBA_SCHEMA_PRIVS WHERE GRANTEE = :1"
_QUOTAS = "SELECT TABLESPACE_NAME, MAX_BYTES FROM DBA_TS_QUOTAS WHERE USERNAME = :1"
_OWNED = """
SELECT OBJECT_NAME, OBJECT_TYPE
FROM DBA_OBJECTS
WHERE OWNER = :1 AND SUBOBJECT_NAME IS NULL AND GENERATED = 'N'
    AND OBJECT_TYPE IN ('TABLE', 'VIEW', 'SEQUENCE', 'PROCEDURE', 'FUNCTION', 'PACKAGE', 'TYPE', 'MATERIALIZED VIEW')
"""
_TRIGGER = "SELECT COUNT(*) FROM DBA_TRIGGERS WHERE TRIGGER_NAME = :1"
_PRIVILEGES = "SELECT PRIVILEGE FROM SESSION_PRIVS"
_RDS = "SELECT COUNT(*) FROM ALL_OBJECTS WHERE OWNER = 'RDSADMIN' AND OBJECT_NAME = 'RDSADMIN_UTIL'"
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
class User:
    """A user.

    Args:
        status: ``OPEN``, ``EXPIRED(GRACE)``, ``LOCKED(TIMED)``, ``OPEN & IN ROLLOVER``, …
        authentication: ``PASSWORD``, ``EXTERNAL``, ``GLOBAL`` or ``NONE``.
    """

    name: str
    status: str
    profile: str
    default_tablespace: str
    temporary_tablespace: str
    authentication: str


def find(session: OracleSession, name: str) -> User | None:
    """A user, by its name in the catalog."""
    rows = session.execute(_USER, [name])
    return User(*map(str, rows[0])) if rows else None


def require_local(session: OracleSession, name: str) -> None:
    """Make sure that a user is this database's own.

    Raises:
        UserNotRotatable: it is Oracle's own, or common to all pluggable databases.
    """
    for common, maintained in session.execute(_LOCAL, [name]):
        if maintained == "Y":
            raise UserNotRotatable(
                f"'{name}' at {session.host} is a user of Oracle's own", "name an application's user"
            )
        if common == _YES:
            raise UserNotRotatable(
                f"'{name}' at {session.host} is common to all pluggable databases, and its password is the root's",
                "name a local user of this database",
            )


def own_status(session: OracleSession) -> str:
    """The account's status of whoever is logged in."""
    [(status,)] = session.execute(_OWN_STATUS)
    return str(status)


def rollover_of(session: OracleSession, profile: str) -> str | None:
    """A profile's PASSWORD_ROLLOVER_TIME; None where the version has none."""
    for limit, default in session.execute(_ROLLOVER, [profile]):
        return str(default if limit == "DEFAULT" else limit)
    return None


def rights(session: OracleSession, grantee: str) -> set[Right]:
    """All that was granted to a user."""
    return set(_rights(session, grantee))


def default_roles(session: OracleSession, grantee: str) -> tuple[set[str], set[str]]:
    """The roles that a login begins with, and all."""
    rows = session.execute(_ROLES, [grantee])
    return {str(role) for role, _, default in rows if default == _YES}, {str(role) for role, _, _ in rows}


def quotas(session: OracleSession, user: str) -> dict[str, int]:
    """Bytes by tablespace; -1 without a limit."""
    return {str(tablespace): int(size) for tablespace, size in session.execute(_QUOTAS, [user])}


def owned(session: OracleSession, owner: str) -> set[Right]:
    """What would let another user do with a user's own objects what that one may do."""
    if session.version >= SCHEMA_PRIVILEGES_SINCE:
        return {Right("schema", privilege, f"SCHEMA {quoted(owner)}") for privilege in _WHOLE_SCHEMA}
    return {
        Right("object", privilege, f"{quoted(owner)}.{quoted(item)}")
        for item, kind in session.execute(_OWNED, [owner])
        for privilege in _EVERYTHING.get(kind, ("EXECUTE",))
    }


def has_trigger(session: OracleSession, name: str) -> bool:
    """Whether somebody has a trigger of that name."""
    return bool(session.execute(_TRIGGER, [name])[0][0])


def count_owned(session: OracleSession, owner: str) -> int:
    """How many objects a user owns."""
    return len(session.execute(_OWNED, [owner]))


def privileges(session: OracleSession) -> set[str]:
    """The system privileges of whoever is logged in, by whatever role."""
    return {str(privilege) for (privilege,) in session.execute(_PRIVILEGES)}


def is_rds(session: OracleSession) -> bool:
    """Whether this is RDS, whose admin passes rights on SYS's objects on by a package only."""
    return bool(session.execute(_RDS)[0][0])


def _rights(session: OracleSession, grantee: str) -> Iterator[Right]:
    for role, admin, _ in session.execute(_ROLES, [grantee]):
        yield Right("role", quoted(role), passed_on=admin == _YES)
    for privilege, admin in session.execute(_SYSTEM, [grantee]):
        yield Right("system", str(privilege), passed_on=admin == _YES)
    for owner, item, privilege, grantable, kind in session.execute(_OBJECTS, [grantee]):
        named = f"{kind} {quoted(item)}" if kind in _KINDS else f"{quoted(owner)}.{quoted(item)}"
        yield Right("object", str(privilege), named, grantable == _YES)
    for owner, item, column, privilege, grantable in session.execute(_COLUMNS, [grantee]):
        yield Right("column", f"{privilege} ({quoted(column)})", f"{quoted(owner)}.{quoted(item)}", grantable == _YES)
    if session.version >= SCHEMA_PRIVILEGES_SINCE:
        for privilege, schema, admin in session.execute(_SCHEMAS, [grantee]):
            yield Right("schema", str(privilege), f"SCHEMA {quoted(schema)}", admin == _YES)
