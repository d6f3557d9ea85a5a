"""SQL Server's logins, users, roles and permissions, behind a real TDS connection: no SQL Server, and it says so.

It keeps a catalogue, enforces it, and fails on any statement it does not know. What it can't show: that the real server
parses and means the same (sqlfluff's grammar and the manual stand for that), locks, replicas, and policies beyond a
password's length and history.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from typing import Any

from doubles.statements import Statements, statement
from doubles.tds import SqlError

NAME = r"\[((?:[^\]]|\]\])+)\]"
TEXT = r"N'((?:[^']|'')*)'"
ON = (
    r"(?: ON (OBJECT|SCHEMA|TYPE|ROLE|USER|LOGIN|SERVER ROLE|CERTIFICATE)::((?:\[(?:[^\]]|\]\])+\]\.?)+)(?: \("
    + NAME
    + r"\))?)?"
)
_SERVER_PERMISSIONS = {
    "ALTER ANY LOGIN", "VIEW SERVER STATE", "ALTER TRACE", "CONNECT SQL", "CONTROL SERVER", "ALTER ANY SERVER ROLE",
    "VIEW DEFINITION", "IMPERSONATE", "ALTER ANY CONNECTION",
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
    # (schema, name) → owner of its own
    objects: dict[tuple[str, str], str | None] = field(default_factory=dict)

    @property
    def updateability(self) -> str:
        """As DATABASEPROPERTYEX has it."""
        return "READ_ONLY" if self.read_only or self.primary == 0 else "READ_WRITE"


class Server:
    """The catalogue of a server, and its door."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.logins: dict[str, Login] = {}
        self.members: dict[str, set[str]] = {"sysadmin": set(), "processadmin": set(), "setupadmin": set()}
        self.permissions: Permissions = {}
        self.databases = {"master": Database(), "msdb": Database(), "app": Database(), "other": Database()}
        self.statements: set[str] = set()
        self.failures: list[str] = []
        self.refused: list[str] = []

    def log_in(self, user: str, password: str, database: str) -> Session:
        """A session, or what the real server says."""
        with self.lock:
            found = self.databases.get(database or "master")
            contained = found.users.get(user) if found else None
            if contained is not None and contained.password is not None:
                if contained.password == password:
                    return Session(self, user, contained.sid, database)
            elif (login := self.logins.get(user)) is not None and login.password == password:
                self._admit(user, login)
                database = database or login.database
                if database not in self.databases or self._user(login.sid, database) is None:
                    raise SqlError(4060, f'Cannot open database "{database}" requested by the login. The login failed.')
                return Session(self, user, login.sid, database)
            self.refused.append(user)
            raise SqlError(18456, f"Login failed for user '{user}'.")

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

    def set_password(self, login: Login, password: str) -> None:
        """Set it, by the policy."""
        if login.policy and len(password) < 8:
            raise SqlError(15116, "Password validation failed. The password does not meet the policy: it is too short.")
        if login.policy and password in login.history:
            raise SqlError(15115, "Password validation failed. The password cannot be used at this time.")
        login.password = password
        login.history.append(password)


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

    def __init__(self, server: Server, user: str, sid: bytes, database: str) -> None:
        # What the tests themselves do as sa is not the engine's.
        super().__init__(set() if user == "sa" else server.statements, server.failures)
        self.server = server
        self.login = user
        self.sid = sid
        self.database = database

    def run(self, text: str, parameters: Any = ()) -> Any:
        with self.server.lock:
            return super().run(text, parameters) or []

    # Who may what

    @property
    def here(self) -> Database:
        return self.server.databases[self.database]

    @property
    def user(self) -> str:
        found = self.server._user(self.sid, self.database)
        assert found is not None
        return found

    def _may_on_server(self, permission: str) -> bool:
        if self.login in self.server.members["sysadmin"]:
            return True
        held = {key[1] for key, state in self.server.permissions.items() if key[0] == self.login and state != "D"}
        return permission in held or "CONTROL SERVER" in held

    def _owns_here(self) -> bool:
        return self.user == "dbo" or self.user in self.here.members.get("db_owner", set())

    def _require_owner(self, what: str) -> None:
        if not self._owns_here():
            raise SqlError(15151, f"Cannot alter {what}, because it does not exist or you do not have permission.")
        if self.here.read_only:
            raise SqlError(3906, f'Failed to update database "{self.database}" because the database is read-only.')

    def _may(self, permission: str, schema: str, item: str | None = None) -> bool:
        found, user = self.here, self.user
        if self._owns_here() or found.schemas.get(schema) == user:
            return True
        names = {user, *(role for role, members in found.members.items() if user in members)}
        held = {
            (key[1], key[2], key[3], key[4])
            for key, state in found.permissions.items()
            if key[0] in names and state != "D"
        }
        control = {("CONTROL", 3, None, schema), (permission, 3, None, schema), (permission, 0, None, None)}
        if item is not None:
            control |= {(permission, 1, schema, item), ("CONTROL", 1, schema, item)}
        return bool(held & control)

    # What every session asks

    @statement(r"SET LOCK_TIMEOUT \d+")
    def _setting(self) -> None: ...

    @statement(r"SELECT DATABASEPROPERTYEX\(DB_NAME\(\), 'Updateability'\)")
    def _updateability(self) -> Any:
        return [(self.here.updateability,)]

    @statement(r"SELECT sys\.fn_hadr_is_primary_replica\(DB_NAME\(\)\)")
    def _replica(self) -> Any:
        if not self._may_on_server("VIEW SERVER STATE"):
            raise SqlError(300, "VIEW SERVER STATE permission was denied on object 'server', database 'master'.")
        return [(self.here.primary,)]

    @statement(rf"SELECT LOGINPROPERTY\({TEXT}, 'IsLocked'\)")
    def _locked(self, name: str) -> Any:
        return [(int(self.server.logins[untext(name)].locked),)]

    @statement(r"SELECT DB_NAME\(\)")
    def _who(self) -> Any:
        return [(self.database,)]

    @statement(r"SELECT 1")
    def _one(self) -> Any:
        return [(1,)]

    @statement(r"SELECT nowhere")
    def _nowhere(self) -> Any:
        raise SqlError(207, "Invalid column name 'nowhere'.")

    @statement(r"BEGIN TRANSACTION")
    def _begin(self) -> None: ...

    @statement(r"IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
    def _roll_back(self) -> None: ...

    @statement(rf"USE {NAME}")
    def _use(self, name: str) -> None:
        database = unquote(name)
        if database not in self.server.databases or self.server._user(self.sid, database) is None:
            raise SqlError(916, f'The server principal is not able to access the database "{database}".')
        self.database = database

    @statement(r"SELECT HAS_PERMS_BY_NAME\(NULL, NULL, '([A-Z ]+)'\)")
    def _has_server(self, permission: str) -> Any:
        return [(int(self._may_on_server(permission)),)]

    @statement(r"SELECT HAS_PERMS_BY_NAME\(NULL, NULL, '([A-Z ]+)'\), HAS_PERMS_BY_NAME\(NULL, NULL, '([A-Z ]+)'\)")
    def _has_both(self, first: str, second: str) -> Any:
        return [(int(self._may_on_server(first)), int(self._may_on_server(second)))]

    @statement(r"SELECT HAS_PERMS_BY_NAME\(DB_NAME\(\), 'DATABASE', '(?:ALTER ANY USER|CONTROL)'\)")
    def _has_here(self) -> Any:
        return [(int(self._owns_here()),)]

    @statement(r"SELECT SUSER_SNAME\(0x([0-9A-F]*)\)")
    def _of_sid(self, sid: str) -> Any:
        return [(next((name for name, one in self.server.logins.items() if one.sid == bytes.fromhex(sid)), None),)]

    # The catalogue

    @statement(rf"SELECT p\.name, p\.sid, .* FROM sys\.server_principals AS p .* WHERE p\.name IN \({TEXT}\)")
    def _logins(self, name: str) -> Any:
        found = self.server.logins.get(untext(name))
        if found is None or not (untext(name) == self.login or self._may_on_server("ALTER ANY LOGIN")):
            return []
        attributes = (int(found.disabled), found.database, found.language, int(found.policy), int(found.expiration))
        return [(untext(name), found.sid, found.kind, *attributes)]

    @statement(rf"SELECT r\.name FROM sys\.server_role_members .* = SUSER_ID\({TEXT}\)")
    def _server_roles(self, name: str) -> Any:
        return [(role,) for role, members in self.server.members.items() if untext(name) in members]

    @statement(rf"SELECT p\.state, .* FROM sys\.server_permissions AS p .* = SUSER_ID\({TEXT}\)")
    def _server_rights(self, name: str) -> Any:
        return self._permissions(self.server.permissions, untext(name))

    @statement(r"SELECT d\.name, d\.state_desc, .* FROM sys\.databases AS d .*")
    def _databases(self) -> Any:
        return [
            (
                name,
                one.state,
                one.updateability,
                int(one.state == "ONLINE" and self.server._user(self.sid, name) is not None),
            )
            for name, one in sorted(self.server.databases.items())
        ]

    @statement(rf"SELECT u\.name, u\.sid, .* AND \(u\.name = {TEXT}\)")
    def _user_named(self, name: str) -> Any:
        found = self.here.users.get(untext(name))
        return [] if found is None else [self._user_row(untext(name), found)]

    @statement(rf"SELECT u\.name, u\.sid, .* AND \(u\.sid IN \(0x([0-9A-F]*), 0x([0-9A-F]*)\) OR u\.name = {TEXT}\)")
    def _users_of(self, first: str, second: str, name: str) -> Any:
        sids = {bytes.fromhex(first), bytes.fromhex(second)}
        found = {one: user for one, user in self.here.users.items() if user.sid in sids or one == untext(name)}
        if self.here.owner in sids:
            found["dbo"] = User(self.here.owner)
        return [self._user_row(one, user) for one, user in found.items()]

    @staticmethod
    def _user_row(name: str, user: User) -> tuple[Any, ...]:
        return name, user.sid, "S", 1 if user.password is None else 2, user.schema, user.language

    @statement(rf"SELECT r\.name FROM sys\.database_role_members .* = USER_ID\({TEXT}\)")
    def _roles(self, name: str) -> Any:
        return [(role,) for role, members in self.here.members.items() if untext(name) in members]

    @statement(rf"SELECT p\.state, .* FROM sys\.database_permissions AS p .* = USER_ID\({TEXT}\)")
    def _rights(self, name: str) -> Any:
        return self._permissions(self.here.permissions, untext(name))

    @staticmethod
    def _permissions(permissions: Permissions, grantee: str) -> Any:
        kinds = {4: "R", 101: "S"}
        return [
            (state, permission, of, schema, item, kinds.get(of), column)
            for (who, permission, of, schema, item, column), state in permissions.items()
            if who == grantee
        ]

    @statement(rf"SELECT s\.name, NULL FROM sys\.schemas AS s .* = USER_ID\({TEXT}\)")
    def _owned(self, name: str) -> Any:
        user = untext(name.split("') UNION", 1)[0])
        rows: list[Any] = [(schema, None) for schema, owner in self.here.schemas.items() if owner == user]
        return rows + [one for one, owner in self.here.objects.items() if owner == user]

    # Logins

    @statement(rf"ALTER LOGIN {NAME} WITH PASSWORD = {TEXT} OLD_PASSWORD = {TEXT}")
    def _own_password(self, name: str, new: str, old: str) -> None:
        found = self.server.logins.get(unquote(name))
        if found is None or unquote(name) != self.login or found.password != untext(old):
            raise SqlError(
                15151,
                f"Cannot alter the login '{unquote(name)}', because it does not exist or you do not have permission.",
            )
        self.server.set_password(found, untext(new))

    @statement(rf"ALTER USER {NAME} WITH PASSWORD = {TEXT}(?: OLD_PASSWORD = {TEXT})?")
    def _user_password(self, name: str, new: str, old: str | None) -> None:
        found = self.here.users.get(unquote(name))
        own = unquote(name) == self.login and found is not None and old is not None and found.password == untext(old)
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

    @statement(rf"CREATE LOGIN {NAME} WITH PASSWORD = {TEXT}, DEFAULT_DATABASE = {NAME}, CHECK_POLICY = OFF")
    def _create_plain_login(self, name: str, password: str, database: str) -> None:
        sid = fresh_sid(name).hex().upper()
        self._create_login(name, password, sid, database, "us_english", "OFF", "OFF")
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
        return self.server.logins[unquote(name)]

    @statement(rf"ALTER SERVER ROLE {NAME} (ADD|DROP) MEMBER {NAME}")
    def _server_role(self, role: str, verb: str, name: str) -> None:
        members = self.server.members[unquote(role)]
        if self.login not in members and not self._may_on_server("ALTER ANY SERVER ROLE"):
            raise SqlError(15151, f"Cannot alter the server role '{unquote(role)}', or you do not have permission.")
        (members.add if verb == "ADD" else members.discard)(unquote(name))

    # Users

    @statement(rf"CREATE USER {NAME} FOR LOGIN {NAME}(?: WITH DEFAULT_SCHEMA = {NAME})?")
    def _create_user(self, name: str, login: str, schema: str | None) -> None:
        self._require_owner(f"the user '{unquote(name)}'")
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
        self.here.users[unquote(name)].sid = self.server.logins[unquote(login)].sid

    @statement(rf"ALTER ROLE {NAME} (ADD|DROP) MEMBER {NAME}")
    def _role(self, role: str, verb: str, name: str) -> None:
        self._require_owner(f"the role '{unquote(role)}'")
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
        permissions[key] = "D" if verb == "DENY" else "W" if tail and "GRANT" in tail else "G"

    @statement(rf"REVOKE (GRANT OPTION FOR )?([A-Z ]+?){ON} FROM {NAME} CASCADE")
    def _revoke(
        self, option: str | None, permission: str, kind: str | None, item: str | None, column: str | None, name: str
    ) -> None:
        permissions, key = self._securable(permission, kind, item, column, unquote(name))
        if option:
            permissions[key] = "G"
        else:
            permissions.pop(key, None)

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
            passed_on = self.server.permissions.get((self.login, *key[1:])) == "W"
            if not (self._may_on_server("CONTROL SERVER") or passed_on) or grantee not in self.server.logins:
                raise SqlError(4613, "Grantor does not have GRANT permission.")
            return self.server.permissions, key
        self._require_owner(f"the permissions of '{grantee}'")
        if grantee not in self.here.users or (schema is None and of == 3 and named not in self.here.schemas):
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


def fresh_sid(name: str) -> bytes:
    """A SID, as the server would make one: another one each time."""
    return hashlib.sha256(name.encode() + secrets.token_bytes(8)).digest()[:16]
