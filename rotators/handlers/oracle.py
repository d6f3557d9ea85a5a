"""The Lambda handler for Oracle and RDS for Oracle."""

from rotators.database import DatabaseRotator
from rotators.engines.oracle import OracleEngine

handler = DatabaseRotator(OracleEngine())
