"""Reads from Redshift which server it is, its users, and the grants in the current database.

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
    from rotators.engines.libpq.connection import LibpqConnection

# https://docs.aws.amazon.com/redshift/latest/dg/r_CURRENT_NAMESPACE.html: a cluster's id; every user can read it.
_SERVER = "SELECT CURRENT_NAMESPACE"
_WHO = "SELECT usesysid, usename FROM pg_user WHERE usename = SESSION_USER"
_USER = """
SELECT usesysid, usename, usesuper, usecreatedb, COALESCE(CAST(CAST(valuntil AS TIMESTAMP) AS VARCHAR(64)), 'infinity'),
    COALESCE(ARRAY_TO_STRING(useconfig, CHR(10)), '')
FROM pg_user
WHERE {which} = {value}
"""
# A statement of its own: the leader node's tables can't be joined with others.
_USER_INFO = "SELECT connection_limit, syslog_access, session_timeout FROM svv_user_info WHERE user_name = {user}"
_GROUPS = """
SELECT g.groname
FROM pg_group AS g
INNER JOIN pg_user AS u ON u.usesysid = ANY(g.grolist)
WHERE u.usename = {user}
"""
_GROUP = "SELECT COUNT(*) FROM pg_group WHERE groname = {group}"
_DATABASES = "SELECT database_name FROM svv_redshift_databases WHERE database_type = 'local' ORDER BY database_name"
_IDENTITY = "WHERE identity_name = {user} AND identity_type = {kind}"
# Redshift's own schemas, where nothing can be granted.
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
# In pg_proc itself nothing tells procedures from functions: https://docs.aws.amazon.com/redshift/latest/dg/r_PG_PROC_INFO.html
_PROCEDURES = """
SELECT n.nspname, p.proname, OIDVECTORTYPES(p.proargtypes)
FROM pg_proc_info AS p
INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.prokind = 'p'
"""
_OWNED_FUNCTIONS = """
SELECT n.nspname, p.proname, OIDVECTORTYPES(p.proargtypes), p.prokind = 'p'
FROM pg_proc_info AS p
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
# What can't be granted to a user, or not in a known form:
# https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html
_ASSUMED = f"SELECT iam_arn, command_type FROM svv_iam_privileges {_IDENTITY}"  # noqa: S608  # ours
_SYSTEM = f"SELECT system_privilege FROM svv_system_privileges {_IDENTITY}"  # noqa: S608  # ours
_MASKED = """
SELECT policy_name, schema_name, table_name FROM svv_attached_masking_policy
WHERE grantee = {user} AND grantee_type = {kind}
"""
_ROW_SECURITY = """
SELECT polname, relschema, relname FROM svv_rls_attached_policy
WHERE grantee = {user} AND granteekind = {kind}
"""
_UNCOPIED = (
    (_ASSUMED, "ASSUMEROLE on {} for {}"),
    (_SYSTEM, "{}"),
    (_MASKED, "the masking policy {} on {}.{}"),
    (_ROW_SECURITY, "the row-level security policy {} on {}.{}"),
)
# A user with one of these can set other users' passwords or give itself roles, without being a superuser.
_ADMIN_ROLES = {"sys:secadmin", "sys:superuser"}
_ADMIN_PRIVILEGES = {"CREATE USER", "ALTER USER", "DROP USER", "CREATE ROLE", "ALTER ROLE", "GRANT ROLE"}
# Types and privileges as in the views: words that may be in a statement unquoted.
_WORDS = re.compile(r"[A-Z_ ]+|\d+")
_ARGUMENTS = re.compile(r'[A-Za-z0-9_ ,()\[\]"]*')
_EVERYTHING_ON_TABLES = ("SELECT", "INSERT", "UPDATE", "DELETE", "REFERENCES", "DROP", "ALTER", "TRUNCATE")
_EVERYTHING_ON_SCHEMAS = ("USAGE", "CREATE")
SCOPED = "scoped"
_SCOPES = {"SCHEMAS", "TABLES", "FUNCTIONS", "LANGUAGES"}
_DEFAULT_OBJECTS = {"RELATION": "TABLES", "TABLE": "TABLES", "FUNCTION": "FUNCTIONS", "PROCEDURE": "PROCEDURES"}


@dataclass(frozen=True)
class RedshiftUser:
    """A user.

    Args:
        number: ``usesysid``, which no other user ever gets.
        name: as the catalog spells it.
        superuser: may do everything.
        settings: by name, as the server keeps their values.
        attributes: what ALTER USER sets, by the words that set it.
    """

    number: int
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


