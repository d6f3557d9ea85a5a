"""Oracle's users, roles, grants, profiles and rollover, at the border of python-oracledb: no Oracle, and it says so.

It keeps a catalogue, enforces it, and fails on any statement it does not know. What it can't show: that the real server
parses and means the same (sqlfluff's grammar and the manual stand for that), the driver's own login, and locks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import oracledb
from oracledb.errors import _Error

from doubles.statements import Statements, statement

NAME = '"([^"]+)"'
_PLACE = f"{NAME}\\.{NAME}"
_ON_KIND = f"(DIRECTORY|EDITION|USER) {NAME}"


def failure(code: int, message: str) -> oracledb.DatabaseError:
    """The driver's exception, as it raises it for the server's code."""
    return oracledb.DatabaseError(_Error(message=f"ORA-{code:05}: {message}", code=code))


def driver_failure(code: str, message: str) -> oracledb.OperationalError:
    """The driver's exception of its own."""
    return oracledb.OperationalError(_Error(message=f"{code}: {message}"))


@dataclass
class User:
    """A user. ``old`` is the password that a rollover keeps alive."""

    password: str
    old: str | None = None
    status: str = "OPEN"
    profile: str = "DEFAULT"
    tablespace: str = "USERS"
    temporary: str = "TEMP"
    authentication: str = "PASSWORD"
    common: bool = False
    maintained: bool = False
    quotas: dict[str, int] = field(default_factory=dict)
    # name → whether it may be passed on
    roles: dict[str, bool] = field(default_factory=dict)
    default_roles: set[str] = field(default_factory=set)
    system: dict[str, bool] = field(default_factory=dict)
    # (owner, item, privilege)
    objects: dict[tuple[str, str, str], bool] = field(default_factory=dict)
    # (owner, item, column, privilege)
    columns: dict[tuple[str, str, str, str], bool] = field(default_factory=dict)
    # (privilege, schema)
    schemas: dict[tuple[str, str], bool] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)

    @property
    def shown_status(self) -> str:
        """The status as DBA_USERS has it."""
        return f"{self.status} & IN ROLLOVER" if self.old is not None else self.status


@dataclass
class Profile:
    """A profile."""

    rollover: str = "DEFAULT"
    verify: Callable[[str], bool] = lambda _: True
    reuse: bool = True


class Database:
    """The catalogue of a database, and its door."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.version = "23.5.0.0.0"
        self.services = {"ORCLPDB"}
        self.sids = {"ORCL"}
        self.role = "PRIMARY"
        self.rds = False
        self.lock = threading.RLock()
        self.users: dict[str, User] = {"SYS": User("", maintained=True)}
        self.profiles = {"DEFAULT": Profile("0")}
        self.objects: dict[tuple[str, str], str] = {}
        self.triggers: dict[str, tuple[str, str]] = {}
        self.statements: set[str] = set()
        self.failures: list[str] = []
        self.refused: list[str] = []

    def connect(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """What stands for ``oracledb.connect``: this database at its port, the real driver everywhere else."""

        def connect(**parameters: Any) -> Any:
            if parameters["port"] != self.port:
                return real(**parameters)
            service, sid = parameters.get("service_name"), parameters.get("sid")
            if service is not None and service not in self.services:
                raise driver_failure("DPY-6001", f'cannot connect. Service "{service}" is not registered')
            if sid is not None and sid not in self.sids:
                raise driver_failure("DPY-6003", f'cannot connect. SID "{sid}" is not registered')
            with self.lock:
                return Connection(self, self._log_in(parameters["user"], parameters["password"]))

        return connect

    def _log_in(self, written: str, password: str) -> str:
        quoted = len(written) > 1 and written[0] == written[-1] == '"'
        name = written[1:-1] if quoted else "".join(c.upper() if len(c.upper()) == 1 else c for c in written)
        user = self.users.get(name)
        if user is None or not password or password not in {user.password, user.old}:
            self.refused.append(name)
            raise failure(1017, "invalid credential or not authorized; logon denied")
        if "LOCKED" in user.status:
            raise failure(28000, "The account is locked.")
        if user.status == "EXPIRED":
            raise failure(28001, "The account has expired.")
        if "CREATE SESSION" not in user.system:
            raise failure(1045, f"user {name} lacks CREATE SESSION privilege; logon denied")
        return name

    def rolls_over(self, user: User) -> bool:
        """Whether a change keeps the old password alive."""
        limit = self.profiles[user.profile].rollover
        return float(self.profiles["DEFAULT"].rollover if limit == "DEFAULT" else limit) > 0

    def change(self, name: str, password: str) -> None:
        """Change a password, by the profile's rules."""
        user = self.users[name]
        profile = self.profiles[user.profile]
        if not profile.verify(password):
            raise failure(28003, "password verification for the specified password failed")
        if not profile.reuse and password in user.history:
            raise failure(28007, "the password cannot be reused")
        if len(password.encode()) > 30:
            raise failure(972, "identifier is too long")
        if self.rolls_over(user) and user.password:
            # Changed again while two are alive, the oldest stays.
            user.old = user.old if user.old is not None else user.password
        else:
            user.old = None
        user.password = password
        user.history.append(password)
        user.status = "OPEN" if user.status.startswith("EXPIRED") else user.status


