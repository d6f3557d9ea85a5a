from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from rotators.cli.main import app
from rotators.cli.reference import PAGE, page

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_the_page_is_made_from_the_code() -> None:
    assert PAGE.read_text() == page(), "make reference"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_teaches_with_an_example_and_leaves_no_option_undocumented(name: str) -> None:
    command = COMMANDS[name]
    assert f"Example: rotators {name}" in (command.help or "")
    assert all(option.help for option in command.params)
    assert f"## rotators {name}\n" in page()


def test_help_has_no_colour_where_there_is_no_terminal() -> None:
    assert "\x1b" not in CliRunner().invoke(app, ["check", "--help"]).output


def test_a_shell_can_complete_commands() -> None:
    shown = CliRunner().invoke(
        app,
        [],
        prog_name="rotators",
        env={"_ROTATORS_COMPLETE": "complete_bash", "COMP_WORDS": "rotators re", "COMP_CWORD": "1"},
    )
    assert "repair" in shown.output
