"""What the server says of its logins and users: the catalog views, read into values.

https://learn.microsoft.com/sql/relational-databases/system-catalog-views/security-catalog-views-transact-sql
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rotators.engines.sqlserver.quoting import binary, name, text
from rotators.errors import PermissionRefused, ServiceFailed, UserNotRotatable

if TYPE_CHECKING:
    from rotators.engines.sqlserver.session import SqlserverSession

_SQL_LOGIN = "S"
_HOW = {
    "U": "is a Windows account",
    "G": "is a Windows group",
    "E": "logs in by Microsoft Entra",
    "X": "is a group of Microsoft Entra",
    "C": "stands for a certificate",
    "K": "stands for an asymmetric key",
}
_WORDS = re.compile(r"[A-Z ]+")

_LOGINS = """
SELECT p.name, p.sid, p.type, p.is_disabled, p.default_database_name, p.default_language_name,
    s.is_policy_checked, s.is_expiration_checked
FROM sys.server_principals AS p
LEFT JOIN sys.sql_logins AS s ON s.principal_id = p.principal_id
WHERE p.name IN ({names})
"""
_SERVER_ROLES = """
SELECT r.name
FROM sys.server_role_members AS m
INNER JOIN sys.server_principals AS r ON r.principal_id = m.role_principal_id
WHERE m.member_principal_id = SUSER_ID({login})
"""
_SERVER_RIGHTS = """
SELECT p.state, p.permission_name, p.class, NULL, COALESCE(t.name, e.name, a.name), t.type, NULL
FROM sys.server_permissions AS p
LEFT JOIN sys.server_principals AS t ON p.class = 101 AND t.principal_id = p.major_id
LEFT JOIN sys.endpoints AS e ON p.class = 105 AND e.endpoint_id = p.major_id
LEFT JOIN (
    SELECT m.replica_metadata_id, g.name
    FROM sys.availability_groups AS g
    INNER JOIN sys.availability_replicas AS m ON m.group_id = g.group_id
) AS a ON p.class = 108 AND a.replica_metadata_id = p.major_id
WHERE p.grantee_principal_id = SUSER_ID({login})
"""
_DATABASES = """
SELECT d.name, d.state_desc, DATABASEPROPERTYEX(d.name, 'Updateability'), HAS_DBACCESS(d.name)
FROM sys.databases AS d
WHERE d.name NOT IN ('tempdb', 'model')
ORDER BY d.name
"""
_USERS = """
SELECT u.name, u.sid, u.type, u.authentication_type, u.default_schema_name, u.default_language_name
FROM sys.database_principals AS u
WHERE u.type NOT IN ('R', 'A') AND ({condition})
"""
_ROLES = """
SELECT r.name
FROM sys.database_role_members AS m
INNER JOIN sys.database_principals AS r ON r.principal_id = m.role_principal_id
WHERE m.member_principal_id = USER_ID({user})
"""
_RIGHTS = """
SELECT p.state, p.permission_name, p.class, COALESCE(os.name, ts.name, xs.name),
    COALESCE(o.name, s.name, u.name, t.name, x.name, k.name, c.name, a.name, b.name), u.type, col.name
