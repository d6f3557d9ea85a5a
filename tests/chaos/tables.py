"""The table at the end of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chaos.outcomes import Outcome
from chaos.schedules import FAULTS

_HEAD = ("server", "strategy", "schedules", "faults", "rotations", "repeated", "given up", "named causes", "violations")


@dataclass
class Row:
    """The schedules of one server and strategy.

    Args:
        kind: the engine.
        server: with its version.
        strategy: the strategy.
    """

    kind: str
    server: str
    strategy: str
    schedules: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    rotations: int = 0
    repeated: int = 0
    given_up: int = 0
    named: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int | None, str]] = field(default_factory=list)

    def add(self, seed: int | None, outcome: Outcome) -> None:
        """Count a schedule's outcome; without a seed, it was no schedule's."""
        self.schedules += seed is not None
        self.injected.update(outcome.injected)
        self.rotations += outcome.rotations
        self.repeated += outcome.repeated
        self.given_up += outcome.given_up
        self.named.update(outcome.named)
        if outcome.violation is not None:
            self.violations.append((seed, outcome.violation))


def written(rows: list[Row]) -> str:
    """Two tables in Markdown: what came of it, and which faults there were. Then the violations, with their seeds."""
    outcomes = [
        (
            row.server,
            row.strategy,
            row.schedules,
            row.injected.total(),
            row.rotations,
            row.repeated,
            row.given_up,
            ", ".join(f"{count} {name}" for name, count in sorted(row.named.items())) or "none",
            len(row.violations),
        )
        for row in rows
    ]
    faults = [(kind, *(row.injected[kind] for row in rows), sum(row.injected[kind] for row in rows)) for kind in FAULTS]
    lines = [
        *_table(_HEAD, outcomes),
        "",
        *_table(("faults", *(f"{row.kind}, {row.strategy}" for row in rows), "all"), faults),
    ]
    for row in rows:
        for seed, violation in sorted(row.violations, key=lambda one: -1 if one[0] is None else one[0]):
            lines += ["", f"{row.server}, {row.strategy}: {violation}"]
            if seed is not None:
                replay = f"CHAOS_ENGINE={row.kind} CHAOS_STRATEGY={row.strategy} CHAOS_SEED={seed}"
                lines.append(f"    make chaos {replay}")
    return "\n".join([*lines, ""])


def _table(head: tuple[object, ...], rows: list[tuple[object, ...]]) -> list[str]:
    cells = [[str(one) for one in row] for row in (head, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]