def server(connection: LibpqConnection) -> str:
    """What identifies this cluster or workgroup."""
    try:
        [(namespace,)] = connection.execute(sql.SQL(_SERVER))
    except ServiceFailed:
        # A cluster of an older kind of node, perhaps: then its address is all that there is.
        return f"redshift at {connection.host.lower()}"
    return f"redshift {namespace}"


def logged_in(connection: LibpqConnection) -> tuple[int, str]:
    """Who logged in: number and name."""
    rows = connection.execute(sql.SQL(_WHO))
    if len(rows) != 1:
        raise ServiceFailed(f"Redshift at {connection.host} does not say who is logged in", "please report it")
    [(number, name)] = rows
    return int(number), str(name)


def by_number(connection: LibpqConnection, number: int) -> RedshiftUser | None:
    """A user, or None if it is gone."""
    return _find(connection, "usesysid", sql.Literal(number))


def by_name(connection: LibpqConnection, name: str) -> RedshiftUser | None:
    """A user by its exact name; None if there is none."""
    return _find(connection, "usename", sql.Literal(name))


def _find(connection: LibpqConnection, which: str, value: sql.Composable) -> RedshiftUser | None:
    rows = connection.execute(sql.SQL(_USER).format(which=sql.Identifier(which), value=value))
    if not rows:
        return None
    number, name, superuser, createdb, until, config = rows[0]
    [(limit, syslog, timeout)] = connection.execute(sql.SQL(_USER_INFO).format(user=sql.Literal(name)))
    settings = dict(line.split("=", 1) for line in config.split("\n") if "=" in line)
    attributes = {
        "CREATEDB": "CREATEDB" if createdb else "NOCREATEDB",
        "VALID UNTIL": str(until),
        "CONNECTION LIMIT": _word(connection, str(limit)),
        "SYSLOG ACCESS": _word(connection, str(syslog)),
        "SESSION TIMEOUT": str(timeout or 0),
    }
    return RedshiftUser(int(number), str(name), bool(superuser), settings, attributes)


def groups(connection: LibpqConnection, user: str) -> set[str]:
    """The groups that a user is in."""
    return {str(group) for (group,) in connection.execute(sql.SQL(_GROUPS).format(user=sql.Literal(user)))}


def is_group(connection: LibpqConnection, group: str) -> bool:
    """Whether there is a group of that name."""
    [(count,)] = connection.execute(sql.SQL(_GROUP).format(group=sql.Literal(group)))
    return bool(count)


def databases(connection: LibpqConnection) -> list[str]:
    """The databases of this cluster or workgroup, without those of datashares, which belong to others."""
    return [str(name) for (name,) in connection.execute(sql.SQL(_DATABASES))]


def roles(connection: LibpqConnection, user: str) -> set[Right]:
    """The roles that were granted to a user, in whatever database."""
    statement = "SELECT role_name, admin_option FROM svv_user_grants WHERE user_name = {user}"
    rows = connection.execute(sql.SQL(statement).format(user=sql.Literal(user)))
    return {Right("role", f"ROLE {_quoted(connection, role)}", passed_on=bool(admin)) for role, admin in rows}


def all_roles(connection: LibpqConnection, user: str) -> set[str]:
    """The names of a user's roles, with all that they lead to."""
    of_user = sql.SQL("SELECT role_name FROM svv_user_grants WHERE user_name = {}").format(sql.Literal(user))
    waiting = [str(role) for (role,) in connection.execute(of_user)]
    found: set[str] = set()
    while waiting:
        role = waiting.pop()
        if role not in found:
            found.add(role)
            of_role = sql.SQL("SELECT granted_role_name FROM svv_role_grants WHERE role_name = {}")
            waiting += [str(one) for (one,) in connection.execute(of_role.format(sql.Literal(role)))]
    return found


def administers(connection: LibpqConnection, user: str) -> str | None:
    """By what a user that is not a superuser may set others' passwords or give itself roles; None if it may not."""
    held = all_roles(connection, user)
    if by := sorted(held & _ADMIN_ROLES):
        return f"the role {by[0]}"
    for name, kind in [(user, "user"), *((role, "role") for role in sorted(held))]:
        privileges = {str(one).upper() for (one,) in _of(connection, _SYSTEM, name, kind)}
        if by := sorted(privileges & _ADMIN_PRIVILEGES):
            return f"{by[0]}, by the role {name}" if kind == "role" else by[0]
    return None


