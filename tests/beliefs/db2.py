"""Db2: every statement, view, column, right and code that we rely on, and the page of each.

The pages are those of 11.5, the oldest that RDS offers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from doubles import db2 as double
from doubles.db2 import User
from targets import ALTERNATING, SINGLE, rotated
from targets import db2 as targets

from beliefs.base import Beliefs, Code, Right, Statement, View, look_at, mapped, sent_to
from rotators.engines.db2 import catalog, errors
from rotators.testing import RotationService

_IBM = "https://www.ibm.com/docs/en/db2/11.5.x?topic="
_RDS = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide"
_TASKS = f"{_RDS}/db2-sp-granting-revoking-privileges.html"
_FUNCTIONS = f"{_RDS}/db2-user-defined-functions.html"
_MASTER = f"{_RDS}/UsingWithRDS.MasterAccounts.html"
_ROLES = f"{_RDS}/db2-default-roles.html"
_ROUTINES = f"{_IBM}routines-"
_N = '"(?:[^"]|"")+"'
_WHOM = rf"(?:TO|FROM) USER {_N}(?: WITH (?:GRANT|ADMIN) OPTION| RESTRICT)?"
_WORDS = {
    "SELECT", "FROM", "WHERE", "AND", "OR", "IN", "AS", "IS", "NOT", "NULL", "TABLE", "CAST", "VARCHAR", "COUNT",
    "RTRIM", "MAX", "COALESCE", "ORDER", "BY",
}  # fmt: skip


def _view_page(view: str) -> str:
    return f"{_IBM}views-syscat{view.lower()}"


def _of(view: str, more: str = "") -> Statement:
    form = rf"SELECT GRANTOR, .+ FROM SYSCAT\.{view} WHERE GRANTEE = \? AND GRANTEETYPE = \?{more}"
    return Statement(form, _view_page(view), "11.5")


def _grant(what: str, page: str) -> Statement:
    return Statement(rf"(?:GRANT|REVOKE) {what} {_WHOM}", f"{_IBM}statements-grant-{page}", "11.5")


STATEMENTS = (
    Statement("VALUES SYSTEM_USER", f"{_IBM}registers-system-user", "11.5"),
    Statement(
        r"SELECT RTRIM\(G\.GROUP\) FROM TABLE\(SYSPROC\.AUTH_LIST_GROUPS_FOR_AUTHID\(.*\)\) AS G",
        f"{_ROUTINES}auth-list-groups-authid-table-function",
        "11.5",
    ),
    Statement(
        r"SELECT COUNT\(\*\) FROM SYSIBMADM\.AUTHORIZATIONIDS WHERE AUTHID = \? AND AUTHIDTYPE = 'U'",
        f"{_ROUTINES}authorizationids-administrative-view",
        "11.5",
    ),
    Statement(
        r"SELECT RTRIM\(A\.AUTHORITY\) FROM TABLE\(SYSPROC\.AUTH_LIST_AUTHORITIES_FOR_AUTHID\(.*\)\) AS A WHERE .*",
        f"{_ROUTINES}auth-list-authorities-authid-table-function",
        "11.5",
    ),
    *(_of(view.name) for view in catalog._VIEWS),
    _of("COLAUTH"),
    _of("ROUTINEAUTH", " AND EXECUTEAUTH <> 'N'"),
    _of("ROLEAUTH"),
    Statement(
        r"SELECT RTRIM\(GRANTOR\) FROM SYSCAT\.SEQUENCEAUTH WHERE .* AND USAGEAUTH <> 'N'",
        _view_page("SEQUENCEAUTH"),
        "11.5",
    ),
    Statement(r"SELECT COUNT\(\*\) FROM SYSCAT\.SEQUENCES WHERE .*", _view_page("SEQUENCES"), "11.5"),
    Statement(
        r"SELECT RTRIM\(SURROGATEAUTHID\) FROM SYSCAT\.SURROGATEAUTHIDS WHERE .*",
        _view_page("SURROGATEAUTHIDS"),
        "11.5",
    ),
    Statement(r"SELECT CONTEXTNAME FROM SYSCAT\.CONTEXTS WHERE SYSTEMAUTHID = \?", _view_page("CONTEXTS"), "11.5"),
    *(
        Statement(
            rf"SELECT COUNT\(\*\) FROM SYSCAT\.{view} WHERE GRANTEE = \? AND GRANTEETYPE = 'U'",
            _view_page(view),
            "11.5",
        )
        for view in ("SECURITYLABELACCESS", "SECURITYPOLICYEXEMPTIONS", "PASSTHRUAUTH", "XSROBJECTAUTH")
    ),
    Statement(rf"CREATE SEQUENCE {_N}\.{_N}", f"{_IBM}statements-create-sequence", "11.5"),
    _grant("[A-Z_]+ ON DATABASE", "database-authorities"),
    _grant(rf"[A-Z]+(?: \({_N}\))? ON TABLE {_N}\.{_N}", "table-view-nickname-privileges"),
    _grant(rf"CONTROL ON INDEX {_N}\.{_N}", "index-privileges"),
    _grant(rf"[A-Z]+ ON SCHEMA {_N}", "schema-privileges-authorities"),
    _grant(rf"[A-Z]+ ON PACKAGE {_N}\.{_N}", "package-privileges"),
    _grant(rf"[A-Z]+ ON SEQUENCE {_N}\.{_N}", "sequence-privileges"),
    _grant(rf"USE OF TABLESPACE {_N}", "table-space-privileges"),
    _grant(rf"[A-Z]+ ON VARIABLE {_N}\.{_N}", "global-variable-privileges"),
    _grant(rf"EXECUTE ON MODULE {_N}\.{_N}", "module-privileges"),
    _grant(rf"USAGE ON WORKLOAD {_N}", "workload-privileges"),
    _grant(rf"EXECUTE ON (?:SPECIFIC )?[A-Z]+ {_N}\.(?:{_N}|\*)", "routine-privileges"),
    _grant(rf"ROLE {_N}", "role"),
    Statement(
        r"SELECT COALESCE\(MAX\(TASK_ID\), 0\) FROM TABLE\(RDSADMIN\.GET_TASK_STATUS\(.*\)\) AS T", _FUNCTIONS, "11.5"
    ),
    Statement(
        r"SELECT TASK_ID, LIFECYCLE FROM TABLE\(RDSADMIN\.GET_TASK_STATUS\(.*\)\) AS T WHERE .*", _FUNCTIONS, "11.5"
    ),
    Statement(r"SELECT DATABASE_NAME FROM TABLE\(RDSADMIN\.LIST_DATABASES\(\)\) AS T", _FUNCTIONS, "11.5"),
    *(
        Statement(rf"CALL RDSADMIN\.{task}\(\?(?:, \?)+\)", _TASKS, "11.5")
        for task in ("CHANGE_PASSWORD", "ADD_USER", "ADD_GROUPS", "REMOVE_GROUPS")
    ),
)


def _view(name: str, columns: str, page: str = "") -> View:
    return View(name, frozenset(columns.split()), page or _view_page(name.removeprefix("SYSCAT.")), "11.5")


VIEWS = (
    *(
        _view(
            f"SYSCAT.{view.name}",
            " ".join(("GRANTOR", "GRANTEE", "GRANTEETYPE", *view.columns, *view.privileges)),
        )
        for view in catalog._VIEWS
    ),
    _view("SYSCAT.COLAUTH", "GRANTOR TABSCHEMA TABNAME COLNAME PRIVTYPE GRANTABLE GRANTEE GRANTEETYPE"),
    _view("SYSCAT.ROUTINEAUTH", "GRANTOR SCHEMA SPECIFICNAME ROUTINETYPE EXECUTEAUTH GRANTEE GRANTEETYPE"),
    _view("SYSCAT.ROLEAUTH", "GRANTOR ROLENAME ADMIN GRANTEE GRANTEETYPE"),
    _view("SYSCAT.SEQUENCES", "SEQSCHEMA SEQNAME"),
    _view("SYSCAT.SURROGATEAUTHIDS", "SURROGATEAUTHID TRUSTEDID TRUSTEDIDTYPE"),
    _view("SYSCAT.CONTEXTS", "CONTEXTNAME SYSTEMAUTHID"),
    *(
        _view(f"SYSCAT.{name}", "GRANTEE GRANTEETYPE")
        for name in ("SECURITYLABELACCESS", "SECURITYPOLICYEXEMPTIONS", "PASSTHRUAUTH", "XSROBJECTAUTH")
    ),
    _view("SYSPROC.AUTH_LIST_GROUPS_FOR_AUTHID", "GROUP", f"{_ROUTINES}auth-list-groups-authid-table-function"),
    _view(
        "SYSPROC.AUTH_LIST_AUTHORITIES_FOR_AUTHID",
        "AUTHORITY D_USER D_GROUP ROLE_USER ROLE_GROUP",
        f"{_ROUTINES}auth-list-authorities-authid-table-function",
    ),
    _view("SYSIBMADM.AUTHORIZATIONIDS", "AUTHID AUTHIDTYPE", f"{_ROUTINES}authorizationids-administrative-view"),
    _view("RDSADMIN.GET_TASK_STATUS", "TASK_ID LIFECYCLE", _FUNCTIONS),
    _view("RDSADMIN.LIST_DATABASES", "DATABASE_NAME", _FUNCTIONS),
)
_AUTHORITIES_PAGE = f"{_IBM}statements-grant-database-authorities"


def _master(name: str, needed_for: str = "") -> Right:
    return Right(name, needed_for, _AUTHORITIES_PAGE, "11.5", master=True, aws=_MASTER)


RIGHTS = (
    _master("ACCESSCTRL", "grants on everything, and the mark of a pair"),
    _master("DBADM", "the sequence that the mark is a right on"),
    *map(_master, (
        "DATAACCESS", "SQLADM", "WLMADM", "SYSMON", "BINDADD", "CONNECT", "CREATETAB", "CREATE_SECURE_OBJECT",
        "EXPLAIN", "IMPLICIT_SCHEMA", "LOAD",
    )),
    *(
        Right(role, "to be passed on: the master has it WITH ADMIN OPTION", f"{_IBM}statements-grant-role", "11.5",
              master=True, aws=_ROLES)
        for role in targets._RDS_ROLES
    ),
    # Its own tasks alone: rdsadmin.create_role and grant_role, dbadm_grant.
    Right("SECADM", "other roles, CREATE_SECURE_OBJECT, SETSESSIONUSER: refused", _AUTHORITIES_PAGE, "11.5",
          master=False, aws=_TASKS),
)  # fmt: skip


def _message(code: str) -> str:
    number = int(code[3:-1])
    size, low = (500, number // 500 * 500) if number >= 30000 else (250, number // 250 * 250)  # IBM's
    return f"{_IBM}messages-sql{low:04}-sql{low + size - 1:04}#{code.lower()}"


MAPPED = mapped(errors.STATEMENT, errors.CONNECT) | {errors.LOGIN: "LoginRefused", errors.TLS: "TlsFailed"}
CODES = tuple(
    Code(code, MAPPED.get(code, ""), _message(code))
    for code in sorted({*MAPPED, "SQL0206N", "SQL0440N", "SQL0556N", "SQL0601N"})
)
BELIEFS = Beliefs(
    "db2",
    "IBM's 11.5 books, AWS's pages on RDS for Db2's tasks, roles and master, sqlfluff's Db2, IBM's driver; on no Db2",
    STATEMENTS,
    VIEWS,
    RIGHTS,
    CODES,
    tests_own=(
        r"SELECT answer FROM .*", r"(?:CREATE|ALTER) TABLE .*", r"INSERT INTO .*", "SELECT nowhere", "VALUES 1",
    ),
)  # fmt: skip
DOUBLE, RAISED = double, r'failure\(\s*"(SQL\d+N)"'
ADMINS = {*targets._RDS_AUTHORITIES, *targets._RDS_ROLES, "CONNECT"}
BY_OTHERS: set[str] = set()


def as_code(number: str) -> str:
    """As the table has it."""
    return number


def columns_of(statements: Iterable[str]) -> Mapping[str, set[str]]:
    """The views and functions that statements read, and their columns: words in capitals that are none of SQL's."""
    found: dict[str, set[str]] = {}
    for statement in statements:
        if not statement.strip().startswith("SELECT"):
            continue
        bare = re.sub(r"'[^']*'", "", statement)
        [view] = re.findall(r"(?:SYSCAT|SYSPROC|SYSIBMADM|RDSADMIN)\.[A-Z_]+", bare)
        rest = re.sub(r"\b[A-Z]\.", "", bare.replace(view, "")).replace(" AS G", "").replace(" AS A", "")
        words = set(re.findall(r"\b[A-Z][A-Z_]+\b", rest)) - _WORDS
        found.setdefault(view, set()).update(words)
    return found


