"""Runs the conformance suite on an existing server, without the plugins of this repository's own test runs."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rotators.testing import RotationService

PASSED = "passed"
# How many seconds the last test may take.
RESERVE = 90.0
_INI = Path(__file__).with_name("pytest.ini")
# Tests that can't run there, each with the reason.
LEFT_OUT = {
    "test_one_server_may_have_two_names": "it takes a server that listens on the loopback",
    "test_an_edit_after_the_database_has_changed_loses_neither_version": "so does this",
}


class Suite:
    """A pytest plugin: the fixtures of the suite, and the outcomes of its tests.

    Args:
        target: the database.
        kind: what the suites know of its engine.
        only: the tests to run, by name; None: all.
        every: of those, each n-th.
        remaining: how many seconds there are.
    """

    def __init__(
        self, target: Any, kind: Any, only: frozenset[str] | None, every: int, remaining: Callable[[], float]
    ) -> None:
        self.results: dict[str, str] = {}
        self.left: list[str] = []
        self._target, self._kind = target, kind
        self._only, self._every, self._remaining = only, every, remaining

    @pytest.fixture
    def target(self) -> Any:
        """The database."""
        return self._target

    @pytest.fixture
    def rotation_service(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[RotationService]:
        """A simulated service for one test."""
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        with RotationService() as service:
            yield service

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skip tests that were not requested, and tests of what the engine does not have."""
        mine = sorted((item for item in items if self._suits(item)), key=lambda item: item.name)[:: self._every]
        items[:] = [item for item in mine if self._only is None or _name(item) in self._only]

    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Do not begin a test without time for it: the next invocation runs it."""
        if self._remaining() > RESERVE:
            return None
        self.left.append(_name(item))
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a test's outcome. The compared values may hold passwords, so only the place of a failure is reported."""
        name = report.nodeid.partition("::")[2].replace("::", " ")
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            line = f"line {crash.lineno} of {Path(crash.path).name}" if crash is not None else report.when
            kind = "" if crash is None else f", {crash.message.split(':')[0].split('(')[0].split()[0]}"
            self.results[name] = f"failed: {line}{kind}"
        elif report.skipped or report.when == "call":
            self.results.setdefault(name, "skipped" if report.skipped else PASSED)

    def _suits(self, item: pytest.Item) -> bool:
        if "postgres" in getattr(item, "fixturenames", ()) or getattr(item, "originalname", item.name) in LEFT_OUT:
            return False
        if item.get_closest_marker("long") is not None:
            return False
        values = getattr(item, "callspec", None)
        params: Mapping[str, Any] = values.params if values is not None else {}
        strategies = {"single-user", "alternating-users", "dual-password"}
        if any(value in strategies - self._kind.strategies for value in params.values() if isinstance(value, str)):
            return False
        password = params.get("password")
        return not (isinstance(password, str) and set(password) & set(self._kind.impossible))


def run(
    tests: Path,
    target: Any,
    kind: Any,
    *,
    only: frozenset[str] | None,
    every: int,
    remaining: Callable[[], float],
) -> tuple[dict[str, str], list[str]]:
    """Run the suite.

    Args:
        tests: the folder with the suites, which must be importable from.
        target: the database.
        kind: what the suites know of its engine.
        only: the tests to run, by name; None: all.
        every: of those, each n-th.
        remaining: how many seconds there are.

    Returns:
        what became of each test, and the names of those for which there was no time.
    """
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    suite = Suite(target, kind, only, every, remaining)
    arguments = ["-c", str(_INI), "--rootdir", str(tests), "--noconftest", "-p", "no:cacheprovider", "-q", "--tb=no"]
    arguments += ["--show-capture=no", "--no-header", "--no-summary", str(tests / "engines" / "test_conformance.py")]
    # The report is made of the rows.
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(arguments, plugins=[suite])
    return suite.results, suite.left


def kind_of(engine: str) -> Any:
    """The suites' description of an engine."""
    kinds = importlib.import_module("targets").KINDS
    return kinds["postgresql" if engine == "postgres" else engine]


def _name(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[2].replace("::", " ")
