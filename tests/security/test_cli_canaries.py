"""A canary in each value of a secret, and then a look into all that a command has written: explain, plan, rotate, run.

Each command runs in a process of its own, against a simulated account and, where it looks into one, a real database.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checks.scenes import SimulatedAccount, deploy
from simulated_aws import account
from targets import ALTERNATING, PostgresTarget
from witness import CANARY, Witness, spellings

from rotators.testing import RotationService
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.testing.servers.fixtures import require_postgres
from rotators.testing.servers.postgres import PostgresServer

pytestmark = [pytest.mark.server, pytest.mark.slow]
ROTATORS = Path(sys.executable).with_name("rotators")
# What PostgreSQL, MySQL and MariaDB keep of a password.
VERIFIERS = re.compile(r"SCRAM-SHA-256\$\d+:|\$A\$\d+\$|\*[0-9A-F]{40}\b|\bmd5[0-9a-f]{32}\b")


class Commands:
    """Runs ``rotators``, and witnesses it.

    Args:
        folder: where it runs, and where its temporary files are.
        environment: of the simulated account.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.witness = Witness(folder)
        self._environment = {
            **environment,
            **{name: str(folder) for name in ("HOME", "TMPDIR")},
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "AWS_MAX_ATTEMPTS": "1",
        }

    def run(self, *arguments: str, meanwhile: Callable[[], Any] = lambda: None) -> tuple[int, str]:
        """Its exit code, and what it wrote to standard output and error."""
        program = arguments[0] == "run"
        with (self.folder / "out").open("wb+") as out:
            process = subprocess.Popen(
                [ROTATORS, *arguments],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
            try:
                while process.poll() is None:
                    self.witness.look_at(process.pid, program=program)
                    self.witness.look_at_files()
                    meanwhile()
                    time.sleep(0.02)
            finally:
                process.kill()
                process.wait()
        text = (self.folder / "out").read_text(errors="replace")
        self.witness.note(text)
        assert "Traceback" not in text, text
        return process.returncode, text

    def require_nothing_of(self, *values: str) -> None:
        """None of these was written, and no verifier was."""
        text = self.witness.text()
        for one in values:
            assert not [spelling for spelling in spellings(one) if spelling in text], "a value is written"
        assert VERIFIERS.search(text) is None, "a verifier is written"


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresTarget]:
    """The newest PostgreSQL alone: what a command writes is not the server's doing."""
    with PostgresServer(require_postgres()) as server:
        yield PostgresTarget(server)


@pytest.fixture
def commands(rotation_service: RotationService, tmp_path: Path) -> Iterator[Commands]:
    folder = tmp_path / "written"
    folder.mkdir()
    with account() as environment:
        yield Commands(folder, environment)


def values_of(service: RotationService, *arns: str) -> set[str]:
    """Every password that a version holds, as far as it is JSON."""
    found = {CANARY}
    for arn in arns:
        for one in service.client.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True)["Versions"]:
            try:
                text = service.client.get_secret_value(SecretId=arn, VersionId=one["VersionId"])["SecretString"]
                found.add(str(json.loads(text)["password"]))
            except (service.client.exceptions.ResourceNotFoundException, ValueError, TypeError, KeyError):
                continue
    return found


class Scene:
    """A secret of a PostgreSQL user and of an admin, with a canary in each value.

    Args:
        target: the server.
        service: the simulated service.
    """

    def __init__(self, target: PostgresTarget, service: RotationService) -> None:
        self.target, self.service = target, service
        self.aws = SimulatedAccount(region="eu-west-1")
        self.rotator = target.rotator(service, ROTATION_STRATEGY=ALTERNATING)
        application = target.make_application()
        self.password = f"{CANARY}-of-the-user"
        target.set_password(application.username, self.password)
        admin = {**target.admin_secret(), "note": f"{CANARY}-beside-the-admin"}
        self.masterarn = service.create_secret("admin", admin, self.rotator)
        self.value = {
            **target.secret(application),
            "password": self.password,
            "note": f"{CANARY}-'beside\"\\it",
            "nested": json.dumps({"token": f"{CANARY}-within"}),
            "masterarn": self.masterarn,
        }
        self.arns = [self.masterarn]

    def make(self, name: str, text: str | None = None) -> str:
        """A secret of that user, with another text where one is given, and its function."""
        arn = self.service.create_secret(name, self.value, self.rotator)
        if text is not None:
            self.service.client.put_secret_value(SecretId=arn, SecretString=text)
        variables = {"ROTATION_STRATEGY": ALTERNATING, "ROTATION_CA_BUNDLE": str(self.target.server.ca_file)}
        deploy(self.aws, self.service, arn, Environment={"Variables": variables})
        self.arns.append(arn)
        return arn

    def wrong(self) -> dict[str, str]:
        """What may stand in the secret instead, and no rotation can go on with."""
        value = self.value
        return {
            "refused": json.dumps({**value, "password": f"{CANARY}-wrong"}),
            "half": f'{{"username": "app", "password": "{CANARY}-in-half-a-json',
            "text": f"{CANARY}-alone",
            "list": json.dumps([CANARY, {"password": f"{CANARY}-in-a-list"}]),
            "nul": json.dumps({**value, "password": f"{CANARY}\0nul"}),
            "surrogate": json.dumps({**value, "password": f"{CANARY}\ud800half"}),
            "number": json.dumps({**value, "password": [f"{CANARY}-in-a-list"]}),
            "nowhere": json.dumps({**value, "host": "no-such-host.invalid"}),
            "database": json.dumps({**value, "dbname": "no-such-database"}),
            "port": json.dumps({**value, "port": f"{CANARY}-as-a-port"}),
        }


