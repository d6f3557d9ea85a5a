"""The counts of the fault tests, at the end of pytest's output."""

from __future__ import annotations

from collections import Counter

import pytest

FAULTS = "faults"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each suite of faults: how many points were broken, and that all recovered."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == FAULTS:
                suite, points = value
                counts[suite] += points
    if counts:
        terminalreporter.section("faults")
        for suite, points in sorted(counts.items()):
            terminalreporter.line(f"{suite}: {points} points broken, every one recovered by itself")
