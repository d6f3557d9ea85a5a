"""The Lambda handler for RDS for Db2."""

from rotators.database import DatabaseRotator
from rotators.engines.db2 import Db2Engine

handler = DatabaseRotator(Db2Engine())
