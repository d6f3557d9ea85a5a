"""SQL Server's logins, users, roles and permissions, behind a real TDS connection: no SQL Server, and it says so.

It keeps a catalogue, enforces it, and fails on any statement it does not know. What it can't show: that the real server
parses and means the same (sqlfluff's grammar and the manual stand for that), locks, replicas, and policies beyond a
password's length and history.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from doubles.statements import Statements, statement
from doubles.tds import Batch, SqlError

NAME = r"\[((?:[^\]]|\]\])+)\]"
TEXT = r"N'((?:[^']|'')*)'"
ON = (
    r"(?: ON (OBJECT|SCHEMA|TYPE|ROLE|USER|LOGIN|SERVER ROLE|CERTIFICATE)::((?:\[(?:[^\]]|\]\])+\]\.?)+)(?: \("
    + NAME
    + r"\))?)?"
)
IDS = r"((?:\d+(?:, )?)+)"
# https://learn.microsoft.com/sql/t-sql/statements/grant-server-permissions-transact-sql
_SERVER_PERMISSIONS = {
    "ADMINISTER BULK OPERATIONS", "ALTER ANY CONNECTION", "ALTER ANY CREDENTIAL", "ALTER ANY EVENT SESSION",
    "ALTER ANY LINKED SERVER", "ALTER ANY LOGIN", "ALTER ANY SERVER AUDIT", "ALTER ANY SERVER ROLE",
    "ALTER SERVER STATE", "ALTER TRACE", "CONNECT SQL", "CONTROL SERVER",
    "CREATE ANY DATABASE", "CREATE LOGIN", "IMPERSONATE ANY LOGIN", "VIEW ANY DATABASE", "VIEW ANY DEFINITION",
    "VIEW SERVER STATE",
}  # fmt: skip
# https://learn.microsoft.com/sql/relational-databases/security/authentication-access/server-level-roles
FIXED_ROLES = {
    "sysadmin", "securityadmin", "serveradmin", "setupadmin", "processadmin", "diskadmin", "dbcreator", "bulkadmin",
    "##MS_LoginManager##",
}  # fmt: skip
# What the fixed roles may do, as far as anybody asks here.
_OF_ROLES = {"securityadmin": {"ALTER ANY LOGIN", "VIEW ANY DEFINITION"}, "##MS_LoginManager##": {"ALTER ANY LOGIN"}}
# https://learn.microsoft.com/sql/relational-databases/security/authentication-access/database-level-roles
FIXED_DATABASE_ROLES = {
    "db_owner", "db_securityadmin", "db_accessadmin", "db_backupoperator", "db_ddladmin", "db_datawriter",
    "db_datareader", "db_denydatawriter", "db_denydatareader",
}  # fmt: skip
_CLASSES = {
    "OBJECT": 1,
    "SCHEMA": 3,
    "ROLE": 4,
    "USER": 4,
    "TYPE": 6,
    "CERTIFICATE": 25,
    "LOGIN": 101,
    "SERVER ROLE": 101,
}

# (grantee, permission, class, schema, name, column) → G, W or D
Permissions = dict[tuple[str, str, int, str | None, str | None, str | None], str]


@dataclass
class Login:
    """A login."""

    sid: bytes
    password: str
    kind: str = "S"
    disabled: bool = False
    locked: bool = False
    expired: bool = False
    database: str = "app"
    language: str = "us_english"
    policy: bool = True
    expiration: bool = False
    history: list[str] = field(default_factory=list)


@dataclass
class User:
    """A user in a database; with a password where it is contained."""

    sid: bytes
    schema: str | None = "dbo"
    password: str | None = None
    language: str | None = None


@dataclass
class Database:
    """A database."""

    state: str = "ONLINE"
    read_only: bool = False
    primary: int | None = None
    owner: bytes = b"\1"
    users: dict[str, User] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    permissions: Permissions = field(default_factory=dict)
    schemas: dict[str, str] = field(default_factory=lambda: {"dbo": "dbo"})
    # kind and name of what else has an owner → owner
    securables: dict[tuple[str, str], str] = field(default_factory=dict)
    # What a DDL trigger does, with the session of anyone who fires it.
    triggers: list[Callable[[Session], None]] = field(default_factory=list)
    standby: bool = False
    ids: dict[str, int] = field(default_factory=lambda: {"dbo": 1})
    # (schema, name) → owner of its own
    objects: dict[tuple[str, str], str | None] = field(default_factory=dict)

    @property
    def updateability(self) -> str:
        """As DATABASEPROPERTYEX has it."""
        return "READ_ONLY" if self.read_only or self.standby or self.primary == 0 else "READ_WRITE"

    def id_of(self, principal: str) -> int:
        """A principal's id, the same each time."""
        return self.ids.setdefault(principal, len(self.ids) + 4)


