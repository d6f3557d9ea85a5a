"""What a user was granted, and what brings another one to the same, where a REVOKE takes more than one right."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Right:
    """One thing that was granted.

    Args:
        kind: what it is a right on, in the engine's words.
        what: the privilege or role, as GRANT takes it: ``CREATE TABLE``, ``"READER"``, ``UPDATE ("PRICE")``.
        on: the object as GRANT takes it; empty where there is none.
        passed_on: with its ADMIN or GRANT OPTION.
    """

    kind: str
    what: str
    on: str = ""
    passed_on: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """All but the option."""
        return self.kind, self.what, self.on


def changes(wanted: set[Right], present: set[Right], unit: Callable[[Right], Hashable]) -> Iterator[tuple[bool, Right]]:
    """What to revoke, then what to grant.

    An option can't be revoked alone: then the right goes and comes back. Nor can a column's right where REVOKE takes
    the whole table's: those that stay are granted again.

    Args:
        wanted: what should be there.
        present: what is there, and may be revoked.
        unit: what a REVOKE of a right takes with it: all rights that give the same.

    Returns:
        For each step whether it is a grant, and of what.
    """
    # Sorted, so that of two of a kind the one with its option stays.
    to, has = {right.key: right for right in sorted(wanted)}, {right.key: right for right in sorted(present)}
    gone = [key for key, right in has.items() if key not in to or (right.passed_on and not to[key].passed_on)]
    for key in sorted(gone):
        if key in has:
            yield False, has[key]
            taken = unit(has[key])
            has = {other: right for other, right in has.items() if unit(right) != taken}
    for key in sorted(to):
        if key not in has or (to[key].passed_on and not has[key].passed_on):
            yield True, to[key]
