"""``rotators rotate --fleet``: a state machine in the interpreter, started, followed and reported like any run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from interpreter import BUCKET, Interpreter, interpreter
from rotate_parts import CANARY, Fine, Refusing, ServiceTime, outcomes, run

from rotators.cdk.fleet_definition import definition
from rotators.cli import rotate
from rotators.cli.quiet import silence_logs
from rotators.cli.rotate_fleet import Orders
from rotators.cli.status import Choice
from rotators.errors import ConfigurationError
from rotators.testing import RotationService
from rotators.versions import SecretVersions

pytestmark = pytest.mark.slow

MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:fleet"


@pytest.fixture
def fleet(rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interpreter]:
    monkeypatch.setattr(rotate, "clock", ServiceTime(rotation_service))
    # The functions run in this process, and their log and metrics are none of the command's output.
    silence_logs()
    functions = [
        rotation_service.register(rotator(SecretVersions(rotation_service.client)), name)
        for name, rotator in {"fine": Fine, "refusing": Refusing}.items()
    ]
    for name, function in {"orders/app": 0, "orders/web": 0, "orders/broken": 1, "shop/app": 0}.items():
        tags = [{"Key": "team", "Value": name.partition("/")[0]}]
        value = f'{{"username": "app", "password": "{CANARY}"}}'
        rotation_service.client.create_secret(Name=name, SecretString=value, Tags=tags)  # type: ignore[arg-type]
        rules: Any = {"AutomaticallyAfterDays": 30}
        rotation_service.client.rotate_secret(
            SecretId=name, RotationLambdaARN=functions[function], RotationRules=rules, RotateImmediately=False
        )
    made = definition(partition="aws", bucket=BUCKET, functions=functions)
    with interpreter(rotation_service, made) as found:
        yield found


def test_it_starts_the_state_machine_and_reports_each_secret(
    fleet: Interpreter, rotation_service: RotationService, tmp_path: Path
) -> None:
    page = tmp_path / "evidence.html"
    rows = outcomes(
        *("--fleet", fleet.arn, "--name-prefix", "orders/", "--timeout", "5", "--yes", "--report", str(page)), code=1
    )
    assert {name: row["result"] for name, row in rows.items()} == {
        "orders/app": "rotated",
        "orders/web": "rotated",
        "orders/broken": "unfinished",
    }
    (turn,) = rows["orders/app"]["rotations"]
    labels = rotation_service.labels("orders/app")
    assert labels[turn["version_id"]] == ["AWSCURRENT"]
    assert labels[turn["version_id_before"]] == ["AWSPREVIOUS"]
    assert turn["seconds"] is not None
    assert rows["orders/broken"]["remedy"] == "see: rotators check orders/broken"
    assert "orders/broken" in page.read_text()
    assert CANARY not in page.read_text()


def test_a_dry_run_by_tag_asks_nobody_and_rotates_nothing(
    fleet: Interpreter, rotation_service: RotationService
) -> None:
    rows = outcomes("--fleet", fleet.arn, "--tag", "team=shop", "--dry-run")
    assert {name: row["result"] for name, row in rows.items()} == {"shop/app": "planned"}
    assert rotation_service.value("shop/app")["password"] == CANARY


def test_an_execution_can_be_followed_later(fleet: Interpreter) -> None:
    ran = fleet.run({"dry_run": False, "filters": [{"Key": "name", "Values": ["shop/"]}]})
    rows = outcomes("--fleet", ran["executionArn"])
    assert {name: row["result"] for name, row in rows.items()} == {"shop/app": "rotated"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fleet", "fleet", "--all"), "the ARN of no state machine"),
        (("--fleet", MACHINE), "--tag, --name-prefix"),
        (("--fleet", MACHINE, "orders/app"), "it takes --tag"),
        (("--fleet", MACHINE, "--all", "--revoke-old"), "it takes --tag"),
        (("--fleet", MACHINE.replace("stateMachine", "execution") + ":leak", "--all"), "input tells"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_called(arguments: tuple[str, ...], said: str) -> None:
    code, _, stderr = run(*arguments)
    assert code == 2
    assert said in " ".join(stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice(tags={"team": "orders", "stage": "live"}, everything=True), "one --tag, or all of its secrets"),
        (Choice(prefix="käse/", everything=True), "ListSecrets can't filter by a name like 'käse/'"),
    ],
)
def test_what_the_state_machine_would_take_for_more_is_refused(choice: Choice, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Orders(choice, dry_run=False, concurrency=1, max_failures=1, wait_seconds=60).to_input()
