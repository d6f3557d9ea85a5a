"""Reads logins and users from the server's catalog views.

https://learn.microsoft.com/sql/relational-databases/system-catalog-views/security-catalog-views-transact-sql

Principals are told by their SIDs and ids: how a name is spelled and compared is the server's affair.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from rotators.engines.identity import Account
from rotators.engines.sqlserver.connection import Connection
from rotators.engines.sqlserver.quoting import binary, name, text
from rotators.errors import PermissionRefused, ServiceFailed, UserNotRotatable

SQL_LOGIN = "S"
_HOW = {
    "U": "is a Windows account",
    "G": "is a Windows group",
    "E": "logs in by Microsoft Entra",
    "X": "is a group of Microsoft Entra",
    "C": "stands for a certificate",
    "K": "stands for an asymmetric key",
    "R": "is a role",
}
_WORDS = re.compile(r"[A-Z ]+")

# Every user sees its own session, its own login and user, and tempdb, which is made again at each start:
# https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-exec-sessions-transact-sql
_WHO = """
SELECT CONVERT(nvarchar(128), SERVERPROPERTY('ServerName')), CONVERT(nvarchar(30), t.create_date, 126), DB_NAME(),
    s.authenticating_database_id, u.authentication_type, l.name, l.sid, u.name, u.sid
FROM sys.dm_exec_sessions AS s
LEFT JOIN sys.databases AS t ON t.database_id = 2
LEFT JOIN sys.server_principals AS l ON l.sid = SUSER_SID()
LEFT JOIN sys.database_principals AS u ON u.principal_id = DATABASE_PRINCIPAL_ID()
WHERE s.session_id = @@SPID
"""
_LOGIN = """
SELECT p.name, p.sid, p.principal_id, p.type, p.is_disabled, p.default_database_name, p.default_language_name,
    s.is_policy_checked, s.is_expiration_checked
FROM sys.server_principals AS p
LEFT JOIN sys.sql_logins AS s ON s.principal_id = p.principal_id
WHERE {condition}
"""
_USERS = """
SELECT u.name, u.sid, u.principal_id, u.type, u.authentication_type, u.default_schema_name, u.default_language_name
FROM sys.database_principals AS u
WHERE u.type NOT IN ('R', 'A') AND ({condition})
"""
_SERVER_ROLES = """
SELECT m.member_principal_id, m.role_principal_id, r.name, r.is_fixed_role
FROM sys.server_role_members AS m
INNER JOIN sys.server_principals AS r ON r.principal_id = m.role_principal_id
"""
_ROLES = """
SELECT m.member_principal_id, m.role_principal_id, r.name, r.is_fixed_role
FROM sys.database_role_members AS m
INNER JOIN sys.database_principals AS r ON r.principal_id = m.role_principal_id
"""
# Names of several views become one column: each may have a collation of its own.
_SERVER_RIGHTS = """
SELECT p.grantee_principal_id, p.state, p.permission_name, p.class, NULL,
    COALESCE(
        t.name COLLATE DATABASE_DEFAULT, e.name COLLATE DATABASE_DEFAULT, a.name COLLATE DATABASE_DEFAULT
    ), t.type, NULL
