"""What Redshift has and PostgreSQL has not, laid over a real PostgreSQL: no Redshift, and it says so.

Logins, passwords (kept as md5, as Redshift keeps them), groups, grants, ownership and transactions are PostgreSQL's.
The views of Redshift's catalog are made here from PostgreSQL's; what PostgreSQL can't be told (roles of Redshift's
kind, models, datashares, DROP and ALTER as privileges, SYSLOG ACCESS, SESSION TIMEOUT) is kept in tables beside it, by
a cursor that the function's connections get. What it can't show: Redshift's own parser, for which sqlfluff's grammar
stands, and its locks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812

_NAME = r'"((?:[^"]|"")+)"'
# https://docs.aws.amazon.com/redshift/latest/dg/t_scoped-permissions.html
_SCOPED = (
    r"[A-Z]+ FOR (?:TABLES|FUNCTIONS) IN SCHEMA .+"
    r"|[A-Z]+ FOR (?:SCHEMAS|TABLES|FUNCTIONS|LANGUAGES) IN DATABASE .+"
)
_HELD = rf"(?:DROP|ALTER) ON TABLE .+|EXECUTE ON MODEL .+|(?:SHARE|ALTER) ON DATASHARE .+|{_SCOPED}"
_REWRITTEN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(form, re.DOTALL), statement)
    for form, statement in (
        (
            rf"GRANT (ROLE {_NAME}|{_HELD}) TO {_NAME}( WITH (?:ADMIN|GRANT) OPTION)?",
            (
                "INSERT INTO shim.grants VALUES (%(what)s, %(user)s, %(option)s) "
                "ON CONFLICT (what, user_name) DO UPDATE SET option = %(option)s"
            ),
        ),
        (
            rf"REVOKE (ROLE {_NAME}|{_HELD}) FROM {_NAME}()",
            "DELETE FROM shim.grants WHERE what = %(what)s AND user_name = %(user)s",
        ),
        (
            rf"ALTER USER {_NAME} (SYSLOG ACCESS|SESSION TIMEOUT) (\w+)",
            (
                "INSERT INTO shim.attributes VALUES (%(user)s, %(what)s, %(option)s) "
                "ON CONFLICT (user_name, what) DO UPDATE SET value = %(option)s"
            ),
        ),
        (
            rf"ALTER USER {_NAME} RESET (SESSION TIMEOUT)()",
            "DELETE FROM shim.attributes WHERE user_name = %(user)s AND what = %(what)s",
        ),
    )
)

_ACL = "CROSS JOIN LATERAL aclexplode({acl}) AS a JOIN pg_roles AS r ON r.oid = a.grantee"
_COLUMNS = (
    "a.privilege_type, r.oid::int AS identity_id, r.rolname AS identity_name, "
    "CASE WHEN r.rolcanlogin THEN 'user' ELSE 'group' END AS identity_type, a.is_grantable"
)
# What PostgreSQL has and Redshift has not.
_NOT_THERE = "a.privilege_type NOT IN ('TRIGGER', 'MAINTAIN', 'CONNECT', 'SET')"
# Before PostgreSQL 13 nothing but its configuration lets anybody add to pg_catalog.
SETTINGS = {"allow_system_table_mods": "on"}
_SHIM = f"""
CREATE SCHEMA shim;
CREATE TABLE shim.grants (what text, user_name text, option boolean, PRIMARY KEY (what, user_name));
CREATE TABLE shim.attributes (user_name text, what text, value text, PRIMARY KEY (user_name, what));
CREATE TABLE shim.extras (view text, grantee text, kind text, what text, on_schema text, on_table text);

CREATE VIEW pg_catalog.svv_user_info AS
SELECT r.rolname AS user_name, r.oid::int AS user_id, r.rolcreatedb AS createdb, r.rolsuper AS superuser,
    CASE WHEN r.rolconnlimit < 0 THEN 'UNLIMITED' ELSE r.rolconnlimit::text END AS connection_limit,
    coalesce((SELECT value FROM shim.attributes WHERE user_name = r.rolname AND what = 'SYSLOG ACCESS'), 'RESTRICTED')
        AS syslog_access,
    coalesce((SELECT value FROM shim.attributes WHERE user_name = r.rolname AND what = 'SESSION TIMEOUT'), '0')::int
        AS session_timeout
