"""All permissions of a login, including those by roles and ownership, to compare it with another.

https://learn.microsoft.com/sql/relational-databases/security/permissions-hierarchy-database-engine
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rotators.engines.sqlserver import catalog
from rotators.engines.sqlserver.catalog import Login, Memberships, Permission
from rotators.engines.sqlserver.connection import Connection
from rotators.engines.sqlserver.quoting import name

DBO = "dbo"
SERVER = "the server"
# RDS's own: no one else may have users there.
_CLOSED = {"rdsadmin"}


@dataclass(frozen=True, order=True)
class Power:
    """One permission of a user.

    Args:
        where: the server, or a database.
        what: in words, for messages.
    """

    where: str
    what: str


@dataclass
class Powers:
    """All permissions of a user.

    Args:
        may: what is permitted, by whatever way.
        denied: what is denied nevertheless.
        everything: the databases where all is permitted.
    """

    may: set[Power] = field(default_factory=set)
    denied: set[Power] = field(default_factory=set)
    everything: set[str] = field(default_factory=set)

    def beyond(self, other: Powers) -> list[Power]:
        """What one may do and the other may not, sorted."""
        more = {power for power in self.may - other.may if power.where not in other.everything}
        more |= {Power(power.where, f"is not denied {power.what}") for power in other.denied - self.denied}
        return sorted(more)


def compare(connection: Connection, one: Login, two: Login) -> tuple[Powers, Powers, list[str]]:
    """What two logins, or two contained users of the current database, may do.

    Returns:
        The powers of both, and the databases that could not be looked into.
    """
    pair = (one, two)
    powers = Powers(), Powers()
    if one.contained:
        _in_database(connection, _label(connection.database), pair, powers)
        return *powers, []
    unseen = []
    _on_server(connection, pair, powers)
    for database in catalog.databases(connection):
        for login, its in zip(pair, powers, strict=True):
            if database.owner == login.sid:
                its.may.add(Power(SERVER, f"owns the database {name(database.name)}"))
        if database.readable:
            with connection.use(database.name):
                _in_database(connection, _label(database.name), pair, powers)
        elif database.name not in _CLOSED:
            unseen.append(database.name)
    return *powers, unseen


def _label(database: str) -> str:
    """A label that differs from the server's, whatever the database is called."""
    return f"the database {name(database)}"


def mark(other: str, *, contained: bool) -> Permission:
    """The permission that marks a user as paired with ``other``: IMPERSONATE on it, denied.

    It takes something away, and so harms nobody. Whoever may grant or deny the right to be another login could be that
    login without us: CONTROL of it, ALTER ANY LOGIN, or the right itself. So no application can make it for a login
    that it is not already: https://learn.microsoft.com/sql/t-sql/statements/deny-server-principal-permissions-transact-sql
    """
    return Permission("IMPERSONATE", f"ON {'USER' if contained else 'LOGIN'}::{name(other)}", "D")


def marks(pair: tuple[Login, Login]) -> set[Permission]:
    """The marks of both users of a pair."""
    return {mark(login.name, contained=login.contained) for login in pair}


def _on_server(connection: Connection, pair: tuple[Login, Login], powers: tuple[Powers, Powers]) -> None:
    memberships = catalog.server_roles(connection)
    ids = _ids(memberships, [login.principal for login in pair])
    rights = catalog.server_rights(connection, [one for found in ids.values() for one in found])
    ignored = marks(pair)
    for login, its in zip(pair, powers, strict=True):
        principals = ids[login.principal]
        its.may |= {Power(SERVER, f"is in the role {one.name}") for one in memberships.all(login.principal)}
        _count(its, SERVER, rights, principals, ignored)
        its.may |= {Power(SERVER, what) for what in catalog.server_extras(connection, principals)}


def _in_database(connection: Connection, where: str, pair: tuple[Login, Login], powers: tuple[Powers, Powers]) -> None:
    found = {user.sid: user for user in catalog.users(connection, [login.sid for login in pair], pair[0].name)}
    present = [(found[login.sid], its) for login, its in zip(pair, powers, strict=True) if login.sid in found]
    if not present:
        return
    memberships = catalog.roles(connection)
    ids = _ids(memberships, [user.principal for user, _ in present])
    every = [one for some in ids.values() for one in some]
    rights, owned = catalog.rights(connection, every), catalog.owned(connection, every)
    ignored = marks(pair)
    for user, its in present:
        principals = ids[user.principal]
        # A user of a database has the rights of public there.
        its.may.add(Power(where, "is a user"))
        its.may |= {Power(where, f"is in the role {one.name}") for one in memberships.all(user.principal)}
        _count(its, where, rights, principals, ignored)
        # An owner controls what is its own, whether that is written down or not.
        own = {Permission("CONTROL", on) for principal in principals for on in owned.get(principal, ())}
        its.may |= {Power(where, f"may {right}") for right in own}
        if user.name == DBO:
            # There is one owner of a database, and its equal is a member of this role.
            its.may |= {Power(where, "is in the role db_owner"), Power(where, "may CONNECT")}
        if {Power(where, "is in the role db_owner"), Power(where, "may CONTROL")} & its.may:
            its.everything.add(where)


def _ids(memberships: Memberships, principals: list[int]) -> dict[int, set[int]]:
    """Each principal, with the roles whose rights it has."""
    return {one: {one, *(membership.role for membership in memberships.all(one))} for one in principals}


def _count(
    its: Powers, where: str, rights: Mapping[int, set[Permission]], principals: set[int], ignored: set[Permission]
) -> None:
    for right in catalog.together(rights, principals):
        if right in ignored:
            continue
        plain = " ".join(filter(None, (right.permission, right.on, right.column)))
        if right.state in {"D", "R"}:
            its.denied.add(Power(where, plain))
        else:
            its.may.add(Power(where, f"may {plain}"))
        if right.state == "W":
            its.may.add(Power(where, f"may {plain} WITH GRANT OPTION"))
