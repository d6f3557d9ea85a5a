"""A user's own rotator: the folder of its source, its handler, and the lock of its requirements."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rotators.errors import PackagingFailed

# Folders that are not part of a function.
_FOLDERS_LEFT_OUT = frozenset({"__pycache__", "node_modules", "venv"})
_FILES_LEFT_OUT = frozenset({".pyc", ".pyo"})
TAKEN = frozenset({"rotators", "aws_lambda_powertools", "boto3", "botocore", "jmespath"})
"""Modules of the base layer and of Lambda's runtime. A module of the same name in the source would hide them."""
_HANDLER = re.compile(r"([A-Za-z_]\w*(?:[./][A-Za-z_]\w*)*)\.([A-Za-z_]\w*)", re.ASCII)
_HANDLER_FORM = "write it as Lambda does: module.handler, or package/module.handler for a module in a folder"


@dataclass(frozen=True)
class CustomRotator:
    """A user's own rotator, checked as far as possible without running it.

    Args:
        source: the folder with its modules. It is deployed except for hidden files and caches.
        handler: the instance of its Rotator, as Lambda names it: ``module.handler``.
        requirements: the lock of what it imports besides rotators, Powertools and boto3; None: nothing.
    """

    source: Path
    handler: str
    requirements: Path | None = None

    def check(self) -> None:
        """Find mistakes that would otherwise appear at the function's first invocation.

        Raises:
            PackagingFailed: the folder, the handler or the lock is wrong.
        """
        check_source(self.source)
        check_handler(self.source, self.handler)
        if self.requirements is not None:
            check_lock(self.requirements)

    def files(self) -> Iterator[tuple[str, Path]]:
        """The source's files to deploy, in order: each path in the function, and the file."""
        for file in sorted(self.source.rglob("*")):
            place = file.relative_to(self.source)
            if file.is_file() and not _is_left_out(place):
                yield place.as_posix(), file

    def copy(self, folder: Path) -> None:
        """Copy the source into a folder that may have other files.

        Raises:
            PackagingFailed: a file of the source has the name of one of its requirements.
        """
        for place, file in self.files():
            target = folder / place
            if target.exists():
                raise PackagingFailed(
                    f"{self.source / place} has the name of a file of {self.requirements}",
                    "rename the one in the source",
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def check_source(source: Path) -> None:
    """Require that a folder exists, and hides no module that every function needs.

    Raises:
        PackagingFailed: it does not exist, or hides such a module.
    """
    if not source.is_dir():
        raise PackagingFailed(f"there is no folder {source}", "name the folder with the rotator's modules")
    for path in sorted(TAKEN):
        if (source / path).is_dir() or (source / f"{path}.py").is_file():
            raise PackagingFailed(
                f"{source} holds a module '{path}', which would hide the one that the function needs", "rename it"
            )


def check_lock(lock: Path) -> None:
    """Require that a file names every package with its version and the hashes of its files.

    Raises:
        PackagingFailed: it can't be read, or a line is wrong.
    """
    try:
        text = lock.read_text()
    except OSError as error:
        raise PackagingFailed(f"the lock {lock} can't be read: {error.strerror}", _make_lock(lock)) from None
    except UnicodeDecodeError:
        raise PackagingFailed(f"the lock {lock} is not text", _make_lock(lock)) from None
    for number, line in _logical_lines(text):
        where = f"{lock}, line {number}"
        if line.startswith("-"):
            raise PackagingFailed(f"{where}: '{line.split()[0]}' is not a package", _make_lock(lock))
        named = re.match(r"([A-Za-z0-9][\w.-]*)(?:\[[\w,. -]*\])?\s*==\s*[\w.!+-]+(?=[\s;]|$)", line)
        if named is None:
            raise PackagingFailed(f"{where}: '{line.split()[0]}' has no version", _make_lock(lock))
        if "--hash=sha256:" not in line:
            raise PackagingFailed(f"{where}: '{named[1]}' has no hash", _make_lock(lock))
        if ";" in line[named.end() :].partition("--hash")[0]:
            raise PackagingFailed(
                f"{where}: '{named[1]}' is for some platforms only, and a function's lock is for one",
                _make_lock(lock),
            )
        if re.sub(r"[-_.]+", "-", named[1]).lower() == "rotators":
            raise PackagingFailed(f"{where}: rotators is in the function's layer already", "take it out of the lock")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a requirements file, without comments, continued lines joined, each with its first line's number."""
    begun, number = "", 0
    for current, line in enumerate(text.splitlines(), start=1):
        number = number if begun else current
        begun += re.sub(r"(^|\s)#.*", "", line).rstrip()
        if begun.endswith("\\"):
            begun = begun[:-1] + " "
            continue
        if begun.strip():
            yield number, begun.strip()
        begun = ""


def _make_lock(lock: Path) -> str:
    return (
        f"make it again: uv pip compile --generate-hashes --only-binary :all: --python-platform "
        f"x86_64-manylinux_2_34 --python-version 3.14 {lock.with_suffix('.in').name} -o {lock.name}"
    )


def _is_left_out(place: Path) -> bool:
    return (
        place.suffix in _FILES_LEFT_OUT
        or any(part.startswith(".") for part in place.parts)
        or any(part in _FOLDERS_LEFT_OUT or part.endswith(".egg-info") for part in place.parts[:-1])
    )


def check_handler(source: Path, handler: str) -> None:
    """Require that a handler exists, as far as can be checked without running its module.

    Args:
        source: the folder with the modules.
        handler: as Lambda names it, ``module.handler``.

    Raises:
        PackagingFailed: its form is wrong, its module does not exist, or has no such instance.
    """
    found = _HANDLER.fullmatch(handler)
    if found is None:
        raise PackagingFailed(f"'{handler}' is not a handler", _HANDLER_FORM)
    path, name = source / found[1].replace(".", "/"), found[2]
    module = next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
    if module is None:
        there = sorted(file.stem for file in source.glob("*.py"))
        raise PackagingFailed(
            f"the handler '{handler}' is in {path.with_suffix('.py')}, and there is no such file",
            f"the modules in {source} are: {', '.join(there) or 'none'}. {_HANDLER_FORM}",
        )
    try:
        tree = ast.parse(module.read_bytes(), str(module))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise PackagingFailed(f"{module} is not Python: line {line}", "correct it") from None
    names = dict(_top_level_names(tree.body))
    if name not in names and "*" not in names:
        raise PackagingFailed(
            f"{module} has no '{name}'", f"end it with: {name} = {_class_in(names)}()  # an instance of your Rotator"
        )
    if isinstance(names.get(name), ast.ClassDef):
        raise PackagingFailed(
            f"'{name}' in {module} is a class, and Lambda calls it with an event",
            f"make an instance: handler = {name}(), and name that: {handler.rpartition('.')[0]}.handler",
        )


def _class_in(names: dict[str, ast.stmt]) -> str:
    return next((name for name, made in names.items() if isinstance(made, ast.ClassDef)), "YourRotator")


def _top_level_names(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """The names that a module defines, and the statement that defines each."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield statement.name, statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                yield alias.asname or alias.name.partition(".")[0], statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for node in (node for target in targets for node in ast.walk(target)):
                if isinstance(node, ast.Name):
                    yield node.id, statement
        elif isinstance(statement, ast.If | ast.Try | ast.With):
            inner = [
                *statement.body,
                *getattr(statement, "orelse", []),
                *getattr(statement, "finalbody", []),
                *(line for caught in getattr(statement, "handlers", []) for line in caught.body),
            ]
            yield from _top_level_names(inner)