FROM pg_roles AS r;

CREATE VIEW pg_catalog.svv_user_grants AS
SELECT user_name, replace(substring(what FROM '^ROLE "(.*)"$'), '""', '"') AS role_name, option AS admin_option
FROM shim.grants WHERE what LIKE 'ROLE %';

CREATE VIEW pg_catalog.svv_role_grants AS
SELECT grantee AS role_name, what AS granted_role_name FROM shim.extras WHERE view = 'svv_role_grants';

CREATE VIEW pg_catalog.svv_system_privileges AS
SELECT what AS system_privilege, grantee AS identity_name, kind AS identity_type
FROM shim.extras WHERE view = 'svv_system_privileges';

CREATE VIEW pg_catalog.svv_iam_privileges AS
SELECT what AS iam_arn, on_schema AS command_type, grantee AS identity_name, kind AS identity_type
FROM shim.extras WHERE view = 'svv_iam_privileges';

CREATE VIEW pg_catalog.svv_attached_masking_policy AS
SELECT what AS policy_name, on_schema AS schema_name, on_table AS table_name, grantee, kind AS grantee_type
FROM shim.extras WHERE view = 'svv_attached_masking_policy';

CREATE VIEW pg_catalog.svv_rls_attached_policy AS
SELECT what AS polname, on_schema AS relschema, on_table AS relname, grantee, kind AS granteekind
FROM shim.extras WHERE view = 'svv_rls_attached_policy';

CREATE VIEW pg_catalog.svv_redshift_databases AS
SELECT datname AS database_name, 'local' AS database_type FROM pg_database
WHERE datallowconn AND NOT datistemplate AND datname <> 'rdsadmin'
UNION ALL SELECT 'of_a_share', 'shared';

CREATE VIEW pg_catalog.svv_relation_privileges AS
SELECT n.nspname AS namespace_name, c.relname AS relation_name, {_COLUMNS} AS admin_option
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace {_ACL.format(acl="c.relacl")}
WHERE a.grantee <> c.relowner AND {_NOT_THERE}
UNION ALL
SELECT replace(m[2], '""', '"'), replace(m[3], '""', '"'), m[1], 0, user_name, 'user', option
FROM shim.grants, regexp_matches(what, '^(DROP|ALTER) ON TABLE "(.*)"[.]"(.*)"$') AS m;

CREATE VIEW pg_catalog.svv_column_privileges AS
SELECT n.nspname AS namespace_name, c.relname AS relation_name, t.attname AS column_name, {_COLUMNS} AS admin_option
FROM pg_attribute AS t JOIN pg_class AS c ON c.oid = t.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
{_ACL.format(acl="t.attacl")};

CREATE VIEW pg_catalog.svv_schema_privileges AS
SELECT n.nspname AS namespace_name, {_COLUMNS} AS admin_option, 'SCHEMA' AS privilege_scope
FROM pg_namespace AS n {_ACL.format(acl="n.nspacl")} WHERE a.grantee <> n.nspowner
UNION ALL
SELECT replace(m[3], '""', '"'), m[1], 0, user_name, 'user', option, m[2]
FROM shim.grants, regexp_matches(what, '^([A-Z]+) FOR ([A-Z]+) IN SCHEMA "(.*)"$') AS m;

CREATE VIEW pg_catalog.svv_database_privileges AS
SELECT d.datname AS database_name, replace(a.privilege_type, 'TEMPORARY', 'TEMP') AS privilege_type,
    r.rolname AS identity_name, CASE WHEN r.rolcanlogin THEN 'user' ELSE 'group' END AS identity_type,
    a.is_grantable AS admin_option, 'DATABASE' AS privilege_scope
FROM pg_database AS d {_ACL.format(acl="d.datacl")} WHERE a.grantee <> d.datdba AND {_NOT_THERE}
UNION ALL
SELECT replace(m[3], '""', '"'), m[1], user_name, 'user', option, m[2]
FROM shim.grants, regexp_matches(what, '^([A-Z]+) FOR ([A-Z]+) IN DATABASE "(.*)"$') AS m;

CREATE VIEW pg_catalog.svv_language_privileges AS
SELECT l.lanname AS language_name, {_COLUMNS} AS admin_option
FROM pg_language AS l {_ACL.format(acl="l.lanacl")} WHERE a.grantee <> l.lanowner;

