"""Runs servers of any engine as child processes: starts them under the right account, waits, and always stops them."""

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

_READY_WITHIN = 60.0
_GRACE = 10.0
_PROBE_EVERY = 0.01
_PORTS_TRIED = 10
_TAIL = 30
# What servers write (strerror in the C locale) if another process took the port first.
_PORT_TAKEN = "Address already in use"


class ServerFailed(RuntimeError):
    """A server, or a program that prepares one, failed. The message has the end of its log."""


class PortTaken(ServerFailed):
    """The server did not start because another process listens on its port."""


class Stopping(ABC):
    """A context manager that calls :meth:`stop` at the end of its block."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it and wait until it is gone. May be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class ServerProcess(Stopping):
    """A server as a child process, and its log.

    It runs under another account if needed, with a clean environment (no PGOPTIONS, no proxy variables), and in a new
    session (Ctrl-C reaches the tests, not the server that they still need to clean up). It never outlives this process,
    however that ends: see `_watchdog`.

    Args:
        command: the program and its arguments.
        account: the account to run under. An account other than the current one needs root.
        folder: the server's working folder. If this process dies, the folder is removed.
        log_file: the file to which its output is appended.
        environment: environment variables besides PATH and the C locale.
        stop_signal: the signal that stops it at once.

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
        """Whether the server still runs."""
        return self._watchdog.poll() is None

    def wait_until(self, ready: Callable[[], bool], timeout: float = _READY_WITHIN) -> None:
        """Wait until a probe returns true.

        Args:
            ready: a probe, such as a login; called every few milliseconds.
            timeout: seconds.

        Raises:
            PortTaken: the server ended because its port is in use.
            ServerFailed: it ended for another reason, or the probe did not return true in time.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise self._failure(f"{self._name} ended with code {self._watchdog.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"{self._name} was not ready within {timeout:g} s")
            time.sleep(_PROBE_EVERY)

    def stop(self) -> None:
        """Stop the server and wait until it is gone. May be called again."""
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
    """Run a program that prepares a server, under the server's account. Returns its output.

    Raises:
        ServerFailed: it could not be started, or its exit code is not 0; the message has the end of its output.
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
        # Some print long advice at the end, and the error before.
        wrong = [line for line in lines[:-_TAIL] if "error" in line.lower()]
        tail = "\n".join([*wrong[-_TAIL:], *lines[-_TAIL:]])
        raise ServerFailed(f"{Path(command[0]).name} ended with code {done.returncode}:\n{tail}")
    return done.stdout


def on_free_port(start: Callable[[int], Started]) -> Started:
    """Start a server on a free loopback port. Tries another port if the first one is taken meanwhile.

    A port can't be reserved for another process. Between finding it free and listening on it, another process may take
    it: two test processes side by side sometimes do.

    Args:
        start: starts the server on the given port, waits for it, and raises `PortTaken` if the port is in use.

    Returns:
        What ``start`` returns.

    Raises:
        PortTaken: the port was taken ten times in a row.
    """
    for _ in range(_PORTS_TRIED - 1):
        try:
            return start(free_port())
        except PortTaken:
            continue
    return start(free_port())


def free_port() -> int:
    """A loopback TCP port that is free at the moment."""
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
