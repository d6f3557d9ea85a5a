"""Which account's host stands for another's: the servers take the narrowest pattern that a client's address fits.

https://dev.mysql.com/doc/refman/8.4/en/account-names.html, https://mariadb.com/kb/en/create-user/#account-names
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network

_ANYWHERE = {"%", ""}
_LEADING = re.compile(r"((?:\d{1,3}\.){1,3})%")
_BITS = 8


def covering(hosts: Iterable[str], host: str) -> str | None:
    """The host whose account takes all logins that another one would take, were that not there; None where none does.

    Args:
        hosts: the hosts of a user's accounts.
        host: in question; where it is among them, it is the answer.
    """
    found: str | None = None
    for one in sorted(hosts):
        if _covers(one, host) and (found is None or _covers(found, one)):
            found = one
    return found


def _covers(wide: str, narrow: str) -> bool:
    """Whether each address that fits the second fits the first; False where that can't be told."""
    if wide == narrow or wide in _ANYWHERE:
        return True
    if "\\" in wide + narrow or narrow in _ANYWHERE:
        return False
    outer, inner = _network(wide), _network(narrow)
    if outer is not None and inner is not None:
        return inner.subnet_of(outer)
    if "/" in wide + narrow:
        return False
    # What the narrow one leaves open, only a % of the wide one takes.
    pattern = "".join({"%": ".*", "_": "[^%]"}.get(character, re.escape(character)) for character in wide)
    return re.fullmatch(pattern, narrow, re.DOTALL | re.IGNORECASE) is not None


def _network(host: str) -> IPv4Network | None:
    """``10.1.2.3``, ``10.1.%``, ``10.1.0.0/255.255.0.0`` and ``10.1.0.0/16`` as networks; None for names."""
    leading = _LEADING.fullmatch(host)
    if leading is not None:
        octets = leading[1].rstrip(".").split(".")
        host = f"{'.'.join(octets + ['0'] * (4 - len(octets)))}/{_BITS * len(octets)}"
    try:
        return IPv4Network(host)
    except ValueError:
        return None
