"""Oracle's users, roles, grants, profiles and rollover, at the border of python-oracledb: no Oracle, and it says so.

It keeps a catalogue, enforces it, and fails on any statement it does not know. What it can't show: that the real server
parses and means the same (sqlfluff's grammar and the manual stand for that), the driver's own login, and locks.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import oracledb
from oracledb.errors import _Error

from doubles.statements import Statements, statement

NAME = '"([^"]+)"'
_PLACE = f"{NAME}\\.{NAME}"
# Those that a statement asks about: one, or one and all its roles.
_LEADING_ON = r"SELECT GRANTED_ROLE FROM SYS\.DBA_ROLE_PRIVS START WITH GRANTEE = :2 CONNECT BY NOCYCLE .*"
_GRANTEES = rf"= :1(?: OR GRANTEE IN \( {_LEADING_ON} \))?"
_seconds = itertools.count(1)


def now() -> datetime:
    """Later each time, as the server's clock is: in whole seconds."""
    return datetime(2026, 1, 1) + timedelta(seconds=next(_seconds))  # noqa: DTZ001  # a DATE has no zone


_ON_KIND = f"(DIRECTORY|EDITION|USER) {NAME}"


def failure(code: int, message: str) -> oracledb.DatabaseError:
    """The driver's exception, as it raises it for the server's code."""
    return oracledb.DatabaseError(_Error(message=f"ORA-{code:05}: {message}", code=code))


def driver_failure(code: str, message: str) -> oracledb.OperationalError:
    """The driver's exception of its own."""
    return oracledb.OperationalError(_Error(message=f"{code}: {message}"))


@dataclass
class User:
    """A user, or a role, which nobody logs in as. ``old`` is the password that a rollover keeps alive."""

    password: str = ""
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
    wrong_passwords: int = 0
    number: int = field(default_factory=lambda: 100 + next(_seconds))
    created: datetime = field(default_factory=now)
    # Whom it may log in as; what it has elsewhere; whether it is in the password file.
    clients: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    hosts: set[tuple[str, str]] = field(default_factory=set)
    sysdba: bool = False

    @property
    def shown_status(self) -> str:
        """The status as DBA_USERS has it."""
        return f"{self.status} & IN ROLLOVER" if self.old is not None else self.status


