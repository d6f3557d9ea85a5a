"""The Lambda handler for PostgreSQL, RDS for PostgreSQL and Aurora PostgreSQL."""

from rotators.database import DatabaseRotator
from rotators.engines.postgres import PostgresEngine

handler = DatabaseRotator(PostgresEngine())
