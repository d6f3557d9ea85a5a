"""The Lambda handler for MySQL, RDS for MySQL and Aurora MySQL."""

from rotators.database import DatabaseRotator
from rotators.engines.mysql import MysqlEngine

handler = DatabaseRotator(MysqlEngine())