@dataclass
class Profile:
    """A profile."""

    rollover: str = "DEFAULT"
    wrong_passwords: str = "DEFAULT"
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
        self.profiles = {"DEFAULT": Profile("0", "10")}
        self.objects: dict[tuple[str, str], str] = {}
        # (owner, name) → of whose schema, and which schema it sets
        self.triggers: dict[tuple[str, str], tuple[str, str]] = {}
        self.made: dict[tuple[str, str], datetime] = {}
        self.roles: dict[str, User] = {}
        self.statements: set[str] = set()
        self.failures: list[str] = []
        self.refused: list[str] = []

    def connect(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """What takes the place of ``oracledb.connect``: this database at its port, the real driver everywhere else."""

        def connect(**parameters: Any) -> Any:
            if parameters["port"] != self.port or parameters["host"] not in {"localhost", "127.0.0.1"}:
                return real(**parameters)
            service, sid = parameters.get("service_name"), parameters.get("sid")
            if service is not None and service not in self.services:
                raise driver_failure("DPY-6001", f'cannot connect. Service "{service}" is not registered')
            if sid is not None and sid not in self.sids:
                raise driver_failure("DPY-6003", f'cannot connect. SID "{sid}" is not registered')
            with self.lock:
                return Connection(self, *self._log_in(parameters["user"], parameters["password"]))

        return connect

    def grantee(self, name: str) -> User:
        """A user or a role; one that has nothing where there is none."""
        return self.users.get(name) or self.roles.get(name) or User()

    def with_roles(self, name: str) -> list[str]:
        """A grantee, and all roles that lead on from it."""
        found = [name]
        for one in found:
            found += [role for role in self.grantee(one).roles if role not in found]
        return found

    def _log_in(self, written: str, password: str) -> tuple[str, str | None]:
        proxy = None
        # The driver itself tells the one that a session is for from the one who logs in.
        # https://python-oracledb.readthedocs.io/en/latest/user_guide/connection_handling.html#proxy-authentication
        split = oracledb.ConnectParams(user=written)
        through, client = split.user, split.proxy_user
        if client is not None:
            if through is None:
                raise failure(1017, "invalid credential or not authorized; logon denied")
            proxy, _ = self._log_in(through, password)
            if client.upper() not in self.users[proxy].clients:
                raise failure(28150, "proxy not authorized to connect as client")
            return client.upper(), proxy
        quoted = len(written) > 1 and written[0] == written[-1] == '"'
        name = written[1:-1] if quoted else "".join(c.upper() if len(c.upper()) == 1 else c for c in written)
        user = self.users.get(name)
        if user is None or not password or password not in {user.password, user.old}:
            self.refused.append(name)
            if user is not None:
                self._count_wrong(user)
            raise failure(1017, "invalid credential or not authorized; logon denied")
        if "LOCKED" in user.status:
            raise failure(28000, "The account is locked.")
        if user.status == "EXPIRED":
            raise failure(28001, "The account has expired.")
        if not any("CREATE SESSION" in self.grantee(one).system for one in self.with_roles(name)):
            raise failure(1045, f"user {name} lacks CREATE SESSION privilege; logon denied")
        user.wrong_passwords = 0
        return name, proxy

    def limit(self, user: User, name: str) -> str:
        """A limit of a user's profile, by the names of DBA_PROFILES."""
        attribute = {"PASSWORD_ROLLOVER_TIME": "rollover", "FAILED_LOGIN_ATTEMPTS": "wrong_passwords"}[name]
        own, default = (str(getattr(self.profiles[one], attribute)) for one in (user.profile, "DEFAULT"))
        return default if own == "DEFAULT" else own

    def _count_wrong(self, user: User) -> None:
        user.wrong_passwords += 1
        limit = self.limit(user, "FAILED_LOGIN_ATTEMPTS")
        if user.status == "OPEN" and limit.isdigit() and user.wrong_passwords >= int(limit):
            user.status = "LOCKED(TIMED)"

    def rolls_over(self, user: User) -> bool:
        """Whether a change keeps the old password alive."""
        return float(self.limit(user, "PASSWORD_ROLLOVER_TIME")) > 0

    def change(self, name: str, password: str) -> None:
        """Change a password, by the profile's rules."""
        user = self.users[name]
        profile = self.profiles[user.profile]
        if not profile.verify(password):
            raise failure(28003, "password verification for the specified password failed")
        if not profile.reuse and password in user.history:
            raise failure(28007, "the password cannot be reused")
        if len(password.encode(errors="surrogatepass")) > 30:
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

    def __init__(self, database: Database, user: str, proxy: str | None) -> None:
        self._session: Session | None = Session(database, user, proxy)
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

    def getimplicitresults(self) -> list[Any]:
        """Cursors of their own, read later: what they meet comes to light only then."""
        return [_Later(result) for result in self._session.implicit]


class _Later:
    """A result set that a block gave back."""

    def __init__(self, result: list[Any] | Exception) -> None:
        self._result = result

    def fetchall(self) -> list[Any]:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


class Session(Statements):
    """A login at work."""

    refusals = oracledb.Error

    def __init__(self, database: Database, user: str, proxy: str | None) -> None:
        # What the tests themselves do as SYSTEM is not the engine's.
        super().__init__(set() if user == "SYSTEM" else database.statements, database.failures)
        self.database = database
        self.name = user
        self.proxy = proxy
        self.schema = next((schema for of, schema in database.triggers.values() if of == user), user)
        self.implicit: list[list[Any] | Exception] = []

    def run(self, text: str, parameters: Sequence[Any] = ()) -> Any:
        if text.rstrip().endswith(";") and "BEGIN" not in text:
            raise failure(933, "SQL command not properly ended")
        with self.database.lock:
            self.implicit = []
            return super().run(text, parameters)

    @property
    def me(self) -> User:
        return self.database.users[self.name]

    @property
    def _mine(self) -> list[User]:
        return [self.database.grantee(one) for one in self.database.with_roles(self.name)]

    def _has(self, privilege: str) -> bool:
        return any(privilege in one.system for one in self._mine)

    def _require(self, privilege: str) -> None:
        if not self._has(privilege):
            raise failure(1031, "insufficient privileges")

    def _catalogue(self) -> None:
        if "SELECT_CATALOG_ROLE" not in self.database.with_roles(self.name):
            raise failure(942, "table or view does not exist")

    def _existing(self, name: str) -> User:
        if name not in self.database.users:
            raise failure(1918, f"user '{name}' does not exist")
        return self.database.users[name]

    def _getting(self, name: str) -> User:
        if name not in {*self.database.users, *self.database.roles}:
            raise failure(1917, f"user or role '{name}' does not exist")
        return self.database.grantee(name)

    # What every session asks

    @statement(r"SELECT SYS_CONTEXT\('USERENV', 'SESSION_USER'\), .* FROM SYS\.DUAL")
    def _who(self) -> Any:
        found = self.database
        who = (self.name, str(self.me.number), self.proxy, found.role, self.me.authentication)
        return [(*who, "ORCL_A", None, "ORCLPDB")]

    @statement(r"SELECT 1 FROM SYS\.DUAL")
    def _one(self) -> Any:
        return [(1,)]

    @statement(r"SELECT nowhere")
    def _nowhere(self) -> Any:
        raise failure(904, '"NOWHERE": invalid identifier')

    @statement(r"BEGIN gives_back; END;")
    def _gives_back(self) -> None:
        self.implicit = [[(1,)], failure(904, '"NOWHERE": invalid identifier')]

    @statement(r"SET TRANSACTION READ ONLY")
    def _read_only(self) -> None: ...

    @statement(r"ROLLBACK")
    def _roll_back(self) -> None: ...

    @statement(r"SELECT ACCOUNT_STATUS FROM SYS\.USER_USERS")
    def _own_status(self) -> Any:
        return [(self.me.shown_status,)]

    @statement(r"SELECT l\.LIMIT FROM SYS\.USER_PASSWORD_LIMITS l WHERE l\.RESOURCE_NAME = :1")
    def _own_limit(self, name: str) -> Any:
        return [(self.database.limit(self.me, name),)]

    @statement(r"SELECT COMMON, ORACLE_MAINTAINED FROM SYS\.ALL_USERS WHERE USERNAME = :1")
    def _local(self, name: str) -> Any:
        user = self._existing(name)
        return [("YES" if user.common else "NO", "Y" if user.maintained else "N")]

    @statement(r"SELECT PRIVILEGE FROM SYS\.SESSION_PRIVS")
    def _session_privileges(self) -> Any:
        return [(privilege,) for privilege in {what for one in self._mine for what in one.system}]

    @statement(r"SELECT COUNT\(\*\) FROM SYS\.ALL_OBJECTS WHERE OWNER = 'RDSADMIN' AND OBJECT_NAME = 'RDSADMIN_UTIL'")
    def _is_rds(self) -> Any:
        return [(int(self.database.rds),)]

    # The catalogue

    @statement(r"SELECT USERNAME, USER_ID, .* FROM SYS\.DBA_USERS WHERE USERNAME = :1")
    def _user(self, name: str) -> Any:
        self._catalogue()
        return [self._user_row(name)] if name in self.database.users else []

    @statement(r"SELECT USERNAME, USER_ID, .* FROM SYS\.DBA_USERS WHERE USER_ID = :1")
    def _user_of(self, number: int) -> Any:
        self._catalogue()
        return [self._user_row(name) for name, one in self.database.users.items() if one.number == number]

    def _user_row(self, name: str) -> Any:
        user = self.database.users[name]
        attributes = (user.profile, user.tablespace, user.temporary, user.authentication)
        return (name, user.number, user.created, user.shown_status, *attributes)

    @statement(r"SELECT p\.LIMIT, d\.LIMIT FROM SYS\.DBA_PROFILES p .* WHERE p\.PROFILE = :1 .*")
    def _profile(self, profile: str, name: str) -> Any:
        self._catalogue()
        return [tuple(self.database.limit(User(profile=one), name) for one in (profile, "DEFAULT"))]

    def _grantees(self, names: tuple[str, ...]) -> list[User]:
        self._catalogue()
        # One alone, or one twice, for the query of its roles.
        wanted = self.database.with_roles(names[0]) if len(names) > 1 else [names[0]]
        return [self.database.grantee(one) for one in wanted]

    @statement(rf"SELECT GRANTED_ROLE, ADMIN_OPTION, DEFAULT_ROLE FROM SYS\.DBA_ROLE_PRIVS WHERE GRANTEE {_GRANTEES}")
    def _roles(self, *names: str) -> Any:
        return [
            (role, _yes(admin), _yes(role in one.default_roles))
            for one in self._grantees(names)
            for role, admin in one.roles.items()
        ]

    @statement(rf"SELECT PRIVILEGE, ADMIN_OPTION FROM SYS\.DBA_SYS_PRIVS WHERE GRANTEE {_GRANTEES}")
    def _system(self, *names: str) -> Any:
        return [(what, _yes(admin)) for one in self._grantees(names) for what, admin in one.system.items()]

    @statement(
        rf"SELECT OWNER, TABLE_NAME, PRIVILEGE, GRANTABLE, TYPE FROM SYS\.DBA_TAB_PRIVS WHERE GRANTEE {_GRANTEES}"
    )
    def _objects(self, *names: str) -> Any:
        return [
            (owner, item, privilege, _yes(option), self.database.objects.get((owner, item), "TABLE"))
            for one in self._grantees(names)
            for (owner, item, privilege), option in one.objects.items()
        ]

    @statement(
        r"SELECT OWNER, TABLE_NAME, COLUMN_NAME, PRIVILEGE, GRANTABLE FROM SYS\.DBA_COL_PRIVS "
        rf"WHERE GRANTEE {_GRANTEES}"
    )
    def _columns(self, *names: str) -> Any:
        return [(*key, _yes(option)) for one in self._grantees(names) for key, option in one.columns.items()]

    @statement(rf"SELECT PRIVILEGE, SCHEMA, ADMIN_OPTION FROM SYS\.DBA_SCHEMA_PRIVS WHERE GRANTEE {_GRANTEES}")
    def _schemas(self, *names: str) -> Any:
        if not self.database.version.startswith("23"):
            raise failure(942, "table or view does not exist")
        return [(*key, _yes(option)) for one in self._grantees(names) for key, option in one.schemas.items()]

    @statement(r"SELECT TABLESPACE_NAME, MAX_BYTES FROM SYS\.DBA_TS_QUOTAS WHERE USERNAME = :1")
    def _quotas(self, name: str) -> Any:
        self._catalogue()
        return list(self.database.grantee(name).quotas.items())

    @statement(r"SELECT OBJECT_NAME, OBJECT_TYPE FROM SYS\.DBA_OBJECTS WHERE OWNER = :1 .*")
    def _owned(self, owner: str) -> Any:
        self._catalogue()
        return [(item, kind) for (of, item), kind in self.database.objects.items() if of == owner]

    @statement(
        r"SELECT CREATED FROM SYS\.DBA_OBJECTS WHERE OWNER = :1 AND OBJECT_NAME = :2 AND OBJECT_TYPE = 'TRIGGER'"
    )
    def _trigger_made(self, owner: str, name: str) -> Any:
        self._catalogue()
        made = self.database.made.get((owner, name))
        return [] if made is None else [(made,)]

    @statement(r"SELECT CLIENT FROM SYS\.DBA_PROXIES WHERE PROXY = :1")
    def _proxies(self, name: str) -> Any:
        self._catalogue()
        return [(client,) for client in self.database.grantee(name).clients]

    @statement(r"SELECT DB_LINK FROM SYS\.DBA_DB_LINKS WHERE OWNER = :1")
    def _links(self, name: str) -> Any:
        self._catalogue()
        return [(link,) for link in self.database.grantee(name).links]

    @statement(
        r"SELECT HOST, PRIVILEGE FROM SYS\.DBA_HOST_ACES WHERE GRANT_TYPE = 'GRANT' AND "
        rf"\(PRINCIPAL = :1 OR PRINCIPAL IN \( {_LEADING_ON} \)\)"
    )
    def _hosts(self, *names: str) -> Any:
        return [host for one in self._grantees(names) for host in one.hosts]

    @statement(r"SELECT COUNT\(\*\) FROM SYS\.V_\$PWFILE_USERS WHERE USERNAME = :1")
    def _super(self, name: str) -> Any:
        self._catalogue()
        return [(int(self.database.grantee(name).sysdba),)]

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
            self._existing(name).status, self._existing(name).wrong_passwords = "OPEN", 0

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

    def _require_option(self, held: str, what: str, anything: str) -> None:
        """https://docs.oracle.com/en/database/oracle/oracle-database/19/sqlrf/GRANT.html, "Prerequisites"."""
        if not (self._has(anything) or any(getattr(one, held).get(what) for one in self._mine)):
            raise failure(1932 if held == "roles" else 1031, f"ADMIN option not granted for {what}")

    @statement(rf"CREATE ROLE {NAME}")
    def _create_role(self, role: str) -> None:
        self._require("CREATE ROLE")
        self.database.roles[role] = User()
        self.me.roles[role] = True

    @statement(rf"GRANT {NAME} TO {NAME}( WITH ADMIN OPTION)?")
    def _grant_role(self, role: str, name: str, option: str | None) -> None:
        self._require_option("roles", role, "GRANT ANY ROLE")
        user = self._getting(name)
        user.roles[role] = bool(option) or user.roles.get(role, False)
        user.default_roles.add(role)

    @statement(rf"REVOKE {NAME} FROM {NAME}")
    def _revoke_role(self, role: str, name: str) -> None:
        self._require_option("roles", role, "GRANT ANY ROLE")
        del self._getting(name).roles[role]
        self._getting(name).default_roles.discard(role)

    @statement(rf"GRANT ([A-Z ]+) TO {NAME}( WITH ADMIN OPTION)?")
    def _grant_system(self, privilege: str, name: str, option: str | None) -> None:
        self._require_option("system", privilege, "GRANT ANY PRIVILEGE")
        user = self._getting(name)
        user.system[privilege] = bool(option) or user.system.get(privilege, False)

    @statement(rf"REVOKE ([A-Z ]+) FROM {NAME}")
    def _revoke_system(self, privilege: str, name: str) -> None:
        self._require_option("system", privilege, "GRANT ANY PRIVILEGE")
        del self._getting(name).system[privilege]

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
        # Only what its caller holds: https://repost.aws/knowledge-center/rds-oracle-user-privileges-roles
        held = any(("SYS", item, privilege) in one.objects for one in self._mine)
        if not (held or "SELECT_CATALOG_ROLE" in self.database.with_roles(self.name)):
            raise failure(20000, "the master user lacks the privilege")
        self._existing(name).objects["SYS", item, privilege] = option

    @statement(r"BEGIN rdsadmin\.rdsadmin_util\.revoke_sys_object\(:1, :2, :3\); END;")
    def _revoke_sys(self, item: str, name: str, privilege: str) -> None:
        del self._existing(name).objects["SYS", item, privilege]

    @statement(
        rf"CREATE TRIGGER {NAME}\.{NAME} AFTER LOGON ON {NAME}\.SCHEMA BEGIN EXECUTE IMMEDIATE "
        rf"'ALTER SESSION SET CURRENT_SCHEMA = \"((?:[^\"']|'')+)\"'; EXCEPTION WHEN OTHERS THEN NULL; END;"
    )
    def _trigger(self, owner: str, name: str, of: str, schema: str) -> None:
        # https://docs.oracle.com/en/database/oracle/oracle-database/19/lnpls/CREATE-TRIGGER-statement.html
        if not (owner == of == self.name and self._has("CREATE TRIGGER")):
            self._require("CREATE ANY TRIGGER")
        if (owner, name) in self.database.triggers:
            raise failure(4081, f"trigger '{name}' already exists")
        self.database.triggers[owner, name] = (of, schema.replace("''", "'"))
        self.database.made[owner, name] = now()

    @statement(rf"DROP TRIGGER {NAME}\.{NAME}")
    def _drop_trigger(self, owner: str, name: str) -> None:
        if owner != self.name:
            self._require("DROP ANY TRIGGER")
        if (owner, name) not in self.database.triggers:
            raise failure(4080, f"trigger '{name}' does not exist")
        del self.database.triggers[owner, name], self.database.made[owner, name]

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
        held = {what for one in self._mine for what in one.system}
        held |= {what for what, schema in self.me.schemas if schema == self.schema}
        if ("CREATE TABLE" if self.schema == self.name else "CREATE ANY TABLE") not in held:
            raise failure(1031, "insufficient privileges")
        self.database.objects[self.schema, item] = "TABLE"

    def _use(self, privilege: str, any_privilege: str, owner: str, item: str) -> None:
        held = (owner, item, privilege) in self.me.objects or (any_privilege, owner) in self.me.schemas
        if (owner, item) not in self.database.objects or not (owner == self.name or held):
            raise failure(942, "table or view does not exist")


def _yes(value: bool) -> str:  # the one thing it is about
    return "YES" if value else "NO"
