"""The command line's reference page, made from the code: ``python -m rotators.cli.reference`` writes it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from rotators.cli.main import app

PAGE = Path(__file__).parents[2] / "docs/reference/cli.md"
_HEAD = """# The command line

Made from the code by `make reference`. `rotators COMMAND --help` shows the same.

Install it with `pip install 'rotators[cli]'`, and with the engine's extra (`postgres`, `mysql`, …) for `--local`.
Profiles, Regions and credentials are those of the AWS CLI. `rotators --install-completion` completes commands and
options in your shell.

| exit code | meaning |
|---|---|
| 0 | it worked, and nothing is wrong |
| 1 | it failed, or what was looked at has a failure; one line on standard error says what, where, and what to do |
| 2 | wrong usage |

Colour is used at a terminal only, and never where the variable `NO_COLOR` is set. No output holds a secret's value.
"""


def page() -> str:
    """The page's text."""
    root: Any = typer.main.get_command(app)
    parts = [_HEAD]
    parts += ["\n".join(_command(name, command)) for name, command in sorted(root.commands.items())]
    return "\n".join(parts) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    yield f"## rotators {name}\n"
    text = inspect.cleandoc(command.help or "")
    for paragraph in text.split("\n\n"):
        words = " ".join(paragraph.split())
        yield f"    {words.removeprefix('Example: ')}\n" if words.startswith("Example: ") else f"{words}\n"
    if not options and not arguments:
        return
    yield "| argument or option | meaning |"
    yield "|---|---|"
    for one in arguments:
        yield f"| `{one.metavar or one.name.upper()}` | {_cell(one.help or '')} |"
    for one in options:
        names = ", ".join(f"`{spelled}`" for spelled in (*one.opts, *one.secondary_opts))
        default = f" Default: {one.default}." if _has_default(one) else ""
        yield f"| {names} | {_cell((one.help or '') + default)} |"
    yield ""


def _has_default(option: Any) -> bool:
    return bool(option.default) and not callable(option.default) and not isinstance(option.default, bool | list)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
