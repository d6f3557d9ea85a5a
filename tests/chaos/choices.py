"""What the environment asks ``make chaos`` for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from targets import ALTERNATING, DUAL, KINDS, SINGLE

from rotators.engines.names import serving

_REAL, _DOUBLE = 2_000, 500
_OF_DOUBLES = frozenset({"sqlserver", "oracle", "db2", "redshift"})
_STRATEGIES = (ALTERNATING, DUAL, SINGLE)
# A schedule waits for time-outs and servers about as long as it computes.
_JOBS_PER_CORE = 2


class UsageError(Exception):
    """A variable that asks for what there is not. The text names it, and the choices."""


@dataclass(frozen=True)
class Choices:
    """What is to be run.

    Args:
        pairs: engines with a strategy each.
        first: the first seed.
        count: schedules of each pair; None: as many as are good for its server.
        seed: the one to run; None: all of the count.
        jobs: how many run side by side.
    """

    pairs: tuple[tuple[str, str], ...]
    first: int
    count: int | None
    seed: int | None
    jobs: int

    def seeds(self, kind: str) -> range:
        """The seeds of each strategy of an engine."""
        if self.seed is not None:
            return range(self.seed, self.seed + 1)
        return range(self.first, self.first + (self.count or (_DOUBLE if kind in _OF_DOUBLES else _REAL)))


def read(variables: Mapping[str, str]) -> Choices:
    """Read the variables that begin with CHAOS_.

    Raises:
        UsageError: one asks for what there is not.
    """
    kinds = [_kind(one) for one in _listed(variables, "CHAOS_ENGINE")] or list(KINDS)
    strategies = [_strategy(one) for one in _listed(variables, "CHAOS_STRATEGY")] or list(_STRATEGIES)
    pairs = tuple((kind, one) for kind in KINDS if kind in kinds for one in _STRATEGIES if one in strategies)
    pairs = tuple((kind, one) for kind, one in pairs if one in KINDS[kind].strategies)
    if not pairs:
        has = "; ".join(f"{kind} has {', '.join(sorted(KINDS[kind].strategies))}" for kind in kinds)
        raise UsageError(f"CHAOS_STRATEGY={variables['CHAOS_STRATEGY']} is no strategy of what is chosen: {has}")
    jobs = _number(variables, "CHAOS_JOBS", least=1)
    return Choices(
        pairs,
        _number(variables, "CHAOS_FIRST", least=0) or 0,
        _number(variables, "CHAOS_SCHEDULES", least=1),
        _number(variables, "CHAOS_SEED", least=0),
        jobs or _JOBS_PER_CORE * (os.cpu_count() or 1),
    )


def _listed(variables: Mapping[str, str], name: str) -> list[str]:
    return [one.strip() for one in variables.get(name, "").split(",") if one.strip()]


def _kind(name: str) -> str:
    """An engine by its name, or by another that a secret or the command line has for it."""
    for kind in KINDS:
        if name == kind or (serving(name) is not None and serving(name) == serving(kind)):
            return kind
    raise UsageError(f"CHAOS_ENGINE={name} is no engine: choose of {', '.join(KINDS)}")


def _strategy(name: str) -> str:
    if name not in _STRATEGIES:
        raise UsageError(f"CHAOS_STRATEGY={name} is no strategy: choose of {', '.join(_STRATEGIES)}")
    return name


def _number(variables: Mapping[str, str], name: str, *, least: int) -> int | None:
    text = variables.get(name, "")
    if not text:
        return None
    # Else it would take "1_000" and other scripts' digits.
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise UsageError(f"{name}={text} is no number: give a whole one, {least} or more")
    return int(text)
