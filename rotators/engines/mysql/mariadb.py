"""What differs in MariaDB's accounts: several ways to log in, one default role, and hashes instead of passwords.

https://mariadb.com/kb/en/mysqlglobal_priv-table/, https://mariadb.com/kb/en/alter-user/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from rotators.engines.base import alternate
from rotators.engines.mysql.accounts import Method, Row
from rotators.engines.mysql.connection import SQL_MODE
from rotators.engines.mysql.dialects import Dialect, Granted
from rotators.engines.mysql.grants import EVERYWHERE, GrantedRight, parse
from rotators.engines.mysql.quoting import quote_account, quote_name, quote_role, quote_text
from rotators.engines.mysql.verifiers import NATIVE, native_hash
from rotators.errors import PermissionRefused, ServiceFailed, UserNotRotatable

# Only a user with CREATE USER can make roles, and a role of such a name has no other meaning.
_MARK = "rotators:"
_LOCK_MARK = "rotators-lock:"
_LONGEST_ROLE = 128
_ALL = "ALL PRIVILEGES"
_LIMITS = {
    "max_questions": "MAX_QUERIES_PER_HOUR",
    "max_updates": "MAX_UPDATES_PER_HOUR",
    "max_connections": "MAX_CONNECTIONS_PER_HOUR",
    "max_user_connections": "MAX_USER_CONNECTIONS",
    "max_statement_time": "MAX_STATEMENT_TIME",
}
_KNOWN = {
    "access", "version_id", "plugin", "authentication_string", "auth_or", "password_last_changed", "password_lifetime",
    "account_locked", "ssl_type", "ssl_cipher", "x509_issuer", "x509_subject", "default_role", "is_role", *_LIMITS,
}  # fmt: skip
_TLS = {"-1": "NONE", "0": "NONE", "1": "SSL", "2": "X509"}


class MariadbDialect(Dialect):
    """MariaDB, which would log passwords: it gets hashes."""

    product = "MariaDB"
    plugins: ClassVar[frozenset[str]] = frozenset({NATIVE})
    # Only who has a role's own ADMIN OPTION gives it: https://mariadb.com/kb/en/grant/#with-admin-option
    gives_roles: ClassVar[frozenset[str]] = frozenset()

    tables = (("role", "roles_mapping", "User", "Host", "Role", "''", "''", "''", "Admin_option = 'Y'"),)

    def own_power(self) -> set[GrantedRight]:
        """See the base class. SHOW GRANTS adds other texts after an account's name, so only roles' grants are read."""
        found = self.rights(self.user, self.admin_host)
        [(role,)] = self.connection.execute("SELECT CURRENT_ROLE()")
        return found if role is None else found | self._role_rights(quote_name(str(role)))

    def _rows(self, name: str) -> list[Row]:
        read = self.connection.execute(
            f"SELECT Host, User, Priv FROM mysql.global_priv WHERE User = {quote_text(name)} ORDER BY Host",  # noqa: S608  # quoted
            self.reading,
        )
        marks = self._marks() if read else set()
        return [self._row(str(host), str(user), text, marks) for host, user, text in read]

    def _marks(self) -> set[str]:
        found = self.connection.execute(
            "SELECT User FROM mysql.global_priv WHERE Host = '' AND User LIKE 'rotators%'"
            " AND JSON_VALUE(Priv, '$.is_role')",
            self.reading,
        )
        return {str(name) for (name,) in found}

    def _row(self, host: str, user: str, text: Any, marks: set[str]) -> Row:
        account = quote_account(user, host)
        try:
            facts = json.loads(text, parse_float=str)
            tls = _tls(facts)
        except (ValueError, KeyError, TypeError):
            raise UserNotRotatable(
                f"what mysql.global_priv says of {account} at {self.where} can't be read",
                "see what changed that table besides CREATE USER and ALTER USER; or give the account a TLS "
                "requirement without quotes and backslashes",
            ) from None
        role = facts.get("default_role") or ""
        lifetime = facts.get("password_lifetime", -1)
        return Row(
            user=user,
            host=host,
            methods=_methods(facts),
            locked=facts.get("account_locked") is True,
            tls=tls,
            limits={words: str(facts[name]) for name, words in _LIMITS.items() if float(facts.get(name) or 0)},
            password_rules=("PASSWORD EXPIRE " + _lifetime(int(lifetime)),),
            attributes={},
            default_roles=(quote_name(role),) if role else (),
            revoked=(),
            clone_of=other if _mark(_MARK, user, host, other := alternate(user)) in marks else None,
            locked_by_us=_mark(_LOCK_MARK, user, host) in marks,
            unknown=tuple(sorted(set(facts) - _KNOWN)) + (("is_role",) if facts.get("is_role") else ()),
        )

    def _role(self, one: Granted) -> Iterator[GrantedRight]:
        if one.first.startswith((_MARK, _LOCK_MARK)):
            return
        yield GrantedRight("role", quote_role(one.first, ""))
        if one.option:
            yield GrantedRight("admin option", quote_role(one.first, ""))

    def _role_rights(self, role: str) -> set[GrantedRight]:
        try:
            return {
                right
                for right in parse(
                    str(grant) for (grant,) in self.connection.execute(f"SHOW GRANTS FOR {role}", self.reading)
                )
                if right != GrantedRight("role", role)
            }
        except (ValueError, IndexError):
            raise ServiceFailed(
                f"a grant of the role {role} at {self.where} is of a form that is not known",
                "please report what SHOW GRANTS says",
            ) from None

    def create(self, source: Row, name: str, password: str) -> None:
        """See the base class; the mark first, so that there is never an account without."""
        self._make_role(_mark(_MARK, name, source.host, source.user))
        account = quote_account(name, source.host)
        self.connection.execute(f"CREATE USER IF NOT EXISTS {account} {_identified(native_hash(password))}")

    def copy_facts(self, source: Row, clone: Row) -> None:
        """See the base class."""
        if (source.tls, dict(source.limits), source.password_rules) == (
            clone.tls,
            dict(clone.limits),
            clone.password_rules,
        ):
            return
        limits = " ".join(f"{words} {source.limits.get(words, '0')}" for words in _LIMITS.values())
        self.connection.execute(
            f"ALTER USER {clone} REQUIRE {source.tls} WITH {limits} {' '.join(source.password_rules)}"
        )

    def set_default_roles(self, source: Row, clone: Row) -> None:
        """See the base class."""
        if source.default_roles != clone.default_roles:
            role = source.default_roles[0] if source.default_roles else "NONE"
            self.connection.execute(f"SET DEFAULT ROLE {role} FOR {clone}")

    def lacking_for_default_roles(self, source: Row, clone: Row | None, admin: set[GrantedRight]) -> list[str]:
        """See the base: for another user that is a change of the table ``mysql.user``."""
        present = () if clone is None else clone.default_roles
        able = {GrantedRight("privilege", name, on) for name in ("UPDATE", _ALL) for on in (EVERYWHERE, "`mysql`.*")}
        return [] if source.default_roles == present or admin & able else ["GRANT UPDATE ON mysql.*"]

    def change_right(self, statement: str) -> None:
        """See the base; packages and their bodies are named in Oracle's mode only."""
        if not statement.partition(" ON ")[2].startswith("PACKAGE "):
            super().change_right(statement)
            return
        self.connection.execute(f"SET SESSION sql_mode = '{SQL_MODE},ORACLE'")
        try:
            super().change_right(statement)
        finally:
            self.connection.execute(f"SET SESSION sql_mode = '{SQL_MODE}'")

    def match_plugin(self, source: Row, clone: Row, password: str) -> None:
        """See the base class: there is one plugin, and setting the password sets it."""

    def mark(self, clone: Row, source: str) -> None:
        """See the base class: a role's name, which only a user with CREATE USER can make."""
        if clone.clone_of != source:
            self._make_role(_mark(_MARK, clone.user, clone.host, source))

    def mark_statement(self, clones: list[tuple[str, str]], source: str) -> str:
        """See the base class."""
        return "CREATE ROLE " + ", ".join(quote_name(_mark(_MARK, user, host, source)) for user, host in clones)

    def lock(self, row: Row) -> None:
        """See the base class."""
        self._make_role(_mark(_LOCK_MARK, row.user, row.host))
        self.connection.execute(f"ALTER USER {row} ACCOUNT LOCK")

    def unlock(self, row: Row) -> None:
        """See the base class."""
        self.connection.execute(f"ALTER USER {row} ACCOUNT UNLOCK")
        self.connection.execute(f"DROP ROLE IF EXISTS {quote_name(_mark(_LOCK_MARK, row.user, row.host))}")

    def set_password(self, row: Row, new: str) -> None:
        """See the base class."""
        self.connection.execute(f"ALTER USER {row} {_identified(native_hash(new))}")

    def add_password(self, row: Row, new: str, old: str) -> None:
        """See the base class."""
        self.connection.execute(f"ALTER USER {row} {_identified(native_hash(new), native_hash(old))}")

    def _make_role(self, name: str) -> None:
        self.connection.execute(f"CREATE ROLE IF NOT EXISTS {quote_name(name)}")


