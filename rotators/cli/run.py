"""``rotators run``: runs a program that reads its password from its environment, across rotations."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from types import FrameType
from typing import Annotated, Any

import typer

from rotators.client import ClientError, Secret, SecretValue

_PASSED_ON = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
)  # fmt: skip
# Signals that a terminal sends to every foreground process, including the program.
_OF_TERMINAL = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH})
# A shell's exit codes for a program that could not be started, and for one that was not found.
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_BY_SIGNAL = 128


class OnRotation(StrEnum):
    """What to do with the program when AWSCURRENT has moved to another version."""

    RESTART = "restart"
    HUP = "HUP"
    NONE = "none"


def parse_names(given: str) -> dict[str, str]:
    """Read ``DB_USER=username,DB_PASSWORD=password``: which variable gets which key of the secret.

    Raises:
        typer.BadParameter: the text has another form.
    """
    found = {}
    for entry in given.split(","):
        variable, sign, key = entry.strip().partition("=")
        if not (sign and key and variable.isidentifier()):
            raise typer.BadParameter(f"'{entry}' is not VARIABLE=key", param_hint="--env")
        found[variable] = key
    return found


def variables_of(value: SecretValue, names: Mapping[str, str]) -> dict[str, str]:
    """The variables' values.

    Raises:
        LookupError: the secret lacks a key, or holds there what no variable can.
    """
    missing = [key for key in names.values() if key not in value]
    if missing:
        raise LookupError(
            f"secret {value.arn} has no key {', '.join(missing)}: correct --env, or add it; it has {', '.join(value)}"
        )
    variables = {variable: str(value[key]) for variable, key in names.items()}
    for variable, key in names.items():
        if not _fits_a_variable(variables[variable]):
            raise LookupError(
                f"secret {value.arn}: what is under the key {key} fits no environment variable, for it has a NUL or "
                "half a character: rotate the secret, or store a value without"
            )
    return variables


def _fits_a_variable(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


class Supervisor:
    """Runs a program, and restarts or signals it after a rotation.

    Args:
        secret: the secret.
        names: which variable gets which key.
        command: the program and its arguments.
        on_rotation: what to do after a rotation.
        poll: seconds between calls to Secrets Manager.
        drain: seconds that a program may take to end after SIGTERM.
        say: called with a line for each event.
    """

    def __init__(
        self,
        secret: Secret,
        names: Mapping[str, str],
        command: list[str],
        *,
        on_rotation: OnRotation,
        poll: float,
        drain: float,
        say: Callable[[str], None],
    ) -> None:
        self._secret = secret
        self._names = names
        self._command = command
        self._on_rotation = on_rotation
        self._poll = poll
        self._drain = drain
        self._say = say
        self._child: subprocess.Popen[bytes] | None = None
        self._told_to_end = False
        self._next_poll = 0.0

    def run(self) -> int:
        """Run the program to its end.

        Returns:
            Its exit code; 128 plus the signal's number if a signal ended it.
        """
        value = self._secret.get()
        with self._passing_signals_on():
            self._start(value)
            while True:
                code = self._wait()
                if code is not None:
                    return code if code >= 0 else _BY_SIGNAL - code
                new = self._look()
                if new is None or new == value:
                    continue
                self._say(f"secret {self._secret.secret_id}: AWSCURRENT is version {new.version_id} now")
                value = new
                if (ended := self._rotated(value)) is not None:
                    return ended if ended >= 0 else _BY_SIGNAL - ended

    def _rotated(self, value: SecretValue) -> int | None:
        child = self._child
        if child is None or self._on_rotation == OnRotation.NONE:
            return None
        if self._on_rotation == OnRotation.HUP:
            self._signal(signal.SIGHUP)
            return None
        # Check the new value first: do not stop the running program if a new one could not start.
        try:
            variables_of(value, self._names)
        except LookupError as error:
            self._say(f"{error}; the program continues with its values")
            return None
        self._say(f"restarting {self._command[0]}: it has {self._drain:g} s to end")
        child.terminate()
        try:
            code = child.wait(self._drain)
        except subprocess.TimeoutExpired:
            self._say(f"{self._command[0]} did not end in {self._drain:g} s and is killed")
            child.kill()
            code = child.wait()
        if self._told_to_end:
            return code
        self._start(value)
        return None

    def _start(self, value: SecretValue) -> None:
        variables = variables_of(value, self._names)
        # Signals that arrive from here on go to the new program.
        self._child = subprocess.Popen(self._command, env={**os.environ, **variables})
        if self._told_to_end:
            self._child.terminate()
        self._next_poll = time.monotonic() + self._poll

    def _wait(self) -> int | None:
        """Wait until the program ends or the next poll is due. Returns the exit code, if the program ended."""
        child = self._child
        if child is None:
            return None
        seconds = max(0.0, self._next_poll - time.monotonic())
        if hasattr(os, "pidfd_open"):
            # With a time-out, subprocess polls twenty times a second; a pidfd wakes up at the right moment.
            descriptor = os.pidfd_open(child.pid)
            try:
                select.select([descriptor], [], [], seconds)
            finally:
                os.close(descriptor)
            return child.poll()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(seconds)
        return None

    def _look(self) -> SecretValue | None:
        self._next_poll = time.monotonic() + self._poll
        try:
            return self._secret.refresh()
        except ClientError as error:
            self._say(f"{error}; the program continues")
            return None

    def _signal(self, number: int) -> None:
        child = self._child
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

    @contextlib.contextmanager
    def _passing_signals_on(self) -> Iterator[None]:
        def pass_on(number: int, _frame: FrameType | None) -> None:
            self._told_to_end |= number in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
            if not (number in _OF_TERMINAL and _at_terminal()):
                self._signal(number)

        before: dict[int, Any] = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _at_terminal() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def run(  # noqa: PLR0917  # how typer declares options
    command: Annotated[list[str], typer.Argument(help="The program and its arguments, after --.", metavar="COMMAND")],
    secret: Annotated[str, typer.Option("--secret", help="The secret's name or ARN.")],
    env: Annotated[
        str, typer.Option("--env", help="Which variable gets which key: DB_USER=username,DB_PASSWORD=password.")
    ],
    on_rotation: Annotated[
        OnRotation,
        typer.Option(
            help="After a rotation: end the program with SIGTERM and start it with the new values; send it SIGHUP; "
            "or leave it alone."
        ),
    ] = OnRotation.RESTART,
    poll: Annotated[float, typer.Option(min=0.1, help="Seconds between calls to Secrets Manager.")] = 60.0,
    drain: Annotated[
        float, typer.Option(min=0, help="Seconds that the program may take to end, before it is killed.")
    ] = 30.0,
) -> None:
    """Run a program with a secret's values in its environment, and again after each rotation.

    Signals go to the program, and its exit code is the command's. The values are in the program's environment, which
    its user and root can read. They are not in its arguments, and not in a log.

    Example: rotators run --secret prod/app --env DB_USER=username,DB_PASSWORD=password -- ./server
    """
    names = parse_names(env)
    logging.basicConfig(level=logging.WARNING, format="rotators: %(message)s")

    def say(text: str) -> None:
        typer.echo(f"rotators: {text}", err=True)

    supervisor = Supervisor(
        Secret(secret, max_age=poll), names, command, on_rotation=on_rotation, poll=poll, drain=drain, say=say
    )
    try:
        code = supervisor.run()
    except (ClientError, LookupError) as error:
        say(str(error.args[0] if error.args else error))
        raise typer.Exit(1) from None
    except OSError as error:
        say(f"{command[0]} can't be started: {error.strerror}")
        raise typer.Exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE) from None
    raise typer.Exit(code)
