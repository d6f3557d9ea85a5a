"""Converts settings of roles from the catalog's form to SET's."""

from __future__ import annotations

import re

from psycopg2 import sql

# Settings whose values are lists of separately quoted names. The server stores them so, and no view says which.
# https://www.postgresql.org/docs/current/sql-alterrole.html and src/bin/pg_dump/dumputils.c
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "temp_tablespaces",
}
_LIST_ITEM = re.compile(r'"((?:[^"]|"")*)"|([^,\s"]+)')


def setting_value(name: str, value: str) -> sql.Composable:
    """A setting's value from the catalog, as SET takes it."""
    if name.lower() not in _LISTS:
        return sql.Literal(value)
    items = [quoted.replace('""', '"') if quoted else bare for quoted, bare in _LIST_ITEM.findall(value)]
    return sql.SQL(", ").join(map(sql.Literal, items or [""]))
