"""The two tables: which modules are mutated, and which mutants may survive."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Explained:
    """A mutant that no test can notice, or that none should.

    Args:
        module: its path.
        function: where: ``Class.method`` or ``function``.
        was: the lines that are changed, without the blanks around them.
        becomes: what they are changed to.
        reason: why that is no gap.
    """

    module: str
    function: str
    was: str
    becomes: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What is mutated, and how it is tested.

    Args:
        modules: each module, with the tests that are to notice: files, or what else pytest takes.
        arguments: what else pytest is given.
    """

    modules: dict[str, tuple[str, ...]]
    arguments: tuple[str, ...] = ()


def plan(path: Path) -> Plan:
    """The modules that are mutated.

    Args:
        path: of modules.toml.
    """
    table = tomllib.loads(path.read_text())
    modules = {module: tuple(tests) for module, tests in table["modules"].items()}
    return Plan(modules, tuple(table.get("arguments", ())))


def explained(path: Path) -> list[Explained]:
    """The mutants that may survive.

    Args:
        path: of survivors.toml; none are explained where it is missing.

    Raises:
        TypeError: an entry lacks something, or has something else.
    """
    if not path.exists():
        return []
    return [Explained(**entry) for entry in tomllib.loads(path.read_text()).get("survivor", [])]
