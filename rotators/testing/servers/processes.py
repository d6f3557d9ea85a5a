"""Servers as child processes: started under the right account, awaited, always stopped. Of any engine."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from rotators.testing.servers import _watchdog
from rotators.testing.servers.accounts import SystemAccount

LOOPBACK = "127.0.0.1"
Started = TypeVar("Started")

_READY_WITHIN = 30.0
_GRACE = 10.0
_PROBE_EVERY = 0.01
_PORTS_TRIED = 10
_TAIL = 30
# What servers write (strerror in the C locale) when another process was quicker.
_PORT_TAKEN = "Address already in use"


class ServerFailed(RuntimeError):
    """A server, or a program that prepares one, did not do what it should. The message holds the end of its log."""


class PortTaken(ServerFailed):
    """The server did not start because another process listens on its port."""


class Stopping(ABC):
    """What a ``with`` block stops at its end."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it and wait until it is gone. Again is no error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class ServerProcess(Stopping):
    """A server as a child process, and its log.

    Started under another account if need be, with an environment of its own (nothing of ours leaks in: no PGOPTIONS,
    no proxy), in a session of its own (Ctrl-C reaches the tests, not the server that they still need to clean up).
    It never outlives this process, however that ends: see `_watchdog`.

    Args:
        command: the program and its arguments.
        account: the account to run under. Another one than the current needs root.
        folder: the server's working folder. If this process dies, the folder is removed.
        log_file: where its output goes, added at the end.
        environment: environment variables beside PATH and the C locale.
        stop_signal: what makes it stop at once.

    Raises:
        ServerFailed: the program could not be started.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        account: SystemAccount,
        folder: Path,
        log_file: Path,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._name = Path(command[0]).name
        self._log_file = log_file
        task = {
            "command": [str(part) for part in command],
            "folder": str(folder),
            "environment": _environment(folder, environment),
            "account": _popen_account(account),
            "stop_signal": stop_signal,
            "grace": _GRACE,
        }
        with log_file.open("ab") as log:
            self._log_start = log.tell()
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", _watchdog.__file__, json.dumps(task)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._watchdog.stdout is not None  # noqa: S101 (PIPE above)
        answer = self._watchdog.stdout.readline()
        if not answer:
            self.stop()
            raise ServerFailed(f"{self._name} could not be started:\n{self._tail()}")
        self.pid = int(answer)

    @property
    def running(self) -> bool:
        """Whether the server is still there."""
        return self._watchdog.poll() is None

    def wait_until(self, ready: Callable[[], bool], timeout: float = _READY_WITHIN) -> None:
        """Wait until a probe says yes.

        Args:
            ready: a probe, such as a login; asked every few milliseconds.
            timeout: seconds.

        Raises:
            PortTaken: the server ended because its port is in use.
            ServerFailed: it ended otherwise, or the probe did not say yes in time.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise self._failure(f"{self._name} ended with code {self._watchdog.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"{self._name} was not ready within {timeout:g} s")
            time.sleep(_PROBE_EVERY)

    def stop(self) -> None:
        """Stop the server and wait until it is gone. Again is no error."""
        watchdog = self._watchdog
        assert watchdog.stdin is not None  # noqa: S101 (PIPE in the constructor)
        assert watchdog.stdout is not None  # noqa: S101
        try:
            if not watchdog.stdin.closed:
                watchdog.stdin.write("stop\n")
                watchdog.stdin.close()
        except BrokenPipeError:
            pass  # the server ended by itself, and its watchdog with it
        watchdog.wait()
        watchdog.stdout.close()

    def _failure(self, what: str) -> ServerFailed:
        tail = self._tail()
        kind = PortTaken if _PORT_TAKEN in tail else ServerFailed
        return kind(f"{what}; the end of {self._log_file}:\n{tail}")

    def _tail(self) -> str:
        with self._log_file.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL:]) or "(nothing was written)"


def run_program(
    command: Sequence[str | Path],
    *,
    account: SystemAccount,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program that prepares a server to its end, under the server's account. Gives what it printed.

    Raises:
        ServerFailed: it could not be started, or its exit code is not 0; with the end of what it printed.
    """
    try:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [str(part) for part in command],
            check=False,
            cwd=folder,
            env=_environment(folder, environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            **_popen_account(account),
        )
    except OSError as error:
        raise ServerFailed(f"{command[0]} could not be started: {error}") from error
    if done.returncode:
        lines = done.stdout.splitlines()
        # Some end with long advice, and have said before what was wrong.
        wrong = [line for line in lines[:-_TAIL] if "error" in line.lower()]
        tail = "\n".join([*wrong[-_TAIL:], *lines[-_TAIL:]])
        raise ServerFailed(f"{Path(command[0]).name} ended with code {done.returncode}:\n{tail}")
    return done.stdout


def on_free_port(start: Callable[[int], Started]) -> Started:
    """Start something on a free loopback port, again on another if a third party was quicker.

    A port can't be reserved for another process, so between finding it free and listening on it someone else may
    take it: two test processes side by side do so now and then.

    Args:
        start: starts the server on the port given, waits for it, and raises `PortTaken` if the port is in use.

    Raises:
        PortTaken: ten times in a row.
    """
    for _ in range(_PORTS_TRIED - 1):
        try:
            return start(free_port())
        except PortTaken:
            continue
    return start(free_port())


def free_port() -> int:
    """A loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(folder: Path, more: Mapping[str, str] | None) -> dict[str, str]:
    # A MySQL that starts removes what others have in a folder for temporary files that they share.
    own = {"HOME": str(folder), "TMPDIR": str(folder)}
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"} | own | dict(more or {})


def _popen_account(account: SystemAccount) -> dict[str, Any]:
    if account.is_current:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}
