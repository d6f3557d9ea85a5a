"""What happens in a schedule: drawn from its seed alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

KILLED = "process killed"
RESTARTED = "database restarted"
PROMOTED = "standby promoted"
CUT = "network cut"
STALLED = "network stalled"
SLOWED = "network slowed"
THROTTLED = "throttled"
REFUSED = "service failed"
LOST = "answer lost after the write"
UNSENT = "call lost"
LAGGING = "reads lag"
EDITED = "secret edited"
NO_TIME = "time ran out"
STEP_TWICE = "step run twice at once"
STEPS_AT_ONCE = "two steps at once"
TWO_ROTATIONS = "two rotations at once"

FAULTS = (
    KILLED, RESTARTED, PROMOTED, CUT, STALLED, SLOWED, THROTTLED, REFUSED, LOST, UNSENT, LAGGING, EDITED, NO_TIME,
    STEP_TWICE, STEPS_AT_ONCE, TWO_ROTATIONS,
)  # fmt: skip
# How often each is drawn, beside the others. What takes a second and more is seldom.
_ODDS = {
    KILLED: 24, CUT: 10, STALLED: 2, SLOWED: 4, THROTTLED: 5, REFUSED: 4, LOST: 8, UNSENT: 4, LAGGING: 8, EDITED: 8,
    NO_TIME: 5, STEP_TWICE: 10, STEPS_AT_ONCE: 6, TWO_ROTATIONS: 3,
}  # fmt: skip
# Of so many schedules one has the database restarted, and one a standby promoted.
_RESTARTS_OF = 50
# What needs a network that is ours.
_OF_THE_NETWORK = frozenset({CUT, STALLED, SLOWED})
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_EDITS: tuple[dict[str, Any], ...] = ({"note": "for the person on call"}, {"another key": 1.5}, {"note": ["a", "b"]})


@dataclass(frozen=True)
class Fault:
    """Something that happens.

    Args:
        kind: one of ``FAULTS``.
        at: when, in rotations since the schedule began: 0.5 is in the middle of the first.
        delay: seconds after the crossing; 0: before it passes.
        how: what the kind asks for.
    """

    kind: str
    at: float
    delay: float = 0.0
    how: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """What happens.

    Args:
        seed: what it was drawn from.
        earlier: rotations before, by which a second user is there already.
        rotations: how many are broken.
        attempts: how many attempts the faults may reach; what follows is free of them.
        faults: what happens.
        looks: instants, as in faults, at which the promise is tried.
        watched: it is tried after each step, too.
        fresh: each step has a process of its own.
        two_hosts: the user has a second account.
    """

    seed: int
    earlier: int
    rotations: int
    attempts: int
    faults: tuple[Fault, ...]
    looks: tuple[float, ...]
    watched: bool
    fresh: bool
    two_hosts: bool

    @property
    def slow(self) -> bool:
        """Whether the database is restarted or another takes its place."""
        return any(fault.kind in {RESTARTED, PROMOTED} for fault in self.faults)


@dataclass(frozen=True)
class Abilities:
    """What a server and its strategy allow.

    Args:
        network: packets pass through a proxy of ours.
        restarts: the server can be restarted.
        promotes: it can have a standby.
        hosts: users have accounts by host.
        edits: further edits that fit: another database, another name of the host.
    """

    network: bool
    restarts: bool
    promotes: bool
    hosts: bool
    edits: tuple[dict[str, Any], ...] = ()


def draw(engine: str, strategy: str, seed: int, abilities: Abilities) -> Schedule:
    """Draw a schedule.

    Args:
        engine: the kind of server, so that engines do not have the same draws.
        strategy: likewise.
        seed: its number.
        abilities: what can happen there.
    """
    choice = Random(f"{engine} {strategy} {seed}")  # noqa: S311  # a test's draw
    earlier = choice.choice((0, 1, 1))
    rotations = choice.choice((1, 1, 1, 2))
    attempts = choice.randint(1, 3)
    kinds = {kind: odds for kind, odds in _ODDS.items() if abilities.network or kind not in _OF_THE_NETWORK}
    drawn = choice.choices(list(kinds), list(kinds.values()), k=choice.choice((1, 1, 2, 2, 3, 4)))
    slow = choice.randrange(_RESTARTS_OF)
    if slow == 0 and abilities.restarts:
        drawn[0] = RESTARTED
    elif slow == 1 and abilities.promotes:
        drawn[0] = PROMOTED
    faults = [_fault(choice, kind, abilities, rotations) for kind in drawn]
    looks = tuple(choice.uniform(0, rotations + 0.3) for _ in range(choice.choice((1, 2, 3))))
    two_hosts = abilities.hosts and choice.random() < 0.2
    watched, fresh = choice.random() < 0.25, choice.random() < 0.25
    return Schedule(seed, earlier, rotations, attempts, tuple(faults), looks, watched, fresh, two_hosts)


def _fault(choice: Random, kind: str, abilities: Abilities, rotations: int) -> Fault:
    at = choice.uniform(0, rotations + 0.4)
    delay = choice.choice((0.0, 0.0, 0.0, choice.uniform(0, 0.003)))
    how: dict[str, Any] = {}
    if kind == KILLED:
        how = {"all": choice.random() < 0.5}
    elif kind == SLOWED:
        how = {"seconds": choice.uniform(0.001, 0.004)}
    elif kind in {THROTTLED, REFUSED, UNSENT, LOST}:
        # botocore makes three attempts.
        how = {"times": choice.choice((1, 3, 3)), "when": choice.choice(("before", "after"))}
        how |= {"writes": choice.random() < 0.7, "which": choice.randrange(2)}
    elif kind == LAGGING:
        how = {"reads": choice.randint(1, 8)}
    elif kind == EDITED:
        how = {"edit": choice.choice([*_EDITS, *abilities.edits])}
    elif kind == NO_TIME:
        how = {"step": choice.choice(STEPS), "seconds": choice.uniform(0.05, 0.8)}
    elif kind == STEP_TWICE:
        step = choice.choice(STEPS)
        how = {"step": step, "other": step, "awaited": choice.random() < 0.5, "later": choice.uniform(0, 0.01)}
    elif kind == STEPS_AT_ONCE:
        how = {"step": choice.choice(STEPS[1:]), "other": choice.choice(STEPS)}
        how |= {"awaited": choice.random() < 0.5, "later": choice.uniform(0, 0.01)}
    elif kind in {RESTARTED, PROMOTED}:
        how = {"held up": choice.random() < 0.5}
    return Fault(kind, at, delay, how)
