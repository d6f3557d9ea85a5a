"""What the servers say of a user.

https://www.mongodb.com/docs/manual/reference/command/usersInfo/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# (role, database)
Role = tuple[str, str]
_ANYWHERE = ("root", "__system", "userAdminAnyDatabase", "dbAdminAnyDatabase", "readWriteAnyDatabase")
_MODERN = ["SCRAM-SHA-256"]


@dataclass(frozen=True)
class User:
    """A user.

    Args:
        name: its name.
        database: the one that it logs in to.
        roles: what it may do, and where.
        custom_data: what people have noted of it.
        mechanisms: how it logs in; empty where the server does not say.
        restrictions: from where it may log in.
    """

    name: str
    database: str
    roles: frozenset[Role]
    custom_data: Mapping[str, Any] = field(default_factory=dict)
    mechanisms: tuple[str, ...] = ()
    restrictions: tuple[Any, ...] = ()

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> User:
        """Read one entry of the answer to usersInfo."""
        return cls(
            said["user"],
            said["db"],
            frozenset((role["role"], role["db"]) for role in said.get("roles", ())),
            said.get("customData", {}),
            tuple(said.get("mechanisms", ())),
            tuple(said.get("authenticationRestrictions", ())),
        )

    @property
    def attributes(self) -> dict[str, Any]:
        """Everything but its name and password, as createUser and updateUser take it."""
        attributes: dict[str, Any] = {
            "roles": [{"role": role, "db": database} for role, database in sorted(self.roles)],
            "customData": dict(self.custom_data),
        }
        if list(self.mechanisms) == _MODERN:
            # A weaker verifier beside it would be a way in that the first user does not have. DocumentDB, which takes
            # no mechanisms, never says this.
            attributes["mechanisms"] = _MODERN
        if self.restrictions:
            attributes["authenticationRestrictions"] = [dict(one) for one in self.restrictions]
        return attributes

    def is_stranger_to(self, user: User) -> bool:
        """Whether this one may do what a twin of that user would not: something everywhere, or nothing in common."""
        surplus = self.roles - user.roles
        return bool(surplus) and (not self.roles & user.roles or any(role in _ANYWHERE for role, _ in surplus))
