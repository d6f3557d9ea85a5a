"""``rotators new``: writes a new rotator to start from, with its test, lock and schedule."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from rotators.errors import PackagingFailed
from rotators.packaging.custom import TAKEN

_TEMPLATES = Path(__file__).parent / "new_files"
_LONGEST_LABEL = 40
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
# Each file's path, and its template.
_FILES = {
    "README.md": "README.md.tmpl",
    "conftest.py": "conftest.py.tmpl",
    "pyproject.toml": "pyproject.toml.tmpl",
    "requirements.in": "requirements.in.tmpl",
    "requirements.txt": "requirements.txt.tmpl",
    "rotations.yaml": "rotations.yaml.tmpl",
    "src/my_service.py": "rotator.py.tmpl",
    "tests/test_my_service.py": "test.py.tmpl",
}


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise typer.BadParameter(f"'{value}' is not a name: use small letters, digits and hyphens, as in billing-api")
    module = value.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module in TAKEN:
        raise typer.BadParameter(f"a module '{module}' would hide Python's own or one that the function needs")
    return value


def new(
    name: Annotated[str, typer.Argument(help="The service, as in billing-api.", callback=_name)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the folder of that name is made.")] = Path(),
) -> None:
    """Write a rotator of your own into a new folder: with its test, its lock, its schedule and a README.

    The test passes as it is. Nothing that is there is overwritten.

    Example: rotators new billing-api
    """
    folder = output / name
    written = {place: _filled(template, name) for place, template in _FILES.items()}
    try:
        folder.mkdir(parents=True)
        for place, text in written.items():
            file = folder / _fill(place, name)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
            typer.echo(str(file))
    except FileExistsError:
        raise PackagingFailed(
            f"{folder} exists already, and nothing is overwritten", "use another name, or another --output"
        ) from None
    except OSError as error:
        raise PackagingFailed(
            f"{error.filename} could not be written: {error.strerror}", "name a folder that can be written: --output"
        ) from None
    typer.echo(f"Next: cd {folder} && python -m pytest")


def _filled(template: str, name: str) -> str:
    return _fill((_TEMPLATES / template).read_text(), name)


def _fill(text: str, name: str) -> str:
    """A template's text with the names of a service instead of my-service's."""
    module = name.replace("-", "_")
    class_name = "".join(part.capitalize() for part in module.split("_"))
    # Function names in rotations.yaml, and CloudFormation's stack names, have no underscores.
    label = name.replace("_", "-")[:_LONGEST_LABEL].rstrip("-")
    for placeholder, chosen in (
        ("my_service", module),
        ("my-service", name),
        ("MyService", class_name),
        ("my-label", label),
    ):
        text = text.replace(placeholder, chosen)
    return text