FROM sys.server_permissions AS p
LEFT JOIN sys.server_principals AS t ON p.class = 101 AND t.principal_id = p.major_id
LEFT JOIN sys.endpoints AS e ON p.class = 105 AND e.endpoint_id = p.major_id
LEFT JOIN (
    SELECT m.replica_metadata_id, g.name
    FROM sys.availability_groups AS g
    INNER JOIN sys.availability_replicas AS m ON m.group_id = g.group_id
) AS a ON p.class = 108 AND a.replica_metadata_id = p.major_id
WHERE p.grantee_principal_id IN ({ids})
"""
# What lets a user act beyond what was granted: owning a part of the server, or having an identity elsewhere.
_SERVER_EXTRAS = """
SELECT r.owning_principal_id, N'owns the server role', r.name COLLATE DATABASE_DEFAULT
FROM sys.server_principals AS r WHERE r.type = 'R' AND r.owning_principal_id IN ({ids})
UNION ALL
SELECT e.principal_id, N'owns the endpoint', e.name COLLATE DATABASE_DEFAULT
FROM sys.endpoints AS e WHERE e.principal_id IN ({ids})
UNION ALL
SELECT m.principal_id, N'has the credential', c.name COLLATE DATABASE_DEFAULT
FROM sys.server_principal_credentials AS m
INNER JOIN sys.credentials AS c ON c.credential_id = m.credential_id
WHERE m.principal_id IN ({ids})
UNION ALL
SELECT k.local_principal_id, N'is somebody at the linked server', s.name COLLATE DATABASE_DEFAULT
FROM sys.linked_logins AS k
INNER JOIN sys.servers AS s ON s.server_id = k.server_id
WHERE k.local_principal_id IN ({ids})
"""
_DATABASES = """
SELECT d.name, d.state_desc, DATABASEPROPERTYEX(d.name, 'Updateability'), HAS_DBACCESS(d.name), d.owner_sid
FROM sys.databases AS d
WHERE d.database_id NOT IN (2, 3)
ORDER BY d.database_id
"""
_RIGHTS = """
SELECT p.grantee_principal_id, p.state, p.permission_name, p.class,
    COALESCE(
        os.name COLLATE DATABASE_DEFAULT, ts.name COLLATE DATABASE_DEFAULT, xs.name COLLATE DATABASE_DEFAULT
    ),
    COALESCE(
        o.name COLLATE DATABASE_DEFAULT, s.name COLLATE DATABASE_DEFAULT, u.name COLLATE DATABASE_DEFAULT,
        t.name COLLATE DATABASE_DEFAULT, x.name COLLATE DATABASE_DEFAULT, k.name COLLATE DATABASE_DEFAULT,
        c.name COLLATE DATABASE_DEFAULT, a.name COLLATE DATABASE_DEFAULT, b.name COLLATE DATABASE_DEFAULT
    ), u.type, col.name
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
WHERE p.grantee_principal_id IN ({ids})
"""
_OWNED = """
SELECT s.principal_id, N'SCHEMA', NULL, s.name COLLATE DATABASE_DEFAULT
FROM sys.schemas AS s WHERE s.principal_id IN ({ids})
UNION ALL
SELECT o.principal_id, N'OBJECT', s.name COLLATE DATABASE_DEFAULT, o.name COLLATE DATABASE_DEFAULT
FROM sys.objects AS o
INNER JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE o.principal_id IN ({ids})
UNION ALL
SELECT r.owning_principal_id, N'ROLE', NULL, r.name COLLATE DATABASE_DEFAULT
FROM sys.database_principals AS r WHERE r.owning_principal_id IN ({ids})
UNION ALL
SELECT c.principal_id, N'CERTIFICATE', NULL, c.name COLLATE DATABASE_DEFAULT
FROM sys.certificates AS c WHERE c.principal_id IN ({ids})
UNION ALL
SELECT k.principal_id, N'SYMMETRIC KEY', NULL, k.name COLLATE DATABASE_DEFAULT
FROM sys.symmetric_keys AS k WHERE k.principal_id IN ({ids})
UNION ALL
SELECT a.principal_id, N'ASYMMETRIC KEY', NULL, a.name COLLATE DATABASE_DEFAULT
FROM sys.asymmetric_keys AS a WHERE a.principal_id IN ({ids})
UNION ALL
SELECT b.principal_id, N'ASSEMBLY', NULL, b.name COLLATE DATABASE_DEFAULT
FROM sys.assemblies AS b WHERE b.principal_id IN ({ids})
"""
# https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-database-permissions-transact-sql,
# https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-server-permissions-transact-sql
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
_STATES = {"G", "W", "D", "R"}
# authentication_type of a contained user with a password.
_IN_DATABASE = 2
_MASTER = 1


@dataclass(frozen=True)
class Login:
    """A login of the server, or a contained user, which has none.

    Args:
        account: who it is.
        principal: its id, on the server or in its database.
        kind: the letter of its type.
        default_database, default_language: where its sessions begin; None for a contained user.
        policy, expiration: whether the password policy and its age are checked.
        default_schema: of a contained user.
    """

    account: Account
    principal: int
    kind: str
    disabled: bool = False
    default_database: str | None = None
    default_language: str | None = None
    policy: bool = False
    expiration: bool = False
    default_schema: str | None = None

    @property
    def name(self) -> str:
        """As the catalog spells it."""
        return self.account.name

    @property
    def sid(self) -> bytes:
        """The SID, which ties users in databases to it."""
        return sid_of(self.account)

    @property
    def contained(self) -> bool:
        """Whether it lives in a database."""
        return is_contained(self.account)


@dataclass(frozen=True)
class DatabaseUser:
    """A user in a database; ``contained`` where it has a password there."""

    name: str
    sid: bytes
    principal: int
    default_schema: str | None
    contained: bool = False


@dataclass(frozen=True, order=True)
class Permission:
    """One permission, as in the catalog.

    Args:
        permission: its name, ``SELECT``.
        on: the securable as GRANT takes it, ``ON SCHEMA::[sales]``; empty for the whole database or server.
        state: G: granted, W: with GRANT OPTION, D: denied, R: revoked for a column of what is granted.
        column: the column as GRANT takes it, ``([price])``; empty for all of them.
    """

    permission: str
    on: str
    state: str = "G"
    column: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """All but the state."""
        return self.permission, self.on, self.column

    def __str__(self) -> str:
        words = (self.permission, self.on, self.column)
        return {"D": "DENY ", "R": "REVOKE "}.get(self.state, "") + " ".join(filter(None, words))


@dataclass(frozen=True)
class Membership:
    """A role that a user is a member of."""

    role: int
    name: str
    fixed: bool


class Memberships:
    """The members of each role, directly and by other roles."""

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._of: dict[int, set[Membership]] = defaultdict(set)
        for member, role, called, fixed in rows:
            self._of[member].add(Membership(role, str(called), bool(fixed)))

    def direct(self, principal: int) -> set[Membership]:
        """The roles that a principal was made a member of."""
        return set(self._of.get(principal, ()))

    def all(self, principal: int) -> set[Membership]:
        """These, and all that they lead to."""
        found: set[Membership] = set()
        ahead = self.direct(principal)
        while ahead:
            found |= ahead
            ahead = {further for one in ahead for further in self.direct(one.role)} - found
        return found


@dataclass(frozen=True)
class Database:
    """A database.

    Args:
        owner: the SID of who owns it.
        obstacle: why nothing can be changed there; empty if something can.
        readable: whether its catalog can be read at least.
    """

    name: str
    owner: bytes
    obstacle: str
    readable: bool


def whoami(connection: Connection) -> Account:
    """Who logged in, and where. The connection gets it too, for its messages.

    Raises:
        UserNotRotatable: the server does not say.
    """
    for server, started, database, authenticating, how, *found in connection.execute(_WHO):
        connection.database = str(database)
        connection.server = f"{server} since {started}"
        # A contained user may have been made with the very SID of somebody's login: it is no login for that. Of a login
        # the first is said to be 0, and master's id is seen as well.
        contained = (authenticating or 0) > _MASTER or how == _IN_DATABASE
        called, sid = found[2:] if contained else found[:2]
        if called is not None and sid:
            account = _account(connection, str(called), sid, contained=contained)
            connection.user = account.name
            return account
    raise UserNotRotatable(
        f"{connection.where}: the server does not tell which login this is", "name a login of SQL Server's own"
    )


def sid_of(account: Account) -> bytes:
    """An account's SID."""
    return bytes.fromhex(cast("tuple[str, ...]", account.key)[-1])


