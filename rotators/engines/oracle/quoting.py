"""How Oracle reads and spells the names of users, and passwords.

A name without quotes is folded to upper case, at a login as in a statement:
https://docs.oracle.com/en/database/oracle/oracle-database/19/sqlrf/Database-Object-Names-and-Qualifiers.html
"""

from __future__ import annotations

from rotators.engines.base import CLONE_SUFFIX

_QUOTE = '"'


def fold(username: str) -> str:
    """The name as the catalog has it, from one as a secret has it: ``app`` is APP, ``"app"`` is app."""
    return username[1:-1] if _is_quoted(username) else "".join(map(_upper, username))


def quoted(value: str) -> str:
    """A name of the catalog, or a password, in a statement; it must be ``possible``."""
    return f'"{value}"'


def possible(value: str) -> bool:
    """Whether there can be such a name or password: nothing stands for a double quote, nor for a NUL."""
    inner = value[1:-1] if _is_quoted(value) else value
    return bool(inner) and _QUOTE not in inner and "\0" not in inner


def is_proxied(username: str) -> bool:
    """Whether a user's name asks for a login through another one: ``app[payroll]`` is payroll, by app's password."""
    return not _is_quoted(username) and "[" in username


def text(value: str) -> str:
    """A text literal, for the one statement that can't have a bind variable."""
    return "'" + value.replace("'", "''") + "'"


def alternate(username: str) -> str:
    """The other of a pair: AWS's template takes ``_CLONE``, and the case of an unquoted name means nothing."""
    if _is_quoted(username):
        return f'"{_alternate(username[1:-1])}"'
    return _alternate(username)


def is_clone(name: str) -> bool:
    """Whether a name is the derived one of a pair."""
    return name.lower().endswith(CLONE_SUFFIX)


def _alternate(name: str) -> str:
    if is_clone(name):
        return name[: -len(CLONE_SUFFIX)]
    return name + (CLONE_SUFFIX.upper() if name.isupper() else CLONE_SUFFIX)


def _upper(character: str) -> str:
    # Letter by letter: Oracle does not upper-case ß to SS.
    upper = character.upper()
    return upper if len(upper) == 1 else character


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value.startswith(_QUOTE) and value.endswith(_QUOTE)
