"""``rotators run``: variables, restarts, signals and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from fakes import FakeManager

from rotators.cli.run import OnRotation, Supervisor, parse_names
from rotators.client import Secret
from rotators.testing import RotationService
from rotators.testing.endpoint import served

ROTATORS = Path(sys.executable).with_name("rotators")
NAMES = "DB_USER=username,DB_PASSWORD=password"
# A program that notes what it was given and what happened to it, a line each.
PROGRAM = textwrap.dedent("""
    import os, signal, sys, time
    def note(text):
        with open(sys.argv[1], "a") as file:
            file.write(text + "\\n")
    def end(number, frame):
        note("ends")
        sys.exit(int(sys.argv[2]))
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, lambda *_: note("hup"))
    signal.signal(signal.SIGUSR1, lambda *_: note("usr1"))
    note(f"starts {os.environ['DB_USER']} {os.environ['DB_PASSWORD']}")
    while True:
        time.sleep(60)
""")


class Running:
    """A program under ``rotators run``."""

    def __init__(self, folder: Path, url: str, *options: str, program: tuple[str, ...] = ()) -> None:
        self.notes_file = folder / "notes"
        self.notes_file.touch()
        script = folder / "program.py"
        script.write_text(PROGRAM)
        command = program or (sys.executable, str(script), str(self.notes_file), "7")
        environment = os.environ | {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }
        self.process = subprocess.Popen(
            [ROTATORS, "run", "--secret", "app", "--env", NAMES, "--poll", "0.1", *options, "--", *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def notes(self) -> list[str]:
        return self.notes_file.read_text().splitlines()

    def wait_for(self, *notes: str) -> None:
        deadline = time.monotonic() + 60
        while self.notes() != list(notes):
            assert time.monotonic() < deadline, (self.notes(), self.process.poll())
            time.sleep(0.02)

    def end(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture
def secrets_manager(rotation_service: RotationService) -> Iterator[str]:
    rotation_service.client.create_secret(
        Name="app", SecretString='{"username": "app", "password": "first-hidden", "port": 5432}'
    )
    with served(rotation_service) as url:
        yield url


@pytest.fixture
def start(tmp_path: Path, secrets_manager: str) -> Iterator[Any]:
    started: list[Running] = []

    def begin(*options: str, **more: Any) -> Running:
        started.append(Running(tmp_path, secrets_manager, *options, **more))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
        one.process.communicate(timeout=60)


def put(service: RotationService, password: str) -> None:
    service.client.put_secret_value(SecretId="app", SecretString=f'{{"username": "app", "password": "{password}"}}')


def test_the_program_is_restarted_after_a_rotation_and_gets_all_signals(
    start: Any, rotation_service: RotationService
) -> None:
    program = start()
    program.wait_for("starts app first-hidden")
    program.process.send_signal(signal.SIGUSR1)
    program.wait_for("starts app first-hidden", "usr1")
    put(rotation_service, "second-hidden")
    program.wait_for("starts app first-hidden", "usr1", "ends", "starts app second-hidden")
    code, errors = program.end()
    assert code == 7
    assert "AWSCURRENT is version" in errors
    assert "hidden" not in errors
    assert program.notes()[-1] == "ends"


def supervise(
    manager: FakeManager, *command: str, on_rotation: OnRotation = OnRotation.RESTART, drain: float = 30
) -> tuple[int, list[str]]:
    """Run a program in this process's thread."""
    said: list[str] = []
    secret = Secret("app", manager)  # type: ignore[arg-type]  # as much of a client as is needed
    names = parse_names("DB_PASSWORD=password")
    supervisor = Supervisor(
        secret, names, list(command), on_rotation=on_rotation, poll=0.1, drain=drain, say=said.append
    )
    return supervisor.run(), said


@pytest.fixture
def manager(request: pytest.FixtureRequest) -> FakeManager:
    return FakeManager(request.node.name, "first")


