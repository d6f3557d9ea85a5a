"""Texts, names and accounts as statements take them, in sessions with ``NO_BACKSLASH_ESCAPES``."""

from __future__ import annotations

# Names are kept in three bytes a character: https://dev.mysql.com/doc/refman/8.4/en/user-names.html
_HIGHEST_IN_NAMES = 0xFFFF


def quote_text(value: str) -> str:
    """A text literal: a quote is doubled, a backslash is a backslash."""
    return "'" + value.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """A name in backticks."""
    return "`" + name.replace("`", "``") + "`"


def quote_account(user: str, host: str) -> str:
    """An account: ``'app'@'%'``."""
    return f"{quote_text(user)}@{quote_text(host)}"


def quote_role(name: str, host: str) -> str:
    """A role or a proxied account as SHOW GRANTS writes it: ```r`@`%```; MariaDB's roles have no host."""
    return f"{quote_name(name)}@{quote_name(host)}" if host else quote_name(name)


def has_no_account(name: str) -> bool:
    """Whether a name holds characters that no account's name can hold, so that it may not be asked for."""
    return any(ord(character) > _HIGHEST_IN_NAMES for character in name)
