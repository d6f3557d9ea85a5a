"""An account's rights as a set to compare, and the statements that change one set into another.

The sets are made from the servers' catalogs (:mod:`rotators.engines.mysql.accounts`), with every name quoted here.
The text of SHOW GRANTS is parsed only to compare it. It is never sent back.

https://dev.mysql.com/doc/refman/8.4/en/show-grants.html, https://mariadb.com/kb/en/show-grants/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from rotators.engines.mysql.quoting import quote_account

# A name in backticks, a text in quotes, a word, or a single character: quotes inside are doubled.
_TOKEN = re.compile(r"`(?:[^`]|``)*`|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[^\s`'\"(),]+|[(),]")
# The account that means any user in GRANT PROXY: ''@'' or ''@'%'.
_ANYBODY = re.compile(r"''@")
_ACCOUNT = re.compile(r"(`(?:[^`]|``)*`|'(?:[^']|'')*')@(`(?:[^`]|``)*`|'(?:[^']|'')*')")
_OPEN, _CLOSE, _COMMA = "(", ")", ","
_ALL = {"ALL", "ALL PRIVILEGES"}
_OBJECT_TYPES = {"TABLE", "FUNCTION", "PROCEDURE", "PACKAGE", "BODY", "LIBRARY"}
EVERYWHERE = "*.*"
GIVES_ROLES = frozenset({"ROLE_ADMIN", "SUPER", *_ALL})
"""The privileges that let somebody give any role, on MySQL."""
GRANT_OPTION = "GRANT OPTION"

Kind = Literal[
    "privilege", "grant option", "dynamic option", "role", "admin option", "proxy", "proxy option", "revoked",
    "default role",
]  # fmt: skip

_GIVE: dict[Kind, str] = {
    "privilege": "GRANT {name} ON {on} TO {account}",
    "grant option": "GRANT USAGE ON {on} TO {account} WITH GRANT OPTION",
    "role": "GRANT {name} TO {account}",
    "admin option": "GRANT {name} TO {account} WITH ADMIN OPTION",
    "proxy": "GRANT PROXY ON {name} TO {account}",
    "proxy option": "GRANT PROXY ON {name} TO {account} WITH GRANT OPTION",
    "dynamic option": "GRANT {name} ON {on} TO {account} WITH GRANT OPTION",
    "revoked": "REVOKE {name} ON {on} FROM {account}",
}
_TAKE: dict[Kind, str] = {
    "privilege": "REVOKE {name} ON {on} FROM {account}",
    "grant option": "REVOKE GRANT OPTION ON {on} FROM {account}",
    "role": "REVOKE {name} FROM {account}",
    "proxy": "REVOKE PROXY ON {name} FROM {account}",
    "revoked": "GRANT {name} ON {on} TO {account}",
}
# An option that can't be revoked alone is revoked with its right, which is then granted again.
_OPTION_OF: dict[Kind, Kind] = {"admin option": "role", "proxy option": "proxy", "dynamic option": "privilege"}


@dataclass(frozen=True, order=True)
class GrantedRight:
    """One right of an account (or, if ``revoked``, an exception to a global right).

    Args:
        kind: the kind of right. ``dynamic option``: the grant option of one dynamic privilege, which MySQL stores
            separately.
        name: the privilege (``SELECT``, ``SELECT (`a`)``), or the role, or the proxied account.
        on: the object, as the server writes it: ``*.*``, ``TABLE `db`.`t```; empty for roles and proxies.
    """

    kind: Kind
    name: str
    on: str = ""

    def __str__(self) -> str:
        words = {
            "grant option": f"GRANT OPTION ON {self.on}",
            "role": f"the role {self.name}",
            "admin option": f"the ADMIN OPTION of {self.name}",
            "proxy": f"PROXY ON {self.name}",
            "proxy option": f"PROXY ON {self.name} WITH GRANT OPTION",
            "dynamic option": f"{self.name} ON {self.on} WITH GRANT OPTION",
            "revoked": f"the revoked {self.name} ON {self.on}",
        }
        return words.get(self.kind, f"{self.name} ON {self.on}")


_OPTION_EVERYWHERE = GrantedRight("grant option", GRANT_OPTION, EVERYWHERE)


def parse(grants: Iterable[str]) -> set[GrantedRight]:
    """Parse the lines of SHOW GRANTS.

    Raises:
        ValueError: a line has an unknown form. The text does not hold the line, which may contain a hash.
    """
    found: set[GrantedRight] = set()
    for grant in grants:
        found.update(_rights(_TOKEN.findall(grant)))
    return {right for right in found if (right.kind, right.name) != ("privilege", "USAGE")}


def statements(wanted: set[GrantedRight], present: set[GrantedRight], account: str) -> Iterator[str]:
    """The statements that give an account exactly the wanted rights.

    Missing rights are granted first. A wanted right is never revoked in between, with three exceptions: an option that
    can't be revoked alone, one that takes the options of dynamic privileges with it, and a table's privilege, which
    takes those of its columns with it. Privileges on one object are granted and revoked together.

    Args:
        wanted: the rights that it should have.
        present: the rights that it has.
        account: the account, quoted.
    """
    revokes_option = _revokes_option_everywhere(wanted, present)
    if revokes_option:
        # With it MySQL revokes the options of dynamic privileges from its tables, but not from its memory, where they
        # then outlive the privilege: so these privileges are revoked before, and granted again.
        names = {right.name for right in present if right.kind == "dynamic option"}
        going = {right for right in present if right.on == EVERYWHERE and right.name in names}
        yield from _each("privilege", going, _TAKE, account)
        present = present - going - {_OPTION_EVERYWHERE}
    missing, extra = wanted - present, present - wanted
    # GRANT … WITH GRANT OPTION gives the right as well.
    whole = {GrantedRight(_OPTION_OF[one.kind], one.name, one.on) for one in missing if one.kind in _OPTION_OF}
    if any(one.kind == "proxy option" for one in missing):
        # MariaDB stores an option that is added later only in memory, until it restarts: so the proxy is granted again.
        for right in sorted(whole & present):
            if right.kind == "proxy":
                yield _TAKE["proxy"].format(name=right.name, on=right.on, account=account)
    for kind in _GIVE:
        if kind == "dynamic option" and revokes_option:
            yield _TAKE["grant option"].format(on=EVERYWHERE, account=account)
        yield from _each(kind, missing - whole, _GIVE, account)
    yield from _each("privilege", extra, _TAKE, account)
    # Revoking a privilege on a table revokes it on the table's columns as well.
    taken = {(right.name, right.on) for right in extra if right.kind == "privilege"}
    again = {right for right in wanted if " (" in right.name and (right.name.partition(" (")[0], right.on) in taken}
    yield from _each("privilege", again, _GIVE, account)
    for right in sorted(extra):
        yield from _take(right, account, wanted)


def _revokes_option_everywhere(wanted: set[GrantedRight], present: set[GrantedRight]) -> bool:
    """Whether to revoke the grant option of ``*.*``: GRANT PROXY … WITH GRANT OPTION gives it as well."""
    gives = any(one.kind == "proxy option" for one in wanted - present)
    return _OPTION_EVERYWHERE not in wanted and (_OPTION_EVERYWHERE in present or gives)


def _each(kind: Kind, rights: set[GrantedRight], how: dict[Kind, str], account: str) -> Iterator[str]:
    chosen = sorted(right for right in rights if right.kind == kind)
    if kind != "privilege":
        yield from (how[kind].format(name=one.name, on=one.on, account=account) for one in chosen)
        return
    names: dict[str, list[str]] = {}
    for right in chosen:
        names.setdefault(right.on, []).append(right.name)
    for on in sorted(names):
        yield how[kind].format(name=", ".join(names[on]), on=on, account=account)


def lacking(
    wanted: set[GrantedRight],
    admin: set[GrantedRight],
    everything: set[GrantedRight],
    *,
    gives_roles: frozenset[str] = GIVES_ROLES,
) -> list[str]:
    """The grants that an admin lacks to pass rights on, as statements without their account.

    Args:
        wanted: the rights to grant.
        admin: the admin's rights, including its active roles.
        everything: all rights that the receiver should have. If they include a partial revoke, the admin may have it.
        gives_roles: the privileges that let a user grant any role.
    """
    everywhere = {right.name for right in admin if right.kind == "privilege" and right.on == EVERYWHERE}
    may_pass = _OPTION_EVERYWHERE in admin
    needed = []
    for right in sorted(wanted):
        if right.kind == "privilege":
            if not _passes(right, admin, everywhere, may_pass=may_pass):
                needed.append(f"GRANT {right.name} ON {right.on}")
        elif right.kind == "dynamic option":
            if right not in admin and not everywhere & {"SUPER", *_ALL}:
                needed.append(f"GRANT {right.name} ON {right.on}")
        elif (
            right.kind == "role"
            and not everywhere & gives_roles
            and not {GrantedRight("role", right.name), GrantedRight("admin option", right.name)} <= admin
        ):
            needed.append(f"GRANT {right.name}")
        elif right.kind == "proxy" and not any(
            one.kind == "proxy option" and (one.name == right.name or _ANYBODY.match(one.name)) for one in admin
        ):
            needed.append(f"GRANT PROXY ON {right.name}")
    wider = {right.name for right in everything if right.kind == "privilege" and right.on == EVERYWHERE}
    # https://dev.mysql.com/doc/refman/8.4/en/partial-revokes.html: whom the admin grants gets its restrictions.
    needed += [
        f"GRANT {right.name} ON {right.on}"
        for right in sorted(admin - everything)
        if right.kind == "revoked" and right.name in wider
    ]
    # A dynamic privilege and its option need one and the same grant.
    return list(dict.fromkeys(needed))


def _passes(right: GrantedRight, admin: set[GrantedRight], everywhere: set[str], *, may_pass: bool) -> bool:
    name = right.name.partition(" (")[0]
    if GrantedRight("dynamic option", name, right.on) in admin or (may_pass and everywhere & {name, *_ALL}):
        return True
    # On the object itself, its table or its database.
    database = f"{right.on.partition('.')[0].rpartition(' ')[2]}.*"
    return any(
        GrantedRight("grant option", GRANT_OPTION, on) in admin
        and any(GrantedRight("privilege", one, on) in admin for one in (right.name, name, *_ALL))
        for on in (right.on, database)
    )


def beyond(rights: set[GrantedRight], power: set[GrantedRight]) -> GrantedRight | None:
    """The first right that another account does not have; None if there is none.

    Args:
        rights: the account's rights.
        power: all rights of the other account, including those of its roles.
    """
    limits = {(right.name, right.on) for right in power if right.kind == "revoked"}
    for right in sorted(rights):
        if right.kind in {"revoked", "default role"} or right in power:
            continue
        if right.kind in {"privilege", "grant option"} and _comprised(right, power, limits):
            continue
        return right
    # A right that one has with a partial revoke, the other must not have everywhere.
    whole = {right.name for right in rights if right.kind == "privilege" and right.on == EVERYWHERE}
    for name, on in sorted(limits):
        if name in whole and GrantedRight("revoked", name, on) not in rights:
            return GrantedRight("privilege", name, on)
    return None


def _comprised(right: GrantedRight, power: set[GrantedRight], limits: set[tuple[str, str]]) -> bool:
    name = right.name.partition(" (")[0]
    database = f"{right.on.partition('.')[0].rpartition(' ')[2]}.*"
    places = {right.on, database}
    if not any(one == name for one, _ in limits):
        places.add(EVERYWHERE)
    return any(GrantedRight(right.kind, one, on) in power for on in places for one in (right.name, name, *_ALL))


# A user with one of these can act as any other user.
_ADMINS = {
    "SUPER", "CREATE USER", "ROLE_ADMIN", "SET USER", "SET_USER_ID", "SET_ANY_DEFINER", "ALLOW_NONEXISTENT_DEFINER",
}  # fmt: skip
_WRITES = {"INSERT", "UPDATE"}
_SYSTEM_USER = "SYSTEM_USER"
_SYSTEM_TABLES = "mysql"


def administers(power: set[GrantedRight], admin: set[GrantedRight], *, proven: bool = False) -> GrantedRight | None:
    """A right that makes an account an admin, whose password no function sets; None for an application's user.

    Args:
        power: all rights of the account.
        admin: all rights of the function's own admin. If it lacks SYSTEM_USER, accounts with it are above it.
        proven: whether the account's own password has logged in. Then rights on the data of every database are allowed
            too, although these include the system's tables.
    """
    limits = {(right.name, right.on) for right in power if right.kind == "revoked"}
    found = []
    for right in power:
        if right.kind != "privilege":
            continue
        name = right.name.partition(" (")[0]
        writes = bool({name} & (_WRITES | _ALL))
        if (
            right.on == EVERYWHERE
            and (
                name in _ADMINS | _ALL
                or (name == _SYSTEM_USER and right not in admin)
                or (writes and not proven and (name, f"`{_SYSTEM_TABLES}`.*") not in limits)
            )
        ) or (writes and right.on != EVERYWHERE and _is_system(right.on)):
            found.append(right)
    return min(found, default=None)


def _is_system(on: str) -> bool:
    """Whether an object is in the database with the accounts. For all tables, the database's name is a pattern."""
    match = re.match(r"`((?:[^`]|``)*)`\.", on)
    if match is None:
        return False
    name = match[1].replace("``", "`")
    if not on.endswith(".*"):
        return name.lower() == _SYSTEM_TABLES
    parts = re.findall(r"\\.|%|_|.", name, re.DOTALL)
    pattern = "".join({"%": ".*", "_": "."}.get(part, re.escape(part[-1])) for part in parts)
    return re.fullmatch(pattern, _SYSTEM_TABLES, re.DOTALL | re.IGNORECASE) is not None


