"""How Transact-SQL spells names and values.

https://learn.microsoft.com/sql/t-sql/functions/quotename-transact-sql,
https://learn.microsoft.com/sql/t-sql/data-types/constants-transact-sql
"""

from __future__ import annotations


def name(value: str) -> str:
    """A name in brackets, as QUOTENAME gives it."""
    return "[" + value.replace("]", "]]") + "]"


def text(value: str) -> str:
    """A Unicode literal."""
    return "N'" + value.replace("'", "''") + "'"


def binary(value: bytes) -> str:
    """A binary literal."""
    return "0x" + value.hex().upper()
