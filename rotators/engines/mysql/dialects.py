"""What an admin reads and runs: the part that MySQL and MariaDB share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rotators.engines.mysql.accounts import Row
from rotators.engines.mysql.connection import Connection
from rotators.engines.mysql.grants import EVERYWHERE, GIVES_ROLES, GRANT_OPTION, GrantedRight
from rotators.engines.mysql.quoting import has_no_account, quote_account, quote_name, quote_text
from rotators.errors import PermissionRefused, ServiceFailed

_NOTHING = "''"
# The views of privileges, with their columns for database, table and column.
_VIEWS = (
    ("user", "USER", _NOTHING, _NOTHING, _NOTHING),
    ("schema", "SCHEMA", "TABLE_SCHEMA", _NOTHING, _NOTHING),
    ("table", "TABLE", "TABLE_SCHEMA", "TABLE_NAME", _NOTHING),
    ("column", "COLUMN", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME"),
)
# What no view shows: the tables of mysql, with their columns for user and host, and five of what was granted.
_TABLES = (
    ("routine", "procs_priv", "User", "Host", "Db", "Routine_name", "Routine_type", "Proc_priv", "0"),
    ("proxy", "proxies_priv", "User", "Host", "Proxied_user", "Proxied_host", _NOTHING, _NOTHING, "With_grant"),
)
_ROUTINES = {"FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY", "LIBRARY"}


@dataclass(frozen=True)
class Granted:
    """A row of grants in the server's catalogs.

    Args:
        level: the catalog that it is from.
        first: the database; or a proxied user, or a role.
        second: the table or routine; or that user's or role's host.
        third: the column; or the kind of routine.
        name: the privilege; for routines all privileges, separated by commas.
        option: whether it may be passed on.
    """

    level: str
    first: str
    second: str
    third: str
    name: str
    option: bool


class Dialect(ABC):
    """Reads a server's accounts as facts, and changes them by statements.

    Args:
        connection: an admin's login.
        version: the server's.
        user: the admin's name.
        host: the admin's host.
    """

    product: ClassVar[str]
    plugins: ClassVar[frozenset[str]]
    """The authentication plugins whose passwords can be set."""
    gives_roles: ClassVar[frozenset[str]] = GIVES_ROLES
    """The privileges that let a user grant any role."""

    @property
    @abstractmethod
    def tables(self) -> tuple[tuple[str, ...], ...]:
        """Its own tables of grants, with their columns as in ``_TABLES``."""

    def __init__(self, connection: Connection, version: tuple[int, ...], user: str, host: str) -> None:
        self.connection = connection
        self.version = version
        self.user = user
        self.admin_host = host
        self.looked_at: dict[tuple[str, str], set[GrantedRight]] = {}
        """Each account's rights, as read by inspecting the pair, for the check that follows at once."""

    @property
    def where(self) -> str:
        """The server, for messages."""
        return self.connection.host

    @property
    def admin(self) -> str:
        """The admin's account, quoted."""
        return quote_account(self.user, self.admin_host)

    @property
    def reading(self) -> str:
        """What lets the admin read the catalogs."""
        return f"run: GRANT SELECT ON mysql.* TO {self.admin}"

    def rows(self, name: str) -> list[Row]:
        """All accounts of a name, sorted by host; none if there is no such user.

        Raises:
            PermissionRefused: the admin may not read them.
        """
        # The server ignores trailing blanks in comparisons; this one is exact.
        return [] if has_no_account(name) else [row for row in self._rows(name) if row.user == name]

    def rights(self, user: str, host: str, revoked: tuple[tuple[str, str], ...] = ()) -> set[GrantedRight]:
        """What was granted to one account itself.

        Args:
            user: its name.
            host: its host.
            revoked: its partial revokes.

        Raises:
            PermissionRefused: the admin may not read that.
        """
        granted = self._granted(user, host)
        if not any(one.level == "user" for one in granted):
            raise PermissionRefused(
                f"the admin {self.admin} at {self.where} can't read what {quote_account(user, host)} may do",
                self.reading,
            )
        found = {GrantedRight("revoked", privilege, f"{quote_name(database)}.*") for privilege, database in revoked}
        for one in granted:
            # The views show MySQL's dynamic privileges from memory, which may keep revoked ones. Only these have a _.
            if one.level != "user" or "_" not in one.name:
                found.update(self._rights_of(one))
        return found

    def power(self, row: Row, own: set[GrantedRight] | None = None) -> set[GrantedRight]:
        """All rights of an account: granted to it, to its roles, and to the roles of these.

        Args:
            row: the account.
            own: the grants to the account itself, if they were just read.
        """
        found = self.rights(row.user, row.host, row.revoked) if own is None else set(own)
        waiting = {right.name for right in found if right.kind == "role"}
        done: set[str] = set()
        while waiting:
            role = min(waiting)
            done.add(role)
            found |= self._role_rights(role)
            waiting = {right.name for right in found if right.kind == "role"} - done
        return found

    def _granted(self, user: str, host: str) -> list[Granted]:
        """All that an account was granted, in one answer."""
        # As the views write an account, without quoting; they compare it without regard to case.
        grantee = f"'{user}'@'{host}'"
        # Constant names, and quoted texts. One text for each row: a user may have thousands of them.
        selects = [
            f"SELECT '{level}', {_packed(*columns, 'PRIVILEGE_TYPE')}, IS_GRANTABLE = 'YES' "  # noqa: S608
            f"FROM information_schema.{view}_PRIVILEGES "
            f"WHERE GRANTEE = {quote_text(grantee)} AND {_exact('GRANTEE')} = '{grantee.encode().hex().upper()}'"
            for level, view, *columns in _VIEWS
        ]
        selects += [
            f"SELECT '{level}', {_packed(*columns)}, {option} FROM mysql.{table} "  # noqa: S608
            f"WHERE BINARY {user_column} = {quote_text(user)} AND {host_column} = {quote_text(host)}"
            for level, table, user_column, host_column, *columns, option in (*_TABLES, *self.tables)
        ]
        found = []
        for level, packed, option in self.connection.execute(" UNION ALL ".join(selects), self.reading):
            one, two, three, name = (bytes.fromhex(text).decode() for text in packed.split(","))
            found.append(Granted(str(level), one, two, three, name.upper(), bool(option)))
        return found

    def _rights_of(self, one: Granted) -> Iterator[GrantedRight]:
        if one.level == "proxy":
            name = quote_account(one.first, one.second)
            yield GrantedRight("proxy", name)
            if one.option:
                yield GrantedRight("proxy option", name)
        elif one.level == "role":
            yield from self._role(one)
        elif one.level == "dynamic":
            yield GrantedRight("privilege", one.name, EVERYWHERE)
            if one.option:
                yield GrantedRight("dynamic option", one.name, EVERYWHERE)
        elif one.level == "routine":
            yield from self._on_routine(one)
        else:
            on = f"{quote_name(one.first)}.{quote_name(one.second) if one.second else '*'}" if one.first else EVERYWHERE
            if one.name != "USAGE":
                yield GrantedRight("privilege", f"{one.name} ({quote_name(one.third)})" if one.third else one.name, on)
            if one.option:
                yield GrantedRight("grant option", GRANT_OPTION, on)

    def _on_routine(self, one: Granted) -> Iterator[GrantedRight]:
        if one.third not in _ROUTINES:
            raise ServiceFailed(
                f"an account at {self.where} has a right on a {one.third}, which is not known here", "please report it"
            )
        on = f"{one.third} {quote_name(one.first)}.{quote_name(one.second)}"
        for right in filter(None, one.name.split(",")):
            if right == "GRANT":
                yield GrantedRight("grant option", GRANT_OPTION, on)
            else:
                yield GrantedRight("privilege", right, on)

    def change_right(self, statement: str) -> None:
        """Run a statement that grants or revokes a right."""
        self.connection.execute(statement)

    def lacking_for_default_roles(self, source: Row, clone: Row | None, admin: set[GrantedRight]) -> list[str]:
        """The grants that the admin would need besides, to make the roles of one account the default ones of another.

        Args:
            source: the one account.
            clone: the other; None: it is not there yet.
            admin: all that the admin may do.
        """
        del source, clone, admin
        return []

    @abstractmethod
    def _rows(self, name: str) -> list[Row]:
        """All accounts of a name."""

    @abstractmethod
    def _role(self, one: Granted) -> Iterator[GrantedRight]:
        """A role that was granted to an account, or to a role."""

    @abstractmethod
    def _role_rights(self, role: str) -> set[GrantedRight]:
        """What was granted to a role, which is quoted as in a right."""

    @abstractmethod
    def own_power(self) -> set[GrantedRight]:
        """All that the admin may do in this session, its active roles included."""

    @abstractmethod
    def create(self, source: Row, name: str, password: str) -> None:
        """Make the account of a clone on the source's host, marked as such, if it is missing."""

    @abstractmethod
    def copy_facts(self, source: Row, clone: Row) -> None:
        """Give an account the TLS requirement, limits, rules, and attributes of another."""

    @abstractmethod
    def set_default_roles(self, source: Row, clone: Row) -> None:
        """Make the roles of one account the default ones of another."""

    @abstractmethod
    def match_plugin(self, source: Row, clone: Row, password: str) -> None:
        """Let an account log in by the plugin of another, with a placeholder until its password is set."""

    @abstractmethod
    def mark(self, clone: Row, source: str) -> None:
        """Leave the mark that an account is the clone of a user."""

    @abstractmethod
    def mark_statement(self, clones: list[tuple[str, str]], source: str) -> str:
        """The one statement that leaves the mark on accounts; empty if the server keeps none."""

    @abstractmethod
    def lock(self, row: Row) -> None:
        """Lock an account, and note that a rotation locked it."""

    @abstractmethod
    def unlock(self, row: Row) -> None:
        """Unlock an account that a rotation locked."""

    @abstractmethod
    def set_password(self, row: Row, new: str) -> None:
        """Set an account's password. All its other passwords become invalid."""

    @abstractmethod
    def add_password(self, row: Row, new: str, old: str) -> None:
        """Add a password beside the account's current one. May be repeated."""


def _exact(column: str) -> str:
    # Their columns have several collations, which a UNION does not mix.
    return column if column == _NOTHING else f"HEX({column})"


def _packed(*columns: str) -> str:
    """Columns as one text, each exact."""
    texts = ", ',', ".join(map(_exact, columns))
    return f"CONCAT({texts})"