class Server:
    """The catalogue of a server, and its door."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.logins: dict[str, Login] = {}
        self.name = "DOUBLE"
        # Whether names differ by the case of their letters.
        self.case_sensitive = True
        self.started = "2026-01-02T03:04:05.000"
        self.members: dict[str, set[str]] = {"sysadmin": set(), "processadmin": set(), "setupadmin": set()}
        self.permissions: Permissions = {}
        self.ids: dict[str, int] = {}
        # What somebody owns or is elsewhere: login, how, what.
        self.extras: set[tuple[str, str, str]] = set()
        self.databases = {"master": Database(), "msdb": Database(), "app": Database(), "other": Database()}
        self.statements: set[str] = set()
        self.failures: list[str] = []
        self.refused: list[str] = []

    def log_in(self, user: str, password: str, database: str) -> Session:
        """A session, or what the real server says."""
        with self.lock:
            user = self.called(user)
            found = self.databases.get(database or "master")
            contained = found.users.get(user) if found else None
            if contained is not None and contained.password is not None:
                # There is no second try with a login of that name.
                if contained.password == password:
                    return Session(self, user, contained.sid, database, contained=True)
            elif (login := self.logins.get(user)) is not None and login.password == password:
                self._admit(user, login)
                database = database or login.database
                if database not in self.databases or self._user(login.sid, database) is None:
                    raise SqlError(4060, f'Cannot open database "{database}" requested by the login. The login failed.')
                return Session(self, user, login.sid, database)
            self.refused.append(user)
            raise SqlError(18456, f"Login failed for user '{user}'.")

    def called(self, name: str) -> str:
        """The login that a name means, by the server's collation."""
        if self.case_sensitive or name in self.logins:
            return name
        return next((login for login in self.logins if login.casefold() == name.casefold()), name)

    def _admit(self, user: str, login: Login) -> None:
        if login.disabled:
            raise SqlError(18470, f"Login failed for user '{user}'. Reason: The account is disabled.")
        if login.locked:
            raise SqlError(18486, f"Login failed for user '{user}' because the account is currently locked out.")
        if login.expired:
            raise SqlError(18487, f"Login failed for user '{user}'. Reason: The password of the account has expired.")

    def _user(self, sid: bytes, database: str) -> str | None:
        found = self.databases[database]
        login = next((name for name, one in self.logins.items() if one.sid == sid), None)
        if found.owner == sid or login in self.members["sysadmin"]:
            return "dbo"
        named = next((name for name, user in found.users.items() if user.sid == sid), None)
        return named or ("guest" if database in {"master", "msdb"} else None)

    def id_of(self, principal: str) -> int:
        """A principal's id, the same each time."""
        return self.ids.setdefault(principal, len(self.ids) + 260)

    def roles_of(self, principal: str) -> set[str]:
        """All server roles that somebody is in, by others as well."""
        return _closure(self.members, principal)

    def set_password(self, login: Login, password: str) -> None:
        """Set it, by the policy."""
        if login.policy and len(password) < 8:
            raise SqlError(15116, "Password validation failed. The password does not meet the policy: it is too short.")
        if login.policy and password in login.history:
            raise SqlError(15115, "Password validation failed. The password cannot be used at this time.")
        login.password = password
        login.history.append(password)


def _closure(members: dict[str, set[str]], principal: str) -> set[str]:
    found: set[str] = set()
    ahead = {principal}
    while ahead:
        ahead = {role for role, inside in members.items() if inside & ahead} - found
        found |= ahead
    return found


def unquote(name: str) -> str:
    """A name without its brackets."""
    return name.replace("]]", "]")


def untext(literal: str) -> str:
    """A literal's value."""
    return literal.replace("''", "'")


def _parts(name: str) -> list[str]:
    parts, rest = [], name
    while rest:
        end = 1
        while rest[end] != "]" or rest[end + 1 : end + 2] == "]":
            end += 2 if rest[end] == "]" else 1
        parts.append(unquote(rest[1:end]))
        rest = rest[end + 1 :].lstrip(".")
    return parts


