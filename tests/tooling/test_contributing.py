"""CONTRIBUTING and the hooks before a commit say what is there."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def test_every_make_target_has_a_row_and_no_other_is_named() -> None:
    shown = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)
    assert len(shown) > 10
    assert sorted(re.findall(r"^\| `make ([a-z-]+)` \|", PAGE, re.MULTILINE)) == sorted(shown)
    assert set(re.findall(r"`make ([a-z-]+)", PAGE)) <= set(shown)


def test_every_folder_of_tests_is_of_a_kind() -> None:
    folders = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/test_*.py")}
    kinds = PAGE.partition("## Kinds of tests")[2]
    assert folders <= set(re.findall(r"`(tests/[a-z]+)`", kinds))


def test_every_path_that_is_named_is_there() -> None:
    paths = re.findall(r"`([a-z_.]+(?:/[a-z_.]*)+)`", PAGE)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_hooks_download_nothing_and_run_what_the_checks_run() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        # The same commands stand in the Makefile, behind its name for the folder.
        command = hook["entry"].removesuffix(" --force-exclude")
        assert command.replace(".venv/bin", "$(bin)") in MAKEFILE