def rights(connection: LibpqConnection, name: str, kind: str = "user") -> set[Right]:
    """What was granted to a user, group or role itself, in this database."""
    return set(_rights(connection, name, kind))


def uncopied(connection: LibpqConnection, user: str) -> set[str]:
    """What a user has in the cluster or in this database that can't be copied to another: phrases for messages.

    Raises:
        PermissionRefused: the logged-in user may not look.
    """
    found: set[str] = set()
    advice = f"as the cluster's admin, run: GRANT ROLE sys:secadmin TO {_quoted(connection, connection.user)}"
    for statement, phrase in _UNCOPIED:
        rows = _of(connection, statement, user, "user", advice)
        found |= {phrase.format(*(str(value).strip() for value in row)) for row in rows}
    return found


def beyond(connection: LibpqConnection, one: str, other: str) -> str:
    """What a user may do in the current database that another one may not: the first such thing, for messages.

    Returns:
        A phrase; empty if there is nothing.
    """
    of_one = rights(connection, one) | owned(connection, one)[1]
    of_other = _strongest(rights(connection, other) | owned(connection, other)[1])
    lack = [right for right in sorted(of_one) if not _covered(right, of_other)]
    if lack:
        # It may have the same by a group or a role.
        for name, kind in (
            *((group, "group") for group in sorted(groups(connection, other))),
            *((role, "role") for role in sorted(all_roles(connection, other))),
        ):
            of_other |= _strongest(rights(connection, name, kind))
        lack = [right for right in lack if not _covered(right, of_other)]
    if lack:
        on = f" on {lack[0].on}" if lack[0].on else ""
        return f"it has {lack[0].what}{on}" + (" with its option" if lack[0].passed_on else "")
    gets = {one_default for one_default in defaults(connection, one) if one_default.grantee == one}
    has = {(d.owner, d.schema, d.objects, d.privilege) for d in defaults(connection, other) if d.grantee == other}
    for default in sorted(gets, key=str):
        if (default.owner, default.schema, default.objects, default.privilege) not in has:
            return f"it gets {default.privilege} on {default.objects} that {default.owner} makes"
    return ""


def _strongest(found: set[Right]) -> dict[tuple[str, str, str], bool]:
    return {right.key: right.passed_on for right in sorted(found)}


def _covered(right: Right, by: dict[tuple[str, str, str], bool]) -> bool:
    return right.key in by and (by[right.key] or not right.passed_on)


def _of(
    connection: LibpqConnection, statement: str, name: str, kind: str, advice: str = ""
) -> list[tuple[object, ...]]:
    composed = sql.SQL(statement).format(user=sql.Literal(name), kind=sql.Literal(kind))
    return connection.execute(composed, advice=advice)


def defaults(connection: LibpqConnection, user: str) -> set[Default]:
    """The default privileges that a user gives or gets, in this database."""
    rows = connection.execute(sql.SQL(_DEFAULTS).format(user=sql.Literal(user)))
    return {
        Default(
            owner,
            schema or None,
            _DEFAULT_OBJECTS.get(str(kind).strip().upper(), "TABLES"),
            _word(connection, privilege),
            grantee,
            str(grantee_kind).strip(),
            bool(option),
        )
        for owner, schema, kind, privilege, grantee, grantee_kind, option in rows
    }


def owned(connection: LibpqConnection, user: str) -> tuple[list[str], set[Right]]:
    """What a user owns in this database.

    Returns:
        What ALTER … OWNER takes, each; and what would let another user do with it what the owner may.
    """
    tables = [
        f"{_quoted(connection, schema)}.{_quoted(connection, table)}"
        for schema, table in connection.execute(sql.SQL(_OWNED).format(user=sql.Literal(user)))
    ]
    schemas = [
        _quoted(connection, schema)
        for (schema,) in connection.execute(sql.SQL(_OWNED_SCHEMAS).format(user=sql.Literal(user)))
    ]
    functions = [
        f"{'PROCEDURE' if procedure else 'FUNCTION'} {_function(connection, schema, name, arguments)}"
        for schema, name, arguments, procedure in connection.execute(
            sql.SQL(_OWNED_FUNCTIONS).format(user=sql.Literal(user))
        )
    ]
    equal = {Right("table", what, f"TABLE {table}") for table in tables for what in _EVERYTHING_ON_TABLES}
    equal |= {Right("schema", what, f"SCHEMA {schema}") for schema in schemas for what in _EVERYTHING_ON_SCHEMAS}
    equal |= {Right("function", "EXECUTE", function) for function in functions}
    things = [f"TABLE {table}" for table in tables] + [f"SCHEMA {schema}" for schema in schemas]
    return things + functions, equal


