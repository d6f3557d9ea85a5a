"""The report of a run as text, and the files to which it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from rotators.cli.rotate_html import page
from rotators.cli.rotate_outcome import Evidence, Outcome, Result, moment
from rotators.errors import ConfigurationError, one_line

SUFFIXES = (".txt", ".json", ".html")


def text(evidence: Evidence) -> str:
    """The report as lines: a heading, the secrets with a problem, then the others."""
    return "\n".join(one_line(line) for line in _lines(evidence)) + "\n"


def _lines(evidence: Evidence) -> Iterator[str]:
    yield evidence.summary
    yield f"what: {evidence.what}"
    for caller in evidence.callers:
        yield f"by: {caller}"
    yield f"from {moment(evidence.begun)} to {moment(evidence.ended)}, run {evidence.run}"
    if evidence.journal:
        yield f"journal: {evidence.journal}"
    for outcome in sorted(evidence.outcomes, key=lambda one: not one.wrong):
        yield line(outcome)


def line(outcome: Outcome) -> str:
    """The outcome of a secret in one line."""
    where = " ".join(filter(None, (outcome.account, outcome.region)))
    facts = [f"{where}: {outcome.secret}: {outcome.result}" if outcome.secret else f"{where}: {outcome.result}"]
    if outcome.result is Result.PLANNED:
        twice = "2 rotations" if outcome.wanted > 1 else "1 rotation"
        facts.append(f"{twice} by function {outcome.function}, staggered with {outcome.group}")
    for turn in outcome.turns:
        took = "" if turn.seconds is None else f" in {turn.seconds:.0f} s"
        facts.append(f"version {turn.token} after {turn.before or 'none'}, at {moment(turn.started)}{took}")
    if outcome.overdue_before:
        facts.append(f"before: {outcome.overdue_before}")
    if outcome.overdue_after:
        facts.append(f"after: {outcome.overdue_after}")
    facts += filter(None, (outcome.cause, outcome.remedy and f"do: {outcome.remedy}", outcome.note))
    return "; ".join(facts)


def write(evidence: Evidence, file: Path) -> None:
    """Write a report to a file. The suffix decides the format.

    Raises:
        ConfigurationError: it can't be written.
    """
    made = {
        ".txt": lambda: text(evidence),
        ".json": lambda: json.dumps(evidence.to_json(), indent=2, ensure_ascii=False) + "\n",
        ".html": lambda: page(evidence),
    }[file.suffix]()
    try:
        # A lone surrogate can't be encoded, and is not visible anyway.
        file.write_text(made, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigurationError(
            f"the report {file} can't be written ({error.strerror})", "resume the journal, which writes it again"
        ) from None
