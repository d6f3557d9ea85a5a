"""A function as Lambda runs it: processes that stay warm, die, run out of time, and are invoked twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chaos.workers import StepFailed, Worker

# Seconds that a step may take: under fire, and afterwards.
_UNDER_FIRE, _PATIENT = 20.0, 120.0


@dataclass
class _Also:
    """An invocation beside one of a step."""

    step: str
    other: str
    later: float
    awaited: bool
    injected: Callable[[], None]


class Function:
    """A handler for the simulated service.

    Args:
        start: makes a new process; ``calm`` tells it whether faults are over.
    """

    def __init__(self, start: Callable[..., Worker]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._calm = True
        self._fresh = False
        self._warm: Worker | None = None
        self._busy: list[Worker] = []
        self._everyone: list[Worker] = []
        self._threads: list[threading.Thread] = []
        self._also: list[_Also] = []
        self._times: list[tuple[str, float, Callable[[], None]]] = []

    def begin(self, *, fresh: bool) -> None:
        """From now on faults may come.

        Args:
            fresh: each step has a process of its own.
        """
        self._calm, self._fresh = False, fresh

    def calm(self) -> None:
        """No faults any more: what is under way ends, and a new process does the rest."""
        with self._lock:
            self._calm, self._fresh = True, False
            self._also, self._times, self._warm = [], [], None
            threads, everyone = self._threads, self._everyone
            self._threads, self._everyone, self._busy = [], [], []
        for thread in threads:
            thread.join()
        for worker in everyone:
            worker.wait()

    def limit(self, step: str, seconds: float, injected: Callable[[], None]) -> None:
        """Give the next invocation of a step so much time."""
        self._times.append((step, seconds, injected))

    def invoke_also(
        self, step: str, other: str, injected: Callable[[], None], *, later: float = 0.0, awaited: bool = True
    ) -> None:
        """With the next invocation of a step, invoke the function for another one, with the same token.

        Args:
            step: which.
            other: the same, or another.
            injected: called when it happens.
            later: seconds after it.
            awaited: the service awaits both; else the second one may go on while the next steps run.
        """
        self._also.append(_Also(step, other, later, awaited, injected))

    def kill(self, *, everyone: bool) -> bool:
        """Kill who is at work: one of them, or all.

        Returns:
            whether there was anybody.
        """
        with self._lock:
            found = list(self._busy)
        for worker in found if everyone else found[:1]:
            worker.kill()
        return bool(found)

    def __call__(self, event: Mapping[str, Any], context: Any = None) -> None:
        """Handle an event.

        Raises:
            StepFailed: as the process did.
        """
        del context
        beside = self._beside(event)
        try:
            self._run(event)
        finally:
            for thread in beside:
                thread.join()

    def _beside(self, event: Mapping[str, Any]) -> list[threading.Thread]:
        with self._lock:
            due = [one for one in self._also if one.step == event["Step"]]
            self._also = [one for one in self._also if one not in due]
        awaited = []
        for one in due:
            thread = threading.Thread(
                target=self._run_beside, args=({**event, "Step": one.other}, one.later), daemon=True
            )
            with self._lock:
                thread.start()
                self._threads.append(thread)
            one.injected()
            if one.awaited:
                awaited.append(thread)
        return awaited

    def _run_beside(self, event: Mapping[str, Any], later: float) -> None:
        time.sleep(later)
        try:
            self._run(event)
        except StepFailed:
            # Nobody hears of it: the service looks at one answer.
            return

    def _run(self, event: Mapping[str, Any]) -> None:
        worker, seconds = self._take(event["Step"])
        try:
            worker.invoke(event, seconds)
        finally:
            with self._lock:
                if worker in self._busy:
                    self._busy.remove(worker)
                keep = not worker.dead and not self._fresh and self._warm is None and worker in self._everyone
                if keep:
                    self._warm = worker
            if not keep:
                worker.kill()

    def _take(self, step: str) -> tuple[Worker, float]:
        with self._lock:
            seconds = _PATIENT if self._calm else _UNDER_FIRE
            due = next((one for one in self._times if one[0] == step), None)
            if due is not None:
                self._times.remove(due)
                seconds = due[1]
            worker, self._warm = self._warm, None
            if worker is None or worker.dead:
                worker = self._start(calm=self._calm)
                self._everyone.append(worker)
            self._busy.append(worker)
        if due is not None:
            due[2]()
        return worker, seconds