def _rights(tokens: list[str]) -> Iterator[GrantedRight]:
    verb = tokens[0].upper()
    words = [token.upper() for token in tokens]
    if verb == "SET":  # SET DEFAULT ROLE r FOR account, of MariaDB
        yield GrantedRight("default role", tokens[3])
        return
    end = _last(words, "FROM" if verb == "REVOKE" else "TO")
    tail = words[end:]
    if "ON" not in words[:end]:
        for role in _names(tokens[1:end]):
            yield GrantedRight("role", role)
            if "ADMIN" in tail:
                yield GrantedRight("admin option", role)
        return
    on = words.index("ON")
    [target] = _names(tokens[on + 1 : end])
    if words[1] == "PROXY":
        # MySQL's SHOW GRANTS writes it in backticks, its tables do not.
        account = _account(target)
        yield GrantedRight("proxy", account)
        if "GRANT" in tail:
            yield GrantedRight("proxy option", account)
        return
    names = list(_privileges(tokens[1:on]))
    for privilege in names:
        yield GrantedRight("revoked" if verb == "REVOKE" else "privilege", privilege, target)
    if "GRANT" in tail and "OPTION" in tail:
        yield from _options(names, target)


def _account(target: str) -> str:
    """An account in any quoting, as it is quoted here."""
    match = _ACCOUNT.fullmatch(target)
    if match is None:
        raise ValueError(target)
    user, host = (part[1:-1].replace(part[0] * 2, part[0]) for part in match.groups())
    return quote_account(user, host)


def _options(names: list[str], target: str) -> Iterator[GrantedRight]:
    """What WITH GRANT OPTION gives beside privileges."""
    # MySQL's dynamic privileges are in a separate line, and only their names have underscores.
    dynamic = [name for name in names if "_" in name and target == EVERYWHERE]
    for name in dynamic:
        yield GrantedRight("dynamic option", name, target)
    if not dynamic:
        yield GrantedRight("grant option", GRANT_OPTION, target)


def _last(words: list[str], word: str) -> int:
    # From the end: a name may contain the word too, but then it is in backticks.
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


def _take(right: GrantedRight, account: str, wanted: set[GrantedRight]) -> Iterator[str]:
    if right.kind == "privilege":
        return
    if right.kind == "revoked" and GrantedRight("privilege", right.name, EVERYWHERE) not in wanted:
        # It was revoked with the privilege that it limits: a GRANT would now give it.
        return
    base = _OPTION_OF.get(right.kind)
    if base is None:
        yield _TAKE[right.kind].format(name=right.name, on=right.on, account=account)
    elif GrantedRight(base, right.name, right.on) in wanted:
        yield _TAKE[base].format(name=right.name, on=right.on, account=account)
        yield _GIVE[base].format(name=right.name, on=right.on, account=account)