def is_contained(account: Account) -> bool:
    """Whether it is a contained user, of the database in its scope."""
    return bool(account.scope)


def find_login(connection: Connection, condition: str) -> Login | None:
    """A login of the server."""
    for found, sid, principal, kind, disabled, database, language, policy, expiration in connection.execute(
        _LOGIN.format(condition=condition)
    ):
        account = _account(connection, found, sid, contained=False)
        flags = bool(disabled), database, language, bool(policy), bool(expiration)
        return Login(account, principal, kind.strip(), *flags)
    return None


def find_contained(connection: Connection, condition: str) -> Login | None:
    """A contained user with a password, of the current database."""
    for found, sid, principal, kind, how, schema, language in connection.execute(_USERS.format(condition=condition)):
        if how == _IN_DATABASE:
            account = _account(connection, found, sid, contained=True)
            return Login(account, principal, kind.strip(), default_language=language, default_schema=schema)
    return None


def find(connection: Connection, account: Account) -> Login | None:
    """The login or contained user that an account is, if it is still there."""
    condition = f"{{}}.sid = {binary(sid_of(account))}"
    if not is_contained(account):
        return find_login(connection, condition.format("p"))
    # A user of another database may have been made with the same SID.
    return find_contained(connection, condition.format("u")) if account.scope == (connection.database,) else None


