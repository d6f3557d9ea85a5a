"""Oracle: every statement, view, column, right and code that we rely on, and the page of each.

The pages are those of 19c, the oldest that RDS offers; what is newer says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from doubles import oracle as double
from doubles.oracle import User
from targets import ALTERNATING, DUAL, SINGLE, rotated
from targets import oracle as targets

from beliefs.base import Beliefs, Code, Right, Statement, View, look_at, mapped, sent_to
from rotators.engines.oracle import clone, errors
from rotators.testing import RotationService

_DOCS = "https://docs.oracle.com/en/database/oracle/oracle-database"
_SQL = f"{_DOCS}/19/sqlrf"
_REF = f"{_DOCS}/19/refrn"
_PLSQL = f"{_DOCS}/19/lnpls"
_23 = f"{_DOCS}/23"
_HELP = "https://docs.oracle.com/en/error-help/db"
_MASTER = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html"
_LIMITS = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Oracle.Concepts.Privileges.html"
_TASKS = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.Oracle.CommonDBATasks.TransferPrivileges.html"
_N = '"[^"]+"'
_WHO = r"= :1(?: OR GRANTEE IN \( SELECT GRANTED_ROLE FROM SYS\.DBA_ROLE_PRIVS START WITH .* \))?"

STATEMENTS = (
    Statement(
        r"SELECT SYS_CONTEXT\('USERENV', 'SESSION_USER'\), .* FROM SYS\.DUAL", f"{_SQL}/SYS_CONTEXT.html", "12.1"
    ),
    Statement(r"SELECT 1 FROM SYS\.DUAL", f"{_SQL}/Selecting-from-the-DUAL-Table.html", "12.1"),
    Statement("SET TRANSACTION READ ONLY", f"{_SQL}/SET-TRANSACTION.html", "12.1"),
    Statement("ROLLBACK", f"{_SQL}/ROLLBACK.html", "12.1"),
    Statement(r"SELECT ACCOUNT_STATUS FROM SYS\.USER_USERS", f"{_REF}/USER_USERS.html", "12.1"),
    Statement(r"SELECT l\.LIMIT FROM SYS\.USER_PASSWORD_LIMITS l .*", f"{_REF}/USER_PASSWORD_LIMITS.html", "12.1"),
    Statement(r"SELECT p\.LIMIT, d\.LIMIT FROM SYS\.DBA_PROFILES p .*", f"{_REF}/DBA_PROFILES.html", "12.1"),
    Statement(
        r"SELECT COMMON, ORACLE_MAINTAINED FROM SYS\.ALL_USERS WHERE USERNAME = :1", f"{_REF}/ALL_USERS.html", "12.1"
    ),
    Statement(r"SELECT PRIVILEGE FROM SYS\.SESSION_PRIVS", f"{_REF}/SESSION_PRIVS.html", "12.1"),
    Statement(
        r"SELECT COUNT\(\*\) FROM SYS\.ALL_OBJECTS WHERE OWNER = 'RDSADMIN' .*", f"{_REF}/ALL_OBJECTS.html", "12.1"
    ),
    Statement(
        r"SELECT USERNAME, USER_ID, .* FROM SYS\.DBA_USERS WHERE USER(?:NAME|_ID) = :1",
        f"{_REF}/DBA_USERS.html",
        "12.1",
    ),
    Statement(
        rf"SELECT GRANTED_ROLE, ADMIN_OPTION, DEFAULT_ROLE FROM SYS\.DBA_ROLE_PRIVS WHERE GRANTEE {_WHO}",
        f"{_REF}/DBA_ROLE_PRIVS.html",
        "12.1",
    ),
    Statement(
        rf"SELECT PRIVILEGE, ADMIN_OPTION FROM SYS\.DBA_SYS_PRIVS WHERE GRANTEE {_WHO}",
        f"{_REF}/DBA_SYS_PRIVS.html",
        "12.1",
    ),
    Statement(rf"SELECT OWNER, .* FROM SYS\.DBA_TAB_PRIVS WHERE GRANTEE {_WHO}", f"{_REF}/DBA_TAB_PRIVS.html", "12.1"),
    Statement(rf"SELECT OWNER, .* FROM SYS\.DBA_COL_PRIVS WHERE GRANTEE {_WHO}", f"{_REF}/DBA_COL_PRIVS.html", "12.1"),
    Statement(
        rf"SELECT PRIVILEGE, SCHEMA, ADMIN_OPTION FROM SYS\.DBA_SCHEMA_PRIVS WHERE GRANTEE {_WHO}",
        f"{_23}/refrn/DBA_SCHEMA_PRIVS.html",
        "23",
    ),
    Statement(r"SELECT TABLESPACE_NAME, MAX_BYTES FROM SYS\.DBA_TS_QUOTAS .*", f"{_REF}/DBA_TS_QUOTAS.html", "12.1"),
    Statement(r"SELECT OBJECT_NAME, OBJECT_TYPE FROM SYS\.DBA_OBJECTS .*", f"{_REF}/DBA_OBJECTS.html", "12.1"),
    Statement(r"SELECT CREATED FROM SYS\.DBA_OBJECTS .*", f"{_REF}/DBA_OBJECTS.html", "12.1"),
    Statement(r"SELECT CLIENT FROM SYS\.DBA_PROXIES WHERE PROXY = :1", f"{_REF}/DBA_PROXIES.html", "12.1"),
    Statement(r"SELECT DB_LINK FROM SYS\.DBA_DB_LINKS WHERE OWNER = :1", f"{_REF}/DBA_DB_LINKS.html", "12.1"),
    Statement(r"SELECT HOST, PRIVILEGE FROM SYS\.DBA_HOST_ACES .*", f"{_REF}/DBA_HOST_ACES.html", "12.1"),
    Statement(
        r"SELECT COUNT\(\*\) FROM SYS\.V_\$PWFILE_USERS WHERE USERNAME = :1", f"{_REF}/V-PWFILE_USERS.html", "12.1"
    ),
    Statement(rf"ALTER USER {_N} IDENTIFIED BY {_N} REPLACE {_N}", f"{_SQL}/ALTER-USER.html", "12.1"),
    Statement(rf"ALTER USER {_N} IDENTIFIED BY {_N}(?: ACCOUNT UNLOCK)?", f"{_SQL}/ALTER-USER.html", "12.1"),
    Statement(rf"ALTER USER {_N} EXPIRE PASSWORD ROLLOVER PERIOD", f"{_SQL}/ALTER-USER.html", "19.12"),
    Statement(
        rf"(?:CREATE|ALTER) USER {_N}(?: IDENTIFIED BY {_N})? PROFILE {_N} DEFAULT TABLESPACE {_N} "
        rf"TEMPORARY TABLESPACE {_N}",
        f"{_SQL}/CREATE-USER.html",
        "12.1",
    ),
    Statement(rf"ALTER USER {_N} QUOTA (?:UNLIMITED|\d+) ON {_N}", f"{_SQL}/ALTER-USER.html", "12.1"),
    Statement(rf"ALTER USER {_N} DEFAULT ROLE (?:ALL|NONE|{_N}.*)", f"{_SQL}/ALTER-USER.html", "12.1"),
    Statement(rf"GRANT {_N} TO {_N}(?: WITH ADMIN OPTION)?", f"{_SQL}/GRANT.html", "12.1"),
    Statement(rf"REVOKE {_N} FROM {_N}", f"{_SQL}/REVOKE.html", "12.1"),
    Statement(rf"GRANT [A-Z ]+ TO {_N}(?: WITH ADMIN OPTION)?", f"{_SQL}/GRANT.html", "12.1"),
    Statement(rf"REVOKE [A-Z ]+ FROM {_N}", f"{_SQL}/REVOKE.html", "12.1"),
    Statement(rf"GRANT [A-Z ]+ ON SCHEMA {_N} TO {_N}(?: WITH ADMIN OPTION)?", f"{_23}/sqlrf/GRANT.html", "23"),
    Statement(rf"REVOKE [A-Z ]+ ON SCHEMA {_N} FROM {_N}", f"{_23}/sqlrf/REVOKE.html", "23"),
    Statement(
        rf"GRANT [A-Z ]+(?: \({_N}\))? ON (?:{_N}\.{_N}|DIRECTORY {_N}) TO {_N}(?: WITH GRANT OPTION)?",
        f"{_SQL}/GRANT.html",
        "12.1",
    ),
    Statement(rf"REVOKE [A-Z ]+ ON (?:{_N}\.{_N}|DIRECTORY {_N}) FROM {_N}", f"{_SQL}/REVOKE.html", "12.1"),
    Statement(
        rf"CREATE TRIGGER {_N}\.{_N} AFTER LOGON ON {_N}\.SCHEMA BEGIN .* END;",
        f"{_PLSQL}/CREATE-TRIGGER-statement.html",
        "12.1",
    ),
    Statement(rf"DROP TRIGGER {_N}\.{_N}", f"{_PLSQL}/DROP-TRIGGER-statement.html", "12.1"),
    Statement(r"BEGIN rdsadmin\.rdsadmin_util\.grant_sys_object\(:1, :2, :3, :4\); END;", _TASKS, "12.1"),
    Statement(r"BEGIN rdsadmin\.rdsadmin_util\.revoke_sys_object\(:1, :2, :3\); END;", _TASKS, "12.1"),
)


def _view(name: str, columns: str, page: str = "", since: str = "12.1") -> View:
    """Oracle names the pages of views after them."""
    return View(name, frozenset(columns.split()), page or f"{_REF}/{name.removeprefix('SYS.')}.html", since)


VIEWS = (
    _view("SYS.DUAL", "", f"{_SQL}/Selecting-from-the-DUAL-Table.html"),
    _view("SYS.USER_USERS", "ACCOUNT_STATUS"),
    _view("SYS.USER_PASSWORD_LIMITS", "LIMIT RESOURCE_NAME"),
    _view("SYS.DBA_PROFILES", "PROFILE LIMIT RESOURCE_NAME"),
    _view("SYS.ALL_USERS", "USERNAME COMMON ORACLE_MAINTAINED"),
    _view("SYS.SESSION_PRIVS", "PRIVILEGE"),
    _view("SYS.ALL_OBJECTS", "OWNER OBJECT_NAME"),
    _view(
        "SYS.DBA_USERS",
        "USERNAME USER_ID CREATED ACCOUNT_STATUS PROFILE DEFAULT_TABLESPACE TEMPORARY_TABLESPACE AUTHENTICATION_TYPE",
    ),
    _view("SYS.DBA_ROLE_PRIVS", "GRANTEE GRANTED_ROLE ADMIN_OPTION DEFAULT_ROLE"),
    _view("SYS.DBA_SYS_PRIVS", "GRANTEE PRIVILEGE ADMIN_OPTION"),
    _view("SYS.DBA_TAB_PRIVS", "GRANTEE OWNER TABLE_NAME PRIVILEGE GRANTABLE TYPE"),
    _view("SYS.DBA_COL_PRIVS", "GRANTEE OWNER TABLE_NAME COLUMN_NAME PRIVILEGE GRANTABLE"),
    _view("SYS.DBA_SCHEMA_PRIVS", "GRANTEE PRIVILEGE SCHEMA ADMIN_OPTION", f"{_23}/refrn/DBA_SCHEMA_PRIVS.html", "23"),
    _view("SYS.DBA_TS_QUOTAS", "USERNAME TABLESPACE_NAME MAX_BYTES"),
    _view("SYS.DBA_OBJECTS", "OWNER OBJECT_NAME OBJECT_TYPE SUBOBJECT_NAME GENERATED CREATED"),
    _view("SYS.DBA_PROXIES", "PROXY CLIENT"),
    _view("SYS.DBA_DB_LINKS", "OWNER DB_LINK"),
    _view("SYS.DBA_HOST_ACES", "HOST PRIVILEGE GRANT_TYPE PRINCIPAL"),
    _view("SYS.V_$PWFILE_USERS", "USERNAME", f"{_REF}/V-PWFILE_USERS.html"),
)
_GRANT = f"{_SQL}/GRANT.html"


def _lists(name: str, needed_for: str = "", since: str = "12.1") -> Right:
    return Right(name, needed_for, _GRANT, since, master=True, aws=_MASTER)


def _of_dba(name: str, needed_for: str = "", since: str = "12.1") -> Right:
    """DBA's, which RDS's master has but for those that AWS lists."""
    return Right(name, needed_for, _GRANT, since, master=True, aws=_LIMITS)


def _withheld(name: str, needed_for: str = "") -> Right:
    return Right(name, needed_for, _GRANT, "12.1", master=False, aws=_MASTER)


RIGHTS = (
    *map(_lists, (
        "ADMINISTER DATABASE TRIGGER", "ALTER DATABASE LINK", "ALTER PUBLIC DATABASE LINK", "AUDIT SYSTEM",
        "CHANGE NOTIFICATION", "DROP ANY DIRECTORY", "EXEMPT ACCESS POLICY", "EXEMPT IDENTITY POLICY",
        "EXEMPT REDACTION POLICY", "FLASHBACK ANY TABLE", "RESTRICTED SESSION", "SELECT ANY TABLE",
        "UNLIMITED TABLESPACE",
    )),
    _lists("GRANT ANY OBJECT PRIVILEGE", "object and column grants"),
    # DBA has it: https://docs.oracle.com/en/database/oracle/oracle-database/19/dbseg/
    _of_dba("SELECT_CATALOG_ROLE", "the catalogue"),
    _of_dba("ALTER USER", "passwords, profiles, quotas, default roles"),
    _of_dba("CREATE USER", "a clone"),
    _of_dba("CREATE ANY TRIGGER", "a clone's logon trigger, which is the mark of a pair"),
    _of_dba("GRANT ANY SCHEMA PRIVILEGE", "the clone's use of its source's schema", "23"),
    _of_dba("CREATE ROLE"),
    *(_of_dba(name, "to be passed on, with its option") for name in (
        "CREATE SESSION", "CREATE TABLE", "CREATE VIEW", "CREATE SEQUENCE", "CREATE PROCEDURE",
    )),
    _withheld("GRANT ANY PRIVILEGE", "any system privilege; else each with ADMIN OPTION"),
    _withheld("GRANT ANY ROLE", "any role; else each with ADMIN OPTION"),
    *map(_withheld, (
        "ALTER DATABASE", "ALTER SYSTEM", "CREATE ANY DIRECTORY", "CREATE EXTERNAL JOB", "CREATE PLUGGABLE DATABASE",
        "READ ANY FILE GROUP",
    )),
)  # fmt: skip


# A verify function of somebody's own may raise any of a thousand numbers: one stands for all.
_OWN = re.compile(r"ORA-20(?!000)\d{3}")
MAPPED = {code: kind for code, kind in mapped(errors.STATEMENT, errors.LOGIN).items() if not _OWN.fullmatch(code)}
# The driver's own: it names this page in its messages.
_DRIVER = "https://python-oracledb.readthedocs.io/en/latest/user_guide/troubleshooting.html"


def _help(code: str) -> str:
    return f"{_DRIVER}#{code.lower()}" if code.startswith("DPY") else f"{_HELP}/{code.lower()}/"


CODES = (
    *(Code(code, kind, _help(code)) for code, kind in sorted(MAPPED.items())),
    # What the double answers where we ask for no more than "it failed".
    *(
        Code(f"ORA-{number}", "", f"{_HELP}/ora-{number}/")
        for number in ("00904", "00933", "01917", "01920", "01927", "01955", "04080", "04081", "28150")
    ),
)
SQLGLOT = "oracle"
BEYOND_SQLGLOT = {
    "(?:CREATE|ALTER) USER .*": "no statements about users",
    '(?:GRANT|REVOKE) (?:"[^"]+"|[A-Z ]+) (?:TO|FROM) .*': "no system privileges and roles in GRANT",
    "(?:GRANT|REVOKE) [A-Z ]+ ON (?:SCHEMA|DIRECTORY) .*": "no schemas and directories in GRANT",
    "CREATE TRIGGER .*": "no such statement",
    "BEGIN .* END;": "no blocks of PL/SQL",
}
BELIEFS = Beliefs(
    "oracle",
    "Oracle's 19c and 23 books, AWS's pages on master users and DBA's limits, "
    "sqlfluff's and sqlglot's Oracle; on no Oracle",
    STATEMENTS,
    VIEWS,
    RIGHTS,
    CODES,
    tests_own=(
        r"SELECT answer FROM .*", r"(?:CREATE|ALTER|DROP) TABLE .*", r"INSERT INTO .*", "SELECT nowhere",
        r"BEGIN gives_back; END;",
    ),
)  # fmt: skip
DOUBLE, RAISED = double, r"[^_]failure\((\d+)"
ADMINS = {*targets._ADMINS, *targets._DBAS, *targets._PASSED_ON, "SELECT_CATALOG_ROLE"}
BY_OTHERS: set[str] = set()
_WORDS = {
    "SELECT",
    "FROM",
    "SYS",
    "WHERE",
    "AND",
    "OR",
    "IN",
    "IS",
    "NULL",
    "START",
    "WITH",
    "CONNECT",
    "BY",
    "NOCYCLE",
    "PRIOR",
    "INNER",
    "JOIN",
    "ON",
    "COUNT",
    "SYS_CONTEXT",
}


def as_code(number: str) -> str:
    """As the table has it."""
    return f"ORA-{int(number):05}"


def columns_of(statements: Iterable[str]) -> Mapping[str, set[str]]:
    """The views that statements read, and their columns: words in capitals that are none of SQL's."""
    found: dict[str, set[str]] = {}
    for statement in statements:
        if not statement.strip().startswith("SELECT"):
            continue
        inner = re.findall(r"\(\s*SELECT.*?\)", statement, re.DOTALL)
        outer = statement
        for one in inner:
            outer = outer.replace(one, "")
        for part in (outer, *inner):
            bare = re.sub(r"'[^']*'", "", part)
            views = set(re.findall(r"SYS\.[A-Z_$]+", bare))
            words = set(re.findall(r"\b[A-Z][A-Z_$]+\b", re.sub(r"SYS\.[A-Z_$]+", "", bare))) - _WORDS
            for view in views:
                found.setdefault(view, set()).update(words)
    return found


