"""MySQL: every statement, column, right and number that we rely on, and the page of each.

The pages are those of 8.4; what is not in every version that RDS offers says so.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from targets import ALTERNATING, DUAL, rotated
from targets import mysql as targets

from beliefs import mysql_family as family
from beliefs.base import Beliefs, Code, Statement, View, look_at
from rotators.engines.mysql import mysql as dialect
from rotators.testing import RotationService

_MAN = "https://dev.mysql.com/doc/refman/8.4/en"
_ERRORS = "https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html"
_CLIENT = "https://dev.mysql.com/doc/mysql-errors/8.4/en/client-error-reference.html"
_ALTER, _GRANT = f"{_MAN}/alter-user.html", f"{_MAN}/grant.html"
_ACC, _T = family.ACCOUNT, family.TEXT
_8 = "8.0"

STATEMENTS = (
    Statement(r"SELECT CURRENT_USER\(\), @@proxy_user", f"{_MAN}/proxy-users.html", "5.7"),
    Statement(r"SELECT VERSION\(\)", f"{_MAN}/information-functions.html", "5.7"),
    Statement(r"SHOW GLOBAL VARIABLES WHERE Variable_name IN \(.*\)", f"{_MAN}/show-variables.html", "5.7"),
    Statement(r"SELECT @@global\.read_only, @@global\.innodb_read_only", f"{_MAN}/server-system-variables.html", "5.7"),
    Statement(r"SELECT VALIDATE_PASSWORD_STRENGTH\(.*\)", f"{_MAN}/encryption-functions.html", "5.7"),
    Statement(rf"SELECT GET_LOCK\({_T}, \d+\)", f"{_MAN}/locking-functions.html", "5.7"),
    Statement("SELECT 1", f"{_MAN}/select.html", "5.7"),
    Statement("START TRANSACTION READ ONLY", f"{_MAN}/commit.html", "5.7"),
    Statement("ROLLBACK", f"{_MAN}/commit.html", "5.7"),
    Statement("SET ROLE ALL", f"{_MAN}/set-role.html", _8),
    Statement("SET SESSION print_identified_with_as_hex = ON", f"{_MAN}/server-system-variables.html", "8.0.17"),
    Statement(r"SHOW CREATE USER CURRENT_USER\(\)", f"{_MAN}/show-create-user.html", "5.7"),
    Statement("SHOW GRANTS", f"{_MAN}/show-grants.html", "5.7"),
    Statement(rf"SELECT \* FROM mysql\.user WHERE User = {_T} ORDER BY Host", f"{_MAN}/grant-tables.html", "5.7"),
    Statement(
        rf"SELECT HOST, DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql\.default_roles WHERE USER = {_T}",
        f"{_MAN}/grant-tables.html",
        _8,
    ),
    Statement(r"SELECT 'user', .* UNION ALL .*", f"{_MAN}/information-schema-user-privileges-table.html", "5.7"),
    Statement(rf"ALTER USER USER\(\) IDENTIFIED BY {_T}(?: REPLACE {_T})?(?: RETAIN CURRENT PASSWORD)?", _ALTER, "5.7"),
    Statement(
        rf"CREATE USER IF NOT EXISTS {_ACC} IDENTIFIED WITH {_T} BY {_T}(?: ATTRIBUTE {_T})?",
        f"{_MAN}/create-user.html",
        "5.7",
    ),
    Statement(rf"ALTER USER {_ACC} REQUIRE .+ WITH .+ PASSWORD EXPIRE .+", _ALTER, "5.7"),
    Statement(rf"ALTER USER {_ACC} ATTRIBUTE {_T}", _ALTER, "8.0.21"),
    Statement(rf"ALTER USER {_ACC} ACCOUNT (?:LOCK|UNLOCK)(?: ATTRIBUTE {_T})?", _ALTER, "5.7"),
    Statement(rf"ALTER USER {_ACC} DEFAULT ROLE (?:NONE|{family.ROLE}.*)", _ALTER, _8),
    Statement(rf"ALTER USER {_ACC} IDENTIFIED WITH {_T} BY {_T}(?: ACCOUNT UNLOCK)?", _ALTER, "5.7"),
    Statement(rf"ALTER USER {_ACC} IDENTIFIED WITH {_T} AS 0x[0-9a-f]*", _ALTER, "8.0.17"),
    Statement(rf"ALTER USER {_ACC} IDENTIFIED BY {_T} RETAIN CURRENT PASSWORD", _ALTER, "8.0.14"),
    Statement(rf"ALTER USER {_ACC} DISCARD OLD PASSWORD", _ALTER, "8.0.14"),
    Statement(rf"GRANT .+ ON {family.ON} TO {_ACC}(?: WITH GRANT OPTION)?", _GRANT, "5.7"),
    Statement(rf"REVOKE .+ ON {family.ON} FROM {_ACC}", f"{_MAN}/revoke.html", "5.7"),
    Statement(rf"GRANT PROXY ON {_ACC} TO {_ACC}(?: WITH GRANT OPTION)?", _GRANT, "5.7"),
    Statement(rf"REVOKE PROXY ON {_ACC} FROM {_ACC}", f"{_MAN}/revoke.html", "5.7"),
    Statement(rf"GRANT {family.ROLE} TO {_ACC}(?: WITH ADMIN OPTION)?", _GRANT, _8),
    Statement(rf"REVOKE {family.ROLE} FROM {_ACC}", f"{_MAN}/revoke.html", _8),
)


def _view(name: str, columns: str, page: str = "grant-tables", since: str = "5.7") -> View:
    return View(name, frozenset(columns.split()), f"{_MAN}/{page}.html", since)


_OF_USER = set(re.findall(r"facts(?:\.get\(|\[)\"(\w+)\"", inspect.getsource(dialect)))
_OF_USER |= {*dialect._LIMITS, "x509_subject", "x509_issuer", "ssl_cipher", "User", "Host"}
VIEWS = (
    # By their names in small letters; of columns that a version has not, nothing is read.
    View("mysql.user", frozenset(_OF_USER), f"{_MAN}/grant-tables.html", "5.7"),
    _view("mysql.default_roles", "USER HOST DEFAULT_ROLE_USER DEFAULT_ROLE_HOST", since=_8),
    _view("mysql.procs_priv", "User Host Db Routine_name Routine_type Proc_priv"),
    _view("mysql.proxies_priv", "User Host Proxied_user Proxied_host With_grant"),
    _view("mysql.role_edges", "TO_USER TO_HOST FROM_USER FROM_HOST WITH_ADMIN_OPTION", since=_8),
    _view("mysql.global_grants", "USER HOST PRIV WITH_GRANT_OPTION", since=_8),
    *(
        _view(f"information_schema.{view}_PRIVILEGES", f"GRANTEE PRIVILEGE_TYPE IS_GRANTABLE {columns}",
              f"information-schema-{view.lower()}-privileges-table")
        for view, columns in (
            ("USER", ""), ("SCHEMA", "TABLE_SCHEMA"), ("TABLE", "TABLE_SCHEMA TABLE_NAME"),
            ("COLUMN", "TABLE_SCHEMA TABLE_NAME COLUMN_NAME"),
        )
    ),
)  # fmt: skip
RIGHTS = family.rights("mysql", f"{_MAN}/privileges-provided.html")
# MariaDB's own.
MAPPED = family.mapped_for(1927, 4150, 4151, 4164)
CODES = tuple(Code(code, kind, _CLIENT if 2000 <= int(code) < 3000 else _ERRORS) for code, kind in MAPPED.items())
BELIEFS = Beliefs(
    "mysql",
    "MySQL's 8.4 manual, AWS's pages on RDS's master user and rds_superuser_role; at work on the server itself",
    STATEMENTS,
    VIEWS,
    RIGHTS,
    CODES,
)
ADMINS = family.admins("mysql")
BY_OTHERS: set[str] = set()


def as_code(number: str) -> str:
    """As the table has it."""
    return number


def columns_of(statements: Iterable[str]) -> Mapping[str, set[str]]:
    """The tables and views that statements read, and their columns; of mysql.user those that the code takes."""
    found = dict(family.columns_of(statements))
    found["mysql.user"] = found["mysql.user"] | _OF_USER
    return found


def rights_of(statements: Iterable[str]) -> set[str]:
    """The rights that the engine asks for: it compares names, and sends none."""
    del statements
    return {"CREATE USER", "ROLE_ADMIN", "APPLICATION_PASSWORD_ADMIN"}


def start() -> AbstractContextManager[Any]:
    """Its own server."""
    return family.start(targets.MYSQL)


def exercise(target: Any, service: RotationService) -> set[str]:
    """Have the engine send all that it can; gives what it sent."""
    sent: set[str] = set()
    family.exercise(target, service, sent)
    with family.noting(sent):
        attributed = rotated(target, service, ALTERNATING)
        name = target.text(attributed.application.username)
        target.server.query(f"ALTER USER {name}@'%' ATTRIBUTE '{{\"team\": 1}}'")
        assert service.rotate(attributed.arn).error is None
        # A user keeps its second password by itself; then somebody moves the label back, and an admin comes.
        own = rotated(target, service, DUAL, masterarn=None)
        name = target.text(own.application.username)
        target.server.query(f"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO {name}@'%'")
        for _ in range(2):
            assert service.rotate(own.arn).error is None
        kept = rotated(target, service, DUAL)
        assert service.rotate(kept.arn).error is None
        labels = {stage: version for version, stages in service.labels(kept.arn).items() for stage in stages}
        service.client.update_secret_version_stage(
            SecretId=kept.arn,
            VersionStage="AWSCURRENT",
            MoveToVersionId=labels["AWSPREVIOUS"],
            RemoveFromVersionId=labels["AWSCURRENT"],
        )
        assert service.rotate(kept.arn).error is None
        look_at(service, attributed.arn, own.arn, kept.arn)
        target.server.query("INSTALL COMPONENT 'file://component_validate_password'")
        look_at(service, attributed.arn)
        target.server.query("UNINSTALL COMPONENT 'file://component_validate_password'")
    return sent
