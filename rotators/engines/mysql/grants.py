"""What an account may do, as a set that can be compared: the answer of SHOW GRANTS, taken apart.

https://dev.mysql.com/doc/refman/8.4/en/show-grants.html, https://mariadb.com/kb/en/show-grants/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

# A name in backticks, a text in quotes, a word, or a single character: quotes inside are doubled.
_TOKEN = re.compile(r"`(?:[^`]|``)*`|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[^\s`'\"(),]+|[(),]")
# Whoever may be anybody's proxy, and pass that on: ''@'' or ``@`%`.
_ANYBODY = re.compile(r"(?:''|``)@")
_OPEN, _CLOSE, _COMMA = "(", ")", ","
_ALL = {"ALL", "ALL PRIVILEGES"}
_OBJECT_TYPES = {"TABLE", "FUNCTION", "PROCEDURE", "PACKAGE", "BODY", "LIBRARY"}

Kind = Literal["privilege", "grant option", "role", "admin option", "proxy", "proxy option", "revoked", "default role"]

_GIVE: dict[Kind, str] = {
    "privilege": "GRANT {name} ON {on} TO {account}",
    "grant option": "GRANT USAGE ON {on} TO {account} WITH GRANT OPTION",
    "role": "GRANT {name} TO {account}",
    "admin option": "GRANT {name} TO {account} WITH ADMIN OPTION",
    "proxy": "GRANT PROXY ON {name} TO {account}",
    "proxy option": "GRANT PROXY ON {name} TO {account} WITH GRANT OPTION",
    "revoked": "REVOKE {name} ON {on} FROM {account}",
    "default role": "SET DEFAULT ROLE {name} FOR {account}",
}
_TAKE: dict[Kind, str] = {
    "privilege": "REVOKE {name} ON {on} FROM {account}",
    "grant option": "REVOKE GRANT OPTION ON {on} FROM {account}",
    "role": "REVOKE {name} FROM {account}",
    "proxy": "REVOKE PROXY ON {name} FROM {account}",
    "revoked": "GRANT {name} ON {on} TO {account}",
    "default role": "SET DEFAULT ROLE NONE FOR {account}",
}
_ORDER = list(_GIVE)
# An option that can't be taken alone goes with its right, which then comes back.
_OPTION_OF: dict[Kind, Kind] = {"admin option": "role", "proxy option": "proxy"}


@dataclass(frozen=True, order=True)
class Right:
    """One thing an account may do (or, ``revoked``, may not do although it may everywhere else).

    Args:
        kind: what sort of right.
        name: the privilege (``SELECT``, ``SELECT (`a`)``), or the role, or the account to be a proxy of.
        on: the object, as the server writes it: ``*.*``, ``TABLE `db`.`t```; empty for roles and proxies.
    """

    kind: Kind
    name: str
    on: str = ""


def rights(grants: Iterable[str]) -> set[Right]:
    """Take the lines of SHOW GRANTS apart.

    Raises:
        ValueError: a line is of no form that is known; without the line, which may hold a hash.
    """
    found: set[Right] = set()
    for grant in grants:
        found.update(_rights(_TOKEN.findall(grant)))
    return {right for right in found if (right.kind, right.name) != ("privilege", "USAGE")}


def statements(wanted: set[Right], present: set[Right], account: str) -> Iterator[str]:
    """What to run so that an account with some rights has exactly those that are wanted.

    Nothing that is wanted is taken away on the way: what is missing comes first.

    Args:
        account: the account, quoted.
    """
    missing, extra = wanted - present, present - wanted
    everything = {right.on for right in wanted if right.kind == "privilege" and right.name in _ALL}
    for right in sorted(right for right in extra if right.kind == "privilege" and right.name in _ALL):
        # All but some can't be said: all goes, and what is wanted comes back.
        yield f"REVOKE ALL PRIVILEGES ON {right.on} FROM {account}"
        missing |= {one for one in wanted if one.kind in {"privilege", "grant option"} and one.on == right.on}
        extra -= {one for one in extra if one.kind == "privilege" and one.on == right.on}
    # A role before its option, which a grant without it would end, and both before they are the default.
    for right in sorted(missing, key=lambda right: (_ORDER.index(right.kind), right)):
        yield _GIVE[right.kind].format(name=right.name, on=right.on, account=account)
    for right in sorted(extra):
        if right.kind != "privilege" or right.on not in everything:
            yield from _take(right, account, wanted)


def lacking(wanted: set[Right], admin: set[Right], all_means: frozenset[str]) -> list[str]:
    """The grants that an admin would need to pass rights on, as statements without their account.

    Args:
        all_means: what ALL PRIVILEGES on a database comprises.
    """
    everywhere = {right.name for right in admin if right.kind == "privilege" and right.on == "*.*"}
    may_pass = Right("grant option", "GRANT OPTION", "*.*") in admin
    needed = []
    for right in sorted(wanted):
        if right.kind == "privilege":
            parts = all_means if right.name in _ALL else {right.name.partition(" (")[0]}
            here = {Right("privilege", right.name, right.on), Right("grant option", "GRANT OPTION", right.on)}
            passes = may_pass and (bool(everywhere & _ALL) or parts <= everywhere)
            if not passes and not here <= admin:
                needed.append(f"GRANT {right.name} ON {right.on}")
        elif (
            right.kind == "role"
            and not everywhere & {"ROLE_ADMIN", "SUPER", *_ALL}
            and not {Right("role", right.name), Right("admin option", right.name)} <= admin
        ):
            needed.append(f"GRANT {right.name}")
        elif right.kind == "proxy" and not any(
            one.kind == "proxy option" and (one.name == right.name or _ANYBODY.match(one.name)) for one in admin
        ):
            needed.append(f"GRANT PROXY ON {right.name}")
    return needed


def _rights(tokens: list[str]) -> Iterator[Right]:
    verb = tokens[0].upper()
    words = [token.upper() for token in tokens]
    if verb == "SET":  # SET DEFAULT ROLE r FOR account, of MariaDB
        yield Right("default role", tokens[3])
        return
    end = _last(words, "FROM" if verb == "REVOKE" else "TO")
    tail = words[end:]
    if "ON" not in words[:end]:
        for role in _names(tokens[1:end]):
            yield Right("role", role)
            if "ADMIN" in tail:
                yield Right("admin option", role)
        return
    on = words.index("ON")
    [target] = _names(tokens[on + 1 : end])
    if words[1] == "PROXY":
        yield Right("proxy", target)
        if "GRANT" in tail:
            yield Right("proxy option", target)
        return
    for privilege in _privileges(tokens[1:on]):
        yield Right("revoked" if verb == "REVOKE" else "privilege", privilege, target)
    if "GRANT" in tail and "OPTION" in tail:
        yield Right("grant option", "GRANT OPTION", target)


def _last(words: list[str], word: str) -> int:
    # From the end: a name may hold the word too, but then it stands in backticks.
    for index in range(len(words) - 1, -1, -1):
        if words[index] == word:
            return index
    raise ValueError(word)


def _names(tokens: list[str]) -> list[str]:
    """Names separated by commas, put together as they stood: ``TABLE `db`.`t```, ```r`@`%```."""
    names = [""]
    for token in tokens:
        if token == _COMMA:
            names.append("")
        else:
            names[-1] += f"{token} " if token.upper() in _OBJECT_TYPES else token
    return names


def _privileges(tokens: list[str]) -> Iterator[str]:
    """``SELECT (`a`, `b`), UPDATE`` as ``SELECT (`a`)``, ``SELECT (`b`)``, ``UPDATE``."""
    name: list[str] = []
    columns: list[str] | None = None
    for token in [*tokens, _COMMA]:
        if token == _OPEN:
            columns = []
        elif token == _CLOSE:
            for column in columns or ():
                yield f"{' '.join(name)} ({column})"
            name, columns = [], None
        elif token == _COMMA:
            if name and columns is None:
                yield " ".join(name)
                name = []
        elif columns is not None:
            columns.append(token)
        else:
            name.append(token.upper())


def _take(right: Right, account: str, wanted: set[Right]) -> Iterator[str]:
    if right.kind == "default role" and any(one.kind == "default role" for one in wanted):
        return
    base = _OPTION_OF.get(right.kind)
    if base is None:
        yield _TAKE[right.kind].format(name=right.name, on=right.on, account=account)
    elif Right(base, right.name) in wanted:
        yield _TAKE[base].format(name=right.name, on=right.on, account=account)
        yield _GIVE[base].format(name=right.name, on=right.on, account=account)
