"""MySQL and MariaDB: what accounts can be given, and what is tried with them.

A clone is an account of its own, so that what depends on an account's name is each one's own: the processes it may end,
and what has it as DEFINER, which only itself may alter. Names hold no letters beyond ASCII here: when either server
loads its tables again (FLUSH PRIVILEGES), it forgets what such a user may do on routines. On MariaDB users with several
hosts have no roles here: when a role is set, it takes the rights of any account that fits the address.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

import pymysql
from pymysql.constants import ER
from targets import Application, MysqlTarget
from targets.base import fresh_name

from equality.base import Feature, Outcomes

_BASE = "e_quality"
_PATIENCE = 30.0
_ROLES = ("r1", "r2", "r3", "r4")
_CREATED = (
    "CREATE DATABASE {d}",
    "CREATE DATABASE {decoy}",
    "CREATE DATABASE {p}",
    "CREATE DATABASE {matched}",
    "CREATE TABLE {d}.t (a int, b int, c text, KEY k (a))",
    "INSERT INTO {d}.t VALUES (1, 1, 'x'), (2, 2, 'y')",
    "CREATE TABLE {d}.u (a int)",
    "INSERT INTO {d}.u VALUES (1)",
    "CREATE TABLE {d}.empty (a int, KEY k (a))",
    "CREATE TABLE {d}.{odd} (a int, {odd} int)",
    "CREATE VIEW {d}.v AS SELECT a, b FROM {d}.t",
    "CREATE PROCEDURE {d}.proc() SELECT 1",
    "CREATE FUNCTION {d}.f() RETURNS int DETERMINISTIC RETURN 1",
    "CREATE PROCEDURE {d}.definer() SQL SECURITY DEFINER SELECT count(*) FROM {d}.t",
    "CREATE EVENT {d}.e ON SCHEDULE AT '2037-01-01' DO DO 1",
    "CREATE TRIGGER {d}.tr BEFORE INSERT ON {d}.u FOR EACH ROW SET @x = 1",
    "CREATE TABLE {decoy}.t (a int)",
    "CREATE TABLE {p}.t (a int)",
    "CREATE TABLE {matched}.t (a int)",
    "CREATE TABLE {d}.by_role (a int)",
    "INSERT INTO {d}.by_role VALUES (1)",
    *(f"CREATE ROLE {{{role}}}" for role in _ROLES),
    "GRANT SELECT ON {d}.by_role TO {r1}",
    "GRANT UPDATE ON {d}.by_role TO {r2}",
    "GRANT INSERT, SELECT ON {d}.by_role TO {r3}",
    "GRANT {r3} TO {r2}",
    "GRANT DELETE ON {d}.by_role TO {r4}",
    "CREATE USER {third}",
    "CREATE USER {proxied}",
    "GRANT SELECT ON {d}.u TO {third}",
    "GRANT PROXY ON {anybody} TO 'admin'@'%' WITH GRANT OPTION",
)
# Only its own administrators may give a role on MariaDB.
_CREATED_ON_MARIADB = (
    "GRANT {r1} TO 'admin'@'%' WITH ADMIN OPTION",
    "GRANT {r2} TO 'admin'@'%' WITH ADMIN OPTION",
)
_GLOBAL = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "RELOAD", "PROCESS", "REFERENCES", "INDEX", "ALTER",
    "SHOW DATABASES", "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "REPLICATION SLAVE", "REPLICATION CLIENT",
    "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT", "TRIGGER",
)  # fmt: skip
_OF_DATABASE = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE TEMPORARY TABLES",
    "LOCK TABLES", "EXECUTE", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT", "TRIGGER",
)  # fmt: skip
_OF_TABLE = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW",
    "SHOW VIEW", "TRIGGER",
)  # fmt: skip
# Each is tried by itself, and rolled back. Much is asked for what is there or is not there: whoever may not is told so
# first, and a user who may changes nothing.
_TRIED = (
    "SELECT * FROM {d}.t ORDER BY a",
    "SELECT a FROM {d}.t ORDER BY a",
    "SELECT b FROM {d}.t ORDER BY b",
    "SELECT count(*) FROM {d}.t",
    "SELECT a FROM {d}.t FOR UPDATE",
    "SELECT * FROM {d}.u",
    "SELECT a FROM {d}.v ORDER BY a",
    "SELECT * FROM {d}.{odd}",
    "SELECT {odd} FROM {d}.{odd}",
    "SELECT * FROM {decoy}.t",
    "SELECT * FROM {p}.t",
    "SELECT * FROM {matched}.t",
    "SELECT * FROM {d}.nothing",
    "INSERT INTO {d}.t VALUES (3, 3, 'z')",
    "INSERT INTO {d}.t (a) VALUES (3)",
    "INSERT INTO {d}.u VALUES (3)",
    "INSERT INTO {d}.v VALUES (3, 3)",
    "INSERT INTO {p}.t VALUES (3)",
    "INSERT INTO {matched}.t VALUES (3)",
    "INSERT INTO {decoy}.t VALUES (3)",
    "REPLACE INTO {d}.t VALUES (3, 3, 'z')",
    "UPDATE {d}.t SET a = 9",
    "UPDATE {d}.t SET b = 9",
    "UPDATE {d}.t SET b = 9 WHERE a = 1",
    "UPDATE {d}.u SET a = 9",
    "DELETE FROM {d}.t",
    "DELETE FROM {d}.t WHERE a = 1",
    "DELETE FROM {p}.t",
    "TRUNCATE {d}.empty",
    "LOCK TABLES {d}.t READ",
    "LOCK TABLES {d}.u WRITE",
    "UNLOCK TABLES",
    "HANDLER {d}.t OPEN",
    "CREATE TABLE {d}.t (a int)",
    "CREATE TABLE {p}.t (a int)",
    "CREATE TABLE {decoy}.t (a int)",
    "CREATE TABLE {d}.t AS SELECT 1 AS a",
    "DROP TABLE {d}.nothing",
    "DROP TABLE {p}.nothing",
    "ALTER TABLE {d}.empty COMMENT 'x'",
    "ALTER TABLE {d}.nothing ADD x int",
    "RENAME TABLE {d}.nothing TO {d}.t",
    "CREATE INDEX k ON {d}.empty (a)",
    "CREATE TABLE {d}.made (a int, KEY (a), FOREIGN KEY (a) REFERENCES {d}.nothing (a))",
    "CREATE TEMPORARY TABLE {d}.made_temporary (a int)",
    "CREATE TEMPORARY TABLE {p}.made_temporary (a int)",
    "CREATE VIEW {d}.v AS SELECT a FROM {d}.t",
    "CREATE VIEW {d}.v AS SELECT a, b FROM {d}.u",
    "SHOW CREATE VIEW {d}.v",
    "SHOW CREATE TABLE {d}.t",
    "EXPLAIN SELECT a FROM {d}.v",
    "DROP VIEW {d}.nothing",
    "CREATE PROCEDURE {d}.proc() SELECT 1",
    "DROP PROCEDURE {d}.nothing",
    "ALTER PROCEDURE {d}.proc COMMENT 'x'",
    "ALTER FUNCTION {d}.f COMMENT 'x'",
    "CALL {d}.proc()",
    "CALL {d}.definer()",
    "SELECT {d}.f()",
    "SHOW CREATE PROCEDURE {d}.proc",
    "SHOW CREATE FUNCTION {d}.f",
    "CREATE EVENT {d}.e ON SCHEDULE AT '2037-01-01' DO DO 1",
    "DROP EVENT {d}.nothing",
    "SHOW CREATE EVENT {d}.e",
    "SHOW EVENTS FROM {d}",
    "CREATE TRIGGER {d}.tr BEFORE INSERT ON {d}.u FOR EACH ROW SET @x = 1",
    "DROP TRIGGER {d}.nothing",
    "SHOW TRIGGERS FROM {d}",
    "USE {d}",
    "USE {decoy}",
    "USE {p}",
    "USE mysql",
    "CREATE DATABASE {d}",
    "DROP DATABASE nothing_at_all",
    "ALTER DATABASE nothing_at_all CHARACTER SET utf8mb4",
    "SHOW DATABASES LIKE '{like}%'",
    "SHOW TABLES FROM {d}",
    "SHOW COLUMNS FROM {d}.t",
    "SELECT table_name FROM information_schema.tables WHERE table_schema LIKE '{like}%' ORDER BY table_schema, 1",
    "SELECT column_name FROM information_schema.columns WHERE table_schema LIKE '{like}%' ORDER BY table_schema, 1",
    "SELECT routine_name FROM information_schema.routines WHERE routine_schema LIKE '{like}%' ORDER BY 1",
    "GRANT SELECT ON {d}.t TO {third}",
    "GRANT INSERT ON {d}.t TO {third}",
    "GRANT SELECT (a), UPDATE (b) ON {d}.t TO {third}",
    "GRANT SELECT ON {d}.* TO {third}",
    "GRANT DELETE ON {d}.* TO {third} WITH GRANT OPTION",
    "GRANT SELECT ON {p}.* TO {third}",
    "GRANT SELECT ON *.* TO {third}",
    "GRANT PROCESS ON *.* TO {third}",
    "GRANT ALL ON {d}.* TO {third}",
    "GRANT EXECUTE ON PROCEDURE {d}.proc TO {third}",
    "GRANT EXECUTE ON FUNCTION {d}.f TO {third}",
    "GRANT {r1} TO {third}",
    "GRANT {r2} TO {third}",
    "REVOKE {r1} FROM {third}",
    "GRANT PROXY ON {proxied} TO {third}",
    "REVOKE SELECT ON {d}.u FROM {third}",
    "CREATE USER {third}",
    "CREATE ROLE {r1}",
    "DROP USER 'nobody_at_all'@'%'",
    "RENAME USER 'nobody_at_all'@'%' TO {third}",
    "ALTER USER 'nobody_at_all'@'%' ACCOUNT LOCK",
    "SELECT User FROM mysql.user LIMIT 0",
    "UPDATE mysql.user SET User = User WHERE false",
    "SHOW ENGINE INNODB STATUS",
    "SHOW BINARY LOGS",
    "SHOW REPLICAS",
    "SHOW BINLOG EVENTS LIMIT 1",
    "FLUSH STATUS",
    "FLUSH TABLES {d}.t",
    "FLUSH PRIVILEGES",
    "SET GLOBAL max_connections = 151",
    "SET GLOBAL read_only = OFF",
    "SET SESSION sql_log_bin = 1",
    "SET SESSION binlog_format = 'ROW'",
    "SELECT 'x' INTO OUTFILE '/nowhere/at/all'",
    "LOAD DATA INFILE '/nowhere/at/all' INTO TABLE {d}.u",
    "XA RECOVER",
    "KILL QUERY {another}",
    "CREATE FUNCTION made RETURNS int SONAME 'nothing.so'",
    "INSTALL PLUGIN made SONAME 'nothing.so'",
    "PURGE BINARY LOGS BEFORE '2000-01-01'",
    "CHECK TABLE {d}.empty",
    "ANALYZE TABLE {d}.empty",
    "SHOW CREATE USER {third}",
    "SHOW GRANTS FOR {third}",
    "CREATE SERVER s FOREIGN DATA WRAPPER nothing OPTIONS (HOST 'x')",
    "SELECT CURRENT_ROLE()",
    "SELECT * FROM {d}.by_role",
    "UPDATE {d}.by_role SET a = 2",
    "SET ROLE {r1}",
    "SELECT * FROM {d}.by_role",
    "SET ROLE {r2}",
    "UPDATE {d}.by_role SET a = 3",
    "INSERT INTO {d}.by_role VALUES (4)",
    "GRANT SELECT ON {d}.by_role TO {third}",
    "SET ROLE {r3}",
    "SET ROLE ALL",
    "DELETE FROM {d}.by_role",
    "SELECT CURRENT_ROLE()",
    "SET ROLE NONE",
    "SELECT * FROM {d}.by_role",
)
_TRIED_ON = {
    "mysql": (
        "GRANT XA_RECOVER_ADMIN ON *.* TO {third}",
        "GRANT CONNECTION_ADMIN ON *.* TO {third}",
        "SET PERSIST max_connections = 151",
        "SET SESSION rbr_exec_mode = 'STRICT'",
        "SHOW BINARY LOG STATUS",
        "LOCK INSTANCE FOR BACKUP",
        "UNLOCK INSTANCE",
        "CREATE RESOURCE GROUP made TYPE = USER",
        "SELECT count(*) > 0 FROM performance_schema.threads",
        "SELECT count(*) FROM information_schema.user_attributes WHERE user = {third_text}",
    ),
    "mariadb": (
        "SELECT @@max_statement_time",
        "SHOW MASTER STATUS",
        "CREATE SEQUENCE {d}.t",
        "SELECT count(*) > 0 FROM mysql.global_priv",
        "SET GLOBAL binlog_format = 'ROW'",
        "DELETE HISTORY FROM {d}.t",
        "SHOW CREATE PACKAGE {d}.nothing",
    ),
}
# Privileges that the admin does not have with their option.
_NOT_PASSED = {
    "mysql": ("FILE", "CREATE TABLESPACE", "BACKUP_ADMIN", "SESSION_VARIABLES_ADMIN", "CONNECTION_ADMIN"),
    "mariadb": ("FILE", "CREATE TABLESPACE", "BINLOG ADMIN", "CONNECTION ADMIN"),
}
_ADMINS = {
    "mysql": ("CREATE USER", "SUPER", "SET_ANY_DEFINER", "ROLE_ADMIN"),
    "mariadb": ("CREATE USER", "SUPER", "SET USER"),
}
_MOST_QUERIES, _MOST_UPDATES, _MOST_CONNECTIONS, _MOST_LOGINS = 100, 60, 20, 5
_AT_ONCE = 5
# A batch uses up no limit.
_BATCH = 25
_GONE = {ER.NONEXISTING_GRANT, ER.NONEXISTING_TABLE_GRANT, ER.NONEXISTING_PROC_GRANT, ER.WRONG_USAGE}
# How many sets are of a server that has partial revokes: there names of databases are no patterns.
_RESTRICTED = 1 / 6
_HOSTS = (("%",), ("%",), ("%",), ("%", "127.0.0.2"), ("127.0.0.%", "127.0.0.2"), ("127.0.0.1", "127.0.0.2"))


class MysqlWorld:
    """Databases, roles and accounts of one set."""

    def __init__(self, target: MysqlTarget) -> None:
        self.target = target
        self.kind = target.kind
        self._root = target.server.superuser()
        role = "'{}'" if self.kind == "mariadb" else "'{}'@'%'"
        self._words = {
            "d": f"`{_BASE}_d`",
            "decoy": f"`{_BASE}xd`",
            "p": f"`{_BASE}%p`",
            "matched": f"`{_BASE}zzp`",
            "odd": '`odd``na"me`',
            "like": _BASE.replace("_", "\\_"),
            "third": f"'{_BASE}_third'@'%'",
            "third_text": f"'{_BASE}_third'",
            "proxied": f"'{_BASE}_proxied'@'%'",
            "anybody": "''@'%'" if self.kind == "mariadb" else "''@''",
            **{one: role.format(f"{_BASE}_{one}") for one in _ROLES},
        }
        if not self._run(f"SHOW DATABASES LIKE '{_BASE}xd'"):
            for statement in (*_CREATED, *(_CREATED_ON_MARIADB if self.kind == "mariadb" else ())):
                self._run(statement.format(**self._words))

    def begin(self, choice: Random) -> Application:
        """See :class:`equality.base.World`."""
        base = fresh_name()
        name = choice.choice([base, base, base, f"{base}'q\"", f"{base}`b", f"{base}\\x", f"{base} y"])
        self._hosts = choice.choice(_HOSTS)
        self._restricts = self.kind == "mysql" and choice.random() < _RESTRICTED
        self._limits: set[str] = set()
        password = secrets.token_urlsafe(18)
        self.target.passwords.add(password)
        self.application = Application(name, password)
        for account in self._accounts():
            self._run(f"CREATE USER {account} {self.target._identified(password)}")
        if self._restricts:
            self._run("SET GLOBAL partial_revokes = ON")
        return self.application

    def keys(self) -> Mapping[str, Any]:
        """See :class:`equality.base.World`."""
        return {}

    def has_user(self, username: str) -> bool:
        """See :class:`equality.base.World`."""
        return bool(self._run(f"SELECT 1 FROM mysql.user WHERE User = {self.target.text(username)}"))

    def apply(self, statements: Sequence[Any]) -> None:
        """See :class:`equality.base.World`; what went with something else is gone already."""
        for statement in statements:
            for word in ("MAX_QUERIES", "MAX_UPDATES", "MAX_CONNECTIONS", "FAILED_LOGIN"):
                if word in statement:
                    self._limits.add(word)
            try:
                self._run(statement)
            except pymysql.MySQLError as error:
                if not statement.startswith("REVOKE") or error.args[0] not in _GONE:
                    raise
            if self.kind == "mysql" and statement.startswith("REVOKE GRANT OPTION ON *.*"):
                # It takes the options of dynamic privileges out of the tables, and leaves them in memory.
                self._run("FLUSH PRIVILEGES")

    def features(self, choice: Random) -> list[Feature]:
        """See :class:`equality.base.World`."""
        found = [
            *self._globals(choice),
            *self._on_databases(choice),
            *self._on_tables(choice),
            *self._on_routines(choice),
            *self._roles(choice),
            *self._facts(choice),
            *self._refused(choice),
        ]
        if self.kind == "mysql":
            found += self._dynamic(choice)
        if self._restricts:
            found += self._restricted(choice)
        return found

    def _globals(self, choice: Random) -> Iterator[Feature]:
        for privilege in _GLOBAL:
            yield self._grant(choice, privilege, "*.*", odds=0.15, options=(0, 0, 0, 1))

    def _on_databases(self, choice: Random) -> Iterator[Feature]:
        exact = self._words["d"].replace("_", "\\_")
        for privilege in _OF_DATABASE:
            # Unless it is escaped, the name is a pattern: then it means the decoy as well.
            on = choice.choice([exact, exact, self._words["d"]])
            yield self._grant(choice, privilege, f"{on}.*", odds=0.5)
        for privilege in ("SELECT", "INSERT", "DELETE", "CREATE", "DROP", "CREATE TEMPORARY TABLES"):
            on = choice.choice([self._words["p"], self._words["p"].replace("%", "\\%").replace("_", "\\_")])
            yield self._grant(choice, privilege, f"{on}.*", odds=0.7)

    def _on_tables(self, choice: Random) -> Iterator[Feature]:
        d, odd = self._words["d"], self._words["odd"]
        for privilege in _OF_TABLE:
            yield self._grant(choice, privilege, f"{d}.t", odds=0.8)
        for privilege in ("SELECT", "INSERT", "UPDATE", "DROP", "ALTER", "INDEX", "SHOW VIEW", "TRIGGER"):
            where = choice.choice(["u", "v", "empty", odd])
            yield self._grant(choice, privilege, f"{d}.{where}", odds=0.8)
        for privilege in ("SELECT (a)", "SELECT (b)", "UPDATE (b)", "INSERT (a)", "INSERT (a, b)", "REFERENCES (a)"):
            yield self._grant(choice, privilege, f"{d}.t")
        yield self._grant(choice, f"SELECT ({odd})", f"{d}.{odd}")

    def _on_routines(self, choice: Random) -> Iterator[Feature]:
        d = self._words["d"]
        for on in (f"PROCEDURE {d}.proc", f"PROCEDURE {d}.definer", f"FUNCTION {d}.f"):
            for privilege in ("EXECUTE", "ALTER ROUTINE"):
                yield self._grant(choice, privilege, on)
        option = choice.choice(["", " WITH GRANT OPTION"])
        account = self._account(choice)
        proxied = self._words["proxied"]
        yield Feature(
            f"PROXY{option} for {account}",
            [f"GRANT PROXY ON {proxied} TO {account}{option}"],
            [f"REVOKE PROXY ON {proxied} FROM {account}"],
        )

    @property
    def _has_roles(self) -> bool:
        return self.kind == "mysql" or len(self._hosts) == 1

    def _roles(self, choice: Random) -> Iterator[Feature]:
        mariadb = self.kind == "mariadb"
        if not self._has_roles:
            return
        for role in ("r1", "r2"):
            name = self._words[role]
            for account in self._accounts():
                option = choice.choice(["", "", " WITH ADMIN OPTION"])
                give, take = [f"GRANT {name} TO {account}{option}"], [f"REVOKE {name} FROM {account}"]
                if choice.choice([True, False]):
                    default = f"SET DEFAULT ROLE {{}} {'FOR' if mariadb else 'TO'} {account}"
                    give.append(default.format(name))
                    take.insert(0, default.format("NONE"))
                yield Feature(
                    f"{role}{option} for {account}{', by default' * (len(give) > 1)}",
                    give,
                    take,
                    slot=f"{role}{account}",
                    odds=1.5,
                )
        if mariadb:
            account, name = self._account(choice), self._words["r4"]
            yield Feature(
                "a role that the admin has not",
                [f"GRANT {name} TO {account}"],
                [f"REVOKE {name} FROM {account}"],
                refused="can't pass on",
            )

    def _dynamic(self, choice: Random) -> Iterator[Feature]:
        for privilege in ("XA_RECOVER_ADMIN", "APPLICATION_PASSWORD_ADMIN"):
            yield self._grant(choice, privilege, "*.*", odds=0.7)

    def _restricted(self, choice: Random) -> Iterator[Feature]:
        for privilege in ("SELECT", "INSERT", "DELETE", "CREATE"):
            account = self._account(choice)
            on = choice.choice([self._words["d"], self._words["p"], "`mysql`"])
            yield Feature(
                f"{privilege} everywhere but on {on}, for {account}",
                [f"GRANT {privilege} ON *.* TO {account}", f"REVOKE {privilege} ON {on}.* FROM {account}"],
                [f"REVOKE {privilege} ON *.* FROM {account}"],
                slot=f"{privilege} on *.* for {account}",
                odds=3.0,
            )

    def _facts(self, choice: Random) -> Iterator[Feature]:
        account = self._account(choice)
        some = {
            "WITH MAX_QUERIES_PER_HOUR": (choice.randint(60, 90), 0),
            "WITH MAX_UPDATES_PER_HOUR": (choice.randint(30, 50), 0),
            "WITH MAX_CONNECTIONS_PER_HOUR": (choice.randint(14, 18), 0),
            "WITH MAX_USER_CONNECTIONS": (choice.randint(2, _AT_ONCE - 1), 0),
            "REQUIRE": ("SSL", "NONE"),
            "PASSWORD EXPIRE": (choice.choice(["NEVER", "INTERVAL 90 DAY"]), "DEFAULT"),
        }
        if self.kind == "mysql":
            some |= {
                "PASSWORD": choice.choice(
                    [
                        (f"HISTORY {choice.randint(1, 4)}", "HISTORY DEFAULT"),
                        (f"REUSE INTERVAL {choice.randint(1, 9)} DAY", "REUSE INTERVAL DEFAULT"),
                        ("REQUIRE CURRENT", "REQUIRE CURRENT DEFAULT"),
                    ]
                ),
                "FAILED_LOGIN_ATTEMPTS": (
                    f"{choice.randint(2, 4)} PASSWORD_LOCK_TIME UNBOUNDED",
                    "0 PASSWORD_LOCK_TIME 0",
                ),
                "COMMENT": ("'Bob''s ACCOUNT LOCK'", "''"),
                "ATTRIBUTE": ('\'{"team": {"a": [1, null]}}\'', "'{\"team\": null}'"),
            }
        else:
            some["WITH MAX_STATEMENT_TIME"] = (choice.choice(["7.5", "11"]), 0)
            # MySQL 9 takes none of TLS 1.3's for the one that it names.
            some["REQUIRE"] = (choice.choice(["SSL", f"CIPHER '{self._cipher()}'"]), "NONE")
        for words, (value, nothing) in some.items():
            yield Feature(
                f"{words} {value} of {account}",
                [f"ALTER USER {account} {words} {value}"],
                [f"ALTER USER {account} {words} {nothing}"],
                # Of what TLS has to be, the last word counts.
                slot="tls" if words == "REQUIRE" else "",
                odds=1.2,
            )

    def _refused(self, choice: Random) -> Iterator[Feature]:
        for privilege in _NOT_PASSED[self.kind]:
            yield self._grant(choice, privilege, "*.*", refused="can't pass on")
        for privilege in _ADMINS[self.kind]:
            yield self._grant(choice, privilege, "*.*", refused="is an admin's account")
        yield self._grant(choice, "UPDATE", "`mysql`.*", refused="is an admin's account")
        # The one that the rotation logs in with.
        account = self._accounts()[0]
        yield Feature(
            "REQUIRE X509",
            [f"ALTER USER {account} REQUIRE X509"],
            [f"ALTER USER {account} REQUIRE NONE"],
            slot="tls",
            refused="REQUIRE X509",
            odds=0.5,
        )

    def _grant(
        self,
        choice: Random,
        privilege: str,
        on: str,
        *,
        odds: float = 1.0,
        refused: str = "",
        options: Sequence[int] = (0, 0, 1),
    ) -> Feature:
        account = self._account(choice)
        option = choice.choice(options)
        take = [f"REVOKE {privilege} ON {on} FROM {account}"]
        if option:
            take.append(f"REVOKE GRANT OPTION ON {on} FROM {account}")
        return Feature(
            f"{privilege} ON {on}{' WITH GRANT OPTION' * option} to {account}",
            [f"GRANT {privilege} ON {on} TO {account}{' WITH GRANT OPTION' * option}"],
            take,
            slot=f"{privilege} on {on} for {account}",
            refused=refused,
            odds=odds,
        )

    def _cipher(self) -> str:
        admin = self.target.server.admin
        with (
            contextlib.closing(self.target.server.connect(admin.username, admin.password)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
            return str(cursor.fetchone()[1])

    def _accounts(self, username: str | None = None) -> list[str]:
        text = self.target.text
        return [f"{text(username or self.application.username)}@{text(host)}" for host in self._hosts]

    def _account(self, choice: Random) -> str:
        return choice.choice(self._accounts())

    def probe(self, secret: Mapping[str, Any]) -> Outcomes:
        """See :class:`equality.base.World`: from each address that an account is for."""
        addresses = ("127.0.0.1", "127.0.0.2") if "127.0.0.2" in self._hosts else ("127.0.0.1",)
        outcomes: dict[str, str] = {}
        for address in addresses:
            from_there = self._probe(secret["username"], secret["password"], address)
            outcomes |= {f"{address}: {name}": outcome for name, outcome in from_there.items()}
        self._run("FLUSH USER_RESOURCES")
        return outcomes

    def _probe(self, username: str, password: str, address: str) -> dict[str, str]:
        outcomes: dict[str, str] = {}
        self._run("FLUSH USER_RESOURCES")
        try:
            with self._session(username, password, address) as session:
                outcomes |= self._tried(session)
        except pymysql.MySQLError as error:
            return {"connect": str(error.args[0])}
        outcomes["without TLS"] = self._without_tls(username, password)
        outcomes["at once"] = self._at_once(username, password, address)
        outcomes["its password anew"] = self._own_password(username, password, address)
        for word, (statement, most) in {
            "MAX_QUERIES": ("DO 1", _MOST_QUERIES),
            "MAX_UPDATES": ("DROP TEMPORARY TABLE IF EXISTS nothing.nothing", _MOST_UPDATES),
        }.items():
            if word in self._limits:
                outcomes[word] = self._counted(username, password, address, statement, most)
        if "MAX_CONNECTIONS" in self._limits:
            outcomes["MAX_CONNECTIONS"] = self._in_an_hour(username, password, address)
        if "FAILED_LOGIN" in self._limits:
            outcomes["FAILED_LOGIN"] = self._wrong_logins(username, address)
        return outcomes

    def _tried(self, session: Any) -> dict[str, str]:
        outcomes: dict[str, str] = {}
        admin = self.target.server.admin
        with contextlib.closing(self.target.server.connect(admin.username, admin.password)) as another:
            words = {**self._words, "another": another.thread_id()}
            for number, one in enumerate((*_TRIED, *_TRIED_ON[self.kind])):
                if one.startswith("SET ROLE") and not self._has_roles:
                    continue
                if number % _BATCH == 0:
                    self._run("FLUSH USER_RESOURCES")
                # Roles are tried in a row.
                outcomes[f"{number} {one}"] = self._outcome(session, one.format(**words))
        self._run(f"DROP TABLE IF EXISTS {self._words['d']}.made")
        self._run("DROP SERVER IF EXISTS s")
        # With all that it was granted.
        self._run(f"DROP USER {self._words['third']}")
        self._run(f"CREATE USER {self._words['third']}")
        self._run(f"GRANT SELECT ON {self._words['d']}.u TO {self._words['third']}")
        return outcomes

    def _outcome(self, session: Any, statement: str) -> str:
        try:
            with session.cursor() as cursor:
                cursor.execute(statement)
                rows = cursor.fetchall()
            session.rollback()
        except pymysql.MySQLError as error:
            # Which of the two is said of a table, depends on rights on its columns that are gone.
            code = error.args[0]
            return str(ER.TABLEACCESS_DENIED_ERROR if code == ER.COLUMNACCESS_DENIED_ERROR else code)
        if statement.startswith(("SHOW TABLES", "SHOW COLUMNS", "SHOW DATABASES", "SELECT")):
            return f"ok {rows}"
        return f"ok {len(rows)} rows" if not statement.startswith(("SHOW BIN", "SHOW MASTER", "SHOW ENGINE")) else "ok"

    @contextlib.contextmanager
    def _session(self, username: str, password: str, address: str) -> Iterator[Any]:
        server = self.target.server
        connection = pymysql.connect(
            host="127.0.0.1",
            port=server.port,
            user=username,
            password=password.encode(),
            bind_address=address,
            ssl_ca=str(server.ca_file),
            ssl_verify_identity=True,
            charset="utf8mb4",
        )
        try:
            yield connection
        finally:
            self._end(connection)

    def _end(self, connection: Any) -> None:
        """Close it, and wait for the server to have ended it: until then it counts for MAX_USER_CONNECTIONS."""
        number = connection.thread_id()
        connection.close()
        deadline = time.monotonic() + _PATIENCE
        while any(row[0] == number for row in self._run("SHOW PROCESSLIST")):
            assert time.monotonic() < deadline, "the server does not end a connection that was closed"
            time.sleep(0.005)

    def _without_tls(self, username: str, password: str) -> str:
        """Over the socket, which a server takes for safe where TLS is not required of the account."""
        place = str(self.target.server._folder / "socket")
        try:
            self._end(
                pymysql.connect(
                    unix_socket=place,
                    user=username,
                    password=password.encode(),
                    charset="utf8mb4",
                    # Else PyMySQL takes TLS wherever the server offers it.
                    ssl_disabled=True,
                )
            )
        except pymysql.MySQLError as error:
            return str(error.args[0])
        return "ok"

    def _at_once(self, username: str, password: str, address: str) -> str:
        with contextlib.ExitStack() as stack:
            for number in range(_AT_ONCE):
                try:
                    stack.enter_context(self._session(username, password, address))
                except pymysql.MySQLError as error:
                    return f"{number}, then {error.args[0]}"
        return str(_AT_ONCE)

    def _own_password(self, username: str, password: str, address: str) -> str:
        """Whether it may set the very password that it has: rules for passwords say so, and nothing is changed."""
        how = f"SET PASSWORD = {self.target.text(password)}"
        if self.kind == "mariadb":
            # Written down by no log: what is stored for it.
            how = self.target._identified(password).replace("IDENTIFIED BY PASSWORD", "SET PASSWORD =")
        with self._session(username, password, address) as session:
            # The first time puts it into a history of passwords, where there is one.
            self._outcome(session, how)
            return self._outcome(session, how)

    def _counted(self, username: str, password: str, address: str, statement: str, most: int) -> str:
        self._run("FLUSH USER_RESOURCES")
        with self._session(username, password, address) as session, session.cursor() as cursor:
            for number in range(most):
                try:
                    cursor.execute(statement)
                except pymysql.MySQLError as error:
                    return f"{number}, then {error.args[0]}"
        return str(most)

    def _in_an_hour(self, username: str, password: str, address: str) -> str:
        self._run("FLUSH USER_RESOURCES")
        for number in range(_MOST_CONNECTIONS):
            try:
                with self._session(username, password, address):
                    pass
            except pymysql.MySQLError as error:
                return f"{number}, then {error.args[0]}"
        return str(_MOST_CONNECTIONS)

    def _wrong_logins(self, username: str, address: str) -> str:
        codes = []
        for _ in range(_MOST_LOGINS):
            try:
                with self._session(username, "not the password", address):
                    codes.append("ok")
            except pymysql.MySQLError as error:
                codes.append(str(error.args[0]))
        for account in self._accounts(username):
            self._run(f"ALTER USER {account} ACCOUNT UNLOCK")
        return " ".join(codes)

    def end(self) -> None:
        """See :class:`equality.base.World`."""
        name = self.application.username
        text = self.target.text
        for username in (name, f"{name}_clone"):
            for (host,) in self._run(f"SELECT Host FROM mysql.user WHERE User = {text(username)}"):
                self._run(f"DROP USER {text(username)}@{text(host)}")
        if self._restricts:
            self._run("SET GLOBAL partial_revokes = OFF")
        self._root.close()

    def _run(self, statement: str) -> Any:
        with self._root.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()
