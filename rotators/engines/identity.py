"""Who logged in, as the server sees it; and how two accounts of one secret belong together.

A name in a secret is not an identity: whoever writes the secret chooses it. An :class:`Account` is made by a session
only, from what the server says, and admins act on accounts only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(frozen=True)
class Account:
    """One account of one server. Equal accounts are the same account, however a secret spells its name.

    Args:
        server: which server: two logins that show another one reached two servers.
        key: what the server itself tells the account by: a role's oid, a SID, a user's id, its name as catalogued.
        name: as the catalogue spells it (``APP``, not ``app``). Shown to people, and quoted in statements.
        scope: where the name holds: the hosts (MySQL), the authentication database (MongoDB), the container.
    """

    server: str
    key: Hashable
    name: str = field(compare=False)
    scope: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"'{self.name}'"


class Relation(Enum):
    """What the server shows of how the second user belongs to the first. Facts: the strategy judges."""

    ABSENT = "absent"
    """There is no user of that name yet."""
    MARKED = "marked"
    """Something that only an admin can make says that the two are a pair: a grant of the admin's, a mark."""
    RELATED = "related"
    """No mark; but the account whose password would be set may do nothing that the other may not."""
    UNRELATED = "unrelated"
    """Nothing shows that the two belong together."""
    MORE_POWERFUL = "more powerful"
    """No mark, and the account whose password would be set may do more than the one that logged in."""


@dataclass(frozen=True)
class Pair:
    """The two users of a secret, as an admin's session sees them.

    Args:
        current: the account that was proven by its password.
        other_name: the second user's name, as the engine forms it.
        other: the second user's account, whose password is set next; None where it is yet to be made.
        current_is_source: whether the privileges of ``current`` are those that count; else those of ``other``.
        relation: what shows that the two belong together.
        reason: what speaks against it, for a person: ``it may SELECT on payroll.*``. Empty where nothing does.
        remedy: the one statement that would prove that the two belong together, for an admin to run once. Empty where
            the engine has none.
    """

    current: Account
    other_name: str
    other: Account | None
    current_is_source: bool
    relation: Relation
    reason: str = ""
    remedy: str = ""

    @property
    def source(self) -> Account | None:
        """The account whose privileges both have; None never, but where a lone clone's source is yet to be made."""
        return self.current if self.current_is_source else self.other

    @property
    def clone(self) -> Account | None:
        """The account that is given the privileges of the source; None where it is yet to be made."""
        return self.other if self.current_is_source else self.current
