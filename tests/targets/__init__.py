"""What the suites know of a database: an engine joins them with a module here and its entry in KINDS."""

from targets.base import ALTERNATING, DUAL, SINGLE, Application, Kind, Rotated, Target, rotated
from targets.mongo import KIND as MONGO
from targets.mongo import MongoTarget
from targets.mysql import MARIADB, MYSQL, MysqlTarget
from targets.postgres import KIND as POSTGRESQL
from targets.postgres import PostgresTarget

KINDS: dict[str, Kind] = {kind.name: kind for kind in (POSTGRESQL, MARIADB, MYSQL, MONGO)}

__all__ = [
    "ALTERNATING",
    "DUAL",
    "KINDS",
    "SINGLE",
    "Application",
    "Kind",
    "MongoTarget",
    "MysqlTarget",
    "PostgresTarget",
    "Rotated",
    "Target",
    "rotated",
]
