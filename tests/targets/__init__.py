"""What the suites know of a database: an engine joins them with a module here and its entry in KINDS."""

from targets.base import ALTERNATING, DUAL, SINGLE, Application, Kind, Rotated, Target, rotated
from targets.mysql import MARIADB, MYSQL, MysqlTarget
from targets.postgres import KIND as POSTGRESQL
from targets.postgres import PostgresTarget

KINDS: dict[str, Kind] = {kind.name: kind for kind in (POSTGRESQL, MARIADB, MYSQL)}

__all__ = [
    "ALTERNATING",
    "DUAL",
    "KINDS",
    "SINGLE",
    "Application",
    "Kind",
    "MysqlTarget",
    "PostgresTarget",
    "Rotated",
    "Target",
    "rotated",
]
