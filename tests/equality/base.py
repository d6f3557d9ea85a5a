"""Random sets of rights, attributes and settings, and what is seen of users who have them.

A set is made of features: each gives a user something, and can take it away again. What a user can do is never read
from a catalogue: it tries, and what the server answers is the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

import pytest
from targets import ALTERNATING, Application, Rotated, rotated

from rotators.errors import RotationError, VersionUnknown
from rotators.testing import RotationService

SETS = 200
"""How many sets of an engine there are."""
MOST_REFUSED = 0.2
"""At most this part of them may be refused: else nothing would be shown."""

Outcomes = Mapping[str, str]
"""What came of each thing that was tried: ``ok`` with what was answered, or the error's code."""


@dataclass(frozen=True)
class Feature:
    """Something that a user can be given.

    Args:
        name: what it is, for people.
        give: the statements that give it.
        take: the statements that take it away.
        slot: of those with the same slot a set has one at most.
        refused: what the error says by which the documentation has createSecret refuse users with it; empty: none.
        odds: how often it is in a set, beside the others.
    """

    name: str
    give: Sequence[Any]
    take: Sequence[Any]
    slot: str = ""
    refused: str = ""
    odds: float = 1.0


class World(Protocol):
    """An engine's users and what they can be given, on one server."""

    def begin(self, choice: Random) -> Application:
        """Make a user, and what rights can be given on."""

    def features(self, choice: Random) -> list[Feature]:
        """All that the user can be given, with the details drawn."""

    def apply(self, statements: Sequence[Any]) -> None:
        """Give or take, as a user who may do everything."""

    def keys(self) -> Mapping[str, Any]:
        """Further keys of the user's secret."""

    def probe(self, secret: Mapping[str, Any]) -> Outcomes:
        """Try everything as a user, and leave nothing behind."""

    def has_user(self, username: str) -> bool:
        """Whether there is such a user."""

    def end(self) -> None:
        """Remove what was made."""


@dataclass
class Count:
    """What a set has shown."""

    rotated: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    probes: int = 0


def draws(engine: str, seed: int) -> Random:
    """What a set is drawn with."""
    return Random(f"{engine} {seed}")  # noqa: S311  # a test's draw


def is_refusable(choice: Random) -> bool:
    """Whether a set holds something that makes createSecret refuse its user: the first draw of a set."""
    return choice.random() < MOST_REFUSED / 2


class Draw:
    """A user with a random set, which changes.

    Args:
        world: where.
        seed: the number of the set.
        engine: so that engines do not have the same draws.
    """

    def __init__(self, world: World, seed: int, engine: str) -> None:
        self.world = world
        self._choice = draws(engine, seed)
        refusable = is_refusable(self._choice)
        self.application = world.begin(self._choice)
        self._all = world.features(self._choice)
        self.present: list[Feature] = []
        self._add(self._choice.randint(8, max(8, len(self._all) // 3)), refusable=refusable)

    @property
    def refusal(self) -> list[str]:
        """What the error says, one or the other, if the set must be refused."""
        return [one.refused for one in self.present if one.refused]

    def change(self) -> None:
        """Take some of it away, and give other things."""
        kept = [one for one in self.present if self._choice.random() > 1 / 3]
        for one in [one for one in self.present if one not in kept]:
            self.take(one)
        self._add(self._choice.randint(3, 10), refusable=False)

    def take(self, feature: Feature) -> None:
        """Take one away."""
        self.world.apply(feature.take)
        self.present.remove(feature)

    def _add(self, count: int, *, refusable: bool) -> None:
        ranked = sorted(self._all, key=lambda one: self._choice.random() ** (1 / one.odds), reverse=True)
        wanted = [one for one in ranked if one.refused][: int(refusable)]
        wanted += [one for one in ranked if not one.refused]
        slots = {one.slot for one in self.present if one.slot}
        for one in wanted:
            if count > 0 and one not in self.present and one.slot not in slots:
                self.world.apply(one.give)
                self.present.append(one)
                slots |= {one.slot} - {""}
                count -= 1


def examine(world: World, target: Any, service: RotationService, draw: Draw) -> Count:
    """Rotate a user three times, change its set in between, and compare both users by what they can do.

    Raises:
        AssertionError: they differ, or a refusal is not the documented one.
    """
    count = Count()
    subject = rotated(target, service, ALTERNATING, application=draw.application, **world.keys())
    first = _alone(world, subject, count)
    if draw.refusal:
        _refused(world, subject, draw, first, count)
        first = _alone(world, subject, count)
        again = subject.service.retry(subject.arn)
        # A refused login is not repeated where wrong passwords are counted: the version is discarded.
        _succeed(subject.service.rotate(subject.arn) if isinstance(again.error, VersionUnknown) else again)
    else:
        _succeed(subject.service.rotate(subject.arn))
    both = _compare(world, subject, draw, count)
    _require_equal(first, both, "the user before the rotation and after it", draw)
    draw.change()
    for _ in range(2):
        _succeed(subject.service.rotate(subject.arn))
    _compare(world, subject, draw, count)
    count.rotated = 1
    return count


def _succeed(rotation: Any) -> None:
    if rotation.error is not None:
        raise AssertionError(f"{rotation.failed_step}: {rotation.error}") from rotation.error


def _alone(world: World, subject: Rotated, count: Count) -> Outcomes:
    outcomes = world.probe(subject.value)
    count.probes += len(outcomes)
    return outcomes


def _compare(world: World, subject: Rotated, draw: Draw, count: Count) -> Outcomes:
    """AWSPREVIOUS and AWSCURRENT are the two users."""
    outcomes = {}
    for stage in ("AWSCURRENT", "AWSPREVIOUS"):
        value = subject.service.value(subject.arn, stage)
        outcomes[value["username"]] = world.probe(value)
    mine, other = outcomes.pop(draw.application.username), outcomes.popitem()[1]
    count.probes += len(mine)
    _require_equal(mine, other, "the user first, its clone second", draw)
    return mine


def _refused(world: World, subject: Rotated, draw: Draw, first: Outcomes, count: Count) -> None:
    """The documented refusal, in createSecret, and nothing is changed; then what stood in the way is taken away."""
    before = subject.value
    rotation = subject.service.rotate(subject.arn)
    assert isinstance(rotation.error, RotationError), f"{rotation.error!r} for {draw.refusal}"
    assert rotation.failed_step == "createSecret", f"{rotation.failed_step}: {rotation.error}"
    assert rotation.error.advice, str(rotation.error)
    reasons = [one for one in draw.refusal if one in str(rotation.error)]
    assert reasons, f"{rotation.error} is for none of {draw.refusal}"
    assert subject.value == before, "the secret was changed"
    with pytest.raises(KeyError):
        subject.service.value(subject.arn, "AWSPENDING")
    _require_equal(first, _alone(world, subject, count), "the user before the refusal and after it", draw)
    assert not world.has_user(f"{before['username']}_clone"), "there is a clone"
    count.refused[reasons[0]] = count.refused.get(reasons[0], 0) + 1
    for one in [one for one in draw.present if one.refused]:
        draw.take(one)


def _require_equal(first: Outcomes, second: Outcomes, what: str, draw: Draw) -> None:
    different = [
        f"{name}: {first.get(name)} | {second.get(name)}"
        for name in {**first, **second}
        if first.get(name) != second.get(name)
    ]
    if different:
        features = ", ".join(one.name for one in draw.present)
        raise AssertionError("\n  ".join([f"{what} ({features}):", *different]))
