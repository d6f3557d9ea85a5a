"""All that a server keeps of everybody but one user and its second one: what an injected statement would change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rotators.engines.oracle.quoting import fold
from targets.db2 import Db2Target
from targets.mongo import MongoTarget
from targets.mysql import MysqlTarget
from targets.oracle import OracleTarget
from targets.postgres import PostgresTarget
from targets.sqlserver import SqlserverTarget

# Our marks, which name the two.
_MARK = "rotators"
_POSTGRES = """
SELECT rolname, '', 'is', pg_catalog.to_jsonb(a)::text FROM pg_catalog.pg_authid a
UNION ALL SELECT r.rolname, m.rolname, 'has', '' FROM pg_catalog.pg_auth_members s
    JOIN pg_catalog.pg_roles r ON r.oid = s.roleid JOIN pg_catalog.pg_roles m ON m.oid = s.member
UNION ALL SELECT coalesce(r.rolname, ''), '', 'sets', s.setdatabase::text || s.setconfig::text
    FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
UNION ALL SELECT '', '', 'database', datname || coalesce(datacl::text, '') FROM pg_catalog.pg_database
    WHERE datname <> current_database()
UNION ALL SELECT '', '', 'table', c.oid::regclass::text
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'v', 'f') AND c.relpersistence = 'p' AND n.nspname NOT LIKE 'of!_%' ESCAPE '!'
UNION ALL SELECT '', '', 'function', p.oid::regprocedure::text FROM pg_catalog.pg_proc p
"""


def everybody_else(target: Any, *users: str) -> set[str]:
    """A line for each thing that is kept, passwords included, of all but these users.

    Args:
        target: the server.
        users: who is left out, as the engine spells them.
    """
    left_out = {name for user in users for name in (user, user.upper(), user.lower(), fold(user))}
    return {repr(row) for row in _rows(target) if not _concerns(row, left_out)}


def _concerns(row: tuple[Any, ...], left_out: set[str]) -> bool:
    return any(isinstance(cell, str) and (cell in left_out or cell.startswith(_MARK)) for cell in row)


def _rows(target: Any) -> Iterable[tuple[Any, ...]]:
    if isinstance(target, PostgresTarget):
        found: list[tuple[Any, ...]] = target.as_superuser(_POSTGRES)
        return found
    if isinstance(target, MysqlTarget):
        return _mysql(target)
    if isinstance(target, MongoTarget):
        return _mongo(target)
    if isinstance(target, SqlserverTarget):
        return _sqlserver(target)
    if isinstance(target, OracleTarget):
        return [("user", name, repr(user)) for name, user in target.database.users.items()]
    assert isinstance(target, Db2Target)
    return [("user", name, repr(user)) for name, user in target.catalogue.users.items()]


def _mysql(target: MysqlTarget) -> Iterable[tuple[Any, ...]]:
    for table in ("global_priv" if target.kind == "mariadb" else "user", "db"):
        # As texts: MariaDB keeps a JSON, MySQL a time.
        for row in target.server.query(f"SELECT * FROM mysql.{table}"):
            yield (table, *(one if isinstance(one, str) else str(one) for one in row))
    yield from (("database", name) for (name,) in target.server.query("SHOW DATABASES"))


def _mongo(target: MongoTarget) -> Iterable[tuple[Any, ...]]:
    users = target.as_root({"usersInfo": {"forAllDBs": True}, "showCredentials": True})["users"]
    yield from (("user", one["user"], repr(one)) for one in users)
    yield from (("role", one["role"], repr(one)) for one in target.as_root({"rolesInfo": 1})["roles"])


def _sqlserver(target: SqlserverTarget) -> Iterable[tuple[Any, ...]]:
    catalogue: Any = target.catalogue  # type: ignore[attr-defined]
    yield from (("login", name, repr(login)) for name, login in catalogue.logins.items())
    for database, kept in catalogue.databases.items():
        yield from ((database, name, repr(user)) for name, user in kept.users.items())
        yield from ((database, "member", role, name) for role, names in kept.members.items() for name in names)
        yield from ((database, "trigger", repr(one)) for one in kept.triggers)
