"""PostgreSQL: what a role can be given, and what is tried as one.

A clone's sessions are its source's, so that everything is expected to be equal but what hangs on ``session_user``: the
texts of its own other sessions and ending these, which both may after SET ROLE NONE only; policies and defaults that
are written with ``session_user``; and, before PostgreSQL 15, granting membership in itself.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extras import LogicalReplicationConnection
from targets import Application, PostgresTarget
from targets.base import fresh_name

from equality.base import Feature, Outcomes

HERE, CLOSED, OPEN = "equality", "equality_closed", "postgres"
_CREATED = """
CREATE SCHEMA {s}; CREATE SCHEMA {s2};
CREATE ROLE {g1}; CREATE ROLE {g2}; CREATE ROLE {g3}; CREATE ROLE {third}; CREATE ROLE {owner};
GRANT {g3} TO {g2};
GRANT ALL ON SCHEMA {s}, {s2} TO {owner};
CREATE TABLE {s}.t (a int, b int, c text); INSERT INTO {s}.t VALUES (1, 1, 'x'), (2, 2, 'y');
CREATE TABLE {s}.u (a int); INSERT INTO {s}.u VALUES (1);
CREATE TABLE {s}.later (a int); DROP TABLE {s}.later;
CREATE TABLE {s}.guarded (who text, n int); ALTER TABLE {s}.guarded ENABLE ROW LEVEL SECURITY;
INSERT INTO {s}.guarded VALUES ({app_text}, 1), ({app_text}, 2), ({g1_text}, 3), ('nobody', 4);
GRANT SELECT, INSERT, UPDATE, DELETE ON {s}.guarded TO {app};
CREATE VIEW {s}.v AS SELECT a, b FROM {s}.t;
CREATE MATERIALIZED VIEW {s}.mv AS SELECT a FROM {s}.t;
CREATE SEQUENCE {s}.seq;
CREATE TYPE {s}.kind AS ENUM ('a'); REVOKE USAGE ON TYPE {s}.kind FROM PUBLIC;
CREATE FUNCTION {s}.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION {s}.definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM {s}.t';
CREATE PROCEDURE {s}.p() LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA {s} FROM PUBLIC;
CREATE TABLE {s}.own (a int, b int); CREATE VIEW {s}.own_view AS SELECT 1 AS a; CREATE SEQUENCE {s}.own_seq;
CREATE TYPE {s}.own_type AS ENUM ('a'); CREATE FUNCTION {s}.own_f() RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE MATERIALIZED VIEW {s}.own_mv AS SELECT 1 AS a;
CREATE DOMAIN {s}.own_domain AS int;
GRANT SELECT ON {s}.u TO {g1}; GRANT INSERT ON {s}.u TO {g2}; GRANT UPDATE, SELECT ON {s}.u TO {g3};
GRANT USAGE ON SCHEMA {s} TO {g1}, {g2}, {g3}, {third};
GRANT CREATE ON SCHEMA {s2} TO {g3};
GRANT CONNECT ON DATABASE {closed} TO {g2};
SELECT lo_from_bytea(0, 'x'::bytea), lo_from_bytea(0, 'y'::bytea);
"""
_PARAMETERS, _MAINTAIN, _MEMBERSHIP_OPTIONS, _READ_ALL, _NOT_ITS_OWN_ADMIN = 15, 17, 16, 14, 15
_TABLE_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
# Those that an admin without superuser rights may give, and values of them.
_SETTINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("search_path", ("{s}, public", '"$user", {s}', "{s2}", "''")),
    ("statement_timeout", ("'61s'", "0")),
    ("lock_timeout", ("'7s'",)),
    ("idle_in_transaction_session_timeout", ("'5min'",)),
    ("work_mem", ("'3MB'", "'64kB'")),
    ("default_transaction_isolation", ("'serializable'",)),
    ("default_transaction_read_only", ("on",)),
    ("TimeZone", ("'Asia/Kathmandu'", "'UTC'")),
    ("DateStyle", ("German, DMY",)),
    ("IntervalStyle", ("'iso_8601'",)),
    ("bytea_output", ("'escape'",)),
    ("extra_float_digits", ("-3",)),
    ("client_min_messages", ("'error'", "'notice'")),
    ("row_security", ("off",)),
    ("application_name", ("'it''s \"this\" \\ app'", "'Bob; DROP'")),
    ("check_function_bodies", ("off",)),
    ("xmloption", ("'document'",)),
    ("standard_conforming_strings", ("off",)),
    ("default_tablespace", ("'pg_default'",)),
    ("temp_tablespaces", ("''",)),
    ("client_encoding", ("'LATIN1'",)),
    ("quote_all_identifiers", ("on",)),
    ("transform_null_equals", ("on",)),
    ("search_path", ("'pg_temp', {s}",)),
)
_SHOWN = (*(name for name, _ in _SETTINGS), "my.tenant", "my.other", "log_min_duration_statement")
# Each is tried by itself and undone. What reads, shows what it sees.
_TRIED = (
    "SELECT current_user::text = {app_text}",
    "SELECT * FROM {s}.t ORDER BY a",
    "SELECT a FROM {s}.t ORDER BY a",
    "SELECT b FROM {s}.t ORDER BY b",
    "SELECT a FROM {s}.t FOR UPDATE",
    "SELECT * FROM {s}.u",
    "SELECT * FROM t ORDER BY a",
    "SELECT a, b FROM {s}.v ORDER BY a",
    "SELECT a FROM {s}.mv ORDER BY a",
    "SELECT a FROM {s}.later",
    "SELECT who, n FROM {s}.guarded ORDER BY n",
    "SET row_security = off; SELECT count(*) FROM {s}.guarded",
    "UPDATE {s}.guarded SET n = n + 100 RETURNING n",
    "INSERT INTO {s}.guarded VALUES ({app_text}, 9)",
    "INSERT INTO {s}.guarded VALUES ('nobody', 9)",
    "DELETE FROM {s}.guarded RETURNING n",
    "INSERT INTO {s}.t VALUES (3, 3, 'z')",
    "INSERT INTO {s}.t (a) VALUES (3)",
    "INSERT INTO {s}.u VALUES (3)",
    "INSERT INTO {s}.t (a) VALUES (3) RETURNING a",
    "UPDATE {s}.t SET a = 1",
    "UPDATE {s}.t SET b = 1",
    "UPDATE {s}.t SET b = 1 WHERE a = 1",
    "UPDATE {s}.u SET a = 2",
    "DELETE FROM {s}.t",
    "TRUNCATE {s}.t",
    "LOCK TABLE {s}.t IN ACCESS EXCLUSIVE MODE",
    "COPY {s}.t TO PROGRAM 'true'",
    "ALTER TABLE {s}.t ADD COLUMN d int",
    "DROP TABLE {s}.t",
    "COMMENT ON TABLE {s}.t IS 'x'",
    "CREATE INDEX ON {s}.t (a)",
    "ANALYZE {s}.t",
    "REFRESH MATERIALIZED VIEW {s}.mv",
    "CREATE TRIGGER r BEFORE INSERT ON {s}.t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "ALTER TABLE {s}.t DISABLE TRIGGER ALL",
    "CREATE POLICY p ON {s}.guarded USING (true)",
    "ALTER TABLE {s}.guarded DISABLE ROW LEVEL SECURITY",
    "CREATE TABLE {s}.made (a int); INSERT INTO {s}.made VALUES (1); ALTER TABLE {s}.made ADD b int",
    "CREATE TABLE {s}.made (a int); DROP TABLE {s}.made",
    "CREATE TABLE made (a int)",
    "CREATE TABLE {s2}.made (a int)",
    "CREATE TABLE {s}.made (a int REFERENCES {s}.t (a))",
    "CREATE TABLE {s}.made (LIKE {s}.t)",
    "CREATE VIEW {s}.made AS SELECT * FROM {s}.t; SELECT count(*) FROM {s}.made",
    "CREATE FUNCTION {s}.made() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT {s}.made()",
    "CREATE FUNCTION {s}.made() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
    "CREATE SEQUENCE {s}.made",
    "CREATE TYPE {s}.made AS ENUM ('a')",
    "CREATE TABLE {s}.made (k {s}.kind)",
    "DO LANGUAGE plpgsql 'BEGIN END'",
    "CREATE TEMPORARY TABLE made (a int)",
    "CREATE SCHEMA made",
    "CREATE SCHEMA made AUTHORIZATION {g1}",
    "CREATE EXTENSION plpgsql",
    "CREATE EVENT TRIGGER made ON ddl_command_start EXECUTE FUNCTION {s}.f()",
    "CREATE PUBLICATION made FOR TABLE {s}.own",
    "CREATE ROLE made_by_equality",
    "CREATE ROLE made_by_equality CREATEDB",
    "ALTER ROLE {third} NOLOGIN",
    "ALTER ROLE {app} SET work_mem TO '5MB'",
    "DROP ROLE {third}",
    "GRANT {g1} TO {third}",
    "GRANT {g2} TO {third}",
    "GRANT {g3} TO {third}",
    "REVOKE {g3} FROM {g2}",
    "GRANT {app} TO {third}",
    "SELECT {s}.f()",
    "SELECT {s}.definer()",
    "CALL {s}.p()",
    "SELECT nextval('{s}.seq') > 0",
    "SELECT currval('{s}.seq') > 0",
    "SELECT last_value > 0 FROM {s}.seq",
    "SELECT setval('{s}.seq', 5)",
    "SELECT lo_get({lo})",
    "SELECT lo_put({lo}, 0, 'z')",
    "SELECT lo_unlink({lo})",
    "SELECT lo_get({own_lo})",
    "SELECT lo_unlink({own_lo})",
    "SELECT lo_creat(-1) > 0",
    "GRANT SELECT ON {s}.t TO {third}",
    "GRANT INSERT ON {s}.t TO {third}",
    "GRANT UPDATE ON {s}.t TO {third}",
    "GRANT DELETE ON {s}.t TO {third} WITH GRANT OPTION",
    "GRANT SELECT (a), UPDATE (b) ON {s}.t TO {third}",
    "GRANT USAGE ON SCHEMA {s} TO {third}",
    "GRANT CREATE ON SCHEMA {s} TO {third}",
    "GRANT USAGE ON SEQUENCE {s}.seq TO {third}",
    "GRANT EXECUTE ON FUNCTION {s}.f() TO {third}",
    "GRANT TEMPORARY ON DATABASE {here} TO {third}",
    "GRANT USAGE ON TYPE {s}.kind TO {third}",
    "GRANT USAGE ON LANGUAGE plpgsql TO {third}",
    "GRANT USAGE ON FOREIGN SERVER equality TO {third}",
    "REVOKE SELECT ON {s}.u FROM {g1}",
    "ALTER TABLE {s}.own ADD COLUMN made int; INSERT INTO {s}.own DEFAULT VALUES; SELECT count(*) FROM {s}.own",
    "ALTER TABLE {s}.own OWNER TO {g1}",
    "ALTER TABLE {s}.own OWNER TO {g2}",
    "ALTER TABLE {s}.own SET SCHEMA {s2}",
    "GRANT SELECT ON {s}.own TO {third}",
    "DROP TABLE {s}.own",
    "SELECT * FROM {s}.own_view",
    "CREATE OR REPLACE VIEW {s}.own_view AS SELECT 2 AS a",
    "ALTER SEQUENCE {s}.own_seq RESTART",
    "ALTER TYPE {s}.own_type RENAME TO made",
    "CREATE OR REPLACE FUNCTION {s}.own_f() RETURNS int LANGUAGE sql AS 'SELECT 3'; SELECT {s}.own_f()",
    "REFRESH MATERIALIZED VIEW {s}.own_mv",
    "DROP DOMAIN {s}.own_domain",
    "ALTER SCHEMA {s2} RENAME TO made",
    "DROP SCHEMA {s2}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {s} GRANT SELECT ON TABLES TO {third}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {g1} GRANT SELECT ON TABLES TO {third}",
    "REASSIGN OWNED BY {g1} TO {app}",
    "CREATE SERVER made FOREIGN DATA WRAPPER equality",
    "CREATE FOREIGN TABLE {s}.made (a int) SERVER equality",
    "CREATE USER MAPPING FOR CURRENT_USER SERVER equality OPTIONS (user 'x')",
    "CREATE USER MAPPING FOR PUBLIC SERVER equality",
    "ALTER USER MAPPING FOR CURRENT_USER SERVER equality OPTIONS (ADD other 'x')",
    "DROP USER MAPPING FOR CURRENT_USER SERVER equality",
    "ALTER SERVER equality OPTIONS (ADD a 'b')",
    "SET session_replication_role = replica",
    "SET log_min_duration_statement = 5",
    "SET deadlock_timeout = '2s'",
    "SET ROLE {g1}; SELECT count(*) FROM {s}.u",
    "SET ROLE {g2}; INSERT INTO {s}.u VALUES (1)",
    "SET ROLE {g3}; CREATE TABLE {s2}.made (a int)",
    "SET ROLE {third}",
    "SET ROLE postgres",
    "SET ROLE {app}; SELECT a FROM {s}.u",
    "RESET ALL; SELECT current_user::text = {app_text}",
    "SET SESSION AUTHORIZATION {third}",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT count(*) > 0 FROM pg_ls_dir('.')",
    "SELECT count(*) FROM pg_authid WHERE false",
    "SELECT count(*) FROM pg_stat_activity WHERE usename = 'rdsadmin' AND query LIKE 'ins%'",
    "SELECT pg_ls_logdir() IS NULL FROM generate_series(1, 0)",
    "SELECT count(*) > 0 FROM pg_ls_waldir()",
    "SELECT pg_terminate_backend(pg_backend_pid() + 1000000)",
    "SELECT pg_reload_conf()",
    "SELECT pg_stat_reset()",
    "SELECT pg_switch_wal() IS NULL FROM generate_series(1, 0)",
    "SELECT pg_create_physical_replication_slot('made', false, true)",
    "SELECT pg_database_size('equality_closed') > 0",
    "SELECT lo_export({lo}, '/nowhere/at/all')",
    "CREATE TABLESPACE made LOCATION '/nowhere'",
    "ALTER DATABASE {here} SET work_mem = '4MB'",
    "CHECKPOINT",
    # As itself: what it is shown and may do through the other, and nothing that counts by the session's user.
    "SET ROLE NONE; SELECT a FROM {s}.t ORDER BY a",
    "SET ROLE NONE; INSERT INTO {s}.t (a) VALUES (3)",
    "SET ROLE NONE; SELECT * FROM {s}.u",
    "SET ROLE NONE; UPDATE {s}.t SET b = 1",
    "SET ROLE NONE; SELECT {s}.f()",
    "SET ROLE NONE; ALTER TABLE {s}.own ADD COLUMN made int",
    "SET ROLE NONE; CREATE ROLE made_by_equality",
    "SET ROLE NONE; CREATE TABLE {s}.made (a int)",
    "SET ROLE NONE; GRANT SELECT ON {s}.t TO {third}",
    "SET ROLE NONE; GRANT {g1} TO {third}",
    "SET ROLE NONE; SELECT pg_create_physical_replication_slot('made', false, true)",
)
# What no transaction takes.
_OUTSIDE = (
    "INSERT INTO {s}.u VALUES (77)",
    "CREATE DATABASE made_by_equality TEMPLATE no_such_database",
    "CREATE DATABASE made_by_equality OWNER {g1} TEMPLATE no_such_database",
    "ALTER SYSTEM SET no_such_setting = 1",
    "VACUUM {s}.t",
    "REINDEX DATABASE {here}",
    "ALTER DATABASE {closed} WITH CONNECTION LIMIT -1",
    "DROP SUBSCRIPTION no_such_subscription",
    "LISTEN made",
    "SELECT 1; SELECT 2",
)
_ELSEWHERE = (
    "SELECT current_user::text = {app_text}",
    "CREATE TEMPORARY TABLE made (a int)",
    "CREATE SCHEMA made_by_equality",
    "CREATE TABLE public.made_by_equality (a int)",
)
_CONNECTIONS = 4


class PostgresWorld:
    """Databases of its own, in which nothing is granted to PUBLIC."""

    tried: Sequence[str] = _TRIED
    outside: Sequence[str] = _OUTSIDE
    elsewhere: Sequence[str] = _ELSEWHERE

    def __init__(self, target: PostgresTarget) -> None:
        self.target = target
        self.version = target.server.installation.version
        # https://www.postgresql.org/docs/15/release-15.html: until then by session_user.
        self._of_sessions = {"GRANT {app} TO {third}"} if self.version < _NOT_ITS_OWN_ADMIN else set()
        # A limit is tried where it was ever given.
        self._limited = False
        self._kept = contextlib.ExitStack()
        self._superusers: dict[str, Any] = {}
        if not target.as_superuser(sql.SQL("SELECT 1 FROM pg_database WHERE datname = {}").format(sql.Literal(CLOSED))):
            self._make_databases()

    def _make_databases(self) -> None:
        for name in (HERE, CLOSED):
            self.target.as_superuser(f"CREATE DATABASE {name}")
        self.target.as_superuser(
            f"REVOKE ALL ON DATABASE {CLOSED} FROM PUBLIC; REVOKE TEMP ON DATABASE {HERE} FROM PUBLIC"
        )
        self.target.as_superuser(
            "REVOKE USAGE ON LANGUAGE plpgsql, sql FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC; "
            "CREATE FOREIGN DATA WRAPPER equality; CREATE SERVER equality FOREIGN DATA WRAPPER equality",
            HERE,
        )
        if self.version >= _PARAMETERS:
            admin = sql.Identifier(self.target.server.admin.username)
            self.target.as_superuser(sql.SQL("GRANT SET ON PARAMETER my.tenant TO {}").format(admin))

    def begin(self, choice: Random) -> Application:
        """See :class:`equality.base.World`."""
        base = fresh_name()
        name = choice.choice([base, base, base, f"{base} O'Br\"ien", f"{base}-Ü", base.upper()])
        login = self.target.server.create_app_user(name)
        self.target.passwords.add(login.password)
        words = {part: sql.Identifier(f"{base}_{part}") for part in ("s", "s2", "g1", "g2", "g3", "third", "owner")}
        self._words: dict[str, sql.Composable] = {
            **words,
            "app": sql.Identifier(name),
            "app_text": sql.Literal(name),
            "g1_text": sql.Literal(f"{base}_g1"),
            "here": sql.Identifier(HERE),
            "closed": sql.Identifier(CLOSED),
        }
        with self._superuser(HERE) as cursor:
            cursor.execute(self._filled(_CREATED))
            lo, own_lo = cursor.fetchone() or (0, 0)
        self._words |= {"lo": sql.Literal(lo), "own_lo": sql.Literal(own_lo)}
        self.application = Application(name, login.password)
        return self.application

    def keys(self) -> Mapping[str, Any]:
        """See :class:`equality.base.World`."""
        return {"dbname": HERE}

    def has_user(self, username: str) -> bool:
        """See :class:`equality.base.World`."""
        found = sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = {}").format(sql.Literal(username))
        return bool(self.target.as_superuser(found))

    def apply(self, statements: Sequence[Any]) -> None:
        """See :class:`equality.base.World`."""
        with self._superuser(HERE) as cursor:
            for statement in statements:
                self._limited |= "CONNECTION LIMIT" in statement
                cursor.execute(self._filled(statement))

    def features(self, choice: Random) -> list[Feature]:
        """See :class:`equality.base.World`."""
        return [
            *self._grants(choice),
            *self._memberships(choice),
            *self._attributes(choice),
            *self._settings(choice),
            *self._belongings(),
            *self._rows(),
        ]

    def _grants(self, choice: Random) -> Iterator[Feature]:
        table = [*_TABLE_PRIVILEGES, *(["MAINTAIN"] if self.version >= _MAINTAIN else [])]
        objects = [(one, "{s}.t") for one in table] + [(f"{one} ({column})", "{s}.t") for one, column in (
            ("SELECT", "a"), ("SELECT", "b"), ("UPDATE", "b"), ("INSERT", "a"), ("REFERENCES", "a"))]  # fmt: skip
        objects += [
            ("SELECT", "{s}.v"), ("UPDATE", "{s}.v"), ("SELECT", "{s}.mv"),
            ("USAGE", "SEQUENCE {s}.seq"), ("SELECT", "SEQUENCE {s}.seq"), ("UPDATE", "SEQUENCE {s}.seq"),
            ("EXECUTE", "FUNCTION {s}.f()"), ("EXECUTE", "FUNCTION {s}.definer()"), ("EXECUTE", "PROCEDURE {s}.p()"),
            ("USAGE", "TYPE {s}.kind"), ("CREATE", "SCHEMA {s2}"), ("USAGE", "SCHEMA {s2}"),
            ("CREATE", "DATABASE {here}"), ("TEMPORARY", "DATABASE {here}"),
            ("CONNECT", "DATABASE {closed}"), ("TEMPORARY", "DATABASE {closed}"), ("CREATE", "DATABASE {closed}"),
            ("USAGE", "LANGUAGE plpgsql"), ("USAGE", "LANGUAGE sql"),
            ("USAGE", "FOREIGN DATA WRAPPER equality"), ("USAGE", "FOREIGN SERVER equality"),
            ("SELECT", "LARGE OBJECT {lo}"), ("UPDATE", "LARGE OBJECT {lo}"),
        ]  # fmt: skip
        if self.version >= _PARAMETERS:
            objects += [
                ("SET", "PARAMETER log_min_duration_statement"),
                ("SET", "PARAMETER deadlock_timeout"),
                ("ALTER SYSTEM", "PARAMETER work_mem"),
            ]
        # Nearly everything needs these two.
        for privilege in ("USAGE", "CREATE"):
            yield self._grant(choice, privilege, "SCHEMA {s}", odds=6.0 if privilege == "USAGE" else 2.0)
        for privilege, on in objects:
            yield self._grant(choice, privilege, on)

    @staticmethod
    def _grant(choice: Random, privilege: str, on: str, odds: float = 1.0) -> Feature:
        option = choice.choice(["", "", " WITH GRANT OPTION"])
        return Feature(
            f"{privilege} ON {on}{option}",
            [f"GRANT {privilege} ON {on} TO {{app}}{option}"],
            [f"REVOKE {privilege} ON {on} FROM {{app}} CASCADE"],
            odds=odds,
        )

    def _memberships(self, choice: Random) -> Iterator[Feature]:
        roles = ["{g1}", "{g2}", "{g3}", "pg_monitor", "pg_signal_backend", "pg_read_server_files"]
        if self.version >= _READ_ALL:
            roles += ["pg_read_all_data", "pg_write_all_data"]
        for role in roles:
            options = choice.choice(["", "", " WITH ADMIN OPTION"])
            if self.version >= _MEMBERSHIP_OPTIONS:
                options = " WITH " + ", ".join(
                    f"{one} {choice.choice(['TRUE', 'TRUE', 'FALSE'])}" for one in ("INHERIT", "SET", "ADMIN")
                )
            yield Feature(
                f"{role}{options}",
                [f"GRANT {role} TO {{app}}{options}"],
                [f"REVOKE {role} FROM {{app}} CASCADE"],
                odds=2.0 if role.startswith("{") else 0.6,
            )

    def _attributes(self, choice: Random) -> Iterator[Feature]:
        limit, until = choice.randint(2, _CONNECTIONS - 1), choice.choice(["2099-01-01", "2101-02-03 04:05:06+07"])
        for give, take, refused, odds in (
            ("NOINHERIT", "INHERIT", "", 2.0),
            ("CREATEDB", "NOCREATEDB", "", 1.0),
            ("CREATEROLE", "NOCREATEROLE", "", 0.3),
            (f"CONNECTION LIMIT {limit}", "CONNECTION LIMIT -1", "", 1.0),
            (f"VALID UNTIL '{until}'", "VALID UNTIL 'infinity'", "", 1.0),
            ("REPLICATION", "NOREPLICATION", "REPLICATION", 1.0),
            ("BYPASSRLS", "NOBYPASSRLS", "BYPASSRLS", 1.0),
        ):
            yield Feature(
                give, [f"ALTER ROLE {{app}} {give}"], [f"ALTER ROLE {{app}} {take}"], refused=refused, odds=odds
            )

    def _settings(self, choice: Random) -> Iterator[Feature]:
        for name, values in _SETTINGS:
            value = choice.choice(values)
            # Whatever was written is not undone by it.
            odds = 0.2 if name == "default_transaction_read_only" else 0.8
            yield self._setting(choice, name, value, odds=odds)
        # A setting that no extension knows is a superuser's to give, and since version 15 whose who was granted it.
        granted = self.version >= _PARAMETERS
        yield self._setting(choice, "my.tenant", "'ten''ant \"1\"'", refused="" if granted else "my.tenant")
        yield self._setting(choice, "my.other", "'x'", refused="my.other")
        yield self._setting(choice, "session_replication_role", "'replica'", refused="session_replication_role")
        yield self._setting(choice, "lc_messages", "'C'", refused="lc_messages")
        yield self._setting(choice, "log_statement", "'none'", refused="log_statement")
        # Whether it may be played, is another feature's matter.
        for value in ("{g1_text}", "'none'"):
            place = choice.choice(["", "IN DATABASE {here} ", "IN DATABASE {closed} "])
            yield Feature(
                f"{place}SET role TO {value}",
                [f"ALTER ROLE {{app}} {place}SET role TO {value}"],
                [f"ALTER ROLE {{app}} {place}RESET role"],
                slot=f"{place}role",
                odds=0.3,
            )

    @staticmethod
    def _setting(choice: Random, name: str, value: str, *, refused: str = "", odds: float = 0.8) -> Feature:
        place = choice.choice(["", "", "IN DATABASE {here} ", "IN DATABASE {closed} ", "IN DATABASE postgres "])
        return Feature(
            f"{place}SET {name} = {value}",
            [f"ALTER ROLE {{app}} {place}SET {name} TO {value}"],
            [f"ALTER ROLE {{app}} {place}RESET {name}"],
            slot=f"{place}{name}",
            refused=refused,
            odds=odds,
        )

    @staticmethod
    def _belongings() -> Iterator[Feature]:
        for what in (
            "TABLE {s}.own", "VIEW {s}.own_view", "SEQUENCE {s}.own_seq", "TYPE {s}.own_type", "FUNCTION {s}.own_f()",
            "MATERIALIZED VIEW {s}.own_mv", "DOMAIN {s}.own_domain", "SCHEMA {s2}", "LARGE OBJECT {own_lo}",
            "SEQUENCE {s}.seq",
        ):  # fmt: skip
            yield Feature(f"owns {what}", [f"ALTER {what} OWNER TO {{app}}"], [f"ALTER {what} OWNER TO CURRENT_USER"])

    def _rows(self) -> Iterator[Feature]:
        policies = {
            "mine": "TO {app} USING (who = current_user)",
            "readers": "FOR SELECT TO {app} USING (n < 4)",
            "groups": "TO {g1} USING (who = {g1_text})",
            "everyones": "USING (who = current_user::text) WITH CHECK (true)",
            "few": "AS RESTRICTIVE TO {app} USING (n <> 2)",
            "by_membership": "USING (pg_has_role(current_user, 'pg_monitor', 'USAGE'))",
        }
        for name, what in policies.items():
            yield Feature(
                f"policy {what}",
                [f"CREATE POLICY {name} ON {{s}}.guarded {what}"],
                [f"DROP POLICY {name} ON {{s}}.guarded"],
            )
        yield Feature(
            "default privileges of its own",
            ["ALTER DEFAULT PRIVILEGES FOR ROLE {app} GRANT SELECT ON TABLES TO {third}"],
            ["ALTER DEFAULT PRIVILEGES FOR ROLE {app} REVOKE SELECT ON TABLES FROM {third}"],
        )
        yield Feature(
            "default privileges for it",
            [
                "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT, DELETE ON TABLES TO {app}",
                "SET ROLE {owner}; CREATE TABLE {s}.later (a int); RESET ROLE",
            ],
            [
                "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE SELECT, DELETE ON TABLES FROM {app}",
                "DROP TABLE {s}.later",
            ],
        )
        yield Feature(
            "a user mapping",
            ["CREATE USER MAPPING FOR {app} SERVER equality OPTIONS (user 'x', password 'y')"],
            ["DROP USER MAPPING FOR {app} SERVER equality"],
        )

    def probe(self, secret: Mapping[str, Any]) -> Outcomes:
        """See :class:`equality.base.World`."""
        login = secret["username"], secret["password"]
        outcomes: dict[str, str] = {}
        try:
            with contextlib.closing(self.target.server.connect(*login, HERE)) as connection:
                outcomes |= self._within(connection, [one for one in self.tried if one not in self._of_sessions])
                outcomes |= self._outside(connection, self.outside)
                outcomes |= _settings(connection)
                outcomes["for others"] = self._for_others(connection)
        except psycopg2.OperationalError as error:
            outcomes["connect"] = _refusal(error)
        for name in (CLOSED, OPEN):
            try:
                with contextlib.closing(self.target.server.connect(*login, name)) as connection:
                    outcomes |= {f"{name}: {one}": of for one, of in self._within(connection, self.elsewhere).items()}
                    outcomes |= {f"{name}: {one}": of for one, of in _settings(connection).items()}
            except psycopg2.OperationalError as error:
                outcomes[f"connect to {name}"] = _refusal(error)
        if self._limited:
            outcomes["connections"] = str(self._connections(login))
        outcomes["replicates"] = self._replicates(login)
        return outcomes

    def _within(self, connection: Any, statements: Sequence[str]) -> dict[str, str]:
        outcomes = {}
        with connection.cursor() as cursor:
            cursor.execute("BEGIN READ WRITE; SAVEPOINT p")
            for one in statements:
                statement = sql.SQL("ROLLBACK TO p; ") + self._filled(one)
                outcomes[one] = _outcome(connection, statement)
            cursor.execute("ROLLBACK")
        return outcomes

    def _outside(self, connection: Any, statements: Sequence[str]) -> dict[str, str]:
        outcomes = {one: _outcome(connection, self._filled(one)) for one in statements}
        with self._superuser(HERE) as cursor:
            cursor.execute(self._filled("DELETE FROM {s}.u WHERE a = 77"))
        return outcomes

    def _for_others(self, connection: Any) -> str:
        """Whether somebody else may read a table that it makes."""
        made = _outcome(connection, self._filled("CREATE TABLE {s}.for_others (a int)"))
        if made.startswith("ok"):
            with self._superuser(HERE) as cursor:
                try:
                    cursor.execute(self._filled("SET ROLE {third}; SELECT a FROM {s}.for_others"))
                    made = "ok, and it may"
                except psycopg2.Error as error:
                    made = f"ok, and {error.pgcode}"
                cursor.execute(self._filled("RESET ROLE; DROP TABLE {s}.for_others"))
        return made

    def _connections(self, login: tuple[str, str]) -> int:
        with contextlib.ExitStack() as stack:
            for number in range(_CONNECTIONS):
                try:
                    stack.enter_context(contextlib.closing(self.target.server.connect(*login, HERE)))
                except psycopg2.OperationalError:
                    return number
        return _CONNECTIONS

    def _replicates(self, login: tuple[str, str]) -> str:
        server = self.target.server
        try:
            connection = psycopg2.connect(
                host=server.host,
                port=server.port,
                user=login[0],
                password=login[1],
                dbname=HERE,
                sslmode="verify-full",
                sslrootcert=str(server.ca_file),
                connection_factory=LogicalReplicationConnection,
            )
        except psycopg2.OperationalError as error:
            return _refusal(error)
        connection.close()
        return "ok"

    def end(self) -> None:
        """See :class:`equality.base.World`."""
        clone = sql.Identifier(f"{self.application.username}_clone")
        there = self.has_user(f"{self.application.username}_clone")
        roles = ["{app}", "{g1}", "{g2}", "{g3}", "{third}", "{owner}", *(["{clone}"] if there else [])]
        self._words["clone"] = clone
        # One by one: of default privileges that concern two of them, PostgreSQL looks for what it has dropped.
        owned = "; ".join(f"DROP OWNED BY {role} CASCADE" for role in roles)
        with self._superuser(HERE) as cursor:
            cursor.execute(self._filled("DROP SCHEMA {s} CASCADE; DROP SCHEMA {s2} CASCADE; " + owned))
        for name in (CLOSED, OPEN):
            with self._superuser(name) as cursor:
                cursor.execute(self._filled(owned))
        with self._superuser(HERE) as cursor:
            cursor.execute(self._filled(f"DROP ROLE {', '.join(roles)}"))
        self._kept.close()

    @contextlib.contextmanager
    def _superuser(self, dbname: str) -> Iterator[Any]:
        if dbname not in self._superusers:
            connection = self._kept.enter_context(contextlib.closing(self.target.server.superuser(dbname)))
            self._superusers[dbname] = connection
        with self._superusers[dbname].cursor() as cursor:
            yield cursor

    def _filled(self, statement: str) -> sql.Composed:
        # Inside a text in quotes names are doubled by themselves, as none of these holds one.
        return sql.SQL(statement).format(**self._words)


def _settings(connection: Any) -> dict[str, str]:
    names = ", ".join(f"current_setting('{name}', true)" for name in _SHOWN)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names}")
        return {f"SHOW {name}": str(value) for name, value in zip(_SHOWN, cursor.fetchone(), strict=True)}


def _outcome(connection: Any, statement: Any) -> str:
    del connection.notices[:]
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
            counted = cursor.rowcount
    except psycopg2.Error as error:
        return _refusal(error)
    said = [one.split(":")[0] for one in connection.notices]
    return f"ok {counted} {json.dumps(rows, default=_plain)} {said}"


def _refusal(error: psycopg2.Error) -> str:
    if error.pgcode:
        return str(error.pgcode)
    # A refused login has no code in psycopg2.
    words = (
        "permission denied for database",
        "too many connections",
        "password authentication",
        "replication",
        "WAL sender",
    )
    return next((one for one in words if one in str(error)), str(error))


def _plain(value: Any) -> str:
    return bytes(value).hex() if isinstance(value, memoryview) else str(value)
