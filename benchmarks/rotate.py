"""Time and memory of `rotators rotate --all`, for fleets of several sizes.

    python benchmarks/rotate.py
    python benchmarks/rotate.py --server --size 100 --size 1000

Each size runs in its own process, against the simulated service with the quotas enforced by its clock. Without
--server the functions do nothing, so that what is measured is the command. "seconds" is what the run takes by the
service's clock, and "rate" what that is of the rotations that the quotas admit; "here", "CPU" and "memory" are this
machine's, with the simulated service and the functions in the same process: "without" is the process before the run.
The error stream tells how far a run has come.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, wait
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from rotators.cli import main, rotate
from rotators.cli.quiet import silence_logs
from rotators.cli.rotate_pace import ROTATIONS_A_SECOND
from rotators.credentials import SecretValue
from rotators.database import DatabaseRotator
from rotators.engines.postgres import PostgresEngine
from rotators.environment import Environment
from rotators.rotator import Rotation, Rotator
from rotators.testing import RotationService
from rotators.testing.servers.postgres import PostgresServer
from rotators.versions import SecretVersions

SIZES = [100, 1_000, 10_000]
_TELL_EVERY = 5.0


class Nothing(Rotator[SecretValue]):
    """Rotates without a database."""

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        """A new value."""
        return rotation.current.replace(password=f"{time.monotonic_ns()}")

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        """Do nothing."""

    verify = apply


class ServiceTime:
    """The service's time: it passes while the command waits.

    Args:
        service: the service.
        size: how many secrets there are.
    """

    def __init__(self, service: RotationService, size: int) -> None:
        self._service = service
        self._size = size
        self._begun = service.clock.now
        self._real = self._told = time.monotonic()
        self._seen = len(service.calls)
        self._rotated = 0

    @property
    def now(self) -> datetime:
        """The time of day."""
        return self._service.clock.now

    def seconds(self) -> float:
        """Seconds since the beginning."""
        return (self.now - self._begun).total_seconds()

    def wait(self, calls: set[Future[Any]], seconds: float | None) -> set[Future[Any]]:
        """Let time pass, and the service work, while no call is under way."""
        if calls:
            return wait(calls).done
        self._service.clock.advance(seconds=max(0.001, seconds or 0.0))
        # Only rotations that were requested since: run() would check each of ten thousand secrets, ten thousand times.
        made, self._seen = self._service.calls[self._seen :], len(self._service.calls)
        for call in made:
            if call.operation == "RotateSecret" and call.error is None:
                self._rotated += self._service.retry(call.parameters["SecretId"]).succeeded
        if time.monotonic() - self._told > _TELL_EVERY:
            self._told = time.monotonic()
            _tell(
                f"{self._size} secrets: {self._rotated} rotated in {self.seconds():.0f} s of the service's clock, "
                f"{self._told - self._real:.0f} s here"
            )
        return set()


def measure(size: int, *, server: bool) -> dict[str, float]:
    """Rotate a fleet once, in this process."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ[name] = "benchmark"
    os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"
    silence_logs()
    with contextlib.ExitStack() as stack:
        os.chdir(stack.enter_context(tempfile.TemporaryDirectory()))
        service = stack.enter_context(RotationService())
        versions = SecretVersions(service.client)
        if server:
            database = stack.enter_context(PostgresServer())
            environment = {"ROTATION_CA_BUNDLE": str(database.ca_file), "ROTATION_STRATEGY": "single-user"}
            rotator: Rotator[Any] = DatabaseRotator(PostgresEngine(), versions, Environment(environment))
        else:
            rotator = Nothing(versions)
        function = service.register(rotator, "rotate-fleet")
        for number in range(size):
            value: dict[str, Any] = {"username": "app", "password": "first"}
            if server:
                login = database.create_app_user(f"app{number}")
                value = database.secret(login.username, login.password)
            arn = service.client.create_secret(Name=f"app{number:05}", SecretString=json.dumps(value))["ARN"]
            service.client.rotate_secret(
                SecretId=arn,
                RotationLambdaARN=function,
                RotationRules={"AutomaticallyAfterDays": 30},
                RotateImmediately=False,
            )
        service.throttle = True
        _tell(f"{size} secrets: made")
        rotate.clock = ServiceTime(service, size)
        before, cpu, begun = _memory(), time.process_time(), service.clock.now
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            real = time.monotonic()
            arguments = ["rotate", "--all", "--yes", "--output", "json", "--report", "report.html", "--journal", "j"]
            main.app([*arguments, "--per-database", "100"], standalone_mode=False)
        cpu, real = time.process_time() - cpu, time.monotonic() - real
        seconds = (service.clock.now - begun).total_seconds()
        rotated = sum(event["detail"]["eventName"] == "RotationSucceeded" for event in service.events)
        throttled = sum(call.error == "ThrottlingException" for call in service.calls)
        return {
            "rotated": rotated,
            "throttled": throttled,
            "seconds": seconds,
            "rate": size / seconds / ROTATIONS_A_SECOND,
            "cpu": cpu,
            "real": real,
            "before": before,
            "memory": _memory(),
            "report": Path("report.html").stat().st_size / 2**20,
            "journal": Path("j").stat().st_size / 2**20,
        }


def _tell(line: str) -> None:
    # Not sys.stderr, because the command's own output is discarded.
    print(line, file=sys.__stderr__, flush=True)


def _memory() -> float:
    """The largest memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def benchmark(
    size: Annotated[list[int] | None, typer.Option(help="How many secrets; may be repeated.")] = None,
    server: Annotated[bool, typer.Option(help="With a real PostgreSQL.")] = False,  # noqa: FBT002
    only: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Time and memory of `rotators rotate --all`."""
    if only is not None:
        typer.echo(json.dumps(measure(only, server=server)))
        return
    columns = (
        "secrets",
        "rotated",
        "throttled",
        "seconds",
        "rate",
        "here",
        "CPU",
        "without",
        "memory",
        "report",
        "journal",
    )
    table = Table(*columns, title="rotators rotate --all")
    for count in size or SIZES:
        command = [sys.executable, __file__, "--only", str(count), *(["--server"] if server else [])]
        made = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
        )
        table.add_row(
            f"{count}",
            f"{made['rotated']:.0f}",
            f"{made['throttled']:.0f}",
            f"{made['seconds']:.1f} s",
            f"{made['rate']:.0%}",
            f"{made['real']:.1f} s",
            f"{made['cpu']:.1f} s",
            f"{made['before']:.0f} MiB",
            f"{made['memory']:.0f} MiB",
            f"{made['report']:.2f} MiB",
            f"{made['journal']:.2f} MiB",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(benchmark)
