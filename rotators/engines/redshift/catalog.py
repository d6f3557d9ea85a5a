"""What Redshift says of its users, and of what was granted in the database that one is logged in to.

https://docs.aws.amazon.com/redshift/latest/dg/svv_views.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import sql

from rotators.engines.rights import Right
from rotators.errors import ServiceFailed

if TYPE_CHECKING:
    from rotators.engines.redshift.session import RedshiftSession

_USER = """
SELECT usesuper, usecreatedb, COALESCE(CAST(CAST(valuntil AS TIMESTAMP) AS VARCHAR(64)), 'infinity'),
    COALESCE(ARRAY_TO_STRING(useconfig, CHR(10)), '')
FROM pg_user
WHERE usename = {user}
"""
# By itself: what is read from the leader's tables may not be joined with what is not.
_USER_INFO = "SELECT connection_limit, syslog_access, session_timeout FROM svv_user_info WHERE user_name = {user}"
_GROUPS = """
SELECT g.groname
FROM pg_group AS g
INNER JOIN pg_user AS u ON u.usesysid = ANY(g.grolist)
WHERE u.usename = {user}
"""
_DATABASES = "SELECT database_name FROM svv_redshift_databases WHERE database_type = 'local' ORDER BY database_name"
_IDENTITY = "WHERE identity_name = {user} AND identity_type = 'user'"
# Redshift's own: nothing there is anybody's to grant.
_NO_SYSTEM = (
    "AND namespace_name NOT LIKE 'pg!_%' ESCAPE '!' AND namespace_name NOT IN ('information_schema', 'catalog_history')"
)
_ON_COLUMNS = f"""
SELECT namespace_name, relation_name, column_name, privilege_type FROM svv_column_privileges {_IDENTITY} {_NO_SYSTEM}
"""  # noqa: S608  # ours
_ON_FUNCTIONS = f"""
SELECT namespace_name, function_name, argument_types, privilege_type, admin_option
FROM svv_function_privileges {_IDENTITY} {_NO_SYSTEM}
"""  # noqa: S608  # ours
_OWNED = """
SELECT n.nspname, c.relname
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
INNER JOIN pg_user AS u ON u.usesysid = c.relowner
WHERE u.usename = {user} AND c.relkind IN ('r', 'v') AND n.nspname NOT LIKE 'pg!_%' ESCAPE '!'
ORDER BY n.nspname, c.relname
"""
_OWNED_SCHEMAS = """
SELECT n.nspname
FROM pg_namespace AS n
INNER JOIN pg_user AS u ON u.usesysid = n.nspowner
WHERE u.usename = {user} AND n.nspname NOT LIKE 'pg!_%' ESCAPE '!'
ORDER BY n.nspname
"""
_OWNED_FUNCTIONS = """
SELECT n.nspname, p.proname, OIDVECTORTYPES(p.proargtypes)
FROM pg_proc AS p
INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
INNER JOIN pg_user AS u ON u.usesysid = p.proowner
WHERE u.usename = {user} AND n.nspname NOT LIKE 'pg!_%' ESCAPE '!'
ORDER BY n.nspname, p.proname
"""
_DEFAULTS = """
SELECT owner_name, schema_name, object_type, privilege_type, grantee_name, grantee_type, admin_option
FROM svv_default_privileges
WHERE owner_type = 'user' AND (owner_name = {user} OR (grantee_name = {user} AND grantee_type = 'user'))
"""
# Where nothing of it, a name, can stand for anything else: what the views say of types and privileges.
_WORDS = re.compile(r"[A-Z_ ]+|\d+")
_ARGUMENTS = re.compile(r'[A-Za-z0-9_ ,()\[\]"]*')
_EVERYTHING_ON_TABLES = ("SELECT", "INSERT", "UPDATE", "DELETE", "REFERENCES", "DROP", "ALTER", "TRUNCATE")
_EVERYTHING_ON_SCHEMAS = ("USAGE", "CREATE")
_DEFAULT_OBJECTS = {"RELATION": "TABLES", "TABLE": "TABLES", "FUNCTION": "FUNCTIONS", "PROCEDURE": "PROCEDURES"}


@dataclass(frozen=True)
class User:
    """A user.

    Args:
        settings: by name, as the server keeps their values.
        attributes: what ALTER USER sets, by the words that set it.
    """

    name: str
    superuser: bool
    settings: dict[str, str]
    attributes: dict[str, str]


@dataclass(frozen=True, order=True)
class Default:
    """A default privilege.

    Args:
        owner: whose objects get it, as they are made.
        schema: where; None: everywhere.
    """

    owner: str
    schema: str | None
    objects: str
    privilege: str
    grantee: str
    kind: str
    passed_on: bool


def find(session: RedshiftSession, user: str) -> User | None:
    """A user, or None where there is none."""
    rows = session.execute(sql.SQL(_USER).format(user=sql.Literal(user)))
    if not rows:
        return None
    superuser, createdb, until, config = rows[0]
    [(limit, syslog, timeout)] = session.execute(sql.SQL(_USER_INFO).format(user=sql.Literal(user)))
    settings = dict(line.split("=", 1) for line in config.split("\n") if "=" in line)
    attributes = {
        "CREATEDB": "CREATEDB" if createdb else "NOCREATEDB",
        "VALID UNTIL": str(until),
        "CONNECTION LIMIT": _word(session, str(limit)),
        "SYSLOG ACCESS": _word(session, str(syslog)),
        "SESSION TIMEOUT": str(timeout or 0),
    }
    return User(user, bool(superuser), settings, attributes)


def groups(session: RedshiftSession, user: str) -> set[str]:
    """The groups that a user is in."""
    return {str(group) for (group,) in session.execute(sql.SQL(_GROUPS).format(user=sql.Literal(user)))}


def databases(session: RedshiftSession) -> list[str]:
    """The databases of this cluster or workgroup; those of datashares are somebody else's."""
    return [str(name) for (name,) in session.execute(sql.SQL(_DATABASES))]


