"""What is to be run, and what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

_PART = 10


@dataclass
class Outcome:
    """What came of a schedule.

    Args:
        injected: how often each kind of fault has happened.
        rotations: that ended well.
        repeated: attempts that the service made again.
        named: attempts without a fault that ended with an error which says what to do, by its class.
        given_up: rotations that another one took the place of.
        violation: the promise that does not hold.
    """

    injected: Counter[str] = field(default_factory=Counter)
    rotations: int = 0
    repeated: int = 0
    named: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    violation: str | None = None


@dataclass(frozen=True)
class Part:
    """Some seeds of an engine with a strategy."""

    kind: str
    strategy: str
    seeds: range


@dataclass(frozen=True)
class Ran:
    """What came of a schedule; without a seed: of a job, which ended with its part undone."""

    kind: str
    strategy: str
    seed: int | None
    outcome: Outcome


def parts_of(kind: str, strategy: str, seeds: range) -> list[Part]:
    """Cut the seeds, so that each job always has some."""
    return [Part(kind, strategy, seeds[start : start + _PART]) for start in range(0, len(seeds), _PART)]