def find_named(connection: Connection, user: str) -> list[Login]:
    """The login and the contained user of the current database that have a name, by the server's rules."""
    found = find_login(connection, f"p.name = {text(user)}"), find_contained(connection, f"u.name = {text(user)}")
    return [one for one in found if one is not None]


def require(connection: Connection, account: Account) -> Login:
    """A login whose password the server itself keeps.

    Raises:
        PermissionRefused: the logged-in user can't see whether there is one.
        UserNotRotatable: there is none, or it is of another kind.
    """
    found = find(connection, account)
    if found is None:
        [(sees,)] = connection.execute("SELECT HAS_PERMS_BY_NAME(NULL, NULL, 'ALTER ANY LOGIN')")
        if not sees:
            # https://learn.microsoft.com/sql/relational-databases/security/metadata-visibility-configuration
            raise PermissionRefused(
                f"'{connection.user}' at {connection.host} can't see the login {account}",
                f"run: GRANT ALTER ANY LOGIN TO {name(connection.user)}",
            )
        raise UserNotRotatable(
            f"there is no login {account} at {connection.host}, nor a contained user in '{connection.database}'",
            "create it, or correct the secret",
        )
    return usable(connection, found)


def usable(connection: Connection, found: Login) -> Login:
    """The login, after checking that it has a password in the server, and may log in.

    Raises:
        UserNotRotatable: it has none, or is disabled.
    """
    if found.kind != SQL_LOGIN:
        raise UserNotRotatable(
            f"{found.account} at {connection.host} {_HOW.get(found.kind, 'is no SQL login')}",
            "it has no password to rotate",
        )
    if found.disabled:
        raise UserNotRotatable(
            f"the login {found.account} at {connection.host} is disabled", "enable it, or correct the secret"
        )
    return found


def server_roles(connection: Connection) -> Memberships:
    """Who is in which server role; a login without VIEW ANY DEFINITION sees a part of it only."""
    return Memberships(connection.execute(_SERVER_ROLES))


def server_rights(connection: Connection, principals: Iterable[int]) -> Mapping[int, set[Permission]]:
    """What principals were granted or denied on the server."""
    return _rights(connection, connection.execute(_SERVER_RIGHTS.format(ids=_list(principals))))


def server_extras(connection: Connection, principals: Iterable[int]) -> set[str]:
    """What principals may do on the server beyond what was granted: what they own, and who they are elsewhere."""
    rows = connection.execute(_SERVER_EXTRAS.format(ids=_list(principals)))
    return {f"{how} {name(what)}" for _, how, what in rows}


def databases(connection: Connection) -> list[Database]:
    """Each database except tempdb, which every start makes again, and model, which users do not work in."""
    return [_database(connection, *row) for row in connection.execute(_DATABASES)]


def _database(connection: Connection, *row: Any) -> Database:
    called, state, updateability, access, owner = row
    online = state == "ONLINE"
    obstacle = "" if access else f"'{connection.user}' may not use it"
    if not online:
        obstacle = f"it is {str(state).lower()}"
    elif updateability == "READ_ONLY":
        obstacle = "it is read-only, or a secondary replica"
    return Database(called, owner, obstacle, online and bool(access))


def users(connection: Connection, sids: Iterable[bytes], named: str) -> list[DatabaseUser]:
    """The users of the current database who belong to these logins, or have that name."""
    condition = f"u.sid IN ({', '.join(map(binary, sids))}) OR u.name = {text(named)}"
    rows = connection.execute(_USERS.format(condition=condition))
    return [
        DatabaseUser(found, sid, principal, schema, how == _IN_DATABASE)
        for found, sid, principal, _, how, schema, _ in rows
    ]