def _rights(connection: LibpqConnection, name: str, kind: str) -> Iterator[Right]:
    views = (
        ("svv_relation_privileges", "table", "TABLE {}.{}", ("namespace_name", "relation_name"), _NO_SYSTEM),
        ("svv_ml_model_privileges", "model", "MODEL {}.{}", ("namespace_name", "model_name"), _NO_SYSTEM),
        ("svv_language_privileges", "language", "LANGUAGE {}", ("language_name",), ""),
        ("svv_datashare_privileges", "datashare", "DATASHARE {}", ("datashare_name",), ""),
    )
    for view, what, on, columns, condition in views:
        # Their names are constants.
        text = f"SELECT {', '.join(columns)}, privilege_type, admin_option FROM {view} {_IDENTITY} {condition}"  # noqa: S608
        for *names, privilege, option in _of(connection, text, name, kind):
            quoted = (_quoted(connection, str(one)) for one in names)
            yield Right(what, _word(connection, str(privilege)), on.format(*quoted), bool(option))
    yield from _scoped(connection, name, kind)
    for schema, table, column, privilege in _of(connection, _ON_COLUMNS, name, kind):
        what = f"{_word(connection, str(privilege))} ({_quoted(connection, str(column))})"
        yield Right("column", what, f"TABLE {_quoted(connection, str(schema))}.{_quoted(connection, str(table))}")
    on_functions = _of(connection, _ON_FUNCTIONS, name, kind)
    # The view has both, and GRANT wants to know which.
    found = connection.execute(sql.SQL(_PROCEDURES)) if on_functions else []
    procedures = {(str(schema), str(procedure), str(arguments)) for schema, procedure, arguments in found}
    for schema, function, arguments, privilege, option in on_functions:
        signature = (str(schema), str(function), str(arguments or ""))
        word = "PROCEDURE" if signature in procedures else "FUNCTION"
        on = f"{word} {_function(connection, *signature)}"
        yield Right("function", _word(connection, str(privilege)), on, bool(option))


def _scoped(connection: LibpqConnection, name: str, kind: str) -> Iterator[Right]:
    """Rights on schemas and databases, and on all that is in them, now and later.

    https://docs.aws.amazon.com/redshift/latest/dg/t_scoped-permissions.html
    """
    for view, word, column, condition in (
        ("svv_schema_privileges", "SCHEMA", "namespace_name", _NO_SYSTEM),
        ("svv_database_privileges", "DATABASE", "database_name", ""),
    ):
        text = f"SELECT {column}, privilege_type, admin_option, privilege_scope FROM {view} {_IDENTITY} {condition}"  # noqa: S608
        for place, privilege, option, scope in _of(connection, text, name, kind):
            on = f"{word} {_quoted(connection, str(place))}"
            what, within = _word(connection, str(privilege)), str(scope).strip().upper()
            if within == word:
                yield Right(word.lower(), what, on, bool(option))
            elif within in _SCOPES:
                yield Right(SCOPED, what, f"{within} IN {on}", bool(option))
            else:
                raise ServiceFailed(
                    f"a right at {connection.host} is for '{within}' in a {word.lower()}, which is not known",
                    f"revoke it from '{name}', and please report it",
                )


def _function(connection: LibpqConnection, schema: str, name: str, arguments: str) -> str:
    if not _ARGUMENTS.fullmatch(arguments or ""):
        raise ServiceFailed(
            f"the types of the function '{name}' at {connection.host} are of a form that is not known",
            "please report what svv_function_privileges says",
        )
    return f"{_quoted(connection, schema)}.{_quoted(connection, name)}({arguments or ''})"


def _word(connection: LibpqConnection, privilege: str) -> str:
    word = privilege.strip().upper()
    if not _WORDS.fullmatch(word):
        raise ServiceFailed(
            f"a privilege at {connection.host} is of a form that is not known: {word}", "please report it"
        )
    return word


def _quoted(connection: LibpqConnection, name: str) -> str:
    return connection.quote(sql.Identifier(name))
