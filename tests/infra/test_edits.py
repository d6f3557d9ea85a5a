"""No edit of the file loses a rotation or a password: what each does is told by the templates before and after it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from edits import BASE, EDITS, ENDS, SHORT, actions, edited, row
from synthesis import synth

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs/reference/edits.md"
SCHEDULE, SECRET = "AWS::SecretsManager::RotationSchedule", "AWS::SecretsManager::Secret"


def resources(folder: Path, text: str) -> dict[str, Any]:
    folder.mkdir()
    return dict(synth(folder, text)["Resources"])


def must_keep(name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Every rotation goes on, under the same id and for the same secret, and no password is replaced."""
    for id_, one in before.items():
        if one["Type"] == SCHEDULE:
            if id_ not in after:
                assert one["Properties"]["SecretId"] == ENDS[name]
                continue
            assert after[id_]["Properties"]["SecretId"] == one["Properties"]["SecretId"]
        if one["Type"] == SECRET and id_ in after:
            for key in ("Name", "GenerateSecretString", "SecretString"):
                assert after[id_]["Properties"].get(key) == one["Properties"].get(key)
        elif one["Type"] == SECRET:
            assert one["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.parametrize("name", list(EDITS)[:SHORT])
def test_an_edit_loses_neither_rotation_nor_password(tmp_path: Path, name: str) -> None:
    before, after = resources(tmp_path / "before", BASE), resources(tmp_path / "after", edited(name))
    must_keep(name, before, after)
    assert row(name, actions(before, after)) in PAGE.read_text().splitlines()


@pytest.mark.long
def test_the_page_says_of_every_edit_what_it_does(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """UPDATE_EDITS=1 writes the page."""
    before = resources(tmp_path / "before", BASE)
    rows = []
    for number, name in enumerate(EDITS):
        after = resources(tmp_path / str(number), edited(name))
        must_keep(name, before, after)
        rows.append(row(name, actions(before, after)))
    assert len(rows) >= 40
    head = PAGE.read_text().split("|---|")[0]
    text = f"{head}|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    if os.environ.get("UPDATE_EDITS"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text
