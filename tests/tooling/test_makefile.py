"""What make does, as its dry run tells: nothing is set up here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETS_UP = "tools/setup .venv dev"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What make reads, and the stamp of an environment that stands."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    for folder in ("requirements", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    told(tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.dev").touch()
    # All of it is of an hour ago, the stamp the newest: an edit is later than that on any file system.
    then = time.time() - 3600
    for path in tmp_path.rglob("*"):
        os.utime(path, (then, then))
    os.utime(tmp_path / ".venv/.dev", (then + 1, then + 1))
    assert SETS_UP not in told(tmp_path)
    return tmp_path


def told(checkout: Path, target: str = "lint", *arguments: str) -> str:
    """What make would run for a target; not what a make around these tests has in mind."""
    without = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "VENV"}
    environment = {name: value for name, value in os.environ.items() if name not in without}
    command = ["make", "--dry-run", *arguments, target]
    return subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, text=True).stdout


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text of a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("line-length = 120", "line-length = 119"),
        ("strict = true", "strict = false"),
        ("timeout = 300", "timeout = 299"),
    ],
    ids=["ruff", "mypy", "pytest"],
)
def test_a_tool_with_another_setting_needs_no_new_environment(checkout: Path, old: str, new: str) -> None:
    edit(checkout / "pyproject.toml", old, new)
    assert SETS_UP not in told(checkout)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pyproject.toml", "boto3>=1.40", "boto3>=1.41"),
        ("pyproject.toml", "rich>=14", "rich>=15"),
        ("pyproject.toml", '"asyncpg"', '"asyncpg>=1"'),
        ("pyproject.toml", "rotators.cli.start:main", "rotators.cli.start:run"),
        ("pyproject.toml", "hatchling>=1.27", "hatchling>=1.28"),
        ("pyproject.toml", 'packages = ["rotators"]', 'packages = ["rotators", "infra"]'),
        ("requirements/dev.txt", "boto3==", "boto3== "),
        ("tools/setup", "set -eu", "set -u"),
    ],
    ids=["dependency", "extra", "group", "command", "build", "wheel", "lock", "setup"],
)
def test_what_an_installation_is_made_of_does(checkout: Path, file: str, old: str, new: str) -> None:
    edit(checkout / file, old, new)
    assert SETS_UP in told(checkout)


def test_a_set_up_that_was_broken_off_begins_anew(checkout: Path) -> None:
    edit(checkout / "pyproject.toml", "boto3>=1.40", "boto3>=1.41")
    assert SETS_UP in told(checkout)
    # The tables are noted by now, and the stamp is still the old one.
    assert SETS_UP in told(checkout)


@pytest.mark.parametrize("jobs", ["", "--jobs=2"])
def test_check_runs_its_parts_side_by_side_and_each_once(checkout: Path, jobs: str) -> None:
    lines = told(checkout, "check", *jobs.split())
    for part in ("ruff check", "ruff format --check", "lint-imports", "bin/mypy", "-m pytest"):
        assert lines.count(part) == 1
    inner = re.search(r"^make .*lint types fast$", lines, re.MULTILINE)
    assert inner is not None
    # Jobs that come from outside are shared with the parts already.
    assert ("--jobs=3" in inner[0]) is not bool(jobs)