def check_explain_and_plan(scene: Scene, commands: Commands, states: list[str]) -> None:
    service = scene.service
    ca = ("--local", "--ca-bundle", str(scene.target.server.ca_file))
    another = CertificateAuthority(commands.folder.parent, "another").ca_file
    arn = scene.make("healthy")
    assert service.rotate(arn).error is None
    # Half-done: there are three values.
    service.invoke(service.stage(arn), "createSecret")
    for way in ((), ca):
        code, text = commands.run("explain", arn, *way, "--output", "text")
        assert (code, "Accepted by the database: AWSCURRENT" in text) == (0, True), text
        code, text = commands.run("plan", arn, *way, "--output", "text")
        assert code == 0, text
        assert "ALTER ROLE" in text
    code, text = commands.run("explain", arn, "--local", "--ca-bundle", str(another))
    assert code == 1, text
    texts = scene.wrong()
    for number, state in enumerate(states):
        arn = scene.make(state, texts[state])
        for command, way in (("explain", ()), ("plan", ca)) if number % 2 else (("explain", ca), ("plan", ())):
            code, text = commands.run(command, arn, *way, "--output", "json" if number % 3 else "text")
            assert code == 1, (state, command, way, text)
    commands.require_nothing_of(*values_of(service, *scene.arns))


def test_nothing_that_explain_and_plan_write_holds_a_value(
    database: PostgresTarget, rotation_service: RotationService, commands: Commands
) -> None:
    check_explain_and_plan(Scene(database, rotation_service), commands, ["refused", "nul"])


@pytest.mark.long
def test_nor_does_it_whatever_the_secret_holds(
    database: PostgresTarget, rotation_service: RotationService, commands: Commands
) -> None:
    scene = Scene(database, rotation_service)
    check_explain_and_plan(scene, commands, list(scene.wrong()))


def test_nothing_that_rotate_writes_holds_a_value(
    database: PostgresTarget, rotation_service: RotationService, commands: Commands
) -> None:
    """Its output, journal and reports; it reads each value itself, to tell which host it is of."""
    scene = Scene(database, rotation_service)
    scene.make("fine")
    texts = scene.wrong()
    for state in ("refused", "half", "text", "port"):
        scene.make(state, texts[state])
    code, text = commands.run("rotate", "--all", "--dry-run", "--stagger-by", "host", "--report", "dry.json")
    assert code == 0, text
    reports = [part for name in ("r.html", "r.json", "r.txt") for part in ("--report", name)]
    options = ("--all", "--yes", "--stagger-by", "host", "--timeout", "0.1", "--journal", "journal.jsonl", *reports)
    code, text = commands.run("rotate", *options, meanwhile=rotation_service.run)
    assert code == 1, text
    rows = {one["secret"]: one for one in json.loads((commands.folder / "r.json").read_text())["secrets"]}
    assert rows["fine"]["result"] == "rotated"
    assert {rows[name]["result"] for name in ("refused", "half", "text", "port")}.isdisjoint({"rotated"})
    assert '"token"' in (commands.folder / "journal.jsonl").read_text()
    code, text = commands.run("rotate", "--resume", "journal.jsonl", "--timeout", "0.1")
    assert code == 1, text
    commands.require_nothing_of(*values_of(rotation_service, *scene.arns))


def test_nothing_that_run_writes_holds_a_value(rotation_service: RotationService, commands: Commands) -> None:
    """The program alone has it, in its environment."""
    texts = {
        "fine": {"username": "app", "password": f"{CANARY}-fine"},
        "missing": {"username": "app", "pasword": f"{CANARY}-under-another-key"},
        "nul": {"username": "app", "password": f"{CANARY}\0nul"},
        "surrogate": {"username": "app", "password": f"{CANARY}\ud800half"},
        "list": [CANARY],
    }
    for name, value in texts.items():
        rotation_service.client.create_secret(Name=name, SecretString=json.dumps(value))
    rotation_service.client.create_secret(Name="half", SecretString=f'{{"password": "{CANARY}-in-half-a-json')
    names = ("--env", "DB_USER=username,DB_PASSWORD=password", "--poll", "0.1")
    # The program's own arguments must not name it, or it would be found there.
    script = 'test "${DB_PASSWORD%-fine}" != "$DB_PASSWORD" && sleep 0.3 && exit 7'
    code, text = commands.run("run", "--secret", "fine", *names, "--", "sh", "-c", script)
    assert (code, text) == (7, "")
    for name, said in (
        ("missing", "has no key password"),
        ("nul", "fits no environment variable"),
        ("surrogate", "fits no environment variable"),
        ("list", "is not a JSON object"),
        ("half", "is not a JSON object"),
        ("nowhere", "can't be read"),
    ):
        code, text = commands.run("run", "--secret", name, *names, "--", "true")
        assert (code, said in text) == (1, True), text
    code, text = commands.run("run", "--secret", "fine", *names, "--", "/no/such/program")
    assert code == 127, text
    commands.require_nothing_of(CANARY)
