"""The page of metrics and log lines says what the code writes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from rotators.credentials import SecretValue
from rotators.errors import LoginRefused
from rotators.rotator import Rotation, Rotator
from rotators.testing import RotationService
from rotators.versions import SecretVersions

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/metrics.md").read_text()


class Refusing(Rotator[SecretValue]):
    """Fails in setSecret, with the server's code."""

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        return rotation.current.replace(key="second")

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        raise LoginRefused(f"{rotation.current.keys()} was refused", "correct it", code="28P01")

    def verify(self, rotation: Rotation[SecretValue]) -> None:
        """Nothing is to do."""


def rows(heading: str) -> dict[str, set[str]]:
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (`[^|]+`) \| (.*) \|$", part, re.MULTILINE)
    return {
        name: set(re.findall(r"`(\w+)`", rest)) for names, rest in found for name in re.findall(r"`([^`]+)`", names)
    }


def test_the_fields_of_a_step_that_works_and_of_one_that_fails(
    rotation_service: RotationService, log: io.StringIO
) -> None:
    arn = rotation_service.create_secret("app", {"key": "first"}, Refusing(SecretVersions(rotation_service.client)))
    rotation_service.rotate(arn)
    lines: dict[str, dict[str, Any]] = {line["message"]: line for line in map(json.loads, log.getvalue().splitlines())}
    usual = {"level", "location", "message", "timestamp", "service"}
    for message in ("the step is done", "the step failed"):
        assert lines[message].keys() - usual == rows("Log lines")[message]


def test_the_metrics_of_a_step(
    rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "false")
    rotator = Refusing(SecretVersions(rotation_service.client))
    arn = rotation_service.create_secret("app", {"key": "first"}, rotator)
    rotation_service.rotate(arn)
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert len(written) == 2
    for line in written:
        (described,) = line["_aws"]["CloudWatchMetrics"]
        assert described["Namespace"] == "Rotators"
        for metric in described["Metrics"]:
            assert set(described["Dimensions"][0]) == rows("Metrics")[metric["Name"]]
    assert {metric for line in written for metric in line} >= {"StepDuration", "StepFailed", "secret", "error"}


def test_every_message_and_every_alarm_is_on_the_page() -> None:
    code = "".join((ROOT / f"rotators/{name}.py").read_text() for name in ("rotator", "overdue"))
    assert set(re.findall(r'logger\.(?:info|error|exception)\(\s*"([^"]+)"', code)) == rows("Log lines").keys()
    assert {"StepDuration", "StepFailed"} == set(re.findall(r'add_metric\("(\w+)"', code))
    alarms = (ROOT / "rotators/cdk/alarms.py").read_text()
    assert set(re.findall(r'self\._alarm\(\s*"(\w+)"', alarms)) | {"Overdue"} == rows("Alarms").keys()