FROM sys.database_permissions AS p
LEFT JOIN sys.all_objects AS o ON p.class = 1 AND o.object_id = p.major_id
LEFT JOIN sys.schemas AS os ON os.schema_id = o.schema_id
LEFT JOIN sys.all_columns AS col ON p.class = 1 AND col.object_id = p.major_id AND col.column_id = p.minor_id
LEFT JOIN sys.schemas AS s ON p.class = 3 AND s.schema_id = p.major_id
LEFT JOIN sys.database_principals AS u ON p.class = 4 AND u.principal_id = p.major_id
LEFT JOIN sys.assemblies AS b ON p.class = 5 AND b.assembly_id = p.major_id
LEFT JOIN sys.types AS t ON p.class = 6 AND t.user_type_id = p.major_id
LEFT JOIN sys.schemas AS ts ON ts.schema_id = t.schema_id
LEFT JOIN sys.xml_schema_collections AS x ON p.class = 10 AND x.xml_collection_id = p.major_id
LEFT JOIN sys.schemas AS xs ON xs.schema_id = x.schema_id
LEFT JOIN sys.symmetric_keys AS k ON p.class = 24 AND k.symmetric_key_id = p.major_id
LEFT JOIN sys.certificates AS c ON p.class = 25 AND c.certificate_id = p.major_id
LEFT JOIN sys.asymmetric_keys AS a ON p.class = 26 AND a.asymmetric_key_id = p.major_id
WHERE p.grantee_principal_id = USER_ID({user})
"""
_OWNED = """
SELECT s.name, NULL FROM sys.schemas AS s WHERE s.principal_id = USER_ID({user})
UNION ALL
SELECT s.name, o.name
FROM sys.objects AS o
INNER JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE o.principal_id = USER_ID({user})
"""
# https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-database-permissions-transact-sql
_SECURABLES = {
    3: "SCHEMA",
    5: "ASSEMBLY",
    24: "SYMMETRIC KEY",
    25: "CERTIFICATE",
    26: "ASYMMETRIC KEY",
    105: "ENDPOINT",
    108: "AVAILABILITY GROUP",
}
_IN_SCHEMAS = {1: "OBJECT", 6: "TYPE", 10: "XML SCHEMA COLLECTION"}
_PRINCIPALS = {"R": "ROLE", "A": "APPLICATION ROLE"}
_WHOLE = {0, 100}
_DATABASE_PRINCIPAL, _SERVER_PRINCIPAL = 4, 101
# authentication_type of a contained user with a password.
_IN_DATABASE = 2


@dataclass(frozen=True)
class Login:
    """A login of the server, or a contained user, which has none.

    Args:
        sid: what ties users in databases to it.
        kind: the letter of its type.
        default_database, default_language: where its sessions begin; None for a contained user.
        policy, expiration: whether the password policy and its age are checked.
    """

    name: str
    sid: bytes
    kind: str
    disabled: bool = False
    default_database: str | None = None
    default_language: str | None = None
    policy: bool = False
    expiration: bool = False
    contained: bool = False


@dataclass(frozen=True)
class User:
    """A user in a database."""

    name: str
    sid: bytes
    default_schema: str | None


@dataclass(frozen=True, order=True)
class Right:
    """What stands in the catalog of one permission.

    Args:
        permission: its name, ``SELECT``.
        on: the securable as GRANT takes it, ``ON SCHEMA::[sales]``; empty for the whole database or server.
        state: G: granted, W: with GRANT OPTION, D: denied.
    """

    permission: str
    on: str
    state: str = "G"

    @property
    def key(self) -> tuple[str, str]:
        """What there is one state for."""
        return self.permission, self.on


def find(session: SqlserverSession, user: str) -> Login | None:
    """A login, or a contained user of the present database."""
    rows = session.execute(_LOGINS.format(names=text(user)))
    if rows:
        found, sid, kind, disabled, database, language, policy, expiration = rows[0]
        return Login(found, sid, kind.strip(), bool(disabled), database, language, bool(policy), bool(expiration))
    for found, sid, kind, how, _, language in session.execute(_USERS.format(condition=f"u.name = {text(user)}")):
        if how == _IN_DATABASE:
            return Login(found, sid, kind.strip(), default_language=language, contained=True)
    return None


def require(session: SqlserverSession, user: str) -> Login:
    """A login whose password the server itself keeps.

    Raises:
        PermissionRefused: whoever is logged in can't see whether there is one.
        UserNotRotatable: there is none, or it is of another kind.
    """
    found = find(session, user)
    if found is None:
        [(sees,)] = session.execute("SELECT HAS_PERMS_BY_NAME(NULL, NULL, 'ALTER ANY LOGIN')")
        if user != session.user and not sees:
            # https://learn.microsoft.com/sql/relational-databases/security/metadata-visibility-configuration
            raise PermissionRefused(
                f"'{session.user}' at {session.host} can't see the login '{user}'",
                f"run: GRANT ALTER ANY LOGIN TO {name(session.user)}",
            )
        raise UserNotRotatable(
            f"there is no login '{user}' at {session.host}, nor a contained user in '{session.database}'",
            "create it, or correct the secret",
        )
    if found.kind != _SQL_LOGIN:
        raise UserNotRotatable(
            f"'{user}' at {session.host} {_HOW.get(found.kind, 'is no SQL login')}", "it has no password to rotate"
        )
    if found.disabled:
        raise UserNotRotatable(f"the login '{user}' at {session.host} is disabled", "enable it, or correct the secret")
    return found


def server_roles(session: SqlserverSession, login: str) -> set[str]:
    """The server roles that it is a member of."""
    return {str(role) for (role,) in session.execute(_SERVER_ROLES.format(login=text(login)))}


def server_rights(session: SqlserverSession, login: str) -> set[Right]:
    """What it was granted or denied on the server."""
    return set(_rights(session, login, session.execute(_SERVER_RIGHTS.format(login=text(login)))))


def databases(session: SqlserverSession) -> Iterator[tuple[str, str | None]]:
    """Each database, and why nothing can be done there; None where something can."""
    for database, state, updateability, access in session.execute(_DATABASES):
        if state != "ONLINE":
            yield database, f"it is {state.lower()}"
        elif updateability == "READ_ONLY":
            yield database, "it is read-only, or a secondary replica"
        elif not access:
            yield database, f"'{session.user}' may not use it"
        else:
            yield database, None


def users(session: SqlserverSession, sids: Iterable[bytes], named: str) -> list[User]:
    """The users of the present database who belong to these logins, or have that name."""
    condition = f"u.sid IN ({', '.join(map(binary, sids))}) OR u.name = {text(named)}"
    rows = session.execute(_USERS.format(condition=condition))
    return [User(found, sid, schema) for found, sid, _, _, schema, _ in rows]


def roles(session: SqlserverSession, user: str) -> set[str]:
    """The roles of the present database that a user is a member of."""
    return {str(role) for (role,) in session.execute(_ROLES.format(user=text(user)))}


def rights(session: SqlserverSession, user: str) -> set[Right]:
    """What a user was granted or denied in the present database."""
    return set(_rights(session, user, session.execute(_RIGHTS.format(user=text(user)))))


def owned(session: SqlserverSession, user: str) -> set[str]:
    """The schemas, and the objects of their own owner, that belong to a user: as GRANT takes them."""
    rows = session.execute(_OWNED.format(user=text(user)))
    return {
        f"ON SCHEMA::{name(schema)}" if item is None else f"ON OBJECT::{name(schema)}.{name(item)}"
        for schema, item in rows
    }


def _rights(session: SqlserverSession, user: str, rows: Iterable[tuple[Any, ...]]) -> Iterator[Right]:
    for state, permission, of, schema, item, kind, column in rows:
        on = _on(of, schema, item, kind, column)
        if on is None or state.strip() not in {"G", "W", "D"} or not _WORDS.fullmatch(permission.strip()):
            raise ServiceFailed(
                f"a permission of '{user}' at {session.host} is of a form that is not known: {permission}, class {of}",
                "give it to a role instead, of which both users are members; and please report it",
            )
        yield Right(permission.strip(), on, state.strip())


def _on(of: int, schema: str | None, item: str | None, kind: str | None, column: str | None) -> str | None:
    """The securable as GRANT takes it; None where it is of a kind that is not known."""
    kind = (kind or "").strip()
    if of in _WHOLE:
        return ""
    if item is None:
        return None
    if of in _IN_SCHEMAS and schema is not None:
        return f"ON {_IN_SCHEMAS[of]}::{name(schema)}.{name(item)}" + (f" ({name(column)})" if column else "")
    principals = {
        _DATABASE_PRINCIPAL: _PRINCIPALS.get(kind, "USER"),
        _SERVER_PRINCIPAL: "SERVER ROLE" if kind == "R" else "LOGIN",
    }
    securable = _SECURABLES.get(of) or principals.get(of)
    return None if securable is None else f"ON {securable}::{name(item)}"
