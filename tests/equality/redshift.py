"""Redshift, as its double has it: the grants, groups, attributes and settings that a real PostgreSQL enforces below it.

What the double only keeps in tables enforces nothing, and is not tried: roles of Redshift's kind, models, datashares,
scoped permissions, DROP and ALTER as privileges, SYSLOG ACCESS, SESSION TIMEOUT. Procedures are left out: their grants
can't be read there as Redshift has them. Only an owner alters and drops there (the clone gets all privileges on what
its source owns, and no more), and who made an object owns it: neither is tried.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from random import Random

from doubles.redshift import install

from equality.base import Feature
from equality.postgres import CLOSED, HERE, PostgresWorld

_TRIED = (
    "SELECT * FROM {s}.t ORDER BY a",
    "SELECT a FROM {s}.t ORDER BY a",
    "SELECT b FROM {s}.t ORDER BY b",
    "SELECT * FROM {s}.u",
    "SELECT * FROM t ORDER BY a",
    "SELECT a, b FROM {s}.v ORDER BY a",
    "SELECT a FROM {s}.later",
    "INSERT INTO {s}.t VALUES (3, 3, 'z')",
    "INSERT INTO {s}.u VALUES (3)",
    "UPDATE {s}.t SET a = 1",
    "UPDATE {s}.t SET b = 1",
    "UPDATE {s}.u SET a = 2",
    "DELETE FROM {s}.t",
    "TRUNCATE {s}.t",
    "ALTER TABLE {s}.t ADD COLUMN d int",
    "DROP TABLE {s}.t",
    "CREATE TABLE {s}.made (a int); INSERT INTO {s}.made VALUES (1); DROP TABLE {s}.made",
    "CREATE TABLE made (a int)",
    "CREATE TABLE {s2}.made (a int)",
    "CREATE TABLE {s}.made (a int REFERENCES {s}.t (a))",
    "CREATE VIEW {s}.made AS SELECT * FROM {s}.t; SELECT count(*) FROM {s}.made",
    "CREATE FUNCTION {s}.made() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION {s}.made() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
    "CREATE TEMPORARY TABLE made (a int)",
    "CREATE SCHEMA made",
    "CREATE ROLE made_by_equality",
    "ALTER ROLE {third} NOLOGIN",
    "GRANT {g1} TO {third}",
    "SELECT {s}.f()",
    "SELECT {s}.definer()",
    "GRANT SELECT ON {s}.t TO {third}",
    "GRANT INSERT ON {s}.t TO {third}",
    "GRANT UPDATE ON {s}.t TO {third}",
    "GRANT USAGE ON SCHEMA {s} TO {third}",
    "GRANT CREATE ON SCHEMA {s} TO {third}",
    "GRANT EXECUTE ON FUNCTION {s}.f() TO {third}",
    "GRANT TEMPORARY ON DATABASE {here} TO {third}",
    "GRANT USAGE ON LANGUAGE plpgsql TO {third}",
    "SELECT count(*) FROM {s}.own",
    "INSERT INTO {s}.own VALUES (1)",
    "DELETE FROM {s}.own",
    "UPDATE {s}.own SET a = 2",
    "SELECT * FROM {s}.own_view",
    "SELECT count(*) FROM pg_authid WHERE false",
    "SET SESSION AUTHORIZATION {third}",
    "ALTER DATABASE {here} SET work_mem = '4MB'",
)
_OUTSIDE = (
    "INSERT INTO {s}.u VALUES (77)",
    "CREATE DATABASE made_by_equality TEMPLATE no_such_database",
)
_ELSEWHERE = ("CREATE TEMPORARY TABLE made (a int)", "CREATE SCHEMA made_by_equality")
# What PostgreSQL has and Redshift has not.
_NOT_THERE = (
    "TRIGGER", "MAINTAIN", "TRUNCATE", "SEQUENCE", "TYPE", "FOREIGN", "LARGE OBJECT", "PARAMETER", "CONNECT ON",
    "{s}.mv", "PROCEDURE", "INSERT (", "REFERENCES (", "{closed}",
)  # fmt: skip
_SETTINGS = {"search_path", "statement_timeout", "TimeZone", "DateStyle", "extra_float_digits", "application_name"}


class RedshiftWorld(PostgresWorld):
    """The same, as far as Redshift has it."""

    tried = _TRIED
    outside = _OUTSIDE
    elsewhere = _ELSEWHERE

    def _make_databases(self) -> None:
        super()._make_databases()
        for name in (HERE, CLOSED):
            with contextlib.closing(self.target.server.superuser(name)) as connection:
                install(connection)

    def features(self, choice: Random) -> list[Feature]:
        """See :class:`equality.base.World`."""
        found = [one for one in self._grants(choice) if not any(word in one.name for word in _NOT_THERE)]
        return [
            *found,
            *self._groups(),
            *self._of_users(choice),
            *self._settings(choice),
            *self._owned(),
            *self._later(),
        ]

    @staticmethod
    def _groups() -> Iterator[Feature]:
        for group in ("{g1}", "{g2}", "{g3}"):
            yield Feature(group, [f"GRANT {group} TO {{app}}"], [f"REVOKE {group} FROM {{app}}"], odds=2.0)

    @staticmethod
    def _of_users(choice: Random) -> Iterator[Feature]:
        for give, take in (
            ("CREATEDB", "NOCREATEDB"),
            (f"CONNECTION LIMIT {choice.randint(2, 3)}", "CONNECTION LIMIT -1"),
            ("VALID UNTIL '2099-01-01'", "VALID UNTIL 'infinity'"),
        ):
            yield Feature(give, [f"ALTER ROLE {{app}} {give}"], [f"ALTER ROLE {{app}} {take}"])
        yield Feature(
            "superuser",
            ["ALTER ROLE {app} SUPERUSER"],
            ["ALTER ROLE {app} NOSUPERUSER"],
            refused="superuser",
        )

    def _settings(self, choice: Random) -> Iterator[Feature]:
        for one in super()._settings(choice):
            name = one.name.split(" ")[1]
            if one.name.startswith("SET ") and name in _SETTINGS and not one.refused:
                yield one

    @staticmethod
    def _owned() -> Iterator[Feature]:
        for what in ("TABLE {s}.own", "VIEW {s}.own_view"):
            yield Feature(f"owns {what}", [f"ALTER {what} OWNER TO {{app}}"], [f"ALTER {what} OWNER TO CURRENT_USER"])

    def _later(self) -> Iterator[Feature]:
        yield from (one for one in self._rows() if one.name.startswith("default privileges"))
