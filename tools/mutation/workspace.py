"""The folder in which one module is mutated: a copy of the project, so that no checkout ever holds a mutant."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from mutation.tables import Plan
from mutation.undecorated import undecorated

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "node_modules")
_NO_SOURCE = {"build", "dist", "cdk.out", "mutants", "node_modules"}
# Of mutants that a test noticed: they need not be tried again while their function is the same. What ran out of time is
# tried again: it may have been the machine that was slow, and not the mutant that never ends.
_KILLED = {1, 3}


def prepare(root: Path, module: str, plan: Plan, *, fresh: bool) -> Path:
    """Bring a module's folder to what the project is now. What mutmut noted of killed mutants stays.

    Args:
        root: the project.
        module: the path of what is mutated.
        plan: its tests.
        fresh: keep nothing.

    Returns:
        the folder, in which mutmut can be run.
    """
    folder = root / "build" / "mutate" / module.removesuffix(".py").replace("/", ".")
    mutants = folder / "mutants"
    note = mutants / f"{module}.meta"
    noted = None if fresh else _read(note)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    others = []
    packages = []
    for entry in sorted(root.iterdir()):
        if entry.name.startswith(".") or entry.name in _NO_SOURCE:
            continue
        if entry.is_dir():
            shutil.copytree(entry, folder / entry.name, ignore=_LEFT_OUT)
        else:
            shutil.copy2(entry, folder / entry.name)
        (packages if (entry / "__init__.py").exists() else others).append(entry.name)
    source = folder / module
    times = source.stat()
    source.write_text(undecorated(source.read_text()))
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    _configure(folder, module, plan, packages, others)
    if noted is not None:
        codes = noted["exit_code_by_key"]
        noted["exit_code_by_key"] = {key: code if code in _KILLED else None for key, code in codes.items()}
        note.parent.mkdir(parents=True)
        note.write_text(json.dumps(noted))
    return folder


def _read(note: Path) -> Any:
    """What mutmut noted; None where it never ran, or was ended while it wrote."""
    try:
        return json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _configure(folder: Path, module: str, plan: Plan, packages: list[str], others: list[str]) -> None:
    settings = {
        "source_paths": packages,
        "only_mutate": [module],
        "also_copy": others,
        "pytest_add_cli_args_test_selection": [*plan.modules[module], "-m", "not server and not slow and not long"],
        # The last collects all garbage at the end of each run: more work than most mutants' tests.
        "pytest_add_cli_args": ["-p", "no:xdist", "-p", "no:randomly", "-p", "no:unraisableexception", *plan.arguments],
        # Ours start threads: a child must not come from a process in which tests ran.
        "process_isolation": "forkserver",
        # A minute for the fastest: on a loaded machine two seconds ran out for mutants that nobody noticed.
        "timeout_constant": 30.0,
        "timeout_multiplier": 2.0,
        "use_git_change_detection": False,
        "do_not_mutate_patterns": [r"\blogger\.(info|warning)\("],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    file = folder / "pyproject.toml"
    file.write_text(file.read_text() + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n")
