"""Names as Db2 has them, and as a statement takes them.

https://www.ibm.com/docs/en/db2/11.5.x?topic=elements-identifiers
"""

from __future__ import annotations


def quoted(name: str) -> str:
    """A name in a statement, which nothing is pasted into."""
    return '"' + name.replace('"', '""') + '"'


def authid(user: str) -> str:
    """A user of the host as the catalog has it: in upper case, however it was spelled at the login."""
    return user.upper()


def host_user(authid: str) -> str:
    """A user of the catalog as the host has it."""
    return authid.lower()
