"""RDS for Db2's users, groups, tasks and grants, at the border of ibm_db: no Db2, and it says so.

It stands for the driver's functions, keeps a catalogue, enforces it, does a task only after it was asked about a few
times, and fails on any statement it does not know. What it can't show: that the real server parses and means the same
(sqlfluff's grammar and the manual stand for that), TLS, and the driver's own messages, which are written here as the
real driver gave them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from doubles.statements import Statements, statement

NAME = r'"((?:[^"]|"")+)"'
_PLACE = rf"{NAME}\.{NAME}"
_ON = r"(?: (?:ON|OF) ((?:SPECIFIC )?[A-Z]+(?: \"(?:[^\"]|\"\")+\"(?:\.(?:\"(?:[^\"]|\"\")+\"|\*))?)?))?"
# Where a column of the catalog is not called as the privilege.
_COLUMNS = {
    "REFAUTH": "REFERENCES",
    "IMPLSCHEMAAUTH": "IMPLICIT_SCHEMA",
    "EXTERNALROUTINEAUTH": "CREATE_EXTERNAL_ROUTINE",
    "NOFENCEAUTH": "CREATE_NOT_FENCED_ROUTINE",
    "QUIESCECONNECTAUTH": "QUIESCE_CONNECT",
    "CREATESECUREAUTH": "CREATE_SECURE_OBJECT",
}
_OF_VIEW = {
    "DBAUTH": "DATABASE", "TABAUTH": "TABLE", "INDEXAUTH": "INDEX", "SCHEMAAUTH": "SCHEMA", "PACKAGEAUTH": "PACKAGE",
    "SEQUENCEAUTH": "SEQUENCE", "TBSPACEAUTH": "TABLESPACE", "VARIABLEAUTH": "VARIABLE", "MODULEAUTH": "MODULE",
    "WORKLOADAUTH": "WORKLOAD",
}  # fmt: skip
_OWNERS = ("CONTROL", "ALTER", "DELETE", "INDEX", "INSERT", "REFERENCES", "SELECT", "UPDATE")


class Db2Error(Exception):
    """The driver raises plain exceptions; this one is as plain, but known to the tests."""


def failure(code: str, words: str, state: str = "42501") -> Db2Error:
    """An error in the driver's form."""
    return Db2Error(f"[IBM][CLI Driver][DB2/LINUXX8664] {code}  {words}  SQLSTATE={state} SQLCODE=-{code[3:-1]}")


@dataclass
class User:
    """A user of the host."""

    password: str
    groups: set[str] = field(default_factory=set)
    disabled: bool = False
    expired: bool = False


@dataclass
class Task:
    """A task of RDS's."""

    number: int
    kind: str
    values: tuple[str, ...]
    life: str = "CREATED"


# (what, on) → (Y or G, who granted it)
Rights = dict[tuple[str, str], tuple[str, str]]


@dataclass
class Database:
    """A database."""

    rights: dict[str, Rights] = field(default_factory=dict)
    of_roles: dict[str, Rights] = field(default_factory=dict)
    of_groups: dict[str, Rights] = field(default_factory=dict)
    authorities: dict[str, set[str]] = field(default_factory=dict)
    tables: set[tuple[str, str]] = field(default_factory=set)
    sequences: set[tuple[str, str]] = field(default_factory=set)
    # Views that have a row for a user: ("SURROGATEAUTHIDS", "APP") → what it names.
    extras: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, grantee: str, kind: str) -> Rights:
        """What somebody was granted: a user, a role or a group."""
        return {"U": self.rights, "R": self.of_roles, "G": self.of_groups}[kind].get(grantee, {})


