"""The page of beliefs is current, and says of each engine what README says."""

from __future__ import annotations

from pathlib import Path

import pytest

from beliefs.page import PAGE, page, readable, tables

README = Path(__file__).parents[2] / "README.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run: make beliefs"


def test_readme_says_what_each_engine_was_held_against() -> None:
    text = README.read_text()
    assert [one.engine for one in tables() if one.held_against.partition(";")[0] not in text] == []


@pytest.mark.parametrize(
    ("form", "written"),
    [
        (
            r"ALTER USER \[(?:[^\]]|\]\])+\] WITH PASSWORD = N'(?:[^']|'')*'(?: UNLOCK)?",
            "ALTER USER NAME WITH PASSWORD = TEXT[ UNLOCK]",
        ),
        (r"CALL RDSADMIN\.(?:ADD|DROP)_USER\(\?(?:, \?)+\)", "CALL RDSADMIN.{ADD|DROP}_USER(?{, ?}…)"),
        (r"SELECT COUNT\(\*\) FROM t WHERE .*", "SELECT COUNT(*) FROM t WHERE …"),
    ],
)
def test_a_form_is_written_as_a_manual_would(form: str, written: str) -> None:
    assert readable(form) == written