class Session(Statements):
    """A login at work."""

    refusals = SqlError

    def __init__(self, server: Server, user: str, sid: bytes, database: str, *, contained: bool = False) -> None:
        # What the tests themselves do as sa is not the engine's.
        super().__init__(set() if user == "sa" else server.statements, server.failures)
        self.server = server
        self.login = user
        self.sid = sid
        self.database = database
        self.home = database if contained else None
        # The cookie of who is the owner of the present database, and nobody outside of it.
        self.cookie: bytes | None = None

    def run(self, text: str, parameters: Any = ()) -> Any:
        with self.server.lock:
            return super().run(text, parameters) or []

    # Who may what

    @property
    def here(self) -> Database:
        return self.server.databases[self.database]

    @property
    def user(self) -> str:
        if self.cookie is not None:
            return "dbo"
        found = self.login if self.home else self.server._user(self.sid, self.database)
        assert found is not None
        return found

    def _roles_here(self, user: str) -> set[str]:
        return _closure(self.here.members, user)

    def _may_on_server(self, permission: str) -> bool:
        if self.cookie is not None or self.home is not None:
            return False
        roles = self.server.roles_of(self.login)
        if "sysadmin" in roles:
            return True
        names = {self.login, *roles}
        held = {key[1] for key, state in self.server.permissions.items() if key[0] in names and key[2] == 100}
        held -= {key[1] for key, state in self.server.permissions.items() if key[0] in names and state == "D"}
        held |= {one for role in roles for one in _OF_ROLES.get(role, ())}
        return permission in held or "CONTROL SERVER" in held

    def _sees_definitions(self) -> bool:
        return self._may_on_server("VIEW ANY DEFINITION")

    def _owns_here(self) -> bool:
        return self.user == "dbo" or "db_owner" in self._roles_here(self.user)

    def _require_owner(self, what: str, *enough: tuple[str, int, str | None]) -> None:
        held = {
            (key[1], key[2], key[4])
            for key, state in self.here.permissions.items()
            if key[0] == self.user and state != "D"
        }
        if not self._owns_here() and not held & set(enough):
            raise SqlError(15151, f"Cannot alter {what}, because it does not exist or you do not have permission.")
        if self.here.read_only:
            raise SqlError(3906, f'Failed to update database "{self.database}" because the database is read-only.')
        # It runs with the rights of the user who fires it.
        for trigger in self.here.triggers:
            trigger(self)

    def _may(self, permission: str, schema: str, item: str | None = None) -> bool:
        found, user = self.here, self.user
        if self._owns_here() or found.schemas.get(schema) == user:
            return True
        names = {user, *self._roles_here(user)}
        wanted = {("CONTROL", 3, None, schema), (permission, 3, None, schema), (permission, 0, None, None)}
        if item is not None:
            wanted |= {(permission, 1, schema, item), ("CONTROL", 1, schema, item)}
        states = {
            state
            for key, state in found.permissions.items()
            if key[0] in names and (key[1], key[2], key[3], key[4]) in wanted and key[5] is None
        }
        return bool(states) and "D" not in states

    # What every session asks

    @statement(r"SET LOCK_TIMEOUT \d+")
    def _setting(self) -> None: ...

    @statement(
        r"SELECT CONVERT\(nvarchar\(128\), SERVERPROPERTY\('ServerName'\)\), .* FROM sys\.dm_exec_sessions AS s .* "
        r"WHERE s\.session_id = @@SPID"
    )
    def _who(self) -> Any:
        login = next((name for name, one in self.server.logins.items() if one.sid == self.sid), None)
        found = (login, self.sid if login else None)
        user = self.here.users.get(self.user)
        sid = self.sid if self.user in {"dbo", self.login} else user.sid if user else None
        how = 2 if self.home else 1
        where = 0 if self.home is None else 5
        return [(self.server.name, self.server.started, self.database, where, how, *found, self.user, sid)]

    @statement(r"SELECT DATABASEPROPERTYEX\(d\.name, 'Updateability'\), .* WHERE d\.database_id = DB_ID\(\)")
    def _writable(self) -> Any:
        replica = None if self.here.primary is None else "00000000-0000-0000-0000-000000000001"
        return [(self.here.updateability, replica, int(self.here.standby))]

    @statement(rf"SELECT LOGINPROPERTY\({TEXT}, 'IsLocked'\)")
    def _locked(self, name: str) -> Any:
        return [(int(self.server.logins[untext(name)].locked),)]

    @statement(r"SELECT 1")
    def _one(self) -> Any:
        return [(1,)]

    @statement(r"SELECT nowhere")
    def _nowhere(self) -> Any:
        raise SqlError(207, "Invalid column name 'nowhere'.")

    @statement(r"SELECT 1; SELECT nowhere")
    def _late(self) -> Any:
        return Batch([[(1,)], SqlError(207, "Invalid column name 'nowhere'.")])

    @statement(r"EXECUTE raises_later")
    def _later(self) -> Any:
        return Batch([[(1,)], [(2,), (3,)], SqlError(50000, "Raised nowhere near the beginning.")])

    @statement(r"BEGIN TRANSACTION")
    def _begin(self) -> None: ...

    @statement(r"IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
    def _roll_back(self) -> None: ...

    @statement(rf"USE {NAME}")
    def _use(self, name: str) -> None:
        database = unquote(name)
        closed = self.cookie is not None or self.home not in {None, database}
        if closed or database not in self.server.databases or self.server._user(self.sid, database) is None:
            raise SqlError(916, f'The server principal is not able to access the database "{database}".')
        self.database = database

    @statement(rf"USE {NAME}; (DENY .*)")
    def _use_and(self, name: str, then: str) -> None:
        self.run(f"USE [{name}]")
        self.run(then)

    @statement(r"DECLARE @cookie varbinary\(8000\); EXECUTE AS USER = N'dbo' WITH COOKIE INTO @cookie; SELECT @cookie")
    def _become_owner(self) -> Any:
        if not self._owns_here():
            raise SqlError(15517, 'Cannot execute as the database principal "dbo", which you can not impersonate.')
        self.cookie = secrets.token_bytes(8)
        return [(self.cookie,)]

    @statement(r"DECLARE @cookie varbinary\(8000\) = 0x([0-9A-F]+); REVERT WITH COOKIE = @cookie")
    def _become_oneself(self, cookie: str) -> None:
        if self.cookie != bytes.fromhex(cookie):
            raise SqlError(15591, "The current security context cannot be reverted.")
        self.cookie = None

    @statement(r"REVERT")
    def _revert(self) -> None:
        if self.cookie is not None:
            raise SqlError(15591, "The current security context cannot be reverted.")

    @statement(r"SELECT HAS_PERMS_BY_NAME\(NULL, NULL, '([A-Z ]+)'\)")
    def _has_server(self, permission: str) -> Any:
        return [(int(self._may_on_server(permission)),)]

    # Without QUOTENAME a name with a full stop would be two.
    @statement(r"SELECT HAS_PERMS_BY_NAME\(QUOTENAME\(DB_NAME\(\)\), 'DATABASE', '(CONTROL|ALTER ANY USER)'\)")
    def _has_here(self, permission: str) -> Any:
        held = self.here.permissions.get((self.user, permission, 0, None, None, None))
        return [(int(self._owns_here() or held in {"G", "W"}),)]

    @statement(rf"SELECT HAS_PERMS_BY_NAME\({TEXT}, 'ROLE', 'ALTER'\)")
    def _has_role_here(self, role: str) -> Any:
        held = self.here.permissions.get((self.user, "ALTER", 4, None, _parts(untext(role))[0], None))
        return [(int(self._owns_here() or held in {"G", "W"}),)]

    @statement(rf"SELECT HAS_PERMS_BY_NAME\({TEXT}, 'SERVER ROLE', 'ALTER'\)")
    def _has_role(self, role: str) -> Any:
        return [(int(self._may_alter_role(_parts(untext(role))[0])),)]

    def _may_alter_role(self, role: str) -> bool:
        key = (self.login, "ALTER", 101, None, role, None)
        return self._may_on_server("ALTER ANY SERVER ROLE") or self.server.permissions.get(key) in {"G", "W"}

    @statement(r"SELECT SUSER_SNAME\(0x([0-9A-F]*)\)")
    def _of_sid(self, sid: str) -> Any:
        return [(next((name for name, one in self.server.logins.items() if one.sid == bytes.fromhex(sid)), None),)]

    # The catalogue

    _LOGIN = r"SELECT p\.name, p\.sid, .* FROM sys\.server_principals AS p .* WHERE "

    @statement(rf"{_LOGIN}p\.name = {TEXT}")
    def _login_named(self, name: str) -> Any:
        return self._login_rows([self.server.called(untext(name))])

    @statement(rf"{_LOGIN}p\.sid = 0x([0-9A-F]*)")
    def _login_of(self, sid: str) -> Any:
        return self._login_rows([name for name, one in self.server.logins.items() if one.sid == bytes.fromhex(sid)])

    def _login_rows(self, names: list[str]) -> Any:
        rows = []
        for name in names:
            found = self.server.logins.get(name)
            # Everybody sees oneself: https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-server-principals-transact-sql
            sees = name == self.login or self._may_on_server("ALTER ANY LOGIN") or self._sees_definitions()
            if found is not None and sees:
                attributes = (int(found.disabled), found.database, found.language, found.policy, found.expiration)
                rows.append((name, found.sid, self.server.id_of(name), found.kind, *map(_plain, attributes)))
        return rows

    @statement(r"SELECT m\.member_principal_id, .* FROM sys\.server_role_members AS m .*")
    def _server_roles(self) -> Any:
        # https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-server-role-members-transact-sql
        every = self._sees_definitions()
        return [
            (self.server.id_of(member), self.server.id_of(role), role, int(role in FIXED_ROLES))
            for role, members in self.server.members.items()
            for member in members
            if every or member == self.login or role in FIXED_ROLES
        ]

    @statement(rf"SELECT p\.grantee_principal_id, .* FROM sys\.server_permissions AS p .* IN \({IDS}\)")
    def _server_rights(self, ids: str) -> Any:
        wanted = set(map(int, ids.split(", ")))
        sees = self._sees_definitions()
        names = {
            name
            for name in (*self.server.logins, *self.server.members)
            if self.server.id_of(name) in wanted and (sees or name == self.login)
        }
        return self._permissions(self.server.permissions, names, self.server.id_of, set(self.server.logins))

    @statement(rf"SELECT r\.owning_principal_id, N'owns the server role', .* IN \({IDS}\)")
    def _server_extras(self, ids: str) -> Any:
        wanted = set(map(int, ids.split(", ")))
        rows = [(self.server.id_of(login), how, what) for login, how, what in self.server.extras]
        return [row for row in rows if row[0] in wanted and self._sees_definitions()]

    @statement(r"SELECT d\.name, d\.state_desc, .* FROM sys\.databases AS d .*")
    def _databases(self) -> Any:
        return [
            (
                name,
                one.state,
                one.updateability,
                int(one.state == "ONLINE" and self.server._user(self.sid, name) is not None),
                one.owner,
            )
            for name, one in sorted(self.server.databases.items())
        ]

    _USER = r"SELECT u\.name, u\.sid, .* FROM sys\.database_principals AS u WHERE .* AND "

    @statement(rf"{_USER}\(u\.name = {TEXT}\)")
    def _user_named(self, name: str) -> Any:
        found = self.here.users.get(untext(name))
        return [] if found is None else [self._user_row(untext(name), found)]

    @statement(rf"{_USER}\(u\.sid = 0x([0-9A-F]*)\)")
    def _user_of(self, sid: str) -> Any:
        return [self._user_row(*one) for one in self.here.users.items() if one[1].sid == bytes.fromhex(sid)]

    @statement(rf"{_USER}\(u\.sid IN \(0x([0-9A-F]*), 0x([0-9A-F]*)\) OR u\.name = {TEXT}\)")
    def _users_of(self, first: str, second: str, name: str) -> Any:
        sids = {bytes.fromhex(first), bytes.fromhex(second)}
        found = {one: user for one, user in self.here.users.items() if user.sid in sids or one == untext(name)}
        if self.here.owner in sids:
            found["dbo"] = User(self.here.owner)
        return [self._user_row(one, user) for one, user in found.items()]

    def _user_row(self, name: str, user: User) -> tuple[Any, ...]:
        how = 1 if user.password is None else 2
        return name, user.sid, self.here.id_of(name), "S", how, user.schema, user.language

    @statement(r"SELECT m\.member_principal_id, .* FROM sys\.database_role_members AS m .*")
    def _roles(self) -> Any:
        found = self.here
        return [
            (found.id_of(member), found.id_of(role), role, int(role in FIXED_DATABASE_ROLES))
            for role, members in found.members.items()
            for member in members
        ]

    @statement(rf"SELECT p\.grantee_principal_id, .* FROM sys\.database_permissions AS p .* IN \({IDS}\)")
    def _rights(self, ids: str) -> Any:
        return self._permissions(self.here.permissions, self._named(ids), self.here.id_of, set(self.here.users))

    def _named(self, ids: str) -> set[str]:
        wanted = set(map(int, ids.split(", ")))
        return {name for name, one in self.here.ids.items() if one in wanted}

    @staticmethod
    def _permissions(
        permissions: Permissions, grantees: set[str], id_of: Callable[[str], int], singles: set[str]
    ) -> Any:
        return [
            (id_of(who), state, permission, of, schema, item, "S" if item in singles else "R", column)
            for (who, permission, of, schema, item, column), state in permissions.items()
            if who in grantees
        ]

    @statement(r"SELECT s\.principal_id, N'SCHEMA', NULL, .* IN \(([\d, ]+)\) UNION ALL .*")
    def _owned(self, ids: str) -> Any:
        found, names = self.here, self._named(ids)
        rows: list[Any] = [
            (found.id_of(owner), "SCHEMA", None, schema) for schema, owner in found.schemas.items() if owner in names
        ]
        rows += [(found.id_of(owner), "OBJECT", *one) for one, owner in found.objects.items() if owner in names]
        return rows + [
            (found.id_of(owner), kind, None, item) for (kind, item), owner in found.securables.items() if owner in names
        ]

    @statement(r"SELECT COUNT\(\*\) FROM sys\.triggers AS t WHERE t\.parent_class = 0 .*")
    def _has_triggers(self) -> Any:
        return [(len(self.here.triggers),)]

    # Logins

    @statement(rf"ALTER LOGIN {NAME} WITH PASSWORD = {TEXT} OLD_PASSWORD = {TEXT}")
    def _own_password(self, name: str, new: str, old: str) -> None:
        found = self.server.logins.get(unquote(name))
        own = unquote(name) == self.login and self.home is None
        if found is None or not own or found.password != untext(old):
            raise SqlError(
                15151,
                f"Cannot alter the login '{unquote(name)}', because it does not exist or you do not have permission.",
            )
        self.server.set_password(found, untext(new))

    @statement(rf"ALTER USER {NAME} WITH PASSWORD = {TEXT}(?: OLD_PASSWORD = {TEXT})?")
    def _user_password(self, name: str, new: str, old: str | None) -> None:
        found = self.here.users.get(unquote(name))
        own = unquote(name) == self.login and found is not None and old is not None and found.password == untext(old)
        if old is None:
            self._require_owner(f"the user '{unquote(name)}'")
        if found is None or found.password is None or not (own or (old is None and self._owns_here())):
            raise SqlError(
                15151, f"Cannot alter the user '{unquote(name)}', because it does not exist or no permission."
            )
        found.password = untext(new)

    @statement(rf"ALTER LOGIN {NAME} WITH PASSWORD = {TEXT}( UNLOCK)?")
    def _other_password(self, name: str, new: str, unlock: str | None) -> None:
        found = self._login(name)
        self.server.set_password(found, untext(new))
        found.expired = False
        found.locked = found.locked and not unlock

    _OPTIONS = (
        rf"DEFAULT_DATABASE = {NAME}, DEFAULT_LANGUAGE = {NAME}, CHECK_POLICY = (ON|OFF), CHECK_EXPIRATION = (ON|OFF)"
    )

    @statement(rf"CREATE LOGIN {NAME} WITH PASSWORD = {TEXT}, SID = 0x([0-9A-F]+), {_OPTIONS}")
    def _create_login(self, name: str, password: str, sid: str, *options: str) -> None:
        # From SQL Server 2022 on this is enough, with any SID.
        if not self._may_on_server("CREATE LOGIN"):
            self._require_logins(unquote(name))
        if unquote(name) in self.server.logins:
            raise SqlError(15025, f"The server principal '{unquote(name)}' already exists.")
        if any(one.sid == bytes.fromhex(sid) for one in self.server.logins.values()):
            raise SqlError(15433, "Supplied parameter sid is in use.")
        made = Login(bytes.fromhex(sid), "")
        self.server.set_password(made, untext(password))
        self.server.logins[unquote(name)] = made
        self.server.permissions[unquote(name), "CONNECT SQL", 100, None, None, None] = "G"
        self._set_options(made, *options)

    @statement(rf"CREATE LOGIN {NAME} WITH PASSWORD = {TEXT}, DEFAULT_DATABASE = {NAME}(, CHECK_POLICY = OFF)?")
    def _create_plain_login(self, name: str, password: str, database: str, unchecked: str | None) -> None:
        sid = fresh_sid(name).hex().upper()
        self._create_login(name, password, sid, database, "us_english", "OFF" if unchecked else "ON", "OFF")
        self.server.logins[unquote(name)].history.clear()

    @statement(rf"ALTER LOGIN {NAME} WITH DEFAULT_LANGUAGE = {NAME}")
    def _language(self, name: str, language: str) -> None:
        self._login(name).language = unquote(language)

    @statement(rf"IF DB_ID\({TEXT}\) IS NULL CREATE DATABASE {NAME}")
    def _create_database(self, wanted: str, name: str) -> None:
        assert untext(wanted) == unquote(name)
        self.server.databases.setdefault(unquote(name), Database())

    @statement(rf"ALTER LOGIN {NAME} WITH {_OPTIONS}")
    def _alter_login(self, name: str, *options: str) -> None:
        self._set_options(self._login(name), *options)

    @staticmethod
    def _set_options(login: Login, database: str, language: str, policy: str, expiration: str) -> None:
        login.database, login.language = unquote(database), unquote(language)
        login.policy, login.expiration = policy == "ON", expiration == "ON"

    def _require_logins(self, name: str) -> None:
        if not self._may_on_server("ALTER ANY LOGIN"):
            raise SqlError(
                15151, f"Cannot alter the login '{name}', because it does not exist or you do not have permission."
            )

    def _login(self, name: str) -> Login:
        self._require_logins(unquote(name))
        if unquote(name) not in self.server.logins:
            raise SqlError(15151, f"Cannot alter the login '{unquote(name)}', because it does not exist.")
        if "sysadmin" in self.server.roles_of(unquote(name)) and not self._may_on_server("CONTROL SERVER"):
            raise SqlError(15151, f"Cannot alter the login '{unquote(name)}', or you do not have permission.")
        return self.server.logins[unquote(name)]

    @statement(rf"CREATE SERVER ROLE {NAME}")
    def _create_server_role(self, name: str) -> None:
        if not self._may_on_server("CONTROL SERVER"):
            raise SqlError(15247, "User does not have permission to perform this action.")
        self.server.members[unquote(name)] = set()

    @statement(rf"ALTER SERVER ROLE {NAME} (ADD|DROP) MEMBER {NAME}")
    def _server_role(self, role: str, verb: str, name: str) -> None:
        # https://learn.microsoft.com/sql/t-sql/statements/alter-server-role-transact-sql: of a fixed role whoever is in
        # it, of another one anyone who may alter it, and not its members.
        members = self.server.members[unquote(role)]
        own = self.server.roles_of(self.login)
        fixed = unquote(role) in FIXED_ROLES
        may = unquote(role) in own if fixed else self._may_alter_role(unquote(role))
        if self.cookie is not None or not (may or "sysadmin" in own):
            raise SqlError(15151, f"Cannot alter the server role '{unquote(role)}', or you do not have permission.")
        (members.add if verb == "ADD" else members.discard)(unquote(name))

    # Users

    @statement(rf"CREATE USER {NAME} FOR LOGIN {NAME}(?: WITH DEFAULT_SCHEMA = {NAME})?")
    def _create_user(self, name: str, login: str, schema: str | None) -> None:
        self._require_owner(f"the user '{unquote(name)}'", ("ALTER ANY USER", 0, None))
        if unquote(login) not in self.server.logins:
            raise SqlError(15007, f"'{unquote(login)}' is not a valid login or you do not have permission.")
        self._add_user(unquote(name), User(self.server.logins[unquote(login)].sid), schema)

    @statement(
        rf"CREATE USER {NAME} WITH PASSWORD = {TEXT}(?:, DEFAULT_SCHEMA = {NAME})?(?:, DEFAULT_LANGUAGE = {NAME})?"
    )
    def _create_contained(self, name: str, password: str, schema: str | None, language: str | None) -> None:
        self._require_owner(f"the user '{unquote(name)}'")
        language = None if language is None else unquote(language)
        self._add_user(unquote(name), User(secrets.token_bytes(16), None, untext(password), language), schema)

    def _add_user(self, name: str, user: User, schema: str | None) -> None:
        if name in self.here.users:
            raise SqlError(15023, f"User, group, or role '{name}' already exists in the current database.")
        user.schema = "dbo" if schema is None else unquote(schema)
        self.here.users[name] = user
        self.here.permissions[name, "CONNECT", 0, None, None, None] = "G"

    @statement(rf"ALTER USER {NAME} WITH DEFAULT_SCHEMA = {NAME}")
    def _default_schema(self, name: str, schema: str) -> None:
        self._require_owner(f"the user '{unquote(name)}'")
        self.here.users[unquote(name)].schema = unquote(schema)

    @statement(rf"ALTER USER {NAME} WITH LOGIN = {NAME}")
    def _map(self, name: str, login: str) -> None:
        self._require_owner(f"the user '{unquote(name)}'")
        if self.here.users[unquote(name)].password is not None:
            raise SqlError(33016, "The user cannot be remapped to a login.")
        self.here.users[unquote(name)].sid = self.server.logins[unquote(login)].sid

    @statement(rf"ALTER ROLE {NAME} (ADD|DROP) MEMBER {NAME}")
    def _role(self, role: str, verb: str, name: str) -> None:
        self._require_owner(f"the role '{unquote(role)}'", ("ALTER", 4, unquote(role)))
        members = self.here.members.setdefault(unquote(role), set())
        (members.add if verb == "ADD" else members.discard)(unquote(name))

    @statement(rf"(GRANT|DENY) ([A-Z ]+?){ON} TO {NAME}( WITH GRANT OPTION| CASCADE)?")
    def _grant(
        self,
        verb: str,
        permission: str,
        kind: str | None,
        item: str | None,
        column: str | None,
        name: str,
        tail: str | None,
    ) -> None:
        permissions, key = self._securable(permission, kind, item, column, unquote(name))
        self._set_state(permissions, key, "D" if verb == "DENY" else "W" if tail and "GRANT" in tail else "G")

    @statement(rf"REVOKE (GRANT OPTION FOR )?([A-Z ]+?){ON} FROM {NAME} CASCADE")
    def _revoke(
        self, option: str | None, permission: str, kind: str | None, item: str | None, column: str | None, name: str
    ) -> None:
        permissions, key = self._securable(permission, kind, item, column, unquote(name))
        self._set_state(permissions, key, "G" if option else None)

    @staticmethod
    def _set_state(permissions: Permissions, key: Any, state: str | None) -> None:
        """A column has a row where it differs from its object, and what is said of the object holds for all columns.

        https://learn.microsoft.com/sql/relational-databases/system-catalog-views/sys-database-permissions-transact-sql
        """
        *whole, column = key
        if column is None:
            for other in [other for other in permissions if list(other[:-1]) == whole]:
                del permissions[other]
        of_object = None if column is None else permissions.get((*whole, None))
        if state == of_object:
            permissions.pop(key, None)
        else:
            permissions[key] = state or "R"

    def _securable(
        self, permission: str, kind: str | None, item: str | None, column: str | None, grantee: str
    ) -> tuple[Permissions, Any]:
        parts = _parts(item) if item else []
        schema, named = (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0] if parts else None)
        on_server = kind in {"LOGIN", "SERVER ROLE"} or (
            kind is None and self.database == "master" and permission in _SERVER_PERMISSIONS
        )
        of = _CLASSES[kind] if kind else 100 if on_server else 0
        key = (grantee, permission, of, schema, named, unquote(column) if column else None)
        if on_server:
            if self.database != "master":
                raise SqlError(4621, "Permissions at the server scope can only be granted when the database is master.")
            passed_on = self.server.permissions.get((self.login, *key[1:])) == "W"
            # https://learn.microsoft.com/sql/t-sql/statements/grant-server-principal-permissions-transact-sql
            any_of = {"LOGIN": "ALTER ANY LOGIN", "SERVER ROLE": "ALTER ANY SERVER ROLE"}.get(kind or "")
            passed_on |= any_of is not None and self._may_on_server(any_of)
            passed_on |= self.server.permissions.get((self.login, "CONTROL", of, schema, named, None)) in {"G", "W"}
            known = {*self.server.logins, *self.server.members}
            if not (self._may_on_server("CONTROL SERVER") or passed_on) or grantee not in known:
                raise SqlError(4613, "Grantor does not have GRANT permission.")
            return self.server.permissions, key
        self._require_owner(f"the permissions of '{grantee}'")
        absent = schema is None and of == 3 and named not in self.here.schemas
        if absent or grantee not in {*self.here.users, *self.here.members}:
            raise SqlError(15151, f"Cannot find the object or the user '{grantee}', because it does not exist.")
        if self._owner(of, schema, named) in {grantee, self.user}:
            raise SqlError(15151, "Cannot grant, deny, or revoke permissions to the entity owner or yourself.")
        return self.here.permissions, key

    def _owner(self, of: int, schema: str | None, named: str | None) -> str | None:
        if of == 3:
            owner = self.here.schemas.get(named or "")
        else:
            owner = self.here.objects.get((schema or "", named or "")) if of == 1 else None
        return None if owner == "dbo" else owner

    # What an application does

    @statement(rf"SELECT answer FROM {NAME}\.{NAME}")
    def _select(self, schema: str, item: str) -> Any:
        self._require_object("SELECT", unquote(schema), unquote(item))
        return [(42,)]

    @statement(rf"CREATE SCHEMA {NAME}(?: AUTHORIZATION {NAME})?")
    def _create_schema(self, name: str, owner: str | None) -> None:
        self._require_owner(f"the schema '{unquote(name)}'")
        self.here.schemas[unquote(name)] = unquote(owner) if owner else "dbo"

    @statement(rf"DROP TABLE {NAME}\.{NAME}")
    def _drop(self, schema: str, item: str) -> None:
        self._require_object("ALTER", unquote(schema), unquote(item))
        del self.here.objects[unquote(schema), unquote(item)]

    @statement(rf"CREATE TABLE {NAME}\.{NAME} \((?:n|answer) int\)")
    def _create(self, schema: str, item: str) -> None:
        if not self._may("CREATE TABLE", "") or not self._may("ALTER", unquote(schema)):
            raise SqlError(262, "CREATE TABLE permission denied in database.")
        self.here.objects[unquote(schema), unquote(item)] = None

    @statement(rf"ALTER TABLE {NAME}\.{NAME} ALTER COLUMN n bigint")
    def _alter(self, schema: str, item: str) -> None:
        self._require_object("ALTER", unquote(schema), unquote(item))

    @statement(rf"INSERT INTO {NAME}\.{NAME} VALUES \(1\)")
    def _insert(self, schema: str, item: str) -> None:
        self._require_object("INSERT", unquote(schema), unquote(item))

    def _require_object(self, permission: str, schema: str, item: str) -> None:
        if (schema, item) not in self.here.objects:
            raise SqlError(208, f"Invalid object name '{schema}.{item}'.")
        if not self._may(permission, schema, item):
            raise SqlError(229, f"The {permission} permission was denied on the object '{item}'.")


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def fresh_sid(name: str) -> bytes:
    """A SID, as the server would make one: another one each time."""
    return hashlib.sha256(name.encode(errors="surrogatepass") + secrets.token_bytes(8)).digest()[:16]
