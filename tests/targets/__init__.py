"""What the suites know of a database: an engine joins them with a module here and its entry in KINDS."""

from targets.base import ALTERNATING, DUAL, SINGLE, Application, Kind, Rotated, Target, rotated
from targets.db2 import KIND as DB2
from targets.db2 import Db2Target
from targets.mongo import KIND as MONGO
from targets.mongo import MongoTarget
from targets.mysql import MARIADB, MYSQL, MysqlTarget
from targets.oracle import KIND as ORACLE
from targets.oracle import OracleDouble
from targets.postgres import KIND as POSTGRESQL
from targets.postgres import PostgresTarget
from targets.redshift import KIND as REDSHIFT
from targets.redshift import RedshiftTarget
from targets.sqlserver import KIND as SQLSERVER
from targets.sqlserver import SqlserverDouble

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (POSTGRESQL, MARIADB, MYSQL, MONGO, SQLSERVER, ORACLE, DB2, REDSHIFT)
}

__all__ = [
    "ALTERNATING",
    "DUAL",
    "KINDS",
    "SINGLE",
    "Application",
    "Db2Target",
    "Kind",
    "MongoTarget",
    "MysqlTarget",
    "OracleDouble",
    "PostgresTarget",
    "RedshiftTarget",
    "Rotated",
    "SqlserverDouble",
    "Target",
    "rotated",
]
