"""What the servers say of an account: the answer of SHOW CREATE USER, taken apart.

https://dev.mysql.com/doc/refman/8.4/en/show-create-user.html, https://mariadb.com/kb/en/show-create-user/
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_NATIVE = "mysql_native_password"
_PLUGIN = re.compile(r" IDENTIFIED (?:WITH|VIA) '?(\w+)'?")
_ALTERNATIVE = re.compile(r" OR (\w+)")
_TEXT = r"'(?:[^']|'')*'"
_SECRETS = re.compile(rf"(?: USING| AS| BY PASSWORD| BY) (?:{_TEXT}|<secret>|0x[0-9A-Fa-f]+)")
_DEFAULT_ROLE = re.compile(r" DEFAULT ROLE ((?:`(?:[^`]|``)*`@`(?:[^`]|``)*`,?)+)")
_ATTRIBUTES = re.compile(
    r" (?:REQUIRE|WITH MAX_|ACCOUNT|PASSWORD (?:EXPIRE|HISTORY|REUSE|REQUIRE)|FAILED_LOGIN|COMMENT|ATTRIBUTE).*$",
    re.DOTALL,
)
_EXPIRED = re.compile(r" PASSWORD EXPIRE(?! (?:DEFAULT|NEVER|INTERVAL))")


@dataclass(frozen=True)
class Account:
    """An account.

    Args:
        plugin: how it logs in.
        alternatives: further ways that MariaDB accepts as well.
        attributes: all that stands behind: TLS, limits, lock, expiry, comment; as ALTER USER takes it.
        default_roles: as ALTER USER takes them; empty where there are none (or on MariaDB, which grants them).
        locked: nobody may log in.
    """

    plugin: str
    alternatives: tuple[str, ...]
    attributes: str
    default_roles: str
    locked: bool


def account(create_user: str) -> Account:
    """Take the answer of SHOW CREATE USER apart; hashes are left out at once."""
    identified = _PLUGIN.search(create_user)
    text = _SECRETS.sub("", create_user)
    roles = _DEFAULT_ROLE.search(text)
    text = _EXPIRED.sub("", _DEFAULT_ROLE.sub("", text))
    attributes = _ATTRIBUTES.search(text)
    shown = attributes[0].strip() if attributes else ""
    head = text[: attributes.start()] if attributes else text
    return Account(
        # MariaDB's short form, and an account without a password, name no plugin.
        plugin=identified[1] if identified else _NATIVE,
        alternatives=tuple(_ALTERNATIVE.findall(head)),
        attributes=shown,
        default_roles=roles[1] if roles else "",
        locked="ACCOUNT LOCK" in shown,
    )


def native_hash(password: str) -> str:
    """What ``mysql_native_password`` stores, so that no statement holds the password.

    https://mariadb.com/kb/en/authentication-plugin-mysql_native_password/
    """
    inner = hashlib.sha1(password.encode()).digest()  # noqa: S324  # the server's choice, not ours
    return f"*{hashlib.sha1(inner).hexdigest().upper()}"  # noqa: S324
