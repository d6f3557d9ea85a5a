"""The pictures of the strategies are drawn from rotations on real servers, by `make timelines`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from targets import ALTERNATING, DUAL, SINGLE, rotated
from timelines import picture, recorded

from rotators.testing import RotationService
from rotators.testing.servers.postgres import available as postgres_available

FOLDER = Path(__file__).parents[2] / "docs/explanation"
NEWEST = postgres_available()[-1:] or [None]


def compare(name: str, title: str, target: Any, service: RotationService, strategy: str) -> None:
    """Draw a rotation, and write it where the environment says so; else it is as it is on the page."""
    drawn = picture(title, recorded(rotated(target, service, strategy)))
    if folder := os.environ.get("TIMELINES"):
        Path(folder, name).write_text(drawn)
    assert (FOLDER / name).read_text() == drawn
    assert f"]({name})" in (FOLDER / "how-a-rotation-works.md").read_text()


@pytest.mark.parametrize("postgres_server", NEWEST, indirect=True)
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
def test_the_pictures_of_postgres(strategy: str, postgres: Any, rotation_service: RotationService) -> None:
    title = {SINGLE: "Single user, PostgreSQL", ALTERNATING: "Alternating users"}[strategy]
    compare(f"timeline-{strategy}-postgres.svg", title, postgres, rotation_service, strategy)


@pytest.mark.parametrize("strategy", [SINGLE, DUAL])
def test_the_pictures_of_mysql_and_mariadb(strategy: str, mysql_family: Any, rotation_service: RotationService) -> None:
    title = {SINGLE: "Single user, MySQL and MariaDB", DUAL: "Two passwords, MySQL and MariaDB"}[strategy]
    compare(f"timeline-{strategy}-mysql.svg", title, mysql_family, rotation_service, strategy)


def test_every_picture_is_shown_and_is_a_picture() -> None:
    page = (FOLDER / "how-a-rotation-works.md").read_text()
    shown = set(re.findall(r"!\[[^]]+\]\((timeline-[\w-]+\.svg)\)", page))
    assert shown == {path.name for path in FOLDER.glob("*.svg")}
    assert len(shown) == 4
