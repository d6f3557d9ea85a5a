"""Who logged in, according to the server, and how the two accounts of a secret are related.

A name in a secret is not an identity: anyone who can write the secret chooses it. Only a session makes an
:class:`Account`, from what the server says, and admins act only on accounts.
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
        server: identifies the server: two logins with different values reached two servers.
        key: the server's own identifier of the account: a role's oid, a SID, a user's id, its name in the catalog.
        name: the name in the catalog (``APP``, not ``app``). Shown in messages, and quoted in statements.
        scope: where the name applies: the hosts (MySQL), the authentication database (MongoDB), the container.
    """

    server: str
    key: Hashable
    name: str = field(compare=False)
    scope: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"'{self.name}'"


class Relation(Enum):
    """How the second user is related to the first, according to the server. The strategy decides what to do."""

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
        other: the second user's account, whose password is set next; None if it does not exist yet.
        current_is_source: whether the privileges of ``current`` are those that count; else those of ``other``.
        relation: what shows that the two belong together.
        reason: what speaks against it, for a person: ``it may SELECT on payroll.*``. Empty if nothing does.
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
        """The account whose privileges both have; None never, but where a lone clone's source does not exist yet."""
        return self.current if self.current_is_source else self.other

    @property
    def clone(self) -> Account | None:
        """The account that is given the privileges of the source; None if it does not exist yet."""
        return self.other if self.current_is_source else self.current

    @property
    def clone_name(self) -> str:
        """The clone's name, whether it exists yet or not."""
        return self.other_name if self.current_is_source else self.current.name