def rights_of(statements: Iterable[str]) -> set[str]:
    """The rights that the engine asks for: it compares names, and sends none."""
    del statements
    return clone._NEEDED | set(clone._GRANT_ANY.values())


def exercise(target: Any, service: RotationService) -> set[str]:
    """Have the engine send all that it can; gives what it sent."""
    with sent_to(target.database.statements) as sent:
        _exercise(target, service)
    return sent


def _exercise(target: Any, service: RotationService) -> None:
    database = target.database
    database.users["ADMIN"].roles |= dict.fromkeys(("READER", "WRITER"), True)
    for strategy in ("auto", SINGLE, DUAL):
        subject = rotated(target, service, strategy if strategy != "auto" else SINGLE, ROTATION_STRATEGY=strategy)
        for _ in range(3):
            assert service.rotate(subject.arn).error is None
        look_at(service, subject.arn)
    tested = rotated(target, service, SINGLE, ROTATION_TEST_QUERY="SELECT 1 FROM SYS.DUAL")
    assert service.rotate(tested.arn).error is None
    pair = rotated(target, service, ALTERNATING)
    name = target.folded(pair.application.username)
    user = database.users[name]
    database.objects["SYS", "DATA_DIR"] = "DIRECTORY"
    base = dict(user.system), dict(user.objects)
    for given in (True, False):
        user.roles = {"READER": True, "WRITER": False} if given else {}
        user.default_roles = {"WRITER"} if given else set()
        user.system = {**base[0], **({"CREATE VIEW": False} if given else {})}
        user.columns = {("DATA", "T", "C", "UPDATE"): True} if given else {}
        user.schemas = {("SELECT ANY TABLE", "DATA"): False} if given else {}
        user.objects = {
            **base[1],
            **({("SYS", "DATA_DIR", "READ"): False, ("DATA", "U", "SELECT"): True} if given else {}),
        }
        user.quotas = {"USERS": -1 if given else 5}
        user.profile = "APPS" if given else "DEFAULT"
        for _ in range(2):
            assert service.rotate(pair.arn).error is None
            look_at(service, pair.arn)
    look_at(service, tested.arn)
    database.rds = True
    for given in (True, False):
        user.objects = {**base[1], **({("SYS", "V_$SESSION", "SELECT"): True} if given else {})}
        for _ in range(2):
            assert service.rotate(pair.arn).error is None
    database.rds = False
    clone_name = f"{name}_CLONE"
    password = target._password()
    # Somebody dropped the clone and made it again: it is as AWS's template would make it.
    database.users[clone_name] = User(password, system={"CREATE SESSION": False})
    while service.value(pair.arn)["username"].upper() != name:
        target.set_password(service.value(pair.arn)["username"], service.value(pair.arn)["password"])
        assert service.rotate(pair.arn).error is None
    assert service.rotate(pair.arn).error is None
