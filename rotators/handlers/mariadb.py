"""The Lambda handler for MariaDB and RDS for MariaDB."""

from rotators.database import DatabaseRotator
from rotators.engines.mysql import MariadbEngine

handler = DatabaseRotator(MariadbEngine())
