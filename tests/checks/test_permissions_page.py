"""The page of permissions names, for each command, the actions that it was seen to use, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from scenes import SimulatedAccount, deploy
from targets import ALTERNATING, PostgresTarget, Rotated, rotated
from typer.testing import CliRunner

from rotators.cli import check, explain, fleet, plan, repair
from rotators.cli.main import app
from rotators.client import Secret
from rotators.steps import STEPS
from rotators.testing import RotationService

PAGE = (Path(__file__).parents[2] / "docs/reference/permissions.md").read_text()


def named(row: str) -> set[str]:
    """The actions of a command's row."""
    (line,) = re.findall(rf"^\| {re.escape(row)} \|(.*)$", PAGE, re.MULTILINE)
    return set(re.findall(r"`(\w+:\w+)`", line))


class Watched(SimulatedAccount):
    """An account that notes the actions behind its calls."""

    actions: set[str] = set()  # noqa: RUF012  # shared by all accounts that a command makes

    def note(self, service: str, operation: str) -> None:
        name = "".join(part.capitalize() for part in operation.split("_"))
        self.actions.add(f"{service}:{'InvokeFunction' if name == 'Invoke' else name}")

    def call(self, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        self.note(service, operation)
        return super().call(service, operation, **parameters)

    def pages(self, service: str, operation: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        self.note(service, operation)
        return super().pages(service, operation, **parameters)


@pytest.fixture
def subject(own_server: PostgresTarget, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch) -> Rotated:
    """A secret with a key, a function, an admin and a log, which the command line finds."""
    monkeypatch.setattr(Watched, "actions", set())
    for module in (check, explain, fleet, plan, repair):
        monkeypatch.setattr(module, "Account", Watched)
    made = rotated(own_server, rotation_service, ALTERNATING)
    name = deploy(SimulatedAccount(region="eu-west-1"), rotation_service, made.arn)
    key = boto3.client("kms", region_name="eu-west-1").create_key()["KeyMetadata"]["Arn"]
    rotation_service.client.update_secret(SecretId=made.arn, KmsKeyId=key)
    boto3.client("logs", region_name="eu-west-1").create_log_group(logGroupName=f"/aws/lambda/{name}")
    return made


def run(*arguments: str) -> set[str]:
    done = CliRunner().invoke(app, [*arguments, "--region", "eu-west-1"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Watched.actions


def stop_after(subject: Rotated, steps: int) -> None:
    rotation = subject.service.stage(subject.arn)
    for step in STEPS[:steps]:
        subject.service.invoke(rotation, step)


@pytest.mark.server
@pytest.mark.parametrize("command", ["check", "plan", "explain"])
def test_what_a_command_that_looks_at_one_secret_asks(subject: Rotated, command: str) -> None:
    assert run(command, subject.arn) == named(f"`rotators {command}`")


@pytest.mark.server
@pytest.mark.parametrize(("way", "steps"), [("--finish", 2), ("--abandon", 1)])
def test_what_a_repair_asks(subject: Rotated, way: str, steps: int) -> None:
    stop_after(subject, steps)
    assert run("repair", subject.arn, way, "--yes") == named("`rotators repair`")


@pytest.mark.server
def test_what_the_table_of_rotations_asks(subject: Rotated) -> None:
    rotation = subject.service.stage(subject.arn)
    assert rotation.token
    assert run("status") == named("`rotators status`") - {"sts:AssumeRole"}


@pytest.mark.server
def test_what_is_asked_from_where_one_stands(subject: Rotated, rotation_service: RotationService) -> None:
    first = len(rotation_service.calls)
    run("check", subject.arn, "--local", "--ca-bundle", str(subject.target.server.ca_file))
    own = {f"secretsmanager:{call.operation}" for call in rotation_service.calls[first:]}
    assert Watched.actions & {"lambda:InvokeFunction"} == set()
    assert own == named("any of them with `--local`, beside its own") - {"kms:Decrypt"}


def test_what_an_application_asks(rotation_service: RotationService) -> None:
    rotation_service.client.create_secret(Name="app", SecretString="{}")
    first = len(rotation_service.calls)
    secret = Secret("app", rotation_service.client, follow_schedule=True)
    secret.get()
    assert {f"secretsmanager:{call.operation}" for call in rotation_service.calls[first:]} == (
        named("an application with `rotators.client`, `rotators run`") - {"kms:Decrypt"}
    )


FLEET = "rotate_fleet.py"
# Where IAM has another word than the API.
IN_IAM = {"stepfunctions:": "states:", "s3:ListObjectsV2": "s3:ListBucket"}


@pytest.mark.parametrize(
    ("command", "by_fleet", "beside"),
    [
        # RotateSecret's own page asks for the second.
        ("`rotators rotate`", False, {"lambda:InvokeFunction"}),
        ("`rotators rotate --fleet`", True, set()),
    ],
)
def test_what_rotating_many_asks_as_far_as_its_code_tells(command: str, *, by_fleet: bool, beside: set[str]) -> None:
    files = (Path(__file__).parents[2] / "rotators/cli").glob("rotate*.py")
    code = "".join(file.read_text() for file in files if (file.name == FLEET) == by_fleet)
    asked = re.findall(r"""(?:call|pages)\(\s*"(\w+)",\s*"(\w+)\"""", code)
    assert len(asked) >= 4
    actions = " ".join(f"{service}:{''.join(part.capitalize() for part in name.split('_'))}" for service, name in asked)
    for word, iams in IN_IAM.items():
        actions = actions.replace(word, iams)
    assert set(actions.split()) <= named(command) - beside
