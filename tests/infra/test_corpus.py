"""Files as people write them: those that are right, and those that are not, with the very words that they are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from synthesis import read

from infra.config import MistakesFound
from infra.config.environment import LIMIT, environment, size
from infra.config.functions import groups

FOLDER = Path(__file__).with_name("corpus")
GOOD: dict[str, str] = yaml.safe_load((FOLDER / "good.yaml").read_text())
BROKEN: dict[str, Any] = yaml.safe_load((FOLDER / "broken.yaml").read_text())


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_is_read(tmp_path: Path, name: str) -> None:
    rotations = read(tmp_path, GOOD[name])
    assert rotations.secrets
    assert all(0 < size(environment(group)) < LIMIT for group in groups(rotations))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told_what_where_and_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(MistakesFound) as found:
        read(tmp_path, BROKEN[name]["file"])
    assert str(found.value).replace(f"{tmp_path}/", "FOLDER/") == BROKEN[name]["said"]


def test_the_corpus_is_large_and_nothing_is_in_it_twice() -> None:
    assert len(set(GOOD.values())) >= 40
    assert len({one["file"] for one in BROKEN.values()}) >= 60
    assert len({one["said"] for one in BROKEN.values()}) >= 60
