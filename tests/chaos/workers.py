"""The processes of a function: forked ones that are really killed, and threads where the database is a double in ours.

A double at the border of a driver lives in this process, where no other one reaches it. There a killed process is a
thread that gets no further than the next call to Secrets Manager or the driver: after it, nothing that it does counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

from rotators.engines.sessions import Closing
from rotators.testing import Crash, FakeLambdaContext

_TESTS = Path(__file__).parents[1]
ACCOUNT = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}
"""An AWS account that is none."""
_SEQPACKET = socket.AF_UNIX, socket.SOCK_SEQPACKET


class StepFailed(Exception):
    """A function's answer: an error.

    Args:
        name: the error's class; Lambda's own words for a process that is gone or had no time left.
        text: what it says.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


KILLED, TIMED_OUT = "Runtime.ExitError", "Sandbox.Timedout"


class Worker(Protocol):
    """A function's process."""

    dead: bool

    def invoke(self, event: Mapping[str, Any], seconds: float) -> None:
        """Handle an event.

        Raises:
            StepFailed: it ended with an error, was killed, or its time ran out, and then it was killed.
        """

    def kill(self) -> None:
        """End it at once. Again is no error."""

    def wait(self) -> None:
        """Return when it does nothing any more."""


class ForkServer(Closing):
    """Where processes are forked.

    Args:
        engine: the engine's class.
        endpoint: where Secrets Manager answers.
        prepare: module and function that the process calls first.
        quiet: nothing of the functions' logs is shown.
    """

    def __init__(self, engine: type, endpoint: str, prepare: tuple[str, str] | None, *, quiet: bool) -> None:
        self._control, theirs = socket.socketpair(*_SEQPACKET)
        task = {"engine": (engine.__module__, engine.__name__), "endpoint": endpoint, "prepare": prepare}
        path = os.pathsep.join([str(_TESTS), str(_TESTS.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chaos.forks", str(theirs.fileno()), json.dumps(task)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if quiet else sys.stderr.fileno(),
                stderr=subprocess.DEVNULL if quiet else None,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **ACCOUNT, "PYTHONPATH": path, "POWERTOOLS_METRICS_DISABLED": "true"},
            )
        if self._control.recv(64) != b"ready":
            self.close()
            raise RuntimeError("the process that functions are forked from did not start")

    def start(self, variables: Mapping[str, str], patience: float) -> ForkedWorker:
        """A new process."""
        ours, theirs = socket.socketpair()
        with theirs:
            asked = json.dumps({"variables": dict(variables), "patience": patience})
            socket.send_fds(self._control, [asked.encode()], [theirs.fileno()])
            return ForkedWorker(int(self._control.recv(64)), ours)

    def close(self) -> None:
        """End it. Again is no error."""
        self._control.close()
        self._process.wait()


class ForkedWorker:
    """A process of a function."""

    def __init__(self, process: int, channel: socket.socket) -> None:
        self.dead = False
        self._process = process
        self._channel = channel
        self._lines = channel.makefile("rw")
        self._lock = threading.Lock()

    def invoke(self, event: Mapping[str, Any], seconds: float) -> None:
        """See the protocol."""
        self._channel.settimeout(seconds)
        try:
            self._lines.write(json.dumps([dict(event), int(seconds * 1000)]) + "\n")
            self._lines.flush()
            line = self._lines.readline()
        except TimeoutError:
            self.kill()
            raise StepFailed(TIMED_OUT, f"the time is over after {seconds:.2f} s") from None
        except OSError:
            line = ""
        if not line:
            self.kill()
            raise StepFailed(KILLED, "the process was killed")
        answer = json.loads(line)
        if answer is not None:
            raise StepFailed(*answer)

    def kill(self) -> None:
        """See the protocol."""
        with self._lock:
            if not self.dead:
                self.dead = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._process, signal.SIGKILL)

    def wait(self) -> None:
        """Kill it, and return when the system has taken it away: its connections are closed then."""
        self.kill()
        self._channel.settimeout(None)
        with contextlib.suppress(OSError, ValueError):
            while self._lines.readline():
                pass
        with contextlib.suppress(OSError, ValueError):
            self._lines.close()
        self._channel.close()


_worker: ContextVar[ThreadWorker | None] = ContextVar("_worker", default=None)


class ThreadWorker:
    """A process of a function that is none: a thread, whose border is watched."""

    def __init__(self, rotator: Any) -> None:
        self.dead = False
        self._rotator = rotator
        self._threads: list[threading.Thread] = []

    def invoke(self, event: Mapping[str, Any], seconds: float) -> None:
        """See the protocol."""
        outcome: list[BaseException | None] = []

        def run() -> None:
            _worker.set(self)
            try:
                self._rotator(dict(event), FakeLambdaContext(seconds))
                outcome.append(None)
            except BaseException as error:  # noqa: BLE001  # as Lambda reports whatever a function raises
                outcome.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)
        thread.join(seconds)
        if not outcome:
            self.kill()
            raise StepFailed(TIMED_OUT, f"the time is over after {seconds:.2f} s")
        if self.dead or isinstance(outcome[0], Crash):
            raise StepFailed(KILLED, "the process was killed")
        if outcome[0] is not None:
            raise StepFailed(type(outcome[0]).__name__, str(outcome[0]))

    def kill(self) -> None:
        """See the protocol."""
        self.dead = True

    def wait(self) -> None:
        """Kill it, and return when its threads are gone."""
        self.kill()
        for thread in self._threads:
            thread.join()


def require_alive() -> None:
    """End a thread whose process was killed: nothing crosses its border any more.

    Raises:
        Crash: it was.
    """
    worker = _worker.get()
    if worker is not None and worker.dead:
        raise Crash("killed")


def in_a_function() -> bool:
    """Whether this is a function's thread."""
    return _worker.get() is not None


def at_the_border(cross: Callable[[], None], call: Callable[..., Any]) -> Callable[..., Any]:
    """A driver's function, whose calls and answers cross the border."""

    def crossing(*arguments: Any, **options: Any) -> Any:
        if not in_a_function():
            return call(*arguments, **options)
        cross()
        require_alive()
        try:
            return call(*arguments, **options)
        finally:
            cross()
            require_alive()

    return crossing