def roles(connection: Connection) -> Memberships:
    """Who is in which role of the current database."""
    return Memberships(connection.execute(_ROLES))


def rights(connection: Connection, principals: Iterable[int]) -> Mapping[int, set[Permission]]:
    """What principals were granted or denied in the current database."""
    return _rights(connection, connection.execute(_RIGHTS.format(ids=_list(principals))))


def owned(connection: Connection, principals: Iterable[int]) -> Mapping[int, set[str]]:
    """What belongs to principals in the current database, as GRANT takes it."""
    found: dict[int, set[str]] = defaultdict(set)
    for principal, kind, schema, item in connection.execute(_OWNED.format(ids=_list(principals))):
        place = name(item) if schema is None else f"{name(schema)}.{name(item)}"
        found[principal].add(f"ON {kind}::{place}")
    return found


def has_triggers(connection: Connection) -> bool:
    """Whether any DDL trigger is enabled in the current database."""
    [(count,)] = connection.execute(
        "SELECT COUNT(*) FROM sys.triggers AS t WHERE t.parent_class = 0 AND t.is_disabled = 0 AND t.is_ms_shipped = 0"
    )
    return bool(count)


def may(connection: Connection, permission: str, *, here: bool = False) -> bool:
    """Whether the logged-in user has a permission on the server, or in the current database."""
    # A database's name may hold a full stop, and would then be read as two.
    securable = "QUOTENAME(DB_NAME()), 'DATABASE'" if here else "NULL, NULL"
    [(answer,)] = connection.execute(f"SELECT HAS_PERMS_BY_NAME({securable}, '{permission}')")
    return bool(answer)


def may_alter_role(connection: Connection, role: str, *, here: bool = False) -> bool:
    """Whether the logged-in user may add members to a server role that is not fixed, or to the current database's."""
    kind = "ROLE" if here else "SERVER ROLE"
    [(answer,)] = connection.execute(f"SELECT HAS_PERMS_BY_NAME({text(name(role))}, '{kind}', 'ALTER')")
    return bool(answer)


def _account(connection: Connection, called: str, sid: bytes, *, contained: bool) -> Account:
    scope = (connection.database,) if contained else ()
    return Account(connection.server, (*scope, sid.hex()), called, scope)


def _list(principals: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(set(principals))))


def _rights(connection: Connection, rows: Iterable[tuple[Any, ...]]) -> Mapping[int, set[Permission]]:
    found: dict[int, set[Permission]] = defaultdict(set)
    for grantee, state, permission, of, schema, item, kind, column in rows:
        on = _on(of, schema, item, kind)
        if on is None or state.strip() not in _STATES or not _WORDS.fullmatch(permission.strip()):
            raise ServiceFailed(
                f"{connection.where}: a permission is of a form that is not known: {permission}, class {of}",
                "give it to a role instead, of which both users are members; and please report it",
            )
        found[grantee].add(Permission(permission.strip(), on, state.strip(), f"({name(column)})" if column else ""))
    return found


def _on(of: int, schema: str | None, item: str | None, kind: str | None) -> str | None:
    """The securable as GRANT takes it; None if it is of a kind that is not known."""
    kind = (kind or "").strip()
    if of in _WHOLE:
        return ""
    if item is None:
        return None
    if of in _IN_SCHEMAS and schema is not None:
        return f"ON {_IN_SCHEMAS[of]}::{name(schema)}.{name(item)}"
    principals = {
        _DATABASE_PRINCIPAL: _PRINCIPALS.get(kind, "USER"),
        _SERVER_PRINCIPAL: "SERVER ROLE" if kind == "R" else "LOGIN",
    }
    securable = _SECURABLES.get(of) or principals.get(of)
    return None if securable is None else f"ON {securable}::{name(item)}"


def together(found: Mapping[int, set[Permission]], principals: Iterable[int]) -> Iterator[Permission]:
    """What several principals were granted or denied."""
    for principal in principals:
        yield from found.get(principal, ())
