"""What is MySQL's own in accounts: attributes, dynamic privileges, partial revokes, second passwords.

https://dev.mysql.com/doc/refman/8.4/en/grant-tables.html, https://dev.mysql.com/doc/refman/8.4/en/alter-user.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from rotators.engines.mysql.accounts import Method, Row
from rotators.engines.mysql.connection import Connection
from rotators.engines.mysql.dialects import Dialect, Granted
from rotators.engines.mysql.grants import GrantedRight, parse
from rotators.engines.mysql.quoting import quote_account, quote_role, quote_text
from rotators.engines.mysql.verifiers import CACHING_SHA2, NATIVE, SHA256
from rotators.errors import ServiceFailed, UserNotRotatable

_ROLES_SINCE = (8, 0)
_SECOND_PASSWORD_SINCE = (8, 0, 14)
_HEX_SINCE = (8, 0, 17)
_LOGIN_LIMIT_SINCE = (8, 0, 19)
_ATTRIBUTES_SINCE = (8, 0, 21)
_MARK = "rotators"
_TABLES = (
    ("role", "role_edges", "TO_USER", "TO_HOST", "FROM_USER", "FROM_HOST", "''", "''", "WITH_ADMIN_OPTION = 'Y'"),
    ("dynamic", "global_grants", "USER", "HOST", "''", "''", "''", "PRIV", "WITH_GRANT_OPTION = 'Y'"),
)
_LIMITS = {
    "max_questions": "MAX_QUERIES_PER_HOUR",
    "max_updates": "MAX_UPDATES_PER_HOUR",
    "max_connections": "MAX_CONNECTIONS_PER_HOUR",
    "max_user_connections": "MAX_USER_CONNECTIONS",
}
_KNOWN = {"additional_password", "Restrictions", "Password_locking", "metadata"}


class MysqlDialect(Dialect):
    """MySQL, which takes passwords out of its logs itself.

    https://dev.mysql.com/doc/refman/8.4/en/password-logging.html
    """

    product = "MySQL"
    plugins: ClassVar[frozenset[str]] = frozenset({CACHING_SHA2, SHA256, NATIVE})

    def __init__(self, connection: Connection, version: tuple[int, ...], user: str, host: str) -> None:
        super().__init__(connection, version, user, host)
        # Accounts of the roles that were read, by their names in rights.
        self._role_accounts: dict[str, tuple[str, str]] = {}

    @property
    def tables(self) -> tuple[tuple[str, ...], ...]:
        """See the base class."""
        return _TABLES if self.version >= _ROLES_SINCE else ()

    @property
    def keeps_second_password(self) -> bool:
        """Whether this version keeps two passwords for a user."""
        return self.version >= _SECOND_PASSWORD_SINCE

    def own_power(self) -> set[GrantedRight]:
        """See the base class; SHOW GRANTS counts the active roles, and shows nothing but names and privileges."""
        try:
            return parse(str(grant) for (grant,) in self.connection.execute("SHOW GRANTS"))
        except (ValueError, IndexError):
            raise ServiceFailed(
                f"a grant of {self.admin} at {self.where} is of a form that is not known",
                "please report what SHOW GRANTS says, without its hashes",
            ) from None

    def _rows(self, name: str) -> list[Row]:
        read = self.connection.read(
            f"SELECT * FROM mysql.user WHERE User = {quote_text(name)} ORDER BY Host",  # noqa: S608  # quoted
            self.reading,
        )
        roles: dict[str, list[str]] = {}
        if self.version >= _ROLES_SINCE and read:
            for host, role, role_host in self.connection.execute(
                "SELECT HOST, DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles "  # noqa: S608  # quoted
                f"WHERE USER = {quote_text(name)}",
                self.reading,
            ):
                roles.setdefault(str(host), []).append(quote_role(str(role), str(role_host)))
        return [self._row(one, tuple(sorted(roles.get(str(one["host"]), ())))) for one in read]

    def _row(self, facts: Mapping[str, Any], default_roles: tuple[str, ...]) -> Row:
        try:
            extra = json.loads(facts.get("user_attributes") or "{}")
            attributes = dict(extra.get("metadata") or {})
            mark = attributes.pop(_MARK, None)
            tls = _tls(facts)
        except (ValueError, AttributeError, TypeError):
            return self._unreadable(facts)
        mark = mark if isinstance(mark, dict) else {}
        clone_of = mark.get("clone_of")
        return Row(
            user=str(facts["user"]),
            host=str(facts["host"]),
            methods=(
                Method(
                    str(facts["plugin"]),
                    str(facts["authentication_string"] or ""),
                    str(extra.get("additional_password") or ""),
                ),
            ),
            locked=facts.get("account_locked") == "Y",
            tls=tls,
            limits={words: str(facts[name]) for name, words in _LIMITS.items() if facts.get(name)},
            password_rules=self._rules(facts, extra.get("Password_locking") or {}),
            attributes=attributes,
            default_roles=default_roles,
            revoked=tuple(
                sorted(
                    (str(privilege), str(one["Database"]))
                    for one in extra.get("Restrictions") or ()
                    for privilege in one["Privileges"]
                )
            ),
            clone_of=clone_of if isinstance(clone_of, str) else None,
            locked_by_us=mark.get("locked") is True,
            unknown=tuple(sorted(set(extra) - _KNOWN)),
        )

    def _unreadable(self, facts: Mapping[str, Any]) -> Row:
        account = quote_account(str(facts["user"]), str(facts["host"]))
        raise UserNotRotatable(
            f"what mysql.user says of {account} at {self.where} can't be read (User_attributes, or its TLS columns)",
            "see what changed that table besides CREATE USER and ALTER USER",
        )

    def _rules(self, facts: Mapping[str, Any], locking: Mapping[str, Any]) -> tuple[str, ...]:
        """Rules for passwords as ALTER USER takes them; none for a column that this version lacks."""
        lifetime = facts.get("password_lifetime")
        rules = ["PASSWORD EXPIRE " + ("DEFAULT" if lifetime is None else _lifetime(lifetime))]
        if "password_reuse_history" in facts:
            history, days = facts["password_reuse_history"], facts["password_reuse_time"]
            rules.append(f"PASSWORD HISTORY {'DEFAULT' if history is None else int(history)}")
            rules.append(f"PASSWORD REUSE INTERVAL {'DEFAULT' if days is None else f'{int(days)} DAY'}")
        if "password_require_current" in facts:
            words = {"Y": "PASSWORD REQUIRE CURRENT", "N": "PASSWORD REQUIRE CURRENT OPTIONAL"}
            rules.append(words.get(str(facts["password_require_current"]), "PASSWORD REQUIRE CURRENT DEFAULT"))
        if self.version >= _LOGIN_LIMIT_SINCE:
            rules.append(f"FAILED_LOGIN_ATTEMPTS {int(locking.get('failed_login_attempts', 0))}")
            days = int(locking.get("password_lock_time_days", 0))
            rules.append(f"PASSWORD_LOCK_TIME {'UNBOUNDED' if days < 0 else days}")
        return tuple(rules)

    def _role(self, one: Granted) -> Iterator[GrantedRight]:
        name = quote_role(one.first, one.second)
        self._role_accounts[name] = (one.first, one.second)
        yield GrantedRight("role", name)
        if one.option:
            yield GrantedRight("admin option", name)

    def _role_rights(self, role: str) -> set[GrantedRight]:
        user, host = self._role_accounts[role]
        revoked = next((row.revoked for row in self.rows(user) if row.host == host), ())
        return self.rights(user, host, revoked)

    def create(self, source: Row, name: str, password: str) -> None:
        """See the base class: made with its mark, so that there is never one without."""
        account = quote_account(name, source.host)
        how = f"IDENTIFIED WITH {quote_text(source.methods[0].plugin)} BY {quote_text(password)}"
        mark = f" ATTRIBUTE {_json(_mark(clone_of=source.user))}" if self.version >= _ATTRIBUTES_SINCE else ""
        self.connection.execute(f"CREATE USER IF NOT EXISTS {account} {how}{mark}")

    def copy_facts(self, source: Row, clone: Row) -> None:
        """See the base class."""
        if (source.tls, dict(source.limits), source.password_rules) != (
            clone.tls,
            dict(clone.limits),
            clone.password_rules,
        ):
            limits = " ".join(f"{words} {source.limits.get(words, '0')}" for words in _LIMITS.values())
            self.connection.execute(
                f"ALTER USER {clone} REQUIRE {source.tls} WITH {limits} {' '.join(source.password_rules)}"
            )
        for patch in _patches(clone.attributes, source.attributes):
            self.connection.execute(f"ALTER USER {clone} ATTRIBUTE {_json(patch)}")

    def set_default_roles(self, source: Row, clone: Row) -> None:
        """See the base class."""
        if self.version >= _ROLES_SINCE and source.default_roles != clone.default_roles:
            self.connection.execute(f"ALTER USER {clone} DEFAULT ROLE {', '.join(source.default_roles) or 'NONE'}")

    def match_plugin(self, source: Row, clone: Row, password: str) -> None:
        """See the base class."""
        plugin = source.methods[0].plugin
        if plugin != clone.methods[0].plugin:
            self.connection.execute(
                f"ALTER USER {clone} IDENTIFIED WITH {quote_text(plugin)} BY {quote_text(password)}"
            )

    def mark(self, clone: Row, source: str) -> None:
        """See the base class: an attribute, which only a user with CREATE USER can set, even for itself."""
        if self.version >= _ATTRIBUTES_SINCE and clone.clone_of != source:
            self.connection.execute(f"ALTER USER {clone} ATTRIBUTE {_json(_mark(clone_of=source))}")

    def mark_statement(self, clones: list[tuple[str, str]], source: str) -> str:
        """See the base class."""
        if self.version < _ATTRIBUTES_SINCE:
            return ""
        accounts = ", ".join(quote_account(user, host) for user, host in clones)
        return f"ALTER USER {accounts} ATTRIBUTE {_json(_mark(clone_of=source))}"

    def lock(self, row: Row) -> None:
        """See the base class."""
        mark = f" ATTRIBUTE {_json(_mark(locked=True))}" if self.version >= _ATTRIBUTES_SINCE else ""
        self.connection.execute(f"ALTER USER {row} ACCOUNT LOCK{mark}")

    def unlock(self, row: Row) -> None:
        """See the base class."""
        mark = f" ATTRIBUTE {_json(_mark(locked=None))}" if self.version >= _ATTRIBUTES_SINCE else ""
        self.connection.execute(f"ALTER USER {row} ACCOUNT UNLOCK{mark}")

    def set_password(self, row: Row, new: str) -> None:
        """See the base class."""
        how = f"IDENTIFIED WITH {quote_text(row.methods[0].plugin)} BY {quote_text(new)}"
        # Ends the temporary lock of FAILED_LOGIN_ATTEMPTS; an account that was locked by hand stays so.
        unblock = " ACCOUNT UNLOCK" if self.version >= _LOGIN_LIMIT_SINCE and not row.locked else ""
        self.connection.execute(f"ALTER USER {row} {how}{unblock}")
        if self.keeps_second_password:
            self.connection.execute(f"ALTER USER {row} DISCARD OLD PASSWORD")

    def add_password(self, row: Row, new: str, old: str) -> None:
        """See the base class: by what the server has stored, so that no login is needed."""
        [method] = row.methods
        if method.is_first(new):
            return
        if not method.is_first(old):
            # RETAIN keeps the first one, and ``old`` is the second: a rotation was rolled back by hand. The first one
            # ends, so that ``old`` lives on: by its hash, for a history of passwords would refuse itself.
            how = f"IDENTIFIED WITH {quote_text(method.plugin)} AS {self._stored(method.second)}"
            self.connection.execute(f"ALTER USER {row} {how}")
        self.connection.execute(f"ALTER USER {row} IDENTIFIED BY {quote_text(new)} RETAIN CURRENT PASSWORD")

    def _stored(self, text: str) -> str:
        """A hash as ALTER USER takes it: its salt holds bytes that a text may not."""
        return f"0x{text.encode().hex()}" if self.version >= _HEX_SINCE else quote_text(text)


def _mark(**facts: str | bool | None) -> dict[str, Any]:
    return {_MARK: facts}


def _json(value: Mapping[str, Any]) -> str:
    # In ASCII: the server reads an attribute's text with three bytes a character at most.
    return quote_text(json.dumps(value))


def _patches(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What to merge into attributes so that they are those that are wanted: first what goes, then what comes.

    https://dev.mysql.com/doc/refman/8.4/en/json-modification-functions.html#function_json-merge-patch
    """
    changed = {key: value for key, value in wanted.items() if present.get(key) != value or key not in present}
    gone = {key: None for key in present if key not in wanted or key in changed}
    return [patch for patch in (gone, changed) if patch]


def _tls(facts: Mapping[str, Any]) -> str:
    kind = str(facts["ssl_type"])
    if kind != "SPECIFIED":
        return {"": "NONE", "ANY": "SSL", "X509": "X509"}[kind]
    parts = []
    for column, words in (("x509_subject", "SUBJECT"), ("x509_issuer", "ISSUER"), ("ssl_cipher", "CIPHER")):
        value = facts[column] or ""
        text = value.decode() if isinstance(value, bytes) else str(value)
        if text:
            parts.append(f"{words} {quote_text(text)}")
    return " AND ".join(parts)


def _lifetime(days: Any) -> str:
    return f"INTERVAL {int(days)} DAY" if int(days) else "NEVER"
