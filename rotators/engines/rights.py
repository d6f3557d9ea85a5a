"""Rights as values, and the steps that lead from one set to another where a REVOKE takes more than one right."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass

_Key = tuple[str, str, str]


@dataclass(frozen=True, order=True)
class Right:
    """One thing that was granted.

    Args:
        kind: the kind of object, in the engine's words.
        what: the privilege or role, as GRANT takes it: ``CREATE TABLE``, ``"READER"``, ``UPDATE ("PRICE")``.
        on: the object as GRANT takes it; empty where there is none.
        passed_on: with its ADMIN or GRANT OPTION.
    """

    kind: str
    what: str
    on: str = ""
    passed_on: bool = False

    @property
    def key(self) -> _Key:
        """All but the option."""
        return self.kind, self.what, self.on


def changes(wanted: set[Right], present: set[Right], unit: Callable[[Right], Hashable]) -> Iterator[tuple[bool, Right]]:
    """What to grant, to revoke, and to grant again, in this order: what stays is there all the time, if it can be.

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
    gone = [key for key, right in sorted(has.items()) if key not in to or (right.passed_on and not to[key].passed_on)]
    taken = {unit(has[key]) for key in gone}
    for right in _missing(to, has):
        if unit(right) not in taken:
            has[right.key] = right
            yield True, right
    for key in gone:
        if key in has:
            yield False, has[key]
            with_it = unit(has[key])
            has = {other: right for other, right in has.items() if unit(right) != with_it}
    for right in _missing(to, has):
        yield True, right


def _missing(to: Mapping[_Key, Right], has: Mapping[_Key, Right]) -> list[Right]:
    return [
        right for key, right in sorted(to.items()) if key not in has or (right.passed_on and not has[key].passed_on)
    ]
