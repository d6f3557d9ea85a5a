"""What a secret's ``engine`` may say, and which handler serves it."""

from __future__ import annotations

# The first name of each is the handler's module. The aliases are what RDS's API and older secrets say:
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
ENGINE_NAMES: dict[str, frozenset[str]] = {
    "postgres": frozenset({"postgres", "postgresql", "aurora-postgresql"}),
    "mysql": frozenset({"mysql", "aurora-mysql", "aurora"}),
    "mariadb": frozenset({"mariadb"}),
    "oracle": frozenset({"oracle"}),
    "sqlserver": frozenset({"sqlserver"}),
    "db2": frozenset({"db2"}),
    "mongo": frozenset({"mongo", "docdb"}),
    "redshift": frozenset({"redshift"}),
}


def serving(engine: str) -> str | None:
    """The engine whose handler serves a secret that says ``engine``; None where there is none."""
    return next((name for name, spellings in ENGINE_NAMES.items() if engine in spellings), None)
