"""Deployed, looked at, removed: the last whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from infra.verify.inside import TASKS
from infra.verify.runner import verify
from rotators.errors import ServiceFailed, UnexpectedError

ROOT = Path(__file__).parents[2]


class FakeAccount:
    """An account that keeps what it was asked.

    Args:
        fails: what is done without success.
        left: what its removal leaves.
        answers: of a task, one for each invocation; by default one without rows.
    """

    where = "nowhere"

    def __init__(self, fails: str = "", left: list[str] | None = None, answers: dict[str, Any] | None = None) -> None:
        self.asked: list[Any] = []
        self._fails, self._left, self._answers = fails, left or [], answers or {}

    def deploy(self) -> None:
        self._ask("deploy")

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        self._ask(event["task"], event.get("only"))
        answers = self._answers.get(event["task"], [{"rows": [], "left": []}])
        answer: dict[str, Any] = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer

    def remove(self) -> list[str]:
        self.asked.append("remove")
        return self._left

    def _ask(self, what: str, only: Any = None) -> None:
        self.asked.append(what if only is None else (what, only))
        if what == self._fails:
            raise ServiceFailed(f"{what} failed")


def row(name: str) -> dict[str, Any]:
    return {"name": name, "page": "p", "expected": 1, "seen": 1}


def test_all_tasks_are_done_between_deployment_and_removal() -> None:
    account = FakeAccount()
    report, left = verify(account, say=lambda _: None)
    assert account.asked == ["deploy", *TASKS, "remove"]
    assert (report.rows, left) == ([], [])


def test_what_there_was_no_time_for_is_asked_for_again() -> None:
    answers = {"conformance": [{"rows": [row("a")], "left": ["b"]}, {"rows": [row("b")], "left": []}]}
    account = FakeAccount(answers=answers)
    report, _ = verify(account, say=lambda _: None)
    assert [one.name for one in report.rows] == ["a", "b"]
    assert ("conformance", ["b"]) in account.asked


def test_a_function_that_never_gets_on_ends_the_run() -> None:
    account = FakeAccount(answers={"service": [{"rows": [], "left": ["a"]}]})
    with pytest.raises(UnexpectedError, match="did not get through its task 'service'"):
        verify(account, say=lambda _: None)
    assert account.asked[-1] == "remove"


@pytest.mark.parametrize("fails", ["deploy", *TASKS])
def test_all_is_removed_after_a_failure_even_where_it_was_to_be_kept(fails: str) -> None:
    said: list[str] = []
    account = FakeAccount(fails, left=["a stack. Remove it: aws …"])
    with pytest.raises(ServiceFailed):
        verify(account, keep=True, say=said.append)
    assert account.asked[-1] == "remove"
    assert "LEFT: a stack. Remove it: aws …" in said


def test_it_is_kept_where_that_was_asked_for() -> None:
    account = FakeAccount()
    verify(account, keep=True, say=lambda _: None)
    assert "remove" not in account.asked


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_all_is_removed_after_ctrl_c_in_the_middle_of_a_deployment(tmp_path: Path, number: signal.Signals) -> None:
    """A second Ctrl-C, in the minutes that a removal takes, is told to wait."""
    program = """
        import sys
        from infra.verify.runner import verify

        def say(text):
            print(text, flush=True)

        class Slow:
            where = "nowhere"
            def deploy(self):
                say("half of it is made")
                sys.stdin.readline()
            def invoke(self, event):
                raise AssertionError
            def remove(self):
                say("half of it is removed")
                sys.stdin.readline()
                say("all is removed")
                return []

        verify(Slow(), say=say)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        try:
            _read_until(process.stdout, "half of it is made")
            process.send_signal(number)
            _read_until(process.stdout, "half of it is removed")
            process.send_signal(number)
            _read_until(process.stderr, "still removing")
            process.stdin.write("\n")
            process.stdin.flush()
            rest, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "all is removed" in rest
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode != 0


def _read_until(stream: Any, text: str) -> None:
    for line in stream:
        if text in line:
            return
    raise AssertionError(f"it ended without saying: {text}")