class Connection:
    """What ``oracledb.connect`` gives."""

    def __init__(self, database: Database, user: str) -> None:
        self._session: Session | None = Session(database, user)
        self.version = database.version
        self.call_timeout = 0

    def cursor(self) -> Cursor:
        if self._session is None:
            raise driver_failure("DPY-1001", "not connected to database")
        return Cursor(self._session)

    def close(self) -> None:
        self._session = None


class Cursor:
    """Its cursor."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: list[Any] = []
        self.description: list[Any] | None = None

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, text: str, values: Sequence[Any] = ()) -> None:
        rows = self._session.run(text, values)
        self.description = None if rows is None else [("column",)]
        self._rows = rows or []

    def fetchall(self) -> list[Any]:
        return self._rows


class Session(Statements):
    """A login at work."""

    refusals = oracledb.Error

    def __init__(self, database: Database, user: str) -> None:
        # What the tests themselves do as SYSTEM is not the engine's.
        super().__init__(set() if user == "SYSTEM" else database.statements, database.failures)
        self.database = database
        self.name = user
        self.schema = next((schema for of, schema in database.triggers.values() if of == user), user)

    def run(self, text: str, parameters: Sequence[Any] = ()) -> Any:
        if text.rstrip().endswith(";") and "BEGIN" not in text:
            raise failure(933, "SQL command not properly ended")
        with self.database.lock:
            return super().run(text, parameters)

    @property
    def me(self) -> User:
        return self.database.users[self.name]

    def _require(self, privilege: str) -> None:
        if privilege not in self.me.system:
            raise failure(1031, "insufficient privileges")

    def _catalogue(self) -> None:
        if "SELECT_CATALOG_ROLE" not in self.me.roles:
            raise failure(942, "table or view does not exist")

    def _existing(self, name: str) -> User:
        if name not in self.database.users:
            raise failure(1918, f"user '{name}' does not exist")
        return self.database.users[name]

    # What every session asks

    @statement(r"SELECT SYS_CONTEXT\('USERENV', 'SESSION_USER'\), .* FROM DUAL")
    def _who(self) -> Any:
        return [(self.name, self.database.role, self.me.authentication)]

    @statement(r"SELECT 1 FROM DUAL")
    def _one(self) -> Any:
        return [(1,)]

    @statement(r"SELECT nowhere")
    def _nowhere(self) -> Any:
        raise failure(904, '"NOWHERE": invalid identifier')

    @statement(r"SET TRANSACTION READ ONLY")
    def _read_only(self) -> None: ...

    @statement(r"ROLLBACK")
    def _roll_back(self) -> None: ...

    @statement(r"SELECT ACCOUNT_STATUS FROM USER_USERS")
    def _own_status(self) -> Any:
        return [(self.me.shown_status,)]

    @statement(r"SELECT l\.LIMIT FROM USER_PASSWORD_LIMITS l WHERE l\.RESOURCE_NAME = 'PASSWORD_ROLLOVER_TIME'")
    def _own_limit(self) -> Any:
        limit = self.database.profiles[self.me.profile].rollover
        return [(self.database.profiles["DEFAULT"].rollover if limit == "DEFAULT" else limit,)]

    @statement(r"SELECT COMMON, ORACLE_MAINTAINED FROM ALL_USERS WHERE USERNAME = :1")
    def _local(self, name: str) -> Any:
        user = self._existing(name)
        return [("YES" if user.common else "NO", "Y" if user.maintained else "N")]

    @statement(r"SELECT PRIVILEGE FROM SESSION_PRIVS")
    def _session_privileges(self) -> Any:
        return [(privilege,) for privilege in self.me.system]

    @statement(r"SELECT COUNT\(\*\) FROM ALL_OBJECTS WHERE OWNER = 'RDSADMIN' AND OBJECT_NAME = 'RDSADMIN_UTIL'")
    def _is_rds(self) -> Any:
        return [(int(self.database.rds),)]

    # The catalogue

    @statement(r"SELECT USERNAME, ACCOUNT_STATUS, .* FROM DBA_USERS WHERE USERNAME = :1")
    def _user(self, name: str) -> Any:
        self._catalogue()
        user = self.database.users.get(name)
        if user is None:
            return []
        return [(name, user.shown_status, user.profile, user.tablespace, user.temporary, user.authentication)]

    @statement(r"SELECT p\.LIMIT, d\.LIMIT FROM DBA_PROFILES p .* WHERE p\.PROFILE = :1 .*")
    def _profile(self, name: str) -> Any:
        self._catalogue()
        return [(self.database.profiles[name].rollover, self.database.profiles["DEFAULT"].rollover)]

    @statement(r"SELECT GRANTED_ROLE, ADMIN_OPTION, DEFAULT_ROLE FROM DBA_ROLE_PRIVS WHERE GRANTEE = :1")
    def _roles(self, name: str) -> Any:
        self._catalogue()
        user = self.database.users.get(name, User(""))
        return [(role, _yes(admin), _yes(role in user.default_roles)) for role, admin in user.roles.items()]

    @statement(r"SELECT PRIVILEGE, ADMIN_OPTION FROM DBA_SYS_PRIVS WHERE GRANTEE = :1")
    def _system(self, name: str) -> Any:
        self._catalogue()
        return [(what, _yes(admin)) for what, admin in self.database.users.get(name, User("")).system.items()]

    @statement(r"SELECT OWNER, TABLE_NAME, PRIVILEGE, GRANTABLE, TYPE FROM DBA_TAB_PRIVS WHERE GRANTEE = :1")
    def _objects(self, name: str) -> Any:
        self._catalogue()
        return [
            (owner, item, privilege, _yes(option), self.database.objects.get((owner, item), "TABLE"))
            for (owner, item, privilege), option in self.database.users.get(name, User("")).objects.items()
        ]

    @statement(r"SELECT OWNER, TABLE_NAME, COLUMN_NAME, PRIVILEGE, GRANTABLE FROM DBA_COL_PRIVS WHERE GRANTEE = :1")
    def _columns(self, name: str) -> Any:
        self._catalogue()
        return [(*key, _yes(option)) for key, option in self.database.users.get(name, User("")).columns.items()]

    @statement(r"SELECT PRIVILEGE, SCHEMA, ADMIN_OPTION FROM DBA_SCHEMA_PRIVS WHERE GRANTEE = :1")
    def _schemas(self, name: str) -> Any:
        if not self.database.version.startswith("23"):
            raise failure(942, "table or view does not exist")
        return [(*key, _yes(option)) for key, option in self.database.users.get(name, User("")).schemas.items()]

    @statement(r"SELECT TABLESPACE_NAME, MAX_BYTES FROM DBA_TS_QUOTAS WHERE USERNAME = :1")
    def _quotas(self, name: str) -> Any:
        return list(self.database.users.get(name, User("")).quotas.items())

    @statement(r"SELECT OBJECT_NAME, OBJECT_TYPE FROM DBA_OBJECTS WHERE OWNER = :1 .*")
    def _owned(self, owner: str) -> Any:
        return [(item, kind) for (of, item), kind in self.database.objects.items() if of == owner]

    @statement(r"SELECT COUNT\(\*\) FROM DBA_TRIGGERS WHERE TRIGGER_NAME = :1")
    def _has_trigger(self, name: str) -> Any:
        return [(int(name in self.database.triggers),)]

    # Users

    @statement(rf"ALTER USER {NAME} IDENTIFIED BY {NAME} REPLACE {NAME}")
    def _own_password(self, name: str, new: str, old: str) -> None:
        if name != self.name:
            self._require("ALTER USER")
        if old not in {self._existing(name).password, self._existing(name).old}:
            raise failure(28008, "invalid old password")
        self.database.change(name, new)

    @statement(rf"ALTER USER {NAME} IDENTIFIED BY {NAME}( ACCOUNT UNLOCK)?")
    def _other_password(self, name: str, new: str, unlock: str | None) -> None:
        if name == self.name:
            # A profile with a verify function asks for REPLACE.
            raise failure(28221, "REPLACE not specified")
        self._require("ALTER USER")
        self.database.change(name, new) if self._existing(name) else None
        if unlock:
            self._existing(name).status = "OPEN"

    @statement(rf"ALTER USER {NAME} EXPIRE PASSWORD ROLLOVER PERIOD")
    def _end_rollover(self, name: str) -> None:
        if name != self.name:
            self._require("ALTER USER")
        self._existing(name).old = None

    _OPTIONS = rf"PROFILE {NAME} DEFAULT TABLESPACE {NAME} TEMPORARY TABLESPACE {NAME}"

    @statement(rf"CREATE PROFILE {NAME} LIMIT PASSWORD_ROLLOVER_TIME (\d+)")
    def _create_profile(self, name: str, days: str) -> None:
        self._require("CREATE PROFILE")
        self.database.profiles[name] = Profile(days)

    @statement(rf"CREATE USER {NAME} IDENTIFIED BY {NAME}(?: QUOTA UNLIMITED ON {NAME})?")
    def _create_plain(self, name: str, password: str, tablespace: str | None) -> None:
        self._create(name, password, "DEFAULT", tablespace or "USERS", "TEMP")

    @statement(rf"CREATE USER {NAME} IDENTIFIED BY {NAME} {_OPTIONS}")
    def _create(self, name: str, password: str, *options: str) -> None:
        self._require("CREATE USER")
        if name in self.database.users:
            raise failure(1920, f"user name '{name}' conflicts with another user or role name")
        self.database.users[name] = User("", profile=options[0], tablespace=options[1], temporary=options[2])
        self.database.change(name, password)

    @statement(rf"ALTER USER {NAME} {_OPTIONS}")
    def _alter(self, name: str, *options: str) -> None:
        self._require("ALTER USER")
        user = self._existing(name)
        user.profile, user.tablespace, user.temporary = options

    @statement(rf"ALTER USER {NAME} QUOTA (UNLIMITED|\d+) ON {NAME}")
    def _quota(self, name: str, size: str, tablespace: str) -> None:
        self._require("ALTER USER")
        user = self._existing(name)
        if size == "0":
            user.quotas.pop(tablespace, None)
        else:
            user.quotas[tablespace] = -1 if size == "UNLIMITED" else int(size)

    @statement(rf'ALTER USER {NAME} DEFAULT ROLE (ALL|NONE|(?:"[^"]+"(?:, )?)+)')
    def _default_roles(self, name: str, roles: str) -> None:
        self._require("ALTER USER")
        user = self._existing(name)
        wanted = set(user.roles) if roles == "ALL" else set() if roles == "NONE" else set(roles[1:-1].split('", "'))
        if not wanted <= set(user.roles):
            raise failure(1955, "DEFAULT ROLE not granted to user")
        user.default_roles = wanted

    # Grants

    @statement(rf"GRANT {NAME} TO {NAME}( WITH ADMIN OPTION)?")
    def _grant_role(self, role: str, name: str, option: str | None) -> None:
        self._require("GRANT ANY ROLE")
        user = self._existing(name)
        user.roles[role] = bool(option) or user.roles.get(role, False)
        user.default_roles.add(role)

    @statement(rf"REVOKE {NAME} FROM {NAME}")
    def _revoke_role(self, role: str, name: str) -> None:
        self._require("GRANT ANY ROLE")
        del self._existing(name).roles[role]
        self._existing(name).default_roles.discard(role)

    @statement(rf"GRANT ([A-Z ]+) TO {NAME}( WITH ADMIN OPTION)?")
    def _grant_system(self, privilege: str, name: str, option: str | None) -> None:
        self._require("GRANT ANY PRIVILEGE")
        user = self._existing(name)
        user.system[privilege] = bool(option) or user.system.get(privilege, False)

    @statement(rf"REVOKE ([A-Z ]+) FROM {NAME}")
    def _revoke_system(self, privilege: str, name: str) -> None:
        self._require("GRANT ANY PRIVILEGE")
        del self._existing(name).system[privilege]

    @statement(rf"GRANT ([A-Z ]+) ON SCHEMA {NAME} TO {NAME}( WITH ADMIN OPTION)?")
    def _grant_schema(self, privilege: str, schema: str, name: str, option: str | None) -> None:
        self._require("GRANT ANY SCHEMA PRIVILEGE")
        self._existing(name).schemas[privilege, schema] = bool(option)

    @statement(rf"REVOKE ([A-Z ]+) ON SCHEMA {NAME} FROM {NAME}")
    def _revoke_schema(self, privilege: str, schema: str, name: str) -> None:
        self._require("GRANT ANY SCHEMA PRIVILEGE")
        del self._existing(name).schemas[privilege, schema]

    @statement(rf"GRANT ([A-Z ]+) ON (?!SCHEMA )(?:{_PLACE}|{_ON_KIND}) TO {NAME}( WITH GRANT OPTION)?")
    def _grant_object(self, *parts: str | None) -> None:
        privilege, owner, item, _, named, name, option = parts
        self._object_admin(owner)
        user = self._existing(str(name))
        key = (owner or "SYS", str(item or named), str(privilege))
        user.objects[key] = bool(option) or user.objects.get(key, False)

    @statement(rf"REVOKE ([A-Z ]+) ON (?!SCHEMA )(?:{_PLACE}|{_ON_KIND}) FROM {NAME}")
    def _revoke_object(self, *parts: str | None) -> None:
        privilege, owner, item, _, named, name = parts
        self._object_admin(owner)
        user, place = self._existing(str(name)), (owner or "SYS", str(item or named))
        held = {key for key in user.objects if key == (*place, privilege)}
        columns = {key for key in user.columns if (key[0], key[1], key[3]) == (*place, privilege)}
        if not held | columns:
            raise failure(1927, "cannot REVOKE privileges you did not grant")
        for key in held:
            del user.objects[key]
        for key in columns:
            del user.columns[key]

    @statement(rf"GRANT ([A-Z ]+) \({NAME}\) ON {_PLACE} TO {NAME}( WITH GRANT OPTION)?")
    def _grant_column(self, privilege: str, column: str, owner: str, item: str, name: str, option: str | None) -> None:
        self._object_admin(owner)
        self._existing(name).columns[owner, item, column, privilege] = bool(option)

    def _object_admin(self, owner: str | None) -> None:
        self._require("GRANT ANY OBJECT PRIVILEGE")
        if owner == "SYS" and self.database.rds:
            raise failure(1031, "insufficient privileges")

    @statement(r"BEGIN rdsadmin\.rdsadmin_util\.grant_sys_object\(:1, :2, :3, :4\); END;")
    def _grant_sys(self, item: str, name: str, privilege: str, option: bool) -> None:  # the package's
        self._existing(name).objects["SYS", item, privilege] = option

    @statement(r"BEGIN rdsadmin\.rdsadmin_util\.revoke_sys_object\(:1, :2, :3\); END;")
    def _revoke_sys(self, item: str, name: str, privilege: str) -> None:
        del self._existing(name).objects["SYS", item, privilege]

    @statement(
        rf"CREATE TRIGGER {NAME}\.{NAME} AFTER LOGON ON {NAME}\.SCHEMA BEGIN EXECUTE IMMEDIATE "
        rf"'ALTER SESSION SET CURRENT_SCHEMA = \"((?:[^\"']|'')+)\"'; EXCEPTION WHEN OTHERS THEN NULL; END;"
    )
    def _trigger(self, owner: str, name: str, of: str, schema: str) -> None:
        self._require("CREATE ANY TRIGGER")
        assert owner == self.name
        self.database.triggers[name] = (of, schema.replace("''", "'"))

    # What an application does

    @statement(rf"SELECT answer FROM (?:{NAME}\.)?{NAME}")
    def _select(self, owner: str | None, item: str) -> Any:
        self._use("SELECT", "SELECT ANY TABLE", owner or self.schema, item)
        return [(42,)]

    @statement(rf"INSERT INTO {NAME} VALUES \(1\)")
    def _insert(self, item: str) -> None:
        self._use("INSERT", "INSERT ANY TABLE", self.schema, item)

    @statement(rf"ALTER TABLE {NAME} MODIFY \(n NUMBER\(12\)\)")
    def _alter_table(self, item: str) -> None:
        self._use("ALTER", "ALTER ANY TABLE", self.schema, item)

    @statement(rf"CREATE TABLE {NAME}\.{NAME} \((?:n|answer) NUMBER\)")
    def _create_elsewhere(self, owner: str, item: str) -> None:
        self._require("CREATE ANY TABLE")
        self.database.objects[owner, item] = "TABLE"

    @statement(rf"DROP TABLE {NAME}")
    def _drop_table(self, item: str) -> None:
        if self.schema != self.name and ("DROP ANY TABLE", self.schema) not in self.me.schemas:
            raise failure(1031, "insufficient privileges")
        del self.database.objects[self.schema, item]

    @statement(rf"CREATE TABLE {NAME} \(n NUMBER\)")
    def _create_table(self, item: str) -> None:
        held = self.me.system.keys() | {what for what, schema in self.me.schemas if schema == self.schema}
        if ("CREATE TABLE" if self.schema == self.name else "CREATE ANY TABLE") not in held:
            raise failure(1031, "insufficient privileges")
        self.database.objects[self.schema, item] = "TABLE"

    def _use(self, privilege: str, any_privilege: str, owner: str, item: str) -> None:
        held = (owner, item, privilege) in self.me.objects or (any_privilege, owner) in self.me.schemas
        if (owner, item) not in self.database.objects or not (owner == self.name or held):
            raise failure(942, "table or view does not exist")


def _yes(value: bool) -> str:  # the one thing it is about
    return "YES" if value else "NO"