def rights_of(statements: Iterable[str]) -> set[str]:
    """The rights that the engine asks for: it compares names, and sends none."""
    del statements
    return {*catalog._MAY_GRANT, *catalog.BEYOND_ACCESSCTRL}


_EVERY_KIND = (
    ("BINDADD", "DATABASE"), ("REFERENCES", 'TABLE "S"."T"'), ('UPDATE ("C")', 'TABLE "S"."T"'),
    ("CONTROL", 'INDEX "S"."I"'), ("SELECTIN", 'SCHEMA "S"'), ("BIND", 'PACKAGE "S"."P"'),
    ("USAGE", 'SEQUENCE "S"."Q"'), ("USE", 'TABLESPACE "TS"'), ("WRITE", 'VARIABLE "S"."V"'),
    ("EXECUTE", 'MODULE "S"."M"'), ("USAGE", 'WORKLOAD "W"'), ("EXECUTE", 'SPECIFIC PROCEDURE "S"."SQL1"'),
    ("EXECUTE", 'FUNCTION "S".*'),
    ('ROLE "DBA_RESTRICTED"', ""),
)  # fmt: skip


def exercise(target: Any, service: RotationService) -> set[str]:
    """Have the engine send all that it can; gives what it sent."""
    with sent_to(target.catalogue.statements) as sent:
        _exercise(target, service)
    return sent


def _exercise(target: Any, service: RotationService) -> None:
    database = target.catalogue.databases["APP"]
    database.sequences.clear()
    tested = rotated(target, service, SINGLE, ROTATION_TEST_QUERY="VALUES 1")
    assert service.rotate(tested.arn).error is None
    pair = rotated(target, service, ALTERNATING)
    assert service.rotate(pair.arn).error is None
    name = pair.application.username
    mine = database.rights[name.upper()]
    for given in (True, False):
        for right in _EVERY_KIND:
            if given:
                mine[right] = ("Y", "ADMIN")
            else:
                del mine[right]
        target.catalogue.users[name].groups = {"staff", "sales"} if given else {"staff"}
        for _ in range(2):
            assert service.rotate(pair.arn).error is None
            look_at(service, pair.arn)
    look_at(service, tested.arn)
    # A clone that nobody marked is compared with its user, by roles as well.
    other = target.make_application()
    clone = f"{other.username}_clone"
    target.catalogue.users[clone] = User(target._password(), {"staff"})
    database.rights[clone.upper()] = {("CONNECT", "DATABASE"): ("Y", "ADMIN")}
    assert service.rotate(rotated(target, service, ALTERNATING, application=replace(other)).arn).error is None
