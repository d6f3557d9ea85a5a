"""The facts of an account from the servers' catalogs, and which accounts of one name belong to a user.

No text of a server is sent back to it: statements are made from the facts, with every name quoted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rotators.engines.identity import Account
from rotators.engines.mysql.quoting import quote_account
from rotators.engines.mysql.verifiers import accepts, native_hash
from rotators.errors import UserNotRotatable
from rotators.logs import logger

__all__ = ["Method", "Row", "native_hash", "of_password", "refuse_plugins", "require_password"]

_AWS_IAM = "AWSAuthenticationPlugin"


@dataclass(frozen=True)
class Method:
    """A way to log in.

    Args:
        plugin: the plugin's name.
        stored: what the server stores of the password.
        second: what it stores of a second password, if the plugin supports one (MySQL).
    """

    plugin: str
    stored: str = field(repr=False)
    second: str = field(default="", repr=False)

    def is_first(self, password: str) -> bool:
        """Whether this is the primary password, not the second one."""
        return accepts(self.plugin, self.stored, password)

    def takes(self, password: str) -> bool:
        """Whether it logs in with this password."""
        return self.is_first(password) or (bool(self.second) and accepts(self.plugin, self.second, password))


@dataclass(frozen=True)
class Row:
    """One account: a user on one host.

    Args:
        user: its name.
        host: where it logs in from, as a pattern.
        methods: the ways in which it logs in.
        locked: whether logins are refused (ACCOUNT LOCK).
        tls: REQUIRE, as ALTER USER takes it.
        limits: the resource limits that are not 0, by the words of ALTER USER.
        password_rules: what else ALTER USER says of the password, each clause by itself.
        attributes: MySQL's comment and attributes, without our mark.
        default_roles: as GRANT takes them.
        revoked: partial revokes: privilege and database.
        clone_of: the user whose clone it is, by our mark.
        locked_by_us: whether a rotation locked it.
        unknown: what it has that can't be copied.
    """

    user: str
    host: str
    methods: tuple[Method, ...]
    locked: bool
    tls: str
    limits: Mapping[str, str]
    password_rules: tuple[str, ...]
    attributes: Mapping[str, Any]
    default_roles: tuple[str, ...]
    revoked: tuple[tuple[str, str], ...]
    clone_of: str | None
    locked_by_us: bool
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        return quote_account(self.user, self.host)

    def takes(self, password: str) -> bool:
        """Whether it logs in with this password, by any of its ways."""
        return any(method.takes(password) for method in self.methods)

    @property
    def copied(self) -> dict[str, Any]:
        """The facts that a clone gets from its source, by names for people."""
        return {
            "TLS": self.tls,
            "limits": dict(self.limits),
            "rules for passwords": self.password_rules,
            "attributes": dict(self.attributes),
            "default roles": self.default_roles,
        }


def of_password(rows: Iterable[Row], account: Account, password: str, plugins: frozenset[str], where: str) -> list[Row]:
    """The accounts of a user: those of its name that have its password.

    An account of the same name with another password belongs to someone else: it is not changed, and the log names it.

    Args:
        rows: all accounts of that name.
        account: the one that logged in.
        password: the password with which it logged in.
        plugins: those whose passwords can be set.
        where: the server, for messages.

    Raises:
        UserNotRotatable: the account that logged in is missing, or has another password by now.
    """
    found = list(rows)
    matching = [row for row in found if row.takes(password)]
    if account.key not in {(row.user, row.host) for row in matching}:
        own = [row for row in found if (row.user, row.host) == account.key]
        for row in own:
            require_password(row, plugins, where)
        raise UserNotRotatable(
            f"the account {quote_account(account.name, account.scope[0])} that logged in at {where} is not among those "
            "that the admin sees, or its password changed meanwhile",
            "rotate the secret again; if it stays so, the admin's host is not the server that answered",
        )
    others = [str(row) for row in found if row not in matching]
    if others:
        logger.warning("accounts of the user with another password are left alone", accounts=others)
    return matching


def require_password(row: Row, plugins: frozenset[str], where: str) -> None:
    """Require that an account logs in by passwords that can be set.

    Args:
        row: the account.
        plugins: those whose passwords can be set.
        where: the server, for messages.

    Raises:
        UserNotRotatable: it logs in by other means.
    """
    refuse_plugins({method.plugin for method in row.methods} - plugins, str(row), plugins, where)


def refuse_plugins(unknown: set[str], account: str, plugins: frozenset[str], where: str) -> None:
    """Refuse an account that logs in by plugins whose passwords can't be set here.

    Raises:
        UserNotRotatable: there are such plugins.
    """
    if unknown:
        how = "by IAM" if _AWS_IAM in unknown else f"by the plugin {', '.join(sorted(unknown))}"
        raise UserNotRotatable(
            f"{account} at {where} logs in {how}, which this function can't rotate",
            f"give the account one of {', '.join(sorted(plugins))}, or stop rotating this secret",
        )
