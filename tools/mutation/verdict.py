"""What a module's mutants say of its tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mutation.results import Mutant, Result
from mutation.tables import Explained


@dataclass(frozen=True)
class Verdict:
    """A module's mutants, sorted.

    Args:
        result: what was tried.
        killed: how many a test noticed.
        explained: how many nobody noticed, and need not.
        survivors: those that nobody noticed, and that nobody has explained.
        stale: explanations of what is killed by now, or is no longer made.
    """

    result: Result
    killed: int
    explained: int
    survivors: tuple[Mutant, ...]
    stale: tuple[Explained, ...]

    @property
    def failed(self) -> bool:
        """Whether there is something to do."""
        return bool(self.survivors or self.stale)


def judge(result: Result, entries: Sequence[Explained]) -> Verdict:
    """Sort a module's mutants.

    Args:
        result: what was tried.
        entries: the explained ones of this module. Of several mutants that look the same, each is explained.
    """
    known = {(entry.function, entry.was, entry.becomes): entry for entry in entries}
    alive = [one for one in result.mutants if not one.killed]
    unexplained = tuple(one for one in alive if (one.function, one.was, one.becomes) not in known)
    met = {(one.function, one.was, one.becomes) for one in alive}
    stale = tuple(entry for key, entry in known.items() if key not in met)
    return Verdict(result, len(result.mutants) - len(alive), len(alive) - len(unexplained), unexplained, stale)


def report(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The lines that tell what is to do, and a table."""
    for one in verdicts:
        for mutant in one.survivors:
            yield f"{one.result.module}: {mutant.function}: {mutant.status}"
            yield from _lines(mutant.was, mutant.becomes)
        for entry in one.stale:
            yield f"{one.result.module}: {entry.function}: is explained, and is killed or no longer made"
            yield from _lines(entry.was, entry.becomes)
    total: Counter[str] = Counter()
    yield "| module | mutants | killed | of them by time | explained | not explained | left out | score | seconds |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in verdicts:
        counts = {
            "mutants": len(one.result.mutants),
            "killed": one.killed,
            "by time": sum(mutant.timed_out for mutant in one.result.mutants),
            "explained": one.explained,
            "survivors": len(one.survivors),
            "left out": one.result.left_out,
            "seconds": round(one.result.seconds),
        }
        total.update(counts)
        yield _row(f"`{one.result.module}`", counts)
    yield _row("all", total)


def _lines(was: str, becomes: str) -> Iterator[str]:
    yield from (f"    - {line}" for line in was.splitlines())
    yield from (f"    + {line}" for line in becomes.splitlines())


def _row(name: str, counts: dict[str, int] | Counter[str]) -> str:
    # What is explained counts for neither side.
    judged = counts["mutants"] - counts["explained"]
    # Cut, not rounded: 100 % is said of nothing less.
    score = f"{int(1000 * counts['killed'] / judged) / 10:.1f} %" if judged else ""
    cells = [counts[key] for key in ("mutants", "killed", "by time", "explained", "survivors", "left out")]
    return f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} | {score} | {counts['seconds']:,} |"
