"""The tutorial from the desk to AWS, followed from an empty folder as far as the template."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from synthesis import synth

from infra.config.load import load
from rotators.testing.servers.fixtures import require_postgres

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/tutorial/from-desk-to-aws.md").read_text()
ROTATORS = Path(sys.executable).with_name("rotators")


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_from_the_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_postgres()
    monkeypatch.chdir(tmp_path)
    start, look, stop = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (local,) = re.findall(r"^    (rotators local .*)$", PAGE, re.MULTILINE)
    names: dict[str, Any] = {}
    exec(start, names)  # noqa: S102  # our own documentation
    try:
        users = []
        for _ in range(2):
            ran = subprocess.run(
                [ROTATORS, *shlex.split(local)[1:]],
                check=False,
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            assert ran.returncode == 0, ran.stderr
            users.append(json.loads(Path("app.json").read_text())["username"])
            exec(look, names)  # noqa: S102
    finally:
        exec(stop, names)  # noqa: S102
    assert users == ["orders_app_clone", "orders_app"]


def test_the_file_of_the_tutorial_is_taken(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "rotations.yaml"
    file.write_text(block)
    (secret,) = load(file).secrets
    # What the page of the engine makes.
    assert f"--name {secret.name} " in (ROOT / "docs/how-to/rotate-postgres.md").read_text()


@pytest.mark.slow
@pytest.mark.long
def test_to_aws(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    resources = synth(tmp_path, block)["Resources"].values()
    (schedule,) = [one["Properties"] for one in resources if one["Type"] == "AWS::SecretsManager::RotationSchedule"]
    assert schedule["RotationRules"]["ScheduleExpression"] == "rate(30 days)"
    (function,) = [
        one["Properties"]
        for one in resources
        if "ROTATION_STRATEGY" in one["Properties"].get("Environment", {}).get("Variables", {})
    ]
    assert function["Environment"]["Variables"]["ROTATION_STRATEGY"] == "alternating-users"