def _mark(prefix: str, user: str, host: str, source: str = "") -> str:
    """The name of the role that says something of one account."""
    name = f"{prefix}{user}@{host}" + (f" of {source}" if source else "")
    if len(name) <= _LONGEST_ROLE:
        return name
    return prefix + hashlib.sha256(name.encode()).hexdigest()


def _methods(facts: Mapping[str, Any]) -> tuple[Method, ...]:
    first = Method(str(facts.get("plugin") or NATIVE), str(facts.get("authentication_string") or ""))
    # The first one is in plugin and authentication_string, and its entry in auth_or is empty.
    others = [one for one in facts.get("auth_or") or () if one]
    return (
        first,
        *(Method(str(one.get("plugin") or NATIVE), str(one.get("authentication_string") or "")) for one in others),
    )


def _tls(facts: Mapping[str, Any]) -> str:
    kind = str(facts.get("ssl_type", 0))
    if kind in _TLS:
        return _TLS[kind]
    parts = [
        f"{words} {quote_text(str(facts[name]))}"
        for name, words in (("x509_subject", "SUBJECT"), ("x509_issuer", "ISSUER"), ("ssl_cipher", "CIPHER"))
        if facts.get(name)
    ]
    return " AND ".join(parts)


def _lifetime(days: int) -> str:
    if days < 0:
        return "DEFAULT"
    return f"INTERVAL {days} DAY" if days else "NEVER"


def _identified(*hashes: str) -> str:
    return "IDENTIFIED VIA " + " OR ".join(f"{NATIVE} USING {quote_text(one)}" for one in hashes)


def require_global_priv(version: tuple[int, ...], where: str) -> None:
    """Require that an admin can read accounts' facts.

    Raises:
        PermissionRefused: the server is older than the table that has them.
    """
    if version < (10, 4):
        raise PermissionRefused(
            f"MariaDB {'.'.join(map(str, version))} at {where} is too old for an admin's rotation", "upgrade to 10.4"
        )
