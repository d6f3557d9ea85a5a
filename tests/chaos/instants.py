"""Instants of a schedule: what crosses the border of the function's process is counted, and things happen at a number.

All that a process does to others is a call to Secrets Manager, a packet to the database, or the answer to one. So an
instant is a number of these, and a schedule that is run again meets it at the same place, however fast the machine is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

Action = Callable[[], None]


@dataclass(frozen=True)
class _Planned:
    at: int
    delay: float
    action: Action


class Instants:
    """Counts crossings, and does what is planned for one of them: in its own thread, before it passes."""

    def __init__(self) -> None:
        self.count = 0
        self.fired = 0
        self.errors: list[BaseException] = []
        """What went wrong in an action: the harness's own failures."""
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()
        self._acting = threading.local()
        self._late: list[threading.Thread] = []
        self._over = True

    def begin(self) -> None:
        """Count from nought, with nothing planned."""
        with self._lock:
            self.count = self.fired = 0
            self._planned = []
            self._over = False

    def plan(self, at: int, action: Action, delay: float = 0.0) -> None:
        """Have something done at the n-th crossing.

        Args:
            at: n, from 1.
            action: what is done.
            delay: seconds after the crossing; 0: before it passes.
        """
        with self._lock:
            self._planned.append(_Planned(at, delay, action))

    @property
    def waiting(self) -> int:
        """How much of what is planned has not happened."""
        return len(self._planned)

    def cross(self) -> None:
        """Something crosses the border."""
        if getattr(self._acting, "now", False):
            return
        with self._lock:
            if self._over:
                return
            self.count += 1
            due = [one for one in self._planned if one.at <= self.count]
            self._planned = [one for one in self._planned if one.at > self.count]
            self.fired += len(due)
            for one in (one for one in due if one.delay):
                late = threading.Thread(target=self._act, args=(one,), daemon=True)
                late.start()
                self._late.append(late)
        for one in (one for one in due if not one.delay):
            self._act(one)

    def end(self) -> None:
        """Let nothing happen any more, and wait for what has begun."""
        with self._lock:
            self._over = True
            self._planned = []
        while self._late:
            self._late.pop().join()

    def _act(self, planned: _Planned) -> None:
        if planned.delay:
            time.sleep(planned.delay)
        self._acting.now = True
        try:
            planned.action()
        except Exception as error:  # noqa: BLE001  # told at the end: here a function would take it for its own
            self.errors.append(error)
        finally:
            self._acting.now = False
