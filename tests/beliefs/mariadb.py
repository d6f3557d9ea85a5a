"""MariaDB: every statement, column, right and number that we rely on, and the page of each.

Where MariaDB's page names no version, the oldest that RDS offers is meant: 10.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from targets import ALTERNATING, rotated
from targets import mysql as targets

from beliefs import mysql_family as family
from beliefs.base import Beliefs, Code, Statement, View, look_at
from rotators.testing import RotationService

_KB = "https://mariadb.com/kb/en"
_DOCS = "https://mariadb.com/docs/server"
_STRICT = "strict_password_validation"
_PLUGINS = (
    f"{_DOCS}/reference/system-tables/information-schema/information-schema-tables/plugins-table-information-schema"
)
_GRANT, _ALTER = f"{_KB}/grant/", f"{_KB}/alter-user/"
_ACC, _T, _N = family.ACCOUNT, family.TEXT, family.NAME
_10 = "10.5"
_VIA = rf"IDENTIFIED VIA mysql_native_password USING {_T}(?: OR mysql_native_password USING {_T})?"

STATEMENTS = (
    Statement(r"SELECT CURRENT_USER\(\), @@proxy_user", f"{_KB}/current_user/", _10),
    Statement(r"SELECT VERSION\(\)", f"{_KB}/version/", _10),
    Statement(r"SHOW GLOBAL VARIABLES WHERE Variable_name IN \(.*\)", f"{_KB}/show-variables/", _10),
    Statement("SHOW GLOBAL VARIABLES LIKE 'max_password_errors'", f"{_KB}/server-system-variables/", _10),
    Statement(r"SELECT @@global\.read_only, @@global\.innodb_read_only", f"{_KB}/server-system-variables/", _10),
    Statement(r"SELECT @@global\.strict_password_validation", f"{_DOCS}/ref/mdb/system-variables/{_STRICT}", _10),
    Statement(
        r"SELECT PLUGIN_NAME FROM information_schema\.PLUGINS WHERE PLUGIN_TYPE = 'PASSWORD VALIDATION' AND .*",
        _PLUGINS,
        _10,
    ),
    Statement("SELECT 1", f"{_KB}/select/", _10),
    Statement("START TRANSACTION READ ONLY", f"{_KB}/start-transaction/", _10),
    Statement("ROLLBACK", f"{_KB}/rollback/", _10),
    Statement(
        r"SELECT GRANTEE FROM information_schema\.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'CREATE USER'",
        f"{_KB}/information-schema-user_privileges-table/",
        _10,
    ),
    Statement(
        r"SELECT ROLE_NAME FROM information_schema\.APPLICABLE_ROLES",
        f"{_KB}/information-schema-applicable_roles-table/",
        _10,
    ),
    Statement(rf"SET ROLE {_T}", f"{_KB}/set-role/", _10),
    Statement(r"SELECT CURRENT_ROLE\(\)", f"{_KB}/current_role/", _10),
    Statement(rf"SHOW GRANTS FOR (?:{_N}|{_T})", f"{_KB}/show-grants/", _10),
    Statement(r"SHOW CREATE USER CURRENT_USER\(\)", f"{_KB}/show-create-user/", _10),
    Statement(
        rf"SELECT Host, User, Priv FROM mysql\.global_priv WHERE User = {_T} ORDER BY Host",
        f"{_KB}/mysqlglobal_priv-table/",
        "10.4",
    ),
    Statement(
        r"SELECT User FROM mysql\.global_priv WHERE Host = '' AND User LIKE 'rotators%' AND JSON_VALUE\(.*\)",
        f"{_KB}/mysqlglobal_priv-table/",
        "10.4",
    ),
    Statement(r"SELECT 'user', .* UNION ALL .*", f"{_KB}/information-schema-user_privileges-table/", _10),
    Statement(rf"SET PASSWORD = {_T}", f"{_KB}/set-password/", _10),
    Statement(rf"CREATE USER IF NOT EXISTS {_ACC} {_VIA}", f"{_KB}/create-user/", "10.4"),
    Statement(rf"ALTER USER {_ACC} {_VIA}", _ALTER, "10.4"),
    Statement(rf"ALTER USER {_ACC} REQUIRE .+ WITH .+ PASSWORD EXPIRE .+", _ALTER, "10.4"),
    Statement(rf"ALTER USER {_ACC} ACCOUNT (?:LOCK|UNLOCK)", _ALTER, "10.4"),
    Statement(rf"SET DEFAULT ROLE (?:NONE|{_N}) FOR {_ACC}", f"{_KB}/set-default-role/", _10),
    Statement(rf"CREATE ROLE IF NOT EXISTS {_N}", f"{_KB}/create-role/", _10),
    Statement(rf"DROP ROLE IF EXISTS {_N}", f"{_KB}/drop-role/", _10),
    Statement(rf"GRANT .+ ON {family.ON} TO {_ACC}(?: WITH GRANT OPTION)?", _GRANT, _10),
    Statement(rf"REVOKE .+ ON {family.ON} FROM {_ACC}", f"{_KB}/revoke/", _10),
    Statement(rf"GRANT PROXY ON {_ACC} TO {_ACC}(?: WITH GRANT OPTION)?", _GRANT, _10),
    Statement(rf"REVOKE PROXY ON {_ACC} FROM {_ACC}", f"{_KB}/revoke/", _10),
    Statement(rf"GRANT {_N} TO {_ACC}(?: WITH ADMIN OPTION)?", _GRANT, _10),
    Statement(rf"REVOKE {_N} FROM {_ACC}", f"{_KB}/revoke/", _10),
)


def _view(name: str, columns: str, page: str) -> View:
    return View(name, frozenset(columns.split()), f"{_KB}/{page}/", _10)


VIEWS = (
    _view("mysql.global_priv", "Host User Priv", "mysqlglobal_priv-table"),
    _view("mysql.procs_priv", "User Host Db Routine_name Routine_type Proc_priv", "mysqlprocs_priv-table"),
    _view("mysql.proxies_priv", "User Host Proxied_user Proxied_host With_grant", "mysqlproxies_priv-table"),
    _view("mysql.roles_mapping", "User Host Role Admin_option", "mysqlroles_mapping-table"),
    View("information_schema.PLUGINS", frozenset({"PLUGIN_NAME", "PLUGIN_TYPE", "PLUGIN_STATUS"}), _PLUGINS, _10),
    _view("information_schema.APPLICABLE_ROLES", "ROLE_NAME", "information-schema-applicable_roles-table"),
    *(
        _view(f"information_schema.{view}_PRIVILEGES", f"GRANTEE PRIVILEGE_TYPE IS_GRANTABLE {columns}",
              f"information-schema-{view.lower()}_privileges-table")
        for view, columns in (
            ("USER", ""), ("SCHEMA", "TABLE_SCHEMA"), ("TABLE", "TABLE_SCHEMA TABLE_NAME"),
            ("COLUMN", "TABLE_SCHEMA TABLE_NAME COLUMN_NAME"),
        )
    ),
)  # fmt: skip
RIGHTS = family.rights("mariadb", _GRANT)
# MySQL's own.
MAPPED = family.mapped_for(3118, 3159, 3638, 3891, 3955, 4031)
CODES = tuple(Code(code, kind, f"{_KB}/mariadb-error-codes/") for code, kind in MAPPED.items())
BELIEFS = Beliefs(
    "mariadb",
    "MariaDB's manual, AWS's pages on RDS's master user and on MariaDB's privileges; at work on the servers themselves",
    STATEMENTS,
    VIEWS,
    RIGHTS,
    CODES,
)
ADMINS = family.admins("mariadb")
BY_OTHERS: set[str] = set()


def as_code(number: str) -> str:
    """As the table has it."""
    return number


def columns_of(statements: Iterable[str]) -> Mapping[str, set[str]]:
    """The tables and views that statements read, and their columns."""
    return family.columns_of(statements)


def rights_of(statements: Iterable[str]) -> set[str]:
    """The rights that the engine asks for: it compares names, and sends none."""
    del statements
    return {"CREATE USER"}


def start() -> AbstractContextManager[Any]:
    """Its own server."""
    return family.start(targets.MARIADB)


def exercise(target: Any, service: RotationService) -> set[str]:
    """Have the engine send all that it can; gives what it sent."""
    sent: set[str] = set()
    family.exercise(target, service, sent)
    with family.noting(sent):
        # An admin whose rights lie in a role.
        root, admin = target.server.query, target.text(target.server.admin.username)
        pair = rotated(target, service, ALTERNATING)
        root("CREATE ROLE 'of_admin'")
        root("GRANT ALL ON *.* TO 'of_admin' WITH GRANT OPTION")
        root(f"GRANT 'of_admin' TO {admin}@'%'")
        root(f"REVOKE CREATE USER ON *.* FROM {admin}@'%'")
        assert service.rotate(pair.arn).error is None
        look_at(service, pair.arn)
    return sent
