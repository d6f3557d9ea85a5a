"""What a server's catalogue says: what a user may do, which users and objects there are, who is logged in.

An application's names differ from schedule to schedule. They are replaced, so that rights can be compared.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from psycopg2 import sql
from pymongo.errors import OperationFailure
from targets import Application, Db2Target, MongoTarget, MysqlTarget, OracleDouble, PostgresTarget, SqlserverDouble

# What the engine of Oracle calls a user's trigger.
_HASHED = re.compile(r"ROTATORS_[0-9A-F]{16}")
_OBJECTS = """
SELECT 'role ' || rolname FROM pg_roles
UNION ALL SELECT 'database ' || datname FROM pg_database
UNION ALL SELECT 'schema ' || nspname || ' of ' || nspowner::regrole FROM pg_namespace WHERE nspname !~ '^pg_'
UNION ALL SELECT 'relation ' || c.oid::regclass || ' of ' || c.relowner::regrole
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname !~ '^(pg_|information_schema)'
UNION ALL SELECT 'function ' || p.oid::regprocedure
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE nspname !~ '^(pg_|information_schema)'
UNION ALL SELECT 'prepared ' || gid FROM pg_prepared_xacts
"""
_SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND usename IS DISTINCT FROM 'rdsadmin'
"""


class Catalogue:
    """The catalogue of a server.

    Args:
        target: the server.
        rights: what a user may do.
        things: the users, objects and so on that there are.
        sessions: how many are logged in, beside who asks.
        remove: removes an application's users and what is theirs.
    """

    def __init__(
        self,
        target: Any,
        rights: Callable[[Any, str], Iterable[Any]],
        things: Callable[[Any], Iterable[Any]],
        sessions: Callable[[Any], int],
        remove: Callable[[Any, str], None],
    ) -> None:
        self._target = target
        self._rights = rights
        self._things = things
        self._sessions = sessions
        self._remove = remove

    def rights(self, application: Application) -> dict[str, list[str]]:
        """What the application's user may do, and the second user of that name."""
        return {
            what: sorted(_anonymous(one, application) for one in self._rights(self._target, name))
            for what, name in (("user", application.username), ("second user", f"{application.username}_clone"))
        }

    def things(self) -> set[str]:
        """All that there is."""
        return {str(one) for one in self._things(self._target)}

    def new(self, before: set[str], application: Application) -> set[str]:
        """What there was not before."""
        return {_anonymous(one, application) for one in self.things() - before}

    def sessions(self) -> int:
        """How many are logged in."""
        return self._sessions(self._target)

    def remove(self, application: Application) -> None:
        """Remove an application with all that is its: a server would grow slower with each schedule."""
        self._remove(self._target, application.username)


def catalogue_of(target: Any) -> Catalogue:
    """The catalogue of a target's server.

    Raises:
        LookupError: nobody has said how to read it.
    """
    for kind, functions in _KINDS.items():
        if isinstance(target, kind):
            return Catalogue(target, *functions)
    raise LookupError(f"nobody has said how to read the catalogue of {type(target).__name__}")


def _anonymous(one: Any, application: Application) -> str:
    return _HASHED.sub("ROTATORS_HASH", re.sub(re.escape(application.username), "APP", str(one), flags=re.IGNORECASE))


def _of_postgres(target: PostgresTarget, name: str) -> Iterable[Any]:
    return [row for row in target.rights_of(Application(name, "")) if row[0] != "may"] + _schema(target, name)


def _schema(target: PostgresTarget, name: str) -> list[Any]:
    return [row for row in target.rights_of(Application(name.removesuffix("_clone"), "")) if row[0].startswith("may")]


def _things_of_postgres(target: PostgresTarget) -> Iterable[Any]:
    return [name for (name,) in target.as_superuser(_OBJECTS)]


def _sessions_of_postgres(target: PostgresTarget) -> int:
    return int(target.as_superuser(_SESSIONS)[0][0])