def roles(session: RedshiftSession, user: str) -> set[Right]:
    """The roles that a user has, in whatever database."""
    statement = "SELECT role_name, admin_option FROM svv_user_grants WHERE user_name = {user}"
    rows = session.execute(sql.SQL(statement).format(user=sql.Literal(user)))
    return {Right("role", f"ROLE {_quoted(session, role)}", passed_on=bool(admin)) for role, admin in rows}


def rights(session: RedshiftSession, user: str) -> set[Right]:
    """What was granted to a user itself, in this database."""
    return set(_rights(session, user))


def defaults(session: RedshiftSession, user: str) -> set[Default]:
    """The default privileges that a user gives or gets, in this database."""
    rows = session.execute(sql.SQL(_DEFAULTS).format(user=sql.Literal(user)))
    return {
        Default(
            owner,
            schema or None,
            _DEFAULT_OBJECTS.get(str(kind).strip().upper(), "TABLES"),
            _word(session, privilege),
            grantee,
            str(grantee_kind).strip(),
            bool(option),
        )
        for owner, schema, kind, privilege, grantee, grantee_kind, option in rows
    }


def owned(session: RedshiftSession, user: str) -> tuple[list[str], set[Right]]:
    """What a user owns in this database.

    Returns:
        What ALTER … OWNER takes, each; and what would let another user do with it what the owner may.
    """
    tables = [
        f"{_quoted(session, schema)}.{_quoted(session, table)}"
        for schema, table in session.execute(sql.SQL(_OWNED).format(user=sql.Literal(user)))
    ]
    schemas = [
        _quoted(session, schema)
        for (schema,) in session.execute(sql.SQL(_OWNED_SCHEMAS).format(user=sql.Literal(user)))
    ]
    functions = [
        _function(session, schema, name, arguments)
        for schema, name, arguments in session.execute(sql.SQL(_OWNED_FUNCTIONS).format(user=sql.Literal(user)))
    ]
    equal = {Right("table", what, f"TABLE {table}") for table in tables for what in _EVERYTHING_ON_TABLES}
    equal |= {Right("schema", what, f"SCHEMA {schema}") for schema in schemas for what in _EVERYTHING_ON_SCHEMAS}
    equal |= {Right("function", "EXECUTE", f"FUNCTION {function}") for function in functions}
    things = [f"TABLE {table}" for table in tables] + [f"SCHEMA {schema}" for schema in schemas]
    return things + [f"FUNCTION {function}" for function in functions], equal


def _rights(session: RedshiftSession, user: str) -> Iterator[Right]:
    views = (
        ("svv_relation_privileges", "table", "TABLE {}.{}", ("namespace_name", "relation_name"), _NO_SYSTEM),
        ("svv_schema_privileges", "schema", "SCHEMA {}", ("namespace_name",), _NO_SYSTEM),
        ("svv_ml_model_privileges", "model", "MODEL {}.{}", ("namespace_name", "model_name"), _NO_SYSTEM),
        ("svv_database_privileges", "database", "DATABASE {}", ("database_name",), ""),
        ("svv_language_privileges", "language", "LANGUAGE {}", ("language_name",), ""),
        ("svv_datashare_privileges", "datashare", "DATASHARE {}", ("datashare_name",), ""),
    )
    for view, kind, on, columns, condition in views:
        # Their names are ours.
        text = f"SELECT {', '.join(columns)}, privilege_type, admin_option FROM {view} {_IDENTITY} {condition}"  # noqa: S608
        for *names, privilege, option in session.execute(sql.SQL(text).format(user=sql.Literal(user))):
            quoted = (_quoted(session, str(name)) for name in names)
            yield Right(kind, _word(session, privilege), on.format(*quoted), bool(option))
    for schema, table, column, privilege in session.execute(sql.SQL(_ON_COLUMNS).format(user=sql.Literal(user))):
        what = f"{_word(session, privilege)} ({_quoted(session, column)})"
        yield Right("column", what, f"TABLE {_quoted(session, schema)}.{_quoted(session, table)}")
    rows = session.execute(sql.SQL(_ON_FUNCTIONS).format(user=sql.Literal(user)))
    for schema, name, arguments, privilege, option in rows:
        on = f"FUNCTION {_function(session, schema, name, arguments)}"
        yield Right("function", _word(session, privilege), on, bool(option))


def _function(session: RedshiftSession, schema: str, name: str, arguments: str) -> str:
    if not _ARGUMENTS.fullmatch(arguments or ""):
        raise ServiceFailed(
            f"the types of the function '{name}' at {session.host} are of a form that is not known",
            "please report what svv_function_privileges says",
        )
    return f"{_quoted(session, schema)}.{_quoted(session, name)}({arguments or ''})"


def _word(session: RedshiftSession, privilege: str) -> str:
    word = privilege.strip().upper()
    if not _WORDS.fullmatch(word):
        raise ServiceFailed(f"a privilege at {session.host} is of a form that is not known: {word}", "please report it")
    return word


def _quoted(session: RedshiftSession, name: str) -> str:
    return session.quote(sql.Identifier(name))