class Server:
    """The host, its databases, and what stands for the module ``ibm_db``."""

    SQL_ATTR_QUERY_TIMEOUT = 0
    SQL_AUTOCOMMIT_ON, SQL_AUTOCOMMIT_OFF = 1, 0

    def __init__(self, port: int) -> None:
        self.port = port
        self.lock = threading.RLock()
        self.users: dict[str, User] = {}
        self.databases = {"APP": Database(), "PAYROLL": Database(), "RDSADMIN": Database()}
        self.tasks: list[Task] = []
        # How often a task is asked about before it is done.
        self.patience = 2
        self.asked = 0
        self.fails: set[str] = set()
        self.statements: set[str] = set()
        self.failures: list[str] = []
        self.refused: list[str] = []
        self.strings: list[str] = []
        # Names of this host; all lead to one address.
        self.hosts = {"localhost", "127.0.0.1"}

    # The driver's functions

    def connect(self, text: str, user: str, password: str) -> Session:
        """Log in, by a connection string."""
        assert (user, password) == ("", "")
        self.strings.append(text)
        parts = dict(part.split("=", 1) for part in text.removesuffix(";").split(";"))
        if int(parts["PORT"]) != self.port or parts.get("HOSTNAME", "localhost") not in self.hosts:
            raise failure("SQL30081N", 'A communication error. Protocol being used: "TCP/IP".', "08001")
        with self.lock:
            return self._log_in(parts["UID"], parts["PWD"], parts["DATABASE"].upper())

    def _log_in(self, user: str, password: str, database: str) -> Session:
        found = self.users.get(user.lower())
        if found is None or found.password != password:
            self.refused.append(user)
            raise failure(
                "SQL30082N", 'Security processing failed with reason "24" ("USERNAME/PASSWORD INVALID").', "08001"
            )
        if found.expired or found.disabled:
            reason = '"1" ("PASSWORD EXPIRED")' if found.expired else '"19" ("USERID DISABLED or RESTRICTED")'
            raise failure("SQL30082N", f"Security processing failed with reason {reason}.", "08001")
        if database not in self.databases:
            raise failure("SQL1013N", f'The database alias name or database name "{database}" could not be found.')
        if ("CONNECT", "DATABASE") not in self.databases[database].rights.get(user.upper(), {}):
            raise failure("SQL1060N", f'User "{user.upper()}" does not have the CONNECT privilege.', "08004")
        return Session(self, user.lower(), database)

    def prepare(self, session: Session, text: str, options: dict[int, int]) -> Prepared:
        """Prepare a statement."""
        assert options[self.SQL_ATTR_QUERY_TIMEOUT] > 0
        return Prepared(session, text)

    def execute(self, prepared: Prepared, values: tuple[Any, ...] = ()) -> bool:
        """Run it."""
        assert len(values) == prepared.text.count("?")
        prepared.rows = prepared.session.run(prepared.text, values)
        return True

    def num_fields(self, prepared: Prepared) -> int:
        """How many columns it gives."""
        return 0 if prepared.rows is None else 1

    def fetch_tuple(self, prepared: Prepared) -> Any:
        """The next row, or False."""
        return prepared.rows.pop(0) if prepared.rows else False

    def next_result(self, prepared: Prepared) -> Any:
        """The next result of a procedure; False where there is none."""
        if not prepared.more:
            return False
        more = prepared.more.pop(0)
        if isinstance(more, Db2Error):
            raise more
        return Prepared(prepared.session, prepared.text, more)

    def free_stmt(self, prepared: Prepared) -> bool:
        """Forget it."""
        prepared.rows = None
        return True

    def autocommit(self, session: Session, value: int) -> bool:
        """Switch it."""
        session.alive()
        return bool(value in {0, 1})

    def rollback(self, session: Session) -> bool:
        """Roll back."""
        session.alive()
        return True

    def close(self, session: Session) -> bool:
        """Close."""
        session.closed = True
        return True

    # RDS's tasks

    def ask(self, kind: str, values: tuple[str, ...]) -> None:
        """Write a task down; it is done later."""
        self.tasks.append(Task(len(self.tasks) + 1, kind, values))
        self.asked = 0

    def look(self) -> None:
        """Somebody asks: the host gets on with its work, one task at a time."""
        self.asked += 1
        waiting = [task for task in self.tasks if task.life not in {"SUCCESS", "ERROR"}]
        if waiting and self.asked < self.patience:
            waiting[0].life = "IN_PROGRESS"
        elif waiting:
            waiting[0].life = "SUCCESS" if self._do(waiting[0]) else "ERROR"
            self.asked = 0

    def _do(self, task: Task) -> bool:
        name, value = task.values[0].lower(), task.values[1]
        found = self.users.get(name)
        if task.kind in self.fails or (found is not None) == (task.kind == "ADD_USER"):
            return False
        if task.kind == "ADD_USER":
            self.users[name] = User(value, set(filter(None, task.values[2].split(","))))
        elif found is not None and task.kind == "CHANGE_PASSWORD":
            found.password, found.expired = value, False
        elif found is not None:
            groups = set(value.split(","))
            found.groups = found.groups | groups if task.kind == "ADD_GROUPS" else found.groups - groups
        return True