def _remove_from_postgres(target: PostgresTarget, name: str) -> None:
    twin, schema = sql.Identifier(f"{name}_clone"), sql.Identifier(f"of_{name}"[:60])
    exists = sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = {}").format(sql.Literal(f"{name}_clone"))
    there = target.as_superuser(exists)
    roles = [*([twin] if there else []), sql.Identifier(name)]
    target.as_superuser(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))
    for role in roles:
        target.as_superuser(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
        target.as_superuser(sql.SQL("DROP ROLE {}").format(role))


def _things_of_mysql(target: MysqlTarget) -> Iterable[Any]:
    query = target.server.query
    yield from query("SELECT User, Host FROM mysql.user")
    yield from query("SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema LIKE 'of%'")
    yield from query(
        "SELECT routine_schema, routine_name FROM information_schema.routines WHERE routine_schema <> 'sys'"
    )


def _sessions_of_mysql(target: MysqlTarget) -> int:
    who = "'root', 'event_scheduler', 'system user', 'unauthenticated user'"
    return int(
        target.server.query(f"SELECT count(*) FROM information_schema.processlist WHERE user NOT IN ({who})")[0][0]
    )


def _of_mongo(target: MongoTarget, name: str) -> Iterable[Any]:
    for user in target.as_root({"usersInfo": name})["users"]:
        own = target.database(name, "")
        yield from sorted(f"{role['db'].replace(own, 'of_APP_')}.{role['role']}" for role in user["roles"])
        yield sorted(user.get("mechanisms", []))
        yield sorted(user.get("customData", {}))


def _things_of_mongo(target: MongoTarget) -> Iterable[Any]:
    yield from (f"user {user['db']}.{user['user']}" for user in target.as_root({"usersInfo": 1})["users"])
    yield from (f"role {role['db']}.{role['role']}" for role in target.as_root({"rolesInfo": 1})["roles"])


def _remove_from_mongo(target: MongoTarget, name: str) -> None:
    for user in (name, f"{name}_clone"):
        with contextlib.suppress(OperationFailure):
            target.as_root({"dropUser": user})


def _of_sqlserver(target: SqlserverDouble, name: str) -> Iterable[Any]:
    server = target.catalogue
    login = server.logins.get(name)
    if login is not None:
        yield "login", login.kind, login.disabled, login.database, login.language, login.policy, login.expiration
    yield from (("member of", role) for role, inside in server.members.items() if name in inside)
    yield from (("server", key[1:], right) for key, right in server.permissions.items() if key[0] == name)
    for title, database in server.databases.items():
        user = database.users.get(name)
        if user is not None:
            yield title, user.schema, user.language
        yield from ((title, "member of", role) for role, inside in database.members.items() if name in inside)
        yield from ((title, key[1:], right) for key, right in database.permissions.items() if key[0] == name)
        yield from ((title, "owns schema", one) for one, owner in database.schemas.items() if owner == name)


def _things_of_sqlserver(target: SqlserverDouble) -> Iterable[Any]:
    server = target.catalogue
    yield from (f"login {name}" for name in server.logins)
    for title, database in server.databases.items():
        yield from (f"{title}: user {name}" for name in database.users)
        yield from (f"{title}: schema {name} of {owner}" for name, owner in database.schemas.items())
        yield from (f"{title}: {place}" for place in database.objects)
        yield from (f"{title}: role {name}" for name in database.members)


def _of_oracle(target: OracleDouble, name: str) -> Iterable[Any]:
    database, folded = target.database, name.upper()
    user = database.users.get(folded)
    if user is None:
        return
    yield user.status, user.profile, user.tablespace, user.temporary, user.authentication, sorted(user.quotas.items())
    for rights in (user.roles, user.system, user.objects, user.columns, user.schemas):
        yield from rights.items()
    yield sorted(user.default_roles), sorted(user.clients)
    yield from (("trigger", schema) for of, schema in database.triggers.values() if of == folded)


def _things_of_oracle(target: OracleDouble) -> Iterable[Any]:
    database = target.database
    for what in (database.users, database.roles, database.profiles, database.objects, database.triggers):
        yield from list(what)


def _of_db2(target: Db2Target, name: str) -> Iterable[Any]:
    user = target.catalogue.users.get(name.lower())
    if user is not None:
        yield sorted(user.groups), user.disabled, user.expired
    for title, database in target.catalogue.databases.items():
        yield from ((title, right, how) for right, (how, _) in database.rights.get(name.upper(), {}).items())
        yield title, sorted(database.authorities.get(name.upper(), ()))


def _things_of_db2(target: Db2Target) -> Iterable[Any]:
    yield from target.catalogue.users
    for title, database in target.catalogue.databases.items():
        yield from ((title, table) for table in database.tables)


def _nobody(_: Any) -> int:
    return 0


def _leave(target: Any, name: str) -> None:
    """A double looks at a few things in any case."""


def _remove_from_mysql(target: MysqlTarget, name: str) -> None:
    query, text = target.server.query, target.text
    for (database,) in query(f"SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '%{name}%'"):
        query(f"DROP DATABASE `{database}`")
    for user, host in query(f"SELECT User, Host FROM mysql.user WHERE User IN ({text(name)}, {text(name + '_clone')})"):
        query(f"DROP USER {text(user)}@{text(host)}")


def _of_mysql(target: MysqlTarget, name: str) -> Iterable[Any]:
    return target.rights_of(Application(name, ""))


_KINDS: dict[type, tuple[Callable[..., Any], ...]] = {
    PostgresTarget: (_of_postgres, _things_of_postgres, _sessions_of_postgres, _remove_from_postgres),
    MysqlTarget: (_of_mysql, _things_of_mysql, _sessions_of_mysql, _remove_from_mysql),
    MongoTarget: (_of_mongo, _things_of_mongo, _nobody, _remove_from_mongo),
    SqlserverDouble: (_of_sqlserver, _things_of_sqlserver, _nobody, _leave),
    OracleDouble: (_of_oracle, _things_of_oracle, _nobody, _leave),
    Db2Target: (_of_db2, _things_of_db2, _nobody, _leave),
}
