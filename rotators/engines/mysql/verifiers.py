"""Whether what a server has stored belongs to a password.

https://dev.mysql.com/doc/refman/8.4/en/caching-sha2-pluggable-authentication.html,
https://mariadb.com/kb/en/authentication-plugin-mysql_native_password/. The SHA-256 crypt is Ulrich Drepper's of 2008,
with MySQL's salt of 20 bytes: https://www.akkadia.org/drepper/SHA-crypt.txt
"""

from __future__ import annotations

import hashlib
import hmac
import re

NATIVE = "mysql_native_password"
CACHING_SHA2 = "caching_sha2_password"
SHA256 = "sha256_password"

_DIGITS = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT = 20
_HASH = 43
# $A$005$, the salt, the hash: the rounds in thousands, hexadecimal.
_CACHING = re.compile(rb"\$A\$([0-9A-F]{3})\$(.{%d})(.{%d})" % (_SALT, _HASH), re.DOTALL)
_PLAIN = re.compile(rb"\$5\$(?:rounds=(\d{1,9})\$)?(.{%d})\$(.{%d})" % (_SALT, _HASH), re.DOTALL)
_DEFAULT_ROUNDS = 5000
_DIGEST = 32
# Which bytes of the digest each four characters are made of.
_ORDER = [
    (0, 10, 20), (21, 1, 11), (12, 22, 2), (3, 13, 23), (24, 4, 14),
    (15, 25, 5), (6, 16, 26), (27, 7, 17), (18, 28, 8), (9, 19, 29),
]  # fmt: skip


def native_hash(password: str) -> str:
    """What ``mysql_native_password`` stores, so that no statement holds the password."""
    inner = hashlib.sha1(password.encode()).digest()  # noqa: S324  # the server's choice, not ours
    return f"*{hashlib.sha1(inner).hexdigest().upper()}"  # noqa: S324


def accepts(plugin: str, stored: str, password: str) -> bool:
    """Whether an account with this plugin and this stored text takes a password.

    Args:
        plugin: the way it logs in; False for those whose texts can't be computed here.
        stored: the server's text; an empty one belongs to no password.
        password: the one in question.
    """
    if plugin == NATIVE:
        return hmac.compare_digest(stored.upper().encode(), native_hash(password).encode())
    if plugin == CACHING_SHA2 and (match := _CACHING.fullmatch(stored.encode())):
        return hmac.compare_digest(match[3], sha256_crypt(password.encode(), match[2], int(match[1], 16) * 1000))
    if plugin == SHA256 and (match := _PLAIN.fullmatch(stored.encode())):
        rounds = int(match[1] or _DEFAULT_ROUNDS)
        return hmac.compare_digest(match[3], sha256_crypt(password.encode(), match[2], rounds))
    return False


def sha256_crypt(password: bytes, salt: bytes, rounds: int) -> bytes:
    """The SHA-256 crypt's 43 characters."""
    alternate = hashlib.sha256(password + salt + password).digest()
    start = password + salt + _repeated(alternate, len(password))
    length = len(password)
    while length:
        start += alternate if length & 1 else password
        length >>= 1
    digest = hashlib.sha256(start).digest()
    word = _repeated(hashlib.sha256(password * len(password)).digest(), len(password))
    seasoned = _repeated(hashlib.sha256(salt * (16 + digest[0])).digest(), len(salt))
    for number in range(rounds):
        odd = number & 1
        parts = word if odd else digest
        if number % 3:
            parts += seasoned
        if number % 7:
            parts += word
        digest = hashlib.sha256(parts + (digest if odd else word)).digest()
    return _encoded(digest)


def _repeated(block: bytes, length: int) -> bytes:
    return (block * (length // _DIGEST + 1))[:length]


def _encoded(digest: bytes) -> bytes:
    text = bytearray()
    for high, middle, low in _ORDER:
        text += _characters(digest[high] << 16 | digest[middle] << 8 | digest[low], 4)
    return bytes(text + _characters(digest[31] << 8 | digest[30], 3))


def _characters(number: int, count: int) -> bytes:
    return bytes(_DIGITS[number >> 6 * place & 63] for place in range(count))