@dataclass
class Prepared:
    """A prepared statement."""

    session: Session
    text: str
    rows: Any = None
    # What else a procedure gives: rows, or how it fails.
    more: list[Any] = field(default_factory=list)


class Session(Statements):
    """A login at work."""

    refusals = Db2Error

    def __init__(self, server: Server, user: str, database: str) -> None:
        super().__init__(server.statements, server.failures)
        self.server = server
        self.user = user
        self.authid = user.upper()
        self.database = database
        self.closed = False

    def alive(self) -> None:
        """Fail where it is closed, as the driver does."""
        if self.closed:
            raise failure("SQL30081N", "A communication error has been detected.", "08001")

    def run(self, text: str, parameters: Sequence[Any] = ()) -> Any:
        self.alive()
        with self.server.lock:
            return super().run(text, parameters)

    @property
    def here(self) -> Database:
        return self.server.databases[self.database]

    @property
    def mine(self) -> Rights:
        return self.here.rights.setdefault(self.authid, {})

    def _may_grant(self) -> None:
        if not self.here.authorities.get(self.authid, set()) & {"ACCESSCTRL", "SECADM"}:
            raise failure("SQL0552N", f'"{self.authid}" does not have the privilege to perform operation "GRANT".')

    def _may_grant_role(self, role: str) -> None:
        """Only who has it WITH ADMIN OPTION, directly or by another role; the catalogue's owner has SECADM."""
        waiting, seen = [(self.authid, "U")], set()
        while waiting:
            grantee = waiting.pop()
            seen.add(grantee)
            for (what, _), (state, _) in self.here.of(*grantee).items():
                if what == f"ROLE {role}" and state == "G":
                    return
                if what.startswith("ROLE ") and (_names(what)[0], "R") not in seen:
                    waiting.append((_names(what)[0], "R"))
        raise failure("SQL0551N", f'"{self.authid}" does not have the required authorization to grant the role {role}.')

    def _in_rdsadmin(self) -> None:
        if self.database != "RDSADMIN":
            raise failure("SQL0440N", "No authorized routine was found.", "42884")

    @statement(r"VALUES 1")
    def _one(self) -> Any:
        return [(1,)]

    @statement(r"VALUES SYSTEM_USER")
    def _system_user(self) -> Any:
        return [(self.authid.ljust(8),)]

    @statement(r"SELECT nowhere")
    def _nowhere(self) -> Any:
        raise failure("SQL0206N", '"NOWHERE" is not valid in the context where it is used.', "42703")

    # RDS's tasks

    @statement(r"SELECT COALESCE\(MAX\(TASK_ID\), 0\) FROM TABLE\(RDSADMIN\.GET_TASK_STATUS\(NULL, NULL, NULL\)\) AS T")
    def _last_task(self) -> Any:
        self._in_rdsadmin()
        return [(len(self.server.tasks),)]

    @statement(r"SELECT TASK_ID, LIFECYCLE FROM TABLE\(RDSADMIN\.GET_TASK_STATUS\(.*\)\) AS T WHERE TASK_ID > \? .*")
    def _tasks(self, kind: str, last: int) -> Any:
        self._in_rdsadmin()
        self.server.look()
        return [(task.number, task.life) for task in self.server.tasks if task.number > last and task.kind == kind]

    @statement(r"CALL RDSADMIN\.(CHANGE_PASSWORD|ADD_USER|ADD_GROUPS|REMOVE_GROUPS)\(\?(?:, \?)+\)")
    def _call(self, kind: str, *values: str) -> None:
        self._in_rdsadmin()
        self.server.ask(kind, values)

    @statement(r"SELECT DATABASE_NAME FROM TABLE\(RDSADMIN\.LIST_DATABASES\(\)\) AS T")
    def _databases(self) -> Any:
        self._in_rdsadmin()
        return [(name,) for name in sorted(self.server.databases)]

    # The catalogue

    @statement(r"SELECT RTRIM\(G\.GROUP\) FROM TABLE\(SYSPROC\.AUTH_LIST_GROUPS_FOR_AUTHID\(.*\)\) AS G")
    def _groups(self, authid: str) -> Any:
        found = self.server.users.get(authid.lower())
        return [(group.upper(),) for group in sorted(found.groups)] if found else []

    @statement(r"SELECT COUNT\(\*\) FROM SYSIBMADM\.AUTHORIZATIONIDS WHERE AUTHID = \? AND AUTHIDTYPE = 'U'")
    def _known(self, authid: str) -> Any:
        return [(int(bool(self.here.rights.get(authid))),)]

    @statement(
        r"SELECT RTRIM\(A\.AUTHORITY\) FROM TABLE\(SYSPROC\.AUTH_LIST_AUTHORITIES_FOR_AUTHID\(.*\)\) AS A WHERE .*"
    )
    def _authorities(self, authid: str) -> Any:
        return [(one,) for one in sorted(self.here.authorities.get(authid, set()))]

    @statement(
        r"SELECT GRANTOR, (.+) FROM SYSCAT\.(\w+) WHERE GRANTEE = \? AND GRANTEETYPE = \?(?: AND EXECUTEAUTH <> 'N')?"
    )
    def _view(self, columns: str, view: str, grantee: str, kind: str) -> Any:
        rights = self.here.of(grantee, kind)
        if view in _OF_VIEW:
            return self._rows(rights, _OF_VIEW[view], [c.strip() for c in columns.split(",")])
        return list(getattr(self, f"_{view.lower()}")(rights))

    @statement(
        r"SELECT RTRIM\(GRANTOR\) FROM SYSCAT\.SEQUENCEAUTH "
        r"WHERE GRANTEE = \? AND GRANTEETYPE = 'U' AND SEQSCHEMA = \? AND SEQNAME = \? AND USAGEAUTH <> 'N'"
    )
    def _grantors(self, grantee: str, schema: str, name: str) -> Any:
        found = self.here.of(grantee, "U").get(("USAGE", f'SEQUENCE "{schema}"."{name}"'))
        return [(found[1],)] if found else []

    @statement(r"SELECT COUNT\(\*\) FROM SYSCAT\.SEQUENCES WHERE SEQSCHEMA = \? AND SEQNAME = \?")
    def _sequences(self, schema: str, name: str) -> Any:
        return [(int((schema, name) in self.here.sequences),)]

    @statement(
        r"SELECT RTRIM\(SURROGATEAUTHID\) FROM SYSCAT\.SURROGATEAUTHIDS WHERE TRUSTEDID = \? AND TRUSTEDIDTYPE = 'U'"
    )
    def _surrogates(self, authid: str) -> Any:
        return [(name,) for (view, whose), name in self.here.extras.items() if (view, whose) == ("SURROGATE", authid)]

    @statement(r"SELECT CONTEXTNAME FROM SYSCAT\.CONTEXTS WHERE SYSTEMAUTHID = \?")
    def _contexts(self, authid: str) -> Any:
        return [(name,) for (view, whose), name in self.here.extras.items() if (view, whose) == ("CONTEXT", authid)]

    @statement(r"SELECT COUNT\(\*\) FROM SYSCAT\.(\w+) WHERE GRANTEE = \? AND GRANTEETYPE = 'U'")
    def _count(self, view: str, authid: str) -> Any:
        assert view in {"SECURITYLABELACCESS", "SECURITYPOLICYEXEMPTIONS", "PASSTHRUAUTH", "XSROBJECTAUTH"}, view
        return [(int((view, authid) in self.here.extras),)]

    @statement(rf"CREATE SEQUENCE {_PLACE}")
    def _create_sequence(self, schema: str, name: str) -> None:
        # https://www.ibm.com/docs/en/db2/11.5.x?topic=statements-create-sequence
        may = self.here.authorities.get(self.authid, set())
        if not may & {"DBADM"} and ("IMPLICIT_SCHEMA", "DATABASE") not in self.mine:
            raise failure("SQL0552N", f'"{self.authid}" does not have the privilege to perform "CREATE SEQUENCE".')
        self.here.sequences.add((schema, name))
        on = f'SEQUENCE "{schema}"."{name}"'
        self.mine.update({("USAGE", on): ("G", "SYSIBM"), ("ALTER", on): ("G", "SYSIBM")})

    def _rows(self, rights: Rights, kind: str, columns: list[str]) -> Any:
        found: dict[tuple[str, str], dict[str, str]] = {}
        for (what, on), (state, grantor) in rights.items():
            if on.split(" ")[0] == kind and "(" not in what:
                found.setdefault((on, grantor), {})[what] = state
        rows = []
        for (on, grantor), states in found.items():
            named = iter(_names(on))
            row = [grantor]
            for column in columns:
                if column.startswith("RTRIM") or not column.endswith("AUTH"):
                    row.append(next(named))
                else:
                    row.append(states.get(_COLUMNS.get(column, column.removesuffix("AUTH")), "N"))
            rows.append(tuple(row))
        return rows

    def _colauth(self, rights: Rights) -> Any:
        for (what, on), (state, grantor) in rights.items():
            if "(" in what:
                privilege, column = what.split(" ", 1)
                yield grantor, *_names(on), _names(column)[0], privilege[0], "G" if state == "G" else "N"

    def _routineauth(self, rights: Rights) -> Any:
        for (what, on), (state, grantor) in rights.items():
            words = on.split(" ")
            kind = words[1] if words[0] == "SPECIFIC" else words[0]
            if what == "EXECUTE" and kind in {"FUNCTION", "PROCEDURE", "METHOD"}:
                schema, *name = _names(on)
                yield grantor, schema, name[0] if name else None, kind[0], state

    def _roleauth(self, rights: Rights) -> Any:
        for (what, _), (state, grantor) in rights.items():
            if what.startswith("ROLE "):
                yield grantor, _names(what)[0], "Y" if state == "G" else "N"

    # Grants

    @statement(rf"GRANT (.+?){_ON} TO USER {NAME}( WITH (?:GRANT|ADMIN) OPTION)?")
    def _grant(self, what: str, on: str | None, authid: str, option: str | None) -> None:
        if what.startswith("ROLE "):
            self._may_grant_role(what.removeprefix("ROLE "))
        elif what == "CREATE_SECURE_OBJECT":
            raise failure("SQL0552N", f'"{self.authid}" does not have the privilege to perform operation "GRANT".')
        else:
            self._may_grant()
        assert re.fullmatch(r'[A-Z_]+(?: \(?"(?:[^"]|"")+"\)?)?', what), what
        if on is not None and on.startswith("SEQUENCE") and what == "USAGE" and "ROTATORS" in on:
            assert tuple(_names(on)) in self.here.sequences, on
        rights = self.here.rights.setdefault(authid, {})
        rights[what, on or ""] = ("G" if option else "Y", self.authid)

    @statement(rf"REVOKE (.+?){_ON} FROM USER {NAME}( RESTRICT)?")
    def _revoke(self, what: str, on: str | None, authid: str, restrict: str | None) -> None:
        self._may_grant()
        rights = self.here.rights.get(authid, {})
        gone = [key for key in rights if key[1] == (on or "") and (key[0] == what or key[0].startswith(f"{what} ("))]
        if not gone:
            raise failure("SQL0556N", "An attempt to revoke a privilege was denied: it is not held.", "42504")
        for key in gone:
            if rights[key][1] == "SYSIBM":
                raise failure("SQL0556N", "An attempt to revoke a privilege of the owner was denied.", "42504")
            del rights[key]
        del restrict

    # What an application does

    @statement(rf"SELECT answer FROM {_PLACE}")
    def _select(self, schema: str, table: str) -> Any:
        self._use("SELECT", schema, table)
        return [(42,)]

    @statement(rf"INSERT INTO {_PLACE} VALUES \(1\)")
    def _insert(self, schema: str, table: str) -> None:
        self._use("INSERT", schema, table)

    @statement(rf"ALTER TABLE {_PLACE} ALTER COLUMN n SET DEFAULT 7")
    def _alter(self, schema: str, table: str) -> None:
        self._use("ALTER", schema, table)

    @statement(rf"CREATE TABLE {_PLACE} \(n INT\)")
    def _create(self, schema: str, table: str) -> None:
        if ("CREATETAB", "DATABASE") not in self.mine or ("CREATEIN", f'SCHEMA "{schema}"') not in self.mine:
            raise failure("SQL0552N", f'"{self.authid}" does not have the privilege to perform "CREATE TABLE".')
        if (schema, table) in self.here.tables:
            raise failure("SQL0601N", "The name of the object to be created is identical to an existing name.", "42710")
        self.here.tables.add((schema, table))
        self.mine.update({(what, f'TABLE "{schema}"."{table}"'): ("G", "SYSIBM") for what in _OWNERS[1:]})
        self.mine["CONTROL", f'TABLE "{schema}"."{table}"'] = ("Y", "SYSIBM")

    def _use(self, privilege: str, schema: str, table: str) -> None:
        on = f'TABLE "{schema}"."{table}"'
        if (privilege, on) not in self.mine and ("CONTROL", on) not in self.mine:
            raise failure("SQL0551N", f'"{self.authid}" does not have the required privilege "{privilege}".')


def _names(text: str) -> list[str]:
    return [name.replace('""', '"') for name in re.findall(r'"((?:[^"]|"")+)"', text)]
