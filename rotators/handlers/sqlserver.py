"""The Lambda handler for SQL Server and RDS for SQL Server."""

from rotators.database import DatabaseRotator
from rotators.engines.sqlserver import SqlserverEngine

handler = DatabaseRotator(SqlserverEngine())
