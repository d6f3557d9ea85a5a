"""Privileges as values, and the steps from one set to another if a REVOKE removes more than one privilege."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass

_Key = tuple[str, str, str]


@dataclass(frozen=True, order=True)
class Right:
    """One grant.

    Args:
        kind: the kind of object, in the engine's words.
        what: the privilege or role, as in GRANT: ``CREATE TABLE``, ``"READER"``, ``UPDATE ("PRICE")``.
        on: the object as in GRANT; empty if there is none.
        passed_on: whether it has the ADMIN or GRANT OPTION.
    """

    kind: str
    what: str
    on: str = ""
    passed_on: bool = False

    @property
    def key(self) -> _Key:
        """The grant without its option."""
        return self.kind, self.what, self.on


def changes(wanted: set[Right], present: set[Right], unit: Callable[[Right], Hashable]) -> Iterator[tuple[bool, Right]]:
    """What to grant, to revoke, and to grant again, in this order. A wanted right stays granted throughout if possible.

    An option can't be revoked alone: the right is revoked and granted again. Where REVOKE removes the rights on all of
    a table's columns, those that stay are granted again.

    Args:
        wanted: the rights to have.
        present: the rights that exist and may be revoked.
        unit: what a REVOKE of a right removes: all rights for which this gives the same value.

    Returns:
        For each step whether it is a grant, and of what.
    """
    # Sorted, so that of two equal rights the one with the option stays.
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