@pytest.mark.parametrize(
    ("script", "code"), [("exit 5", 5), ("kill -9 $$", 137), ("exit 0", 0)], ids=["its-own", "killed", "worked"]
)
def test_the_exit_code_is_the_programs(manager: FakeManager, script: str, code: int) -> None:
    assert supervise(manager, "sh", "-c", script) == (code, [])


def do_when(file: Path, change: Callable[[], object]) -> threading.Thread:
    """Change something when the program has started."""

    def wait() -> None:
        while not file.exists():
            time.sleep(0.01)
        change()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def promote_when(file: Path, manager: FakeManager, **value: str) -> threading.Thread:
    """Rotate when the program has started."""
    return do_when(file, lambda: manager.promote(manager.put("second", **value)))


def test_the_program_is_told_by_sighup(manager: FakeManager, tmp_path: Path) -> None:
    promote_when(tmp_path / "ready", manager).join(0)
    script = f"trap 'exit 3' HUP; touch {tmp_path}/ready; while :; do sleep 0.05; done"
    code, said = supervise(manager, "sh", "-c", script, on_rotation=OnRotation.HUP)
    assert code == 3
    assert len(said) == 1


def test_the_program_may_be_left_alone(manager: FakeManager, tmp_path: Path) -> None:
    promote_when(tmp_path / "ready", manager).join(0)
    script = f"touch {tmp_path}/ready; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done; exit 4"
    assert supervise(manager, "sh", "-c", script, on_rotation=OnRotation.NONE)[0] == 4


def test_a_program_that_does_not_drain_is_killed_and_started_anew(manager: FakeManager, tmp_path: Path) -> None:
    promote_when(tmp_path / "ready", manager).join(0)
    script = f"test $DB_PASSWORD = second && exit 6; trap '' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done"
    code, said = supervise(manager, "sh", "-c", script, drain=0.1)
    assert code == 6
    assert "did not end in 0.1 s and is killed" in said[-1]


def test_a_program_that_runs_is_not_stopped_for_one_that_could_not_start(manager: FakeManager, tmp_path: Path) -> None:
    manager.versions["v9"] = '{"username": "app"}'

    do_when(tmp_path / "ready", lambda: manager.promote("v9"))
    script = f"touch {tmp_path}/ready; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done; exit 4"
    code, said = supervise(manager, "sh", "-c", script)
    assert code == 4
    assert "has no key password" in said[-1]
    assert "continues with its values" in said[-1]


def test_secrets_manager_down_stops_no_program(manager: FakeManager, tmp_path: Path) -> None:
    do_when(tmp_path / "ready", lambda: setattr(manager, "down", True))
    script = f"touch {tmp_path}/ready; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done; exit 4"
    code, said = supervise(manager, "sh", "-c", script)
    assert code == 4
    assert "the program continues" in said[-1]


@pytest.mark.parametrize("names", ["", "DB_USER", "=username", "DB USER=username", "A=b,"])
def test_variables_are_named_in_one_way(names: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not VARIABLE=key"):
        parse_names(names)


def test_a_program_that_is_not_found_exits_as_a_shell_says(start: Any) -> None:
    process = start(program=("/nowhere/to/be/found",)).process
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 127
    assert "can't be started: No such file or directory" in errors
    assert "Traceback" not in errors


def test_a_secret_that_can_not_be_read_is_one_line(start: Any, rotation_service: RotationService) -> None:
    rotation_service.client.delete_secret(SecretId="app", ForceDeleteWithoutRecovery=True)
    process = start(program=("true",)).process
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "secret app can't be read" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("password", ["a\\u0000b", "a\\ud800b"], ids=["nul", "half-a-character"])
def test_a_program_that_runs_is_not_stopped_for_a_value_that_no_variable_holds(
    manager: FakeManager, tmp_path: Path, password: str
) -> None:
    manager.versions["v9"] = f'{{"password": "{password}"}}'

    do_when(tmp_path / "ready", lambda: manager.promote("v9"))
    script = f"touch {tmp_path}/ready; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done; exit 4"
    code, said = supervise(manager, "sh", "-c", script)
    assert code == 4
    assert "what is under the key password fits no environment variable" in said[-1]
    assert "the program continues with its values" in said[-1]
