"""Tells whether a driver's error means "wrong user or password".

Decided by the driver's error code, without importing a driver. A locked account, an expired password, a missing
privilege, a missing database and network errors are not refusals: another password does not help there, and trying one
costs a failed login.

PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html
MySQL: https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
MariaDB: https://mariadb.com/kb/en/mariadb-error-codes/
SQL Server: https://learn.microsoft.com/sql/relational-databases/errors-events/mssqlserver-18456-database-engine-error
Oracle: https://docs.oracle.com/en/error-help/db/ora-01017/
MongoDB: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
Db2: https://www.ibm.com/docs/en/db2/11.5.x?topic=messages-sql30000-sql30499#sql30082n
Redis: https://redis.io/docs/latest/commands/auth/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

SQLSTATES = frozenset({"28P01", "28000"})
MYSQL = frozenset({1045, 1698})
SQL_SERVER = 18456
ORACLE = 1017
MONGO = 18
# Password missing, user name missing, user name or password invalid.
DB2_REASONS = frozenset({"3", "5", "24"})
_DB2 = re.compile(r'SQL30082N.*?reason\s+"(\d+)"', re.DOTALL)
_ORACLE = re.compile(r"\bORA-01017\b")
_ODBC_NUMBER = re.compile(r"\((\d{4,5})\) \(SQLDriverConnect\)|\((\d{4,5})\)\s*$")
# PostgreSQL also reports 28000 if no pg_hba.conf entry allows the address, and if the role may not log in.
_NOT_THE_PASSWORD = re.compile(r"pg_hba\.conf|not permitted to log in")
# libpq gives no SQLSTATE for a login. Its drivers only have the server's text, in the language of lc_messages.
_LIBPQ = re.compile(
    r"password authentication failed for user"
    r"|FATAL:  role \".*\" does not exist"
    r"|Passwort-Authentifizierung"
    r"|authentification par mot de passe"
    r"|autentificación (?:por contraseña|password)"
    r"|autenticazione con password"
    r"|autenticação do tipo senha"
    r"|パスワード認証に失敗"
    r"|Password 认证失败|密码认证失败"
    r"|password 인증"
    r"|проверку подлинности \(по паролю\)"
)
_LIBPQ_DRIVERS = frozenset({"psycopg", "psycopg2"})
_MYSQL_DRIVERS = frozenset({"pymysql", "MySQLdb", "mysql", "asyncmy", "aiomysql", "mariadb"})
_ORACLE_DRIVERS = frozenset({"oracledb", "cx_Oracle"})
_SQL_SERVER_DRIVERS = frozenset({"pytds", "pymssql", "_mssql", "mssql_python"})
_REDIS_DRIVERS = frozenset({"redis", "valkey"})
# How many levels to look below an error that wraps a driver's own.
_DEPTH = 5


def is_refusal(error: BaseException) -> bool:
    """Whether a driver's error means a wrong user or password.

    Args:
        error: a driver's error, or one that wraps it, by SQLAlchemy's ``orig`` or by ``__cause__``.
    """
    return any(_says_so(one) for one in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(_DEPTH):
        if found is None:
            return
        yield found
        below = getattr(found, "orig", None)
        found = below if isinstance(below, BaseException) else found.__cause__


def _says_so(error: BaseException) -> bool:  # noqa: PLR0911  # one return for each family of drivers
    drivers = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    state = _sqlstate(error)
    if drivers & _MYSQL_DRIVERS:
        return _number(error, "errno") in MYSQL
    if drivers & _ORACLE_DRIVERS:
        return _oracle(error)
    if drivers & _SQL_SERVER_DRIVERS:
        return SQL_SERVER in {_number(error, "msg_no"), _number(error, "number")}
    if drivers & {"pymongo"}:
        return getattr(error, "code", None) == MONGO
    if drivers & _REDIS_DRIVERS:
        return any(kind.__name__ == "AuthenticationError" for kind in type(error).__mro__)
    if drivers & {"ibm_db", "ibm_db_dbi"} or "SQL30082N" in _text(error):
        found = _DB2.search(_text(error))
        return found is not None and found[1] in DB2_REASONS
    if drivers & {"pyodbc"}:
        numbers = [int(one or other) for one, other in _ODBC_NUMBER.findall(_text(error))]
        return (SQL_SERVER in numbers) if numbers else error.args[:1] == ("28000",)
    if state is not None:
        return state in SQLSTATES and not _NOT_THE_PASSWORD.search(_text(error))
    return bool(drivers & _LIBPQ_DRIVERS) and _LIBPQ.search(_text(error)) is not None


def _sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE, as asyncpg and psycopg 3, psycopg2, or pg8000 and redshift_connector hold it."""
    for name in ("sqlstate", "pgcode"):
        if isinstance(state := getattr(error, name, None), str):
            return state
    first = error.args[0] if error.args else None
    if isinstance(first, dict) and isinstance(state := first.get("C"), str):
        return state
    return None


def _number(error: BaseException, name: str) -> Any:
    number = getattr(error, name, None)
    if number is None and error.args:
        first = error.args[0]
        number = first[0] if isinstance(first, tuple) and first else first
    return number if isinstance(number, int) else None


def _oracle(error: BaseException) -> bool:
    first = error.args[0] if error.args else None
    code = getattr(first, "full_code", None)
    if code:
        return bool(code == "ORA-01017")
    return getattr(first, "code", None) == ORACLE or _ORACLE.search(_text(error)) is not None


def _text(error: BaseException) -> str:
    return " ".join(str(argument) for argument in error.args)