CREATE VIEW pg_catalog.pg_proc_info AS SELECT p.oid AS prooid, p.* FROM pg_proc AS p;

CREATE VIEW pg_catalog.svv_function_privileges AS
SELECT n.nspname AS namespace_name, p.proname AS function_name, oidvectortypes(p.proargtypes) AS argument_types,
    {_COLUMNS} AS admin_option
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace {_ACL.format(acl="p.proacl")}
WHERE a.grantee <> p.proowner;

CREATE VIEW pg_catalog.svv_ml_model_privileges AS
SELECT replace(m[2], '""', '"') AS namespace_name, replace(m[3], '""', '"') AS model_name, m[1] AS privilege_type,
    user_name AS identity_name, 'user' AS identity_type, option AS admin_option
FROM shim.grants, regexp_matches(what, '^(EXECUTE) ON MODEL "(.*)"[.]"(.*)"$') AS m;

CREATE VIEW pg_catalog.svv_datashare_privileges AS
SELECT replace(m[2], '""', '"') AS datashare_name, m[1] AS privilege_type, user_name AS identity_name,
    'user' AS identity_type, option AS admin_option
FROM shim.grants, regexp_matches(what, '^(SHARE|ALTER) ON DATASHARE "(.*)"$') AS m;

CREATE VIEW pg_catalog.svv_default_privileges AS
SELECT o.rolname AS owner_name, 'user' AS owner_type, n.nspname AS schema_name,
    CASE d.defaclobjtype WHEN 'r' THEN 'RELATION' ELSE 'FUNCTION' END AS object_type, a.privilege_type,
    r.rolname AS grantee_name, CASE WHEN r.rolcanlogin THEN 'user' ELSE 'group' END AS grantee_type,
    a.is_grantable AS admin_option
FROM pg_default_acl AS d JOIN pg_roles AS o ON o.oid = d.defaclrole
LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
{_ACL.format(acl="d.defaclacl")} WHERE a.grantee <> d.defaclrole;
"""


def install(connection: Any) -> None:
    """Lay it over a database of a server with our ``SETTINGS``; as PostgreSQL's superuser."""
    with connection.cursor() as cursor:
        cursor.execute(_SHIM)
        cursor.execute(
            "SELECT string_agg(format('pg_catalog.%I', viewname), ', ') "
            "FROM pg_views WHERE starts_with(viewname, 'svv_') OR viewname = 'pg_proc_info'"
        )
        cursor.execute(f"GRANT SELECT ON {cursor.fetchone()[0]} TO PUBLIC")


def connecting(real: Callable[..., Any], statements: set[str]) -> Callable[..., Any]:
    """What takes the place of the engine's way to connect: its connections get Redshift's cursor."""

    class RedshiftCursor(Cursor):
        """Takes what PostgreSQL does not know."""

        def execute(self, query: Any, vars: Any = None) -> Any:  # noqa: A002  # the driver's name
            text = query if isinstance(query, str) else query.as_string(self)
            statements.add(text)
            if text == "SELECT CURRENT_NAMESPACE":
                return super().execute("SELECT md5(date_part('epoch', pg_postmaster_start_time())::text)")
            if text == "SELECT VERSION()":
                return super().execute("SELECT 'PostgreSQL 8.0.2 on x86_64-pc-linux-gnu, Redshift 1.0.77777'")
            if "CONNECTION LIMIT UNLIMITED" in text:
                return super().execute(text.replace("UNLIMITED", "-1"), vars)
            for form, statement in _REWRITTEN:
                if match := form.fullmatch(text):
                    return super().execute(statement, _values(match))
            return super().execute(text, vars)

    def connect(*arguments: Any, **options: Any) -> Any:
        opened = real(*arguments, **options)
        opened.connection.cursor_factory = RedshiftCursor
        return opened

    return connect


def _values(match: re.Match[str]) -> dict[str, Any]:
    groups = match.groups()
    if match[0].startswith("ALTER USER"):
        return {"user": _unquoted(groups[0]), "what": groups[1], "option": groups[2]}
    return {"what": groups[0], "user": _unquoted(groups[-2]), "option": bool(groups[-1])}


def _unquoted(name: str) -> str:
    return name.replace('""', '"')
