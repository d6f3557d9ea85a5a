"""Every step but AWS's: the handler runs the suite on a real server of this machine, with simulated services.

In their own processes: pytest runs in there, and Secrets Manager is simulated once in a process.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from targets import KINDS

from infra.verify.inside import conformance

ROOT = Path(__file__).parents[2]
KIND = {"postgres": "postgresql"}
# Of the conformance suite, in `make test`.
SHARE = 30


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=variables, timeout=280)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize(
    ("engine", "every"),
    [
        ("postgres", SHARE),
        *(pytest.param(one, 1, marks=pytest.mark.long) for one in ("postgres", "mariadb", "mysql")),
    ],
)
def test_a_rehearsal_finds_no_difference(engine: str, every: int) -> None:
    if not KINDS[KIND.get(engine, engine)].servers():
        pytest.skip(KINDS[KIND.get(engine, engine)].missing)
    ran = run("-m", "infra.verify", "--engine", engine, "--dry-run", "--every", str(every))
    assert (ran.returncode, ran.stderr) == (0, "")
    strategies = len(KINDS[KIND.get(engine, engine)].strategies)
    found = re.search(
        rf"no difference in \d+ facts \(service (\d+), rotations {strategies}, conformance (\d+)\)", ran.stdout
    )
    assert found is not None, ran.stdout
    service, suite = map(int, found.groups())
    assert service >= 19
    assert suite >= (1 if every > 1 else 60)
    assert "removing everything" in ran.stdout


class Crash:
    """Where pytest says that a test has failed."""

    path, lineno = "/var/task/tests/engines/test_conformance.py", 42
    message = "AssertionError: assert {'password': 'a-password'} == {}"


class Broken:
    reprcrash = Crash()


def test_a_test_that_fails_is_a_difference_and_nothing_that_it_compared_is_told() -> None:
    suite = conformance.Suite(None, KINDS["mariadb"], None, 1, lambda: 900.0)
    for name, when, outcome in (
        ("test_a", "call", "passed"),
        ("test_b", "call", "failed"),
        ("test_c", "setup", "skipped"),
        ("Test::test_d", "setup", "failed"),
    ):
        broken: Any = Broken() if outcome == "failed" else None
        report = pytest.TestReport(
            f"engines/test_conformance.py::{name}",
            ("", None, ""),
            {},
            outcome,
            longrepr=broken,
            when=when,  # type: ignore[arg-type]
        )
        suite.pytest_runtest_logreport(report)
    failed = "failed: line 42 of test_conformance.py, AssertionError"
    assert suite.results == {"test_a": "passed", "test_b": failed, "test_c": "skipped", "Test test_d": failed}


def test_no_test_is_begun_that_there_is_no_time_for() -> None:
    times = iter([900.0, 10.0])
    suite = conformance.Suite(None, KINDS["mariadb"], None, 1, lambda: next(times))
    item: Any = types.SimpleNamespace(nodeid="engines/test_conformance.py::test_a")
    assert suite.pytest_runtest_protocol(item) is None
    assert suite.pytest_runtest_protocol(item) is True
    assert suite.left == ["test_a"]
