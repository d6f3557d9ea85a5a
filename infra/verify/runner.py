"""Runs a verification: deploy, test, remove. What was created is always removed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from infra.verify.inside import TASKS
from infra.verify.report import Report, Row
from rotators.errors import UnexpectedError

# Each invocation does a part of a task; more of them would mean that there is no progress.
_MOST_INVOCATIONS = 30
_STDERR = 2


class Account(Protocol):
    """Where everything is created."""

    where: str
    """In words."""

    def deploy(self) -> None:
        """Create everything, and wait until it is done.

        Raises:
            RotationError: it could not be made.
        """

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """Call the function, and wait for its answer.

        Raises:
            RotationError: it failed.
        """

    def remove(self) -> list[str]:
        """Remove everything, and wait until it is done.

        Returns:
            what is left behind, each with the command that removes it; empty: nothing.
        """


def verify(
    account: Account, *, every: int = 1, keep: bool = False, say: Callable[[str], None]
) -> tuple[Report, list[str]]:
    """Create everything, let the function run all tests, and remove everything.

    Args:
        account: where.
        every: run every n-th test of the suite.
        keep: remove nothing, unless the creation failed.
        say: called with a line about each step.

    Returns:
        what was seen, and what is left.

    Raises:
        RotationError: it could not be made, or the function failed. What is left was told.
        KeyboardInterrupt: somebody ended it. What is left was told.
    """
    report = Report()
    done = False
    try:
        with _terminated():
            say(f"deploying: {account.where}")
            account.deploy()
            for task in TASKS:
                say(f"looking: {task}")
                _look(account, task, every, report)
        done = True
    finally:
        left = [] if keep and done else _remove(account, say)
        if not done:
            for one in left:
                say(f"LEFT: {one}")
    return report, left


def _look(account: Account, task: str, every: int, report: Report) -> None:
    event: dict[str, Any] = {"task": task, "every": every}
    for _ in range(_MOST_INVOCATIONS):
        answer = account.invoke(event)
        report.rows += [Row(task, **row) for row in answer["rows"]]
        if answer.get("not_run"):
            report.not_run.append(answer["not_run"])
        if not answer["left"]:
            return
        event = {**event, "only": answer["left"]}
    raise UnexpectedError(
        f"the function did not get through its task '{task}'", "look at its log group: run again with --keep"
    )


def _remove(account: Account, say: Callable[[str], None]) -> list[str]:
    """Remove everything; a second Ctrl-C during these minutes does not interrupt it."""
    with _uninterrupted():
        say("removing everything")
        return account.remove()


@contextmanager
def _terminated() -> Iterator[None]:
    """A SIGTERM ends the work as Ctrl-C does: what was created is removed."""

    def end(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(signal.SIGTERM, end):
        yield


@contextmanager
def _uninterrupted() -> Iterator[None]:
    def refuse(_: int, __: FrameType | None) -> None:
        # Not through a buffer, which the interrupted code may be using.
        os.write(_STDERR, b"still removing: wait, or everything made goes on costing\n")

    with _handled(signal.SIGINT, refuse), _handled(signal.SIGTERM, refuse):
        yield


@contextmanager
def _handled(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """A signal's handler; only the main thread may have one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, former)
