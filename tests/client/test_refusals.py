"""Which errors of which drivers say "wrong user or password", and which do not."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import mysql.connector.errors
import oracledb
import psycopg
import psycopg2
import pymysql
import pytds
import pytest
import redis.exceptions
import sqlalchemy.exc
from asyncpg import exceptions as asyncpg
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

from rotators.client import is_refusal, refusals
from rotators.engines.db2 import errors as db2
from rotators.engines.mongo import errors as mongo
from rotators.engines.mysql import errors as mysql_errors
from rotators.engines.oracle import errors as oracle
from rotators.engines.sqlserver import errors as sqlserver
from rotators.errors import LoginRefused

LIBPQ = 'connection to server at "db" (192.0.2.1), port 5432 failed: FATAL:  '


def with_number(number: int) -> pytds.LoginError:
    error = pytds.LoginError("said")
    error.msg_no = number
    return error


def db2_error(reason: str) -> Exception:
    kind = type("Error", (Exception,), {"__module__": "ibm_db_dbi"})
    return kind(f'SQL30082N  Security processing failed with reason "{reason}" ("…").  SQLSTATE=08001 SQLCODE=-30082')


def oracle_error(code: str) -> oracledb.DatabaseError:
    return oracledb.DatabaseError(SimpleNamespace(full_code=code, code=int(code[4:]), message=code))


def pyodbc_error(number: int) -> Exception:
    kind = type("InterfaceError", (Exception,), {"__module__": "pyodbc"})
    return kind("28000", f"[28000] [Microsoft][ODBC Driver 18 for SQL Server] said ({number}) (SQLDriverConnect)")


def cased(error: type[Exception], below: Exception) -> Exception:
    found = error("of a library")
    found.__cause__ = below
    return found


REFUSED = {
    "psycopg2": psycopg2.OperationalError(LIBPQ + 'password authentication failed for user "app"'),
    "psycopg2, German": psycopg2.OperationalError(
        LIBPQ + "Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen"
    ),
    "psycopg": psycopg.OperationalError(LIBPQ + 'password authentication failed for user "app"'),
    "psycopg with a state": psycopg.errors.InvalidPassword("no"),
    "asyncpg": asyncpg.InvalidPasswordError("no"),
    "asyncpg, another state": asyncpg.InvalidAuthorizationSpecificationError('role "app" does not exist'),
    "redshift_connector": Exception({"S": "FATAL", "C": "28000", "M": "password authentication failed"}),
    "pymysql": pymysql.err.OperationalError(1045, "Access denied"),
    "pymysql, 1698": pymysql.err.OperationalError(1698, "Access denied"),
    "mysql-connector": mysql.connector.errors.ProgrammingError("Access denied", 1045),
    "pytds": with_number(18456),
    "pymssql": type("OperationalError", (Exception,), {"__module__": "pymssql"})((18456, b"Login failed")),
    "pyodbc": pyodbc_error(18456),
    "oracledb": oracle_error("ORA-01017"),
    "pymongo": OperationFailure("Authentication failed.", 18),
    "Db2": db2_error("24"),
    "redis": redis.exceptions.AuthenticationError("invalid username-password pair or user is disabled."),
    "SQLAlchemy": sqlalchemy.exc.OperationalError("", {}, pymysql.err.OperationalError(1045, "Access denied")),
    "a wrapper": cased(RuntimeError, asyncpg.InvalidPasswordError("no")),
}
OTHER = {
    "psycopg2, network": psycopg2.OperationalError("connection refused"),
    "psycopg2, pg_hba.conf": psycopg2.OperationalError(LIBPQ + 'no pg_hba.conf entry for host "192.0.2.2"'),
    "psycopg2, NOLOGIN": psycopg2.OperationalError(LIBPQ + 'role "app" is not permitted to log in'),
    "psycopg2, database": psycopg2.OperationalError(LIBPQ + 'database "app" does not exist'),
    "asyncpg, pg_hba.conf": asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry for host"),
    "asyncpg, database": asyncpg.InvalidCatalogNameError("no"),
    "pymysql, database": pymysql.err.OperationalError(1044, "Access denied to database"),
    "pymysql, locked": pymysql.err.OperationalError(3118, "Account is locked"),
    "pymysql, blocked": pymysql.err.OperationalError(3955, "blocked"),
    "pymysql, expired": pymysql.err.OperationalError(1862, "expired"),
    "pymysql, gone": pymysql.err.OperationalError(2013, "lost"),
    "pytds, locked": with_number(18486),
    "pytds, expired": with_number(18487),
    "pytds, to be changed": with_number(18488),
    "pyodbc, locked": pyodbc_error(18486),
    "oracledb, locked": oracle_error("ORA-28000"),
    "oracledb, expired": oracle_error("ORA-28001"),
    "pymongo, right": OperationFailure("not authorized", 13),
    "pymongo, network": ServerSelectionTimeoutError("no server"),
    "Db2, expired": db2_error("1"),
    "Db2, disabled": db2_error("19"),
    "redis, network": redis.exceptions.ConnectionError("no"),
    "redis, right": redis.exceptions.NoPermissionError("no"),
    "a time-out": TimeoutError("28P01"),
    "a number of nobody's": ValueError(1045),
}


@pytest.mark.parametrize("error", REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_told(error: Exception) -> None:
    assert is_refusal(error)


@pytest.mark.parametrize("error", OTHER.values(), ids=OTHER)
def test_anything_else_is_none(error: Exception) -> None:
    assert not is_refusal(error)


def test_a_refusal_while_another_error_is_handled_is_no_cause_of_it() -> None:
    error = TimeoutError()
    error.__context__ = asyncpg.InvalidPasswordError("no")
    assert not is_refusal(error)


def _other(advice: str) -> bool:
    """Whether a login that our engines call refused is refused for another reason than the password."""
    return re.search(r"locked|blocked|expired|must be changed|empty|how the user logs in", advice) is not None


def test_the_rotators_and_the_client_tell_the_same_codes() -> None:
    tables: dict[str, tuple[Any, Any]] = {
        "MySQL": (mysql_errors.LOGIN.codes, lambda code: is_refusal(pymysql.err.OperationalError(code, "said"))),
        "SQL Server": (sqlserver.LOGIN.codes, lambda code: is_refusal(with_number(code))),
        "Oracle": (
            {code: meaning for code, meaning in oracle.LOGIN.codes.items() if str(code).startswith("ORA")},
            lambda code: is_refusal(oracle_error(code)),
        ),
        "MongoDB": (mongo.LOGIN.codes, lambda code: is_refusal(OperationFailure("said", code))),
        "Db2": (db2._LOGIN_REASONS, lambda reason: is_refusal(db2_error(reason))),
    }
    for name, (table, told) in tables.items():
        for code, meaning in table.items():
            kind, advice = meaning[:2]
            if code in refusals.MYSQL and code == 1698:
                # By the operating system's account: a rotator can't change that, an application's other user can.
                continue
            assert told(code) == (kind is LoginRefused and not _other(advice)), (name, code)
