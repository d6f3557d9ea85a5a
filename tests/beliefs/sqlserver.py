"""SQL Server: every statement, view, column, right and number that we rely on, and the page of each.

Where Microsoft's page names no version, the oldest that RDS offers is meant: SQL Server 2016 (13).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from doubles import sqlserver as double
from doubles.sqlserver import Database, Login, User, fresh_sid
from targets import ALTERNATING, SINGLE, rotated
from targets import sqlserver as targets

from beliefs.base import Beliefs, Code, Right, Statement, View, look_at, mapped, sent_to
from rotators.engines.sqlserver import errors
from rotators.testing import RotationService

_LEARN = "https://learn.microsoft.com/sql"
_T = f"{_LEARN}/t-sql/statements"
_F = f"{_LEARN}/t-sql/functions"
_V = f"{_LEARN}/relational-databases/system-catalog-views"
_E = f"{_LEARN}/relational-databases/errors-events/database-engine-events-and-errors"
_MASTER = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.MasterAccounts.html"
_IN_MSDB = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.SQLServer.CommonDBATasks.CreateUser.html"
_WITHHELD = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/SQLServer.Concepts.General.FeatureSupport.UnsupportedRoles.html"
_NAME = r"\[(?:[^\]]|\]\])+\]"
_TEXT = r"N'(?:[^']|'')*'"
_HEX = r"0x[0-9A-F]*"
_OPTIONS = (
    rf"DEFAULT_DATABASE = {_NAME}, DEFAULT_LANGUAGE = {_NAME}, CHECK_POLICY = (?:ON|OFF), CHECK_EXPIRATION = (?:ON|OFF)"
)
_SQL2012, _SQL2016 = "11", "13"

STATEMENTS = (
    Statement(r"SET LOCK_TIMEOUT \d+", f"{_T}/set-lock-timeout-transact-sql", _SQL2016),
    Statement(
        r"SELECT CONVERT\(nvarchar\(128\), SERVERPROPERTY\('ServerName'\)\), .* FROM sys\.dm_exec_sessions AS s .*",
        f"{_F}/serverproperty-transact-sql",
        _SQL2012,
    ),
    Statement(
        r"SELECT DATABASEPROPERTYEX\(d\.name, 'Updateability'\), .* WHERE d\.database_id = DB_ID\(\)",
        f"{_F}/databasepropertyex-transact-sql",
        _SQL2012,
    ),
    Statement(r"SELECT 1", f"{_LEARN}/t-sql/queries/select-transact-sql", _SQL2016),
    Statement("BEGIN TRANSACTION", f"{_LEARN}/t-sql/language-elements/begin-transaction-transact-sql", _SQL2016),
    Statement(
        r"IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION",
        f"{_LEARN}/t-sql/language-elements/rollback-transaction-transact-sql",
        _SQL2016,
    ),
    Statement(rf"USE {_NAME}", f"{_LEARN}/t-sql/language-elements/use-transact-sql", _SQL2016),
    Statement(
        r"DECLARE @cookie varbinary\(8000\); EXECUTE AS USER = N'dbo' WITH COOKIE INTO @cookie; SELECT @cookie",
        f"{_T}/execute-as-transact-sql",
        _SQL2016,
    ),
    Statement(
        rf"DECLARE @cookie varbinary\(8000\) = {_HEX}; REVERT WITH COOKIE = @cookie",
        f"{_T}/revert-transact-sql",
        _SQL2016,
    ),
    Statement(
        rf"SELECT p\.name, p\.sid, .* FROM sys\.server_principals AS p .* WHERE p\.(?:name = {_TEXT}|sid = {_HEX})",
        f"{_V}/sys-server-principals-transact-sql",
        _SQL2016,
    ),
    Statement(
        r"SELECT u\.name, u\.sid, .* FROM sys\.database_principals AS u WHERE u\.type NOT IN \('R', 'A'\) AND .*",
        f"{_V}/sys-database-principals-transact-sql",
        _SQL2012,
    ),
    Statement(
        r"SELECT m\.member_principal_id, .* FROM sys\.server_role_members AS m .*",
        f"{_V}/sys-server-role-members-transact-sql",
        _SQL2012,
    ),
    Statement(
        r"SELECT m\.member_principal_id, .* FROM sys\.database_role_members AS m .*",
        f"{_V}/sys-database-role-members-transact-sql",
        _SQL2016,
    ),
    Statement(
        r"SELECT p\.grantee_principal_id, .* FROM sys\.server_permissions AS p .*",
        f"{_V}/sys-server-permissions-transact-sql",
        _SQL2016,
    ),
    Statement(
        r"SELECT p\.grantee_principal_id, .* FROM sys\.database_permissions AS p .*",
        f"{_V}/sys-database-permissions-transact-sql",
        _SQL2016,
    ),
    Statement(
        r"SELECT r\.owning_principal_id, N'owns the server role', .*",
        f"{_V}/security-catalog-views-transact-sql",
        _SQL2012,
    ),
    Statement(
        r"SELECT d\.name, d\.state_desc, .* FROM sys\.databases AS d .*", f"{_V}/sys-databases-transact-sql", _SQL2016
    ),
    Statement(r"SELECT s\.principal_id, N'SCHEMA', NULL, .*", f"{_V}/schemas-catalog-views-sys-schemas", _SQL2016),
    Statement(r"SELECT COUNT\(\*\) FROM sys\.triggers AS t WHERE .*", f"{_V}/sys-triggers-transact-sql", _SQL2016),
    Statement(
        r"SELECT HAS_PERMS_BY_NAME\((?:NULL, NULL|QUOTENAME\(DB_NAME\(\)\), 'DATABASE'), '[A-Z ]+'\)",
        f"{_F}/has-perms-by-name-transact-sql",
        _SQL2016,
    ),
    Statement(
        rf"SELECT HAS_PERMS_BY_NAME\({_TEXT}, '(?:SERVER )?ROLE', 'ALTER'\)",
        f"{_F}/has-perms-by-name-transact-sql",
        _SQL2012,
    ),
    Statement(rf"SELECT LOGINPROPERTY\({_TEXT}, 'IsLocked'\)", f"{_F}/loginproperty-transact-sql", _SQL2016),
    Statement(rf"SELECT SUSER_SNAME\({_HEX}\)", f"{_F}/suser-sname-transact-sql", _SQL2016),
    Statement(
        rf"CREATE LOGIN {_NAME} WITH PASSWORD = {_TEXT}, SID = {_HEX}, {_OPTIONS}",
        f"{_T}/create-login-transact-sql",
        _SQL2016,
    ),
    Statement(rf"ALTER LOGIN {_NAME} WITH {_OPTIONS}", f"{_T}/alter-login-transact-sql", _SQL2016),
    Statement(rf"ALTER LOGIN {_NAME} WITH PASSWORD = {_TEXT}(?: UNLOCK)?", f"{_T}/alter-login-transact-sql", _SQL2016),
    Statement(
        rf"ALTER LOGIN {_NAME} WITH PASSWORD = {_TEXT} OLD_PASSWORD = {_TEXT}",
        f"{_T}/alter-login-transact-sql",
        _SQL2016,
    ),
    Statement(
        rf"ALTER USER {_NAME} WITH PASSWORD = {_TEXT}(?: OLD_PASSWORD = {_TEXT})?",
        f"{_T}/alter-user-transact-sql",
        _SQL2012,
    ),
    Statement(
        rf"ALTER USER {_NAME} WITH (?:DEFAULT_SCHEMA|LOGIN) = {_NAME}", f"{_T}/alter-user-transact-sql", _SQL2016
    ),
    Statement(
        rf"CREATE USER {_NAME} FOR LOGIN {_NAME}(?: WITH DEFAULT_SCHEMA = {_NAME})?",
        f"{_T}/create-user-transact-sql",
        _SQL2016,
    ),
    Statement(rf"CREATE USER {_NAME} WITH PASSWORD = {_TEXT}.*", f"{_T}/create-user-transact-sql", _SQL2012),
    Statement(
        rf"ALTER SERVER ROLE {_NAME} (?:ADD|DROP) MEMBER {_NAME}", f"{_T}/alter-server-role-transact-sql", _SQL2012
    ),
    Statement(rf"ALTER ROLE {_NAME} (?:ADD|DROP) MEMBER {_NAME}", f"{_T}/alter-role-transact-sql", _SQL2012),
    Statement(rf"GRANT [A-Z ]+(?: ON .*)? TO {_NAME}(?: WITH GRANT OPTION)?", f"{_T}/grant-transact-sql", _SQL2016),
    Statement(rf"DENY [A-Z ]+(?: ON .*)? TO {_NAME} CASCADE", f"{_T}/deny-transact-sql", _SQL2016),
    Statement(
        rf"DENY IMPERSONATE ON LOGIN::{_NAME} TO {_NAME}",
        f"{_T}/deny-server-principal-permissions-transact-sql",
        _SQL2016,
    ),
    Statement(
        rf"DENY IMPERSONATE ON USER::{_NAME} TO {_NAME}",
        f"{_T}/deny-database-principal-permissions-transact-sql",
        _SQL2016,
    ),
    Statement(
        rf"REVOKE (?:GRANT OPTION FOR )?[A-Z ]+(?: ON .*)? FROM {_NAME} CASCADE", f"{_T}/revoke-transact-sql", _SQL2016
    ),
)


def _view(name: str, columns: str, page: str = "", since: str = _SQL2016) -> View:
    """Microsoft names the pages of views after them."""
    spelled = name.replace(".", "-").replace("_", "-")
    return View(name, frozenset(columns.split()), page or f"{_V}/{spelled}-transact-sql", since)


VIEWS = (
    _view(
        "sys.dm_exec_sessions",
        "authenticating_database_id session_id",
        f"{_LEARN}/relational-databases/system-dynamic-management-views/sys-dm-exec-sessions-transact-sql",
        _SQL2012,
    ),
    _view(
        "sys.databases",
        "name database_id create_date state_desc owner_sid replica_id is_in_standby",
        since=_SQL2012,
    ),
    _view(
        "sys.server_principals",
        "name sid principal_id type is_disabled default_database_name default_language_name is_fixed_role "
        "owning_principal_id",
        since=_SQL2012,
    ),
    _view("sys.sql_logins", "principal_id is_policy_checked is_expiration_checked"),
    _view("sys.server_role_members", "member_principal_id role_principal_id"),
    _view("sys.server_permissions", "grantee_principal_id state permission_name class major_id"),
    _view("sys.endpoints", "name endpoint_id principal_id"),
    _view("sys.availability_groups", "name group_id", since=_SQL2012),
    _view("sys.availability_replicas", "replica_metadata_id group_id", since=_SQL2012),
    # Microsoft has no page of it: its own management objects read it, for what CREATE LOGIN … CREDENTIAL sets.
    _view("sys.server_principal_credentials", "principal_id credential_id", f"{_T}/create-login-transact-sql"),
    _view("sys.credentials", "name credential_id"),
    _view("sys.linked_logins", "local_principal_id server_id"),
    _view("sys.servers", "name server_id"),
    _view(
        "sys.database_principals",
        "name sid principal_id type authentication_type default_schema_name default_language_name is_fixed_role "
        "owning_principal_id",
        since=_SQL2012,
    ),
    _view("sys.database_role_members", "member_principal_id role_principal_id"),
    _view(
        "sys.database_permissions",
        "grantee_principal_id state permission_name class major_id minor_id",
    ),
    _view("sys.all_objects", "name object_id schema_id"),
    _view("sys.all_columns", "name object_id column_id"),
    _view("sys.objects", "name schema_id principal_id"),
    _view("sys.schemas", "name schema_id principal_id", f"{_V}/schemas-catalog-views-sys-schemas"),
    _view("sys.types", "name user_type_id schema_id"),
    _view("sys.xml_schema_collections", "name xml_collection_id schema_id"),
    _view("sys.symmetric_keys", "name symmetric_key_id principal_id"),
    _view("sys.certificates", "name certificate_id principal_id"),
    _view("sys.asymmetric_keys", "name asymmetric_key_id principal_id"),
    _view("sys.assemblies", "name assembly_id principal_id"),
    _view("sys.triggers", "parent_class is_disabled is_ms_shipped"),
)
_SERVER = f"{_T}/grant-server-permissions-transact-sql"
_AGENT_ROLES = f"{_LEARN}/ssms/agent/sql-server-agent-fixed-database-roles"
_ROLES = f"{_LEARN}/relational-databases/security/authentication-access"


def _has(name: str, needed_for: str = "", page: str = _SERVER) -> Right:
    return Right(name, needed_for, page, _SQL2016, master=True, aws=_MASTER)


RIGHTS = (
    _has("ADMINISTER BULK OPERATIONS"),
    _has("ALTER ANY CONNECTION"),
    _has("ALTER ANY CREDENTIAL"),
    _has("ALTER ANY EVENT SESSION"),
    _has("ALTER ANY SERVER AUDIT"),
    _has("CONNECT SQL", "to be passed on"),
    _has("ALTER ANY LINKED SERVER"),
    _has("ALTER ANY LOGIN", "CREATE LOGIN, ALTER LOGIN, and the mark of a pair (DENY … ON LOGIN)"),
    _has("ALTER ANY SERVER ROLE", "members of server roles that are not fixed"),
    _has("ALTER SERVER STATE"),
    _has("ALTER TRACE"),
    _has("CREATE ANY DATABASE"),
    _has("VIEW ANY DATABASE"),
    _has("VIEW ANY DEFINITION", "others' memberships, permissions and owners"),
    _has("VIEW SERVER STATE"),
    Right(
        "CONTROL SERVER", "any right of the server's; else each with GRANT OPTION", _SERVER, _SQL2016,
        master=False, aws=_WITHHELD,
    ),
    _has("CONTROL", "a database's users, by db_owner", f"{_T}/grant-database-permissions-transact-sql"),
    Right(
        "ALTER ANY USER", "a user in msdb", f"{_T}/grant-database-permissions-transact-sql", _SQL2016,
        master=True, aws=_IN_MSDB,
    ),
    _has("ALTER", "members of one role", f"{_T}/grant-server-principal-permissions-transact-sql"),
    _has("processadmin", "members of processadmin", f"{_ROLES}/server-level-roles"),
    _has("setupadmin", "members of setupadmin", f"{_ROLES}/server-level-roles"),
    _has("db_owner", "each database where a user is", f"{_ROLES}/database-level-roles"),
    *(
        Right(role, "", _AGENT_ROLES, _SQL2016, master=True, aws=_MASTER)
        for role in targets._ADMINS_ROLES_IN_MSDB
    ),
    *(
        Right(name, "a login that has it is refused", _SERVER, _SQL2016, master=False, aws=_WITHHELD)
        for name in ("ALTER ANY DATABASE", "ALTER RESOURCES", "ALTER SETTINGS", "AUTHENTICATE SERVER", "SHUTDOWN")
    ),
)  # fmt: skip
_AT_LOGIN_PAGE = f"{_LEARN}/relational-databases/errors-events/mssqlserver-18456-database-engine-error"
MAPPED = mapped(errors.STATEMENT, errors.LOGIN)
_RANGES = (
    (0, 999), (1000, 1999), (3000, 3999), (4000, 4999), (15000, 15999), (16000, 17999), (18000, 18999), (31000, 41399),
)  # fmt: skip


def _numbers_page(code: str) -> str:
    """Microsoft's page of the numbers around one; those from 50000 on are anybody's own."""
    for low, high in _RANGES:
        if low <= int(code) <= high:
            return f"{_E}-{low}-to-{high}"
    return f"{_LEARN}/t-sql/language-elements/throw-transact-sql"


CODES = (
    *(
        Code(code, kind, _AT_LOGIN_PAGE if code == "18456" else _numbers_page(code))
        for code, kind in sorted(MAPPED.items(), key=lambda item: int(item[0]))
    ),
    # What the double answers where we ask for no more than "it failed".
    *(
        Code(code, "", _numbers_page(code))
        for code in (
            "207", "208", "4621", "15023", "15025", "15433", "15517", "15591", "33016", "50000",
        )
    ),
)  # fmt: skip
SQLGLOT = "tsql"
BEYOND_SQLGLOT = {
    "DECLARE @cookie .*": "no impersonation",
    "(?:CREATE|ALTER) (?:LOGIN|USER) .*": "no statements about logins and users",
    "ALTER (?:SERVER )?ROLE .*": "no statements about roles",
    "(?:GRANT|REVOKE) .*": "no securables with their class, and no CASCADE",
    "DENY .*": "no such statement",
}
BELIEFS = Beliefs(
    "sqlserver",
    "Microsoft's documentation (sql-docs), AWS's page on master users, "
    "sqlfluff's and sqlglot's T-SQL; on no SQL Server",
    STATEMENTS,
    VIEWS,
    RIGHTS,
    CODES,
    tests_own=(
        r"SELECT answer FROM .*", r"(?:CREATE|ALTER|DROP) TABLE .*", r"INSERT INTO .*",
        r"SELECT (?:1; SELECT )?nowhere", r"EXECUTE raises_later", r"REVERT",
        r"CREATE LOGIN .* DEFAULT_DATABASE = \[master\], .*",
    ),
)  # fmt: skip
DOUBLE, RAISED = double, r"SqlError\(\s*(\d+)"
ADMINS = {*targets._ADMINS, *targets._ADMINS_ROLES, *targets._ADMINS_ROLES_IN_MSDB, "db_owner", "ALTER ANY USER"}
# db_owner and ALTER ANY SERVER ROLE give these.
BY_OTHERS = {"CONTROL", "ALTER"}


def as_code(number: str) -> str:
    """As the table has it."""
    return number


_SOURCES = re.compile(r"(?:FROM|JOIN)\s+(sys\.\w+)\s+AS\s+(\w+)")


def columns_of(statements: Iterable[str]) -> Mapping[str, set[str]]:
    """The views that statements read, and their columns: each has an alias."""
    found: dict[str, set[str]] = {}
    for statement in statements:
        # An alias may come again in another branch of a union, or in a subquery.
        pieces = re.split(r"\bUNION ALL\b", statement)
        for piece in pieces:
            inner = re.findall(r"\(\s*SELECT.*?\)\s+AS\s+\w+", piece, re.DOTALL)
            outer = piece
            for one in inner:
                outer = outer.replace(one, "")
            for part in (outer, *inner):
                aliases = {alias: view for view, alias in _SOURCES.findall(part)}
                for alias, column in re.findall(r"\b(\w+)\.(\w+)\b", part):
                    if alias in aliases:
                        found.setdefault(aliases[alias], set()).add(column)
    return found


def rights_of(statements: Iterable[str]) -> set[str]:
    """The rights that statements ask for."""
    return {right for one in statements for right in re.findall(r"HAS_PERMS_BY_NAME\(.*, '([A-Z ]+)'\)", one)}


def exercise(target: Any, service: RotationService) -> set[str]:
    """Have the engine send all that it can; gives what it sent."""
    with sent_to(target.catalogue.statements) as sent:
        _exercise(target, service)
    return sent


def _exercise(target: Any, service: RotationService) -> None:
    catalogue = target.catalogue
    app = catalogue.databases["app"]
    rotation = rotated(target, service, SINGLE, ROTATION_TEST_QUERY="SELECT 1")
    assert service.rotate(rotation.arn).error is None
    pair = rotated(target, service, ALTERNATING)
    name = pair.application.username
    server_right = (name, "VIEW SERVER STATE", 100, None, None, None)
    for state, roles in (("W", {"db_datareader"}), ("G", set()), ("D", {"db_datareader"}), (None, set())):
        if state is None:
            app.permissions.pop((name, "EXECUTE", 0, None, None, None), None)
            catalogue.permissions.pop(server_right, None)
        else:
            app.permissions[name, "EXECUTE", 0, None, None, None] = state
            catalogue.permissions[server_right] = state
        (app.members.setdefault("db_datareader", set()).add if roles else app.members["db_datareader"].discard)(name)
        catalogue.members["auditors"] = {name} if roles else set()
        catalogue.logins[name].language = f"language {state}"
        app.users[name].schema = f"schema of {state}"
        for _ in range(2):
            assert service.rotate(pair.arn).error is None
            look_at(service, pair.arn)
    look_at(service, rotation.arn)
    del catalogue.members["auditors"]
    restored = target.make_application()
    app.users[f"{restored.username}_clone"] = User(fresh_sid("gone"))
    msdb = catalogue.databases["msdb"]
    msdb.users[restored.username] = User(catalogue.logins[restored.username].sid)
    msdb.permissions[restored.username, "CONNECT", 0, None, None, None] = "G"
    msdb.members["SQLAgentOperatorRole"] = {restored.username}
    subject = rotated(target, service, ALTERNATING, application=restored)
    assert service.rotate(subject.arn).error is None
    adopted = target.make_application()
    catalogue.logins[f"{adopted.username}_clone"] = Login(fresh_sid("clone"), target._password(), policy=False)
    catalogue.permissions[f"{adopted.username}_clone", "CONNECT SQL", 100, None, None, None] = "G"
    subject = rotated(target, service, ALTERNATING, application=adopted)
    assert service.rotate(subject.arn).error is None
    for strategy in (SINGLE, ALTERNATING):
        contained = target.make_application()
        del catalogue.logins[contained.username]
        app.users[contained.username].password = contained.password
        subject = rotated(target, service, strategy, application=contained)
        for _ in range(2):
            assert service.rotate(subject.arn).error is None
            look_at(service, subject.arn)
    owned = Database(owner=catalogue.logins[name].sid, members={"db_owner": {"admin"}})
    owned.users["admin"] = User(catalogue.logins["admin"].sid)
    catalogue.databases["owned"] = owned
    catalogue.permissions[name, "ALTER SETTINGS", 100, None, None, None] = "G"
    # It can't be passed on: that is asked, and refused.
    assert service.rotate(pair.arn).error is not None
    del catalogue.permissions[name, "ALTER SETTINGS", 100, None, None, None]
    assert service.retry(pair.arn).error is None
    del catalogue.databases["owned"], msdb.users[restored.username], msdb.members["SQLAgentOperatorRole"]
