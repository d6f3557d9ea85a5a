"""Redshift: every statement, view, column, right and code that we rely on, and the page of each.

Redshift has no versions to choose: the pages are those of the day, and ``since`` is the patch or year that brought it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from doubles import redshift as double
from psycopg2 import sql
from targets import ALTERNATING, SINGLE, rotated

from beliefs.base import Beliefs, Code, Right, Statement, View, look_at, mapped, sent_to
from rotators.engines.libpq import errors
from rotators.testing import RotationService

_DG = "https://docs.aws.amazon.com/redshift/latest/dg"
_PG8 = "https://www.postgresql.org/docs/8.0"
_CODES = "https://www.postgresql.org/docs/current/errcodes-appendix.html"
_SUPERUSERS = f"{_DG}/r_superusers.html"
_N = '"(?:[^"]|"")+"'
_T = "E?'(?:[^']|'')*'"
_ANY = "any"
_GRANT = f"{_DG}/r_GRANT.html"


def _page_of(view: str) -> str:
    """The guide names pages after their views, with one slip of the pen."""
    return f"r_{view.upper()}".replace("SVV_LANGUAGE", "SVV_LANUGAGE")


def _select(form: str, page: str, since: str = _ANY) -> Statement:
    return Statement(f"SELECT {form}", f"{_DG}/{page}.html", since)


def _both(what: str, whom: str = "", since: str = _ANY) -> tuple[Statement, Statement]:
    """How a right is granted and revoked."""
    return (
        Statement(rf"GRANT {what} TO {whom}{_N}(?: WITH (?:GRANT|ADMIN) OPTION)?", _GRANT, since),
        Statement(rf"REVOKE {what} FROM {whom}{_N}", f"{_DG}/r_REVOKE.html", since),
    )


STATEMENTS = (
    Statement("BEGIN", f"{_DG}/r_BEGIN.html", _ANY),
    Statement("COMMIT", f"{_DG}/r_COMMIT.html", _ANY),
    Statement("ROLLBACK", f"{_DG}/r_ROLLBACK.html", _ANY),
    Statement(
        r"SET search_path TO pg_catalog; SET statement_timeout TO \d+", f"{_DG}/r_SET.html", _ANY
    ),
    Statement("RESET search_path", f"{_DG}/r_RESET.html", _ANY),
    _select("1", "r_SELECT_synopsis"),
    _select("CURRENT_NAMESPACE", "r_CURRENT_NAMESPACE", "2020"),
    _select(r"CURRENT_DATABASE\(\)", "r_CURRENT_DATABASE"),
    _select(r"VERSION\(\)", "r_VERSION"),
    # These two are PostgreSQL's, of which Redshift's guide says that users may read them.
    Statement(
        "SELECT usesysid, usename FROM pg_user WHERE usename = SESSION_USER", f"{_PG8}/functions-info.html", _ANY
    ),
    Statement("SELECT usesysid, usename, usesuper, .* FROM pg_user WHERE .*", f"{_PG8}/view-pg-user.html", _ANY),
    _select("connection_limit, .* FROM svv_user_info WHERE .*", "r_SVV_USER_INFO"),
    Statement(
        "SELECT g.groname FROM pg_group AS g INNER JOIN pg_user AS u ON .*", f"{_PG8}/catalog-pg-group.html", _ANY
    ),
    Statement(r"SELECT COUNT\(\*\) FROM pg_group WHERE groname = .*", f"{_PG8}/catalog-pg-group.html", _ANY),
    _select("database_name FROM svv_redshift_databases WHERE .*", "r_SVV_REDSHIFT_DATABASES"),
    _select("role_name(?:, admin_option)? FROM svv_user_grants WHERE .*", "r_SVV_USER_GRANTS", "2022"),
    _select("granted_role_name FROM svv_role_grants WHERE .*", "r_SVV_ROLE_GRANTS", "2022"),
    _select("system_privilege FROM svv_system_privileges WHERE .*", "r_SVV_SYSTEM_PRIVILEGES", "2022"),
    _select("iam_arn, command_type FROM svv_iam_privileges WHERE .*", "r_SVV_IAM_PRIVILEGES", "2024"),
    _select("policy_name, .* FROM svv_attached_masking_policy WHERE .*", "r_SVV_ATTACHED_MASKING_POLICY", "2023"),
    _select("polname, .* FROM svv_rls_attached_policy WHERE .*", "r_SVV_RLS_ATTACHED_POLICY", "2022"),
    _select("owner_name, .* FROM svv_default_privileges WHERE .*", "r_SVV_DEFAULT_PRIVILEGES", "2022"),
    *(
        _select(rf".* FROM svv_{name}_privileges WHERE .*", _page_of(f"svv_{name}_privileges"), "2022")
        for name in (
            "relation", "column", "schema", "database", "function", "language", "ml_model", "datashare",
        )
    ),
    _select("n.nspname, c.relname FROM pg_class AS c .*", "c_intro_catalog_views"),
    _select("n.nspname FROM pg_namespace AS n .*", "c_intro_catalog_views"),
    _select("n.nspname, p.proname, .* FROM pg_proc_info AS p .*", "r_PG_PROC_INFO", "2019"),
    Statement(rf"CREATE USER {_N} PASSWORD {_T}", f"{_DG}/r_CREATE_USER.html", _ANY),
    Statement(
        rf"ALTER USER {_N} (?:PASSWORD {_T}|(?:NO)?CREATEDB|VALID UNTIL {_T}|CONNECTION LIMIT (?:\d+|UNLIMITED)"
        rf"|SYSLOG ACCESS (?:UN)?RESTRICTED|SESSION TIMEOUT \d+|RESET SESSION TIMEOUT|SET {_N} TO .+|RESET {_N})",
        f"{_DG}/r_ALTER_USER.html",
        _ANY,
    ),
    Statement(rf"CREATE GROUP {_N} WITH USER {_N}", f"{_DG}/r_CREATE_GROUP.html", _ANY),
    Statement(rf"ALTER GROUP {_N} (?:ADD|DROP) USER {_N}", f"{_DG}/r_ALTER_GROUP.html", _ANY),
    Statement(rf"ALTER TABLE {_N}\.{_N} OWNER TO {_N}", f"{_DG}/r_ALTER_TABLE.html", _ANY),
    Statement(rf"ALTER SCHEMA {_N} OWNER TO {_N}", f"{_DG}/r_ALTER_SCHEMA.html", _ANY),
    Statement(rf"ALTER FUNCTION {_N}\.{_N}\(.*\) OWNER TO {_N}", f"{_DG}/r_ALTER_FUNCTION.html", _ANY),
    Statement(rf"ALTER PROCEDURE {_N}\.{_N}\(.*\) OWNER TO {_N}", f"{_DG}/r_ALTER_PROCEDURE.html", "2019"),
    *_both(rf"ROLE {_N}", since="2022"),
    *_both(rf"[A-Z]+(?: \({_N}\))? ON TABLE {_N}\.{_N}"),
    *_both(rf"[A-Z]+ ON SCHEMA {_N}"),
    *_both(rf"[A-Z]+ ON DATABASE {_N}"),
    *_both(rf"EXECUTE ON FUNCTION {_N}\.{_N}\(.*\)"),
    *_both(rf"EXECUTE ON PROCEDURE {_N}\.{_N}\(.*\)", since="2019"),
    *_both(rf"USAGE ON LANGUAGE {_N}"),
    *_both(rf"EXECUTE ON MODEL {_N}\.{_N}", since="2021"),
    *_both(rf"(?:SHARE|ALTER) ON DATASHARE {_N}", since="2021"),
    *_both(rf"[A-Z]+ FOR [A-Z]+ IN (?:SCHEMA|DATABASE) {_N}", since="2024"),
    Statement(
        rf"ALTER DEFAULT PRIVILEGES FOR USER {_N} (?:IN SCHEMA {_N} )?(?:GRANT|REVOKE) [A-Z]+ ON [A-Z]+ (?:TO|FROM) .+",
        f"{_DG}/r_ALTER_DEFAULT_PRIVILEGES.html",
        _ANY,
    ),
)  # fmt: skip


def _view(name: str, columns: str, page: str = "", since: str = "2022") -> View:
    address = page if page.startswith("https:") else f"{_DG}/{page or _page_of(name)}.html"
    return View(name, frozenset(columns.split()), address, since)


_OF = "privilege_type identity_name identity_type"
VIEWS = (
    # Of PostgreSQL's catalogs: https://docs.aws.amazon.com/redshift/latest/dg/c_intro_catalog_views.html
    _view("pg_user", "usesysid usename usesuper usecreatedb valuntil useconfig", f"{_PG8}/view-pg-user.html", _ANY),
    _view("pg_group", "groname grolist", f"{_PG8}/catalog-pg-group.html", _ANY),
    _view("pg_class", "relname relnamespace relowner relkind", f"{_PG8}/catalog-pg-class.html", _ANY),
    _view("pg_namespace", "oid nspname nspowner", f"{_PG8}/catalog-pg-namespace.html", _ANY),
    _view("pg_proc_info", "proname proargtypes pronamespace proowner prokind", "r_PG_PROC_INFO", "2019"),
    _view("svv_user_info", "connection_limit syslog_access session_timeout user_name", since="2021"),
    _view("svv_redshift_databases", "database_name database_type", since="2020"),
    _view("svv_user_grants", "role_name admin_option user_name"),
    _view("svv_role_grants", "granted_role_name role_name"),
    _view("svv_system_privileges", "system_privilege identity_name identity_type"),
    _view("svv_iam_privileges", "iam_arn command_type identity_name identity_type", since="2024"),
    _view("svv_attached_masking_policy", "policy_name schema_name table_name grantee grantee_type", since="2023"),
    _view("svv_rls_attached_policy", "polname relschema relname grantee granteekind"),
    _view(
        "svv_default_privileges",
        "owner_name owner_type schema_name object_type privilege_type grantee_name grantee_type admin_option",
    ),
    _view("svv_relation_privileges", f"namespace_name relation_name admin_option {_OF}"),
    _view("svv_column_privileges", f"namespace_name relation_name column_name {_OF}"),
    _view("svv_schema_privileges", f"namespace_name admin_option privilege_scope {_OF}", since="2024"),
    _view("svv_database_privileges", f"database_name admin_option privilege_scope {_OF}", since="2024"),
    _view("svv_function_privileges", f"namespace_name function_name argument_types admin_option {_OF}"),
    _view("svv_language_privileges", f"language_name admin_option {_OF}"),
    _view("svv_ml_model_privileges", f"namespace_name model_name admin_option {_OF}"),
    _view("svv_datashare_privileges", f"datashare_name admin_option {_OF}"),
)
RIGHTS = (
    Right("CREATEUSER", "all: others' passwords, groups, and what only a superuser sees", f"{_DG}/r_CREATE_USER.html",
          _ANY, master=True, aws=_SUPERUSERS),
    Right("sys:secadmin", "svv_rls_attached_policy; a superuser has what it has", f"{_DG}/r_roles-default.html", "2022",
          master=True, aws=f"{_DG}/r_roles-default.html"),
)  # fmt: skip


MAPPED = mapped(errors.STATEMENT)
CODES = tuple(Code(code, kind, _CODES) for code, kind in sorted(MAPPED.items()))
SQLGLOT = "redshift"
BEYOND_SQLGLOT = {
    "RESET .*": "no such statement",
    "(?:CREATE|ALTER) (?:USER|GROUP) .*": "no statements about users",
    "ALTER (?:TABLE|SCHEMA|FUNCTION|PROCEDURE) .* OWNER TO .*": "no OWNER TO",
    "ALTER DEFAULT PRIVILEGES .*": "no such statement",
    "(?:GRANT|REVOKE) ROLE .*": "no roles in GRANT",
    "(?:GRANT|REVOKE) [A-Z]+ ON (?:LANGUAGE|MODEL|DATASHARE) .*": "no such objects in GRANT",
    "(?:GRANT|REVOKE) [A-Z]+ FOR [A-Z]+ IN .*": "no scoped permissions",
}
BELIEFS = Beliefs(
    "redshift",
    "Redshift's guide, sqlfluff's and sqlglot's Redshift, "
    "and PostgreSQL 15 and 17 with its views laid over; on no Redshift",
    STATEMENTS,
    VIEWS,
    RIGHTS,
    CODES,
)
DOUBLE, RAISED = double, r"raise \w+\((\d+)"
ADMINS = {"CREATEUSER", "sys:secadmin"}
BY_OTHERS: set[str] = set()


def as_code(number: str) -> str:
    """As the table has it."""
    return number


def columns_of(statements: Iterable[str]) -> Mapping[str, set[str]]:
    """The views that statements read, and their columns: words in small letters, by alias where there are several."""
    found: dict[str, set[str]] = {}
    for statement in statements:
        if not statement.strip().startswith("SELECT"):
            continue
        bare = re.sub(r'"([a-z]+)"', r"\1", re.sub(_T, "", statement))
        views = re.findall(r"(?:FROM|JOIN)\s+(\w+)(?: AS (\w))?", bare)
        for view, alias in views:
            words = (
                re.findall(rf"\b{alias}\.([a-z_]+)", bare)
                if alias
                else re.findall(r"\b[a-z_]+\b", bare.replace(view, ""))
            )
            found.setdefault(view, set()).update(words)
    return found


def rights_of(statements: Iterable[str]) -> set[str]:
    """The rights that the engine asks for."""
    del statements
    return {"CREATEUSER"}


_EVERY_KIND = (
    "UPDATE ON TABLE {schema}.granted", "SELECT (answer) ON TABLE {schema}.granted", "USAGE ON SCHEMA shim",
    "TEMP ON DATABASE postgres", "EXECUTE ON FUNCTION {schema}.f(integer)", "EXECUTE ON PROCEDURE {schema}.p(integer)",
    "USAGE ON LANGUAGE plpgsql",
)  # fmt: skip
_SHIMMED = (
    'ROLE "odd"', 'EXECUTE ON MODEL "ml"."m"', 'SHARE ON DATASHARE "d"', 'SELECT FOR TABLES IN SCHEMA "s"',
    'USAGE FOR SCHEMAS IN DATABASE "d"',
)  # fmt: skip


def exercise(target: Any, service: RotationService) -> set[str]:
    """Have the engine send all that it can; gives what it sent."""
    with sent_to(target.statements) as sent:
        _exercise(target, service)
    return sent


def _exercise(target: Any, service: RotationService) -> None:
    tested = rotated(target, service, SINGLE, ROTATION_TEST_QUERY="SELECT 1")
    assert service.rotate(tested.arn).error is None
    for group in ("rotators_source", "rotators_clone"):
        target.as_superuser(f"DROP ROLE IF EXISTS {group}")
    pair = rotated(target, service, ALTERNATING)
    assert service.rotate(pair.arn).error is None
    user, clone = pair.application.username, f"{pair.application.username}_clone"
    names = {key: sql.Identifier(one) for key, one in (("user", user), ("clone", clone))}
    names |= {"schema": sql.Identifier(f"of_{user}"[:60]), "group": sql.Identifier(f"group of {user}")}

    def run(statement: str) -> None:
        target.as_superuser(sql.SQL(statement).format(**names))

    run("CREATE FUNCTION {schema}.f(integer) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE ROLE {group}")
    run("CREATE PROCEDURE {schema}.p(integer) LANGUAGE sql AS 'SELECT 1'")
    for given in (True, False):
        for right in _EVERY_KIND:
            run(f"GRANT {right} TO {{user}}" if given else f"REVOKE {right} FROM {{user}} CASCADE")
        for what in _SHIMMED:
            held = (sql.Literal(what), sql.Literal(user))
            form = "INSERT INTO shim.grants VALUES ({}, {}, false)"
            gone = "DELETE FROM shim.grants WHERE what = {} AND user_name = {}"
            target.as_superuser(sql.SQL(form if given else gone).format(*held))
        run("GRANT {group} TO {user}" if given else "REVOKE {group} FROM {user}")
        run("ALTER ROLE {user} SET datestyle TO 'ISO, DMY'" if given else "ALTER ROLE {user} RESET datestyle")
        run("ALTER ROLE {user} CREATEDB" if given else "ALTER ROLE {user} NOCREATEDB")
        word = "GRANT SELECT ON TABLES TO" if given else "REVOKE SELECT ON TABLES FROM"
        run(f"ALTER DEFAULT PRIVILEGES FOR ROLE {{user}} {word} {{group}}")
        if given:
            run("CREATE SCHEMA {clone} AUTHORIZATION {clone}; CREATE TABLE {clone}.t (n int)")
            run("CREATE FUNCTION {clone}.g(integer) RETURNS int LANGUAGE sql AS 'SELECT 1'")
            run("CREATE PROCEDURE {clone}.h(integer) LANGUAGE sql AS 'SELECT 1'")
            run("ALTER PROCEDURE {clone}.h(integer) OWNER TO {clone}")
            run("ALTER FUNCTION {clone}.g(integer) OWNER TO {clone}; ALTER TABLE {clone}.t OWNER TO {clone}")
        for _ in range(2):
            assert service.rotate(pair.arn).error is None
            look_at(service, pair.arn)
    look_at(service, tested.arn)
