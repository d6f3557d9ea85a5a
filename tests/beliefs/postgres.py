"""PostgreSQL: every statement, column, right and code that we rely on, and the page of each.

Where a form has parts that an older version has not, the version is the oldest that RDS offers: 12.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from psycopg2 import sql
from targets import ALTERNATING, SINGLE, rotated
from targets import postgres as targets

from beliefs.base import Beliefs, Code, Right, Statement, View, look_at, mapped
from rotators.credentials import Credentials
from rotators.engines.base import ConnectOptions
from rotators.engines.libpq import errors
from rotators.engines.libpq.connection import LibpqConnection
from rotators.engines.postgres import PostgresEngine
from rotators.testing import RotationService
from rotators.testing.servers import postgres as kit

_DOCS = "https://www.postgresql.org/docs/current"
_RDS = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide"
_SUPERUSER = f"{_RDS}/Appendix.PostgreSQL.CommonDBATasks.Roles.rds_superuser.html"
_MASTER = f"{_RDS}/UsingWithRDS.MasterAccounts.html"
_N, _T = '"(?:[^"]|"")+"', "E?'(?:[^']|'')*'"
_ON = rf"[A-Z ]+ (?:{_N}(?:\.{_N})?|.+\(.*\))"
_OPTIONS = "(?: WITH INHERIT (?:TRUE|FALSE), SET (?:TRUE|FALSE))?"
_12 = "12"


def _page(form: str, page: str, since: str = _12) -> Statement:
    return Statement(form, f"{_DOCS}/{page}.html", since)


STATEMENTS = (
    _page(r"SELECT pg_catalog\.set_config\('search_path', .*; SELECT r\.oid::bigint, .*", "functions-admin"),
    _page("SET ROLE NONE", "sql-set-role"),
    _page("SELECT 1", "sql-select"),
    _page("BEGIN(?: READ WRITE)?", "sql-begin"),
    _page("COMMIT", "sql-commit"),
    _page("ROLLBACK", "sql-rollback"),
    _page("SAVEPOINT part", "sql-savepoint"),
    _page("RELEASE SAVEPOINT part", "sql-release-savepoint"),
    _page("ROLLBACK TO SAVEPOINT part", "sql-rollback-to"),
    _page("RESET search_path", "sql-reset"),
    _page(r"SET LOCAL (?:lock_timeout = '300ms'|ROLE NONE|.+)", "sql-set"),
    _page("SHOW (?:password_encryption|server_version)", "sql-show"),
    _page(r"SELECT sender_host FROM pg_catalog\.pg_stat_wal_receiver WHERE .*", "monitoring-stats"),
    _page(r"SELECT pg_catalog\.current_setting\('rds\.restrict_password_commands', true\) .*", "functions-admin"),
    _page(r"SELECT pg_catalog\.pg_has_role\(.*, 'MEMBER'\)", "functions-info"),
    _page(r"SELECT r\.oid::bigint, r\.rolname, r\.rolsuper, .* FROM pg_catalog\.pg_roles r WHERE .*", "view-pg-roles"),
    _page(r"SELECT oid::bigint, rolinherit FROM pg_catalog\.pg_roles WHERE rolname = current_user", "view-pg-roles"),
    _page(r"SELECT rolsuper, rolcreaterole, ARRAY\(.*", "functions-info"),
    _page(r"SELECT m\.roleid::bigint, .* FROM pg_catalog\.pg_auth_members m .*", "catalog-pg-auth-members"),
    _page(r"SELECT c\.setrole::bigint, .* FROM pg_catalog\.pg_db_role_setting c .*", "catalog-pg-db-role-setting"),
    _page(r"SELECT DISTINCT d\.datname, .* FROM pg_catalog\.pg_shdepend o .*", "catalog-pg-shdepend"),
    _page(r"SELECT o\.deptype = 'o', .* FROM pg_catalog\.pg_shdepend o .*", "catalog-pg-shdepend"),
    _page(r"SELECT c\.relkind::text, .* FROM pg_catalog\.pg_class c .*", "catalog-pg-class"),
    _page(r".*pg_catalog\.aclexplode\(.*", "functions-info"),
    _page(rf"CREATE ROLE {_N} LOGIN", "sql-createrole"),
    _page(rf"ALTER ROLE (?:{_N}|SESSION_USER) PASSWORD (?:NULL|{_T})", "sql-alterrole"),
    _page(
        rf"ALTER ROLE (?:{_N}|CURRENT_USER) (?:(?:NO)?(?:INHERIT|CREATEROLE|CREATEDB|REPLICATION|BYPASSRLS)"
        rf"|CONNECTION LIMIT -?\d+|VALID UNTIL {_T})",
        "sql-alterrole",
    ),
    _page(rf"ALTER ROLE {_N} (?:IN DATABASE {_N} )?(?:SET .+ TO .+|RESET .+)", "sql-alterrole"),
    _page(rf"GRANT {_N} TO (?:{_N}|CURRENT_USER){_OPTIONS}(?: GRANTED BY (?:{_N}|CURRENT_USER))?", "sql-grant"),
    _page(rf"REVOKE {_N} FROM (?:{_N}|CURRENT_USER)(?: GRANTED BY (?:{_N}|CURRENT_USER))?", "sql-revoke"),
    _page(rf"GRANT [A-Z]+(?: \({_N}\))? ON {_ON} TO {_N}(?: WITH GRANT OPTION)?", "sql-grant"),
    _page(rf"REVOKE [A-Z]+(?: \({_N}\))? ON {_ON} FROM {_N} CASCADE", "sql-revoke"),
    _page(rf"REASSIGN OWNED BY {_N} TO {_N}", "sql-reassign-owned"),
    _page(rf"ALTER [A-Z ]+ {_N}\.{_N} OWNER TO {_N}", "sql-altertable"),
    _page(rf"COMMENT ON ROLE {_N} IS {_T}", "sql-comment"),
)


def _view(name: str, columns: str, page: str = "", since: str = _12) -> View:
    return View(name, frozenset(columns.split()), f"{_DOCS}/{page or 'catalog-' + name.replace('_', '-')}.html", since)


VIEWS = (
    _view(
        "pg_roles",
        "oid rolname rolsuper rolinherit rolcreaterole rolcreatedb rolcanlogin rolreplication rolbypassrls "
        "rolconnlimit rolvaliduntil",
        "view-pg-roles",
    ),
    # Its options since 16: https://www.postgresql.org/docs/16/release-16.html
    _view("pg_auth_members", "roleid member grantor admin_option inherit_option set_option"),
    _view("pg_db_role_setting", "setdatabase setrole setconfig"),
    _view("pg_database", "oid datname datallowconn datconnlimit datacl"),
    _view("pg_shdepend", "dbid classid objid refclassid refobjid deptype"),
    _view("pg_stat_wal_receiver", "sender_host", "monitoring-stats"),
    _view("pg_depend", "classid objid deptype"),
    _view("pg_class", "oid relname relnamespace relowner relkind relacl"),
    _view("pg_attribute", "attrelid attnum attname attacl"),
    _view("pg_namespace", "oid nspname nspacl"),
    _view("pg_proc", "oid proacl"),
    _view("pg_type", "oid typname typnamespace typacl"),
    _view("pg_language", "oid lanname lanacl"),
    _view("pg_foreign_data_wrapper", "oid fdwname fdwacl"),
    _view("pg_foreign_server", "oid srvname srvacl"),
    _view("pg_tablespace", "oid spcname spcacl"),
    _view("pg_largeobject_metadata", "oid lomowner lomacl"),
    _view("pg_default_acl", "defaclrole defaclnamespace defaclobjtype defaclacl"),
    _view("pg_parameter_acl", "parname paracl", since="15"),
)


def _has(name: str, needed_for: str, page: str, since: str = _12, aws: str = _SUPERUSER) -> Right:
    return Right(name, needed_for, f"{_DOCS}/{page}.html", since, master=True, aws=aws)


RIGHTS = (
    _has("CREATEROLE", "CREATE ROLE, ALTER ROLE; since 16 of roles that the admin made or has the ADMIN option on",
         "role-attributes"),
    _has("INHERIT", "acting as a role of the pair in a transaction; else given to itself for its length",
         "role-attributes"),
    _has("CREATEDB", "", "role-attributes"),
    _has("rds_superuser", "", "predefined-roles"),
    _has("rds_password", "passwords, where rds.restrict_password_commands is on", "role-attributes",
         aws=f"{_RDS}/Appendix.PostgreSQL.CommonDBATasks.RestrictPasswordMgmt.html"),
    _has("rds_replication", "", "predefined-roles"),
    _has("pg_monitor", "", "predefined-roles"),
    _has("pg_signal_backend", "", "predefined-roles", aws=_MASTER),
    _has("pg_checkpoint", "", "predefined-roles", "15", aws=_MASTER),
    *(
        Right(name, "a clone's, where its user has it: refused by PostgreSQL, with the statement to run",
              f"{_DOCS}/sql-alterrole.html", _12, master=False, aws=_SUPERUSER)
        for name in ("SUPERUSER", "REPLICATION", "BYPASSRLS")
    ),
)  # fmt: skip
MAPPED = mapped(errors.STATEMENT)
CODES = tuple(Code(code, kind, f"{_DOCS}/errcodes-appendix.html") for code, kind in sorted(MAPPED.items()))
BELIEFS = Beliefs(
    "postgres",
    "PostgreSQL's manual, AWS's pages on RDS's master user and rds_superuser; at work on the servers themselves",
    STATEMENTS,
    VIEWS,
    RIGHTS,
    CODES,
)
ADMINS = {
    "rds_superuser",
    *(name for name, _ in kit.RDS_SUPERUSER_IS),
    *(one for one in kit.ADMIN_ATTRIBUTES if not one.startswith(("NO", "VALID"))),
}
BY_OTHERS: set[str] = set()


def as_code(number: str) -> str:
    """As the table has it."""
    return number


def columns_of(statements: Iterable[str]) -> Mapping[str, set[str]]:
    """The catalogues that statements read, and their columns, by alias or, where there is none, by name."""
    found: dict[str, set[str]] = {}
    for statement in statements:
        for part in re.split(r"\bUNION ALL\b|;", re.sub(_T, "''", statement)):
            for view, alias in re.findall(r"(?:FROM|JOIN) pg_catalog\.(\w+)(?: ([a-z])\b)?(?!\w*\()", part):
                if alias:
                    words = re.findall(rf"\b{alias}\.([a-z_]+)", part)
                else:
                    words = re.findall(r"\b(?:oid|sender_host|(?:rol|dat)[a-z]+)\b", part)
                found.setdefault(view, set()).update(words)
    return found


def rights_of(statements: Iterable[str]) -> set[str]:
    """The rights that the engine asks for."""
    del statements
    return {"CREATEROLE"}


@contextlib.contextmanager
def start() -> Iterator[Any]:
    """Its own server, the newest that is here by itself, which keeps passwords as md5: that is asked, too."""
    found = [installation for _, installation in targets.KIND.servers() if not installation.named]
    if not found:
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(targets.KIND.missing)
    with kit.PostgresServer(found[-1], password_encryption="md5") as server:
        yield targets.PostgresTarget(server)


def exercise(target: Any, service: RotationService) -> set[str]:
    """Have the engine send all that it can; gives what it sent."""
    sent: set[str] = set()
    run = LibpqConnection.execute

    def noted(self: LibpqConnection, statement: sql.Composable, *arguments: Any, **options: Any) -> Any:
        sent.add(self.quote(statement))
        return run(self, statement, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LibpqConnection, "execute", noted)
        _exercise(target, service)
    return sent


def _exercise(target: Any, service: RotationService) -> None:
    tested = rotated(target, service, SINGLE, ROTATION_TEST_QUERY="SELECT 1")
    assert service.rotate(tested.arn).error is None
    pair = rotated(target, service, ALTERNATING)
    user = pair.application.username
    names = {key: sql.Identifier(name) for key, name in (("user", user), ("clone", f"{user}_clone"))}
    names |= {"schema": sql.Identifier(f"of_{user}"[:60]), "group": sql.Identifier(f"group of {user}")}
    names["own"] = sql.Identifier(f"own {user}")

    def run(statement: str, dbname: str = "postgres") -> None:
        target.as_superuser(sql.SQL(statement).format(**names), dbname)

    for given in (True, False):
        run(f"ALTER ROLE {{user}} CONNECTION LIMIT {5 if given else -1}")
        run("ALTER ROLE {user} SET datestyle TO 'ISO, DMY'" if given else "ALTER ROLE {user} RESET datestyle")
        for _ in range(2):
            assert (error := service.rotate(pair.arn).error) is None, error
            look_at(service, pair.arn)
    look_at(service, tested.arn)
    # What is asked of replicas; a primary answers as well: nobody feeds it.
    options = ConnectOptions(timeout=5.0, ca_file=str(target.server.ca_file))
    with PostgresEngine().connect(Credentials(target.admin_secret()), options) as session:
        assert session._writer() == ""
    # What the clone was given by the admin behind our back, and what it owns, which somebody else has locked.
    for statement in (
        "CREATE ROLE {group}",
        "GRANT {group} TO {user}, {clone}",
        "CREATE SCHEMA {own}",
        "CREATE TABLE {own}.t (n int)",
        "CREATE FUNCTION {own}.f(integer) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "GRANT INSERT, SELECT (n) ON {own}.t TO {clone}",
        "GRANT EXECUTE ON FUNCTION {own}.f(integer) TO {clone} WITH GRANT OPTION",
    ):
        target.as_admin(sql.SQL(statement).format(**names))
    run("GRANT SELECT ON {schema}.granted TO {clone}; CREATE TABLE {schema}.of_clone (n int)")
    run("ALTER TABLE {schema}.of_clone OWNER TO {clone}")
    run("COMMENT ON ROLE {clone} IS NULL; ALTER ROLE {clone} RESET role")
    with contextlib.closing(target.server.superuser()) as holder, holder.cursor() as cursor:
        cursor.execute(sql.SQL("BEGIN; LOCK TABLE {schema}.of_clone").format(**names))
        assert (error := service.rotate(pair.arn).error) is None, error
        assert (error := service.rotate(pair.arn).error) is None, error
