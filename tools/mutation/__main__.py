"""Change each line of some modules a little, and see whether a test fails (``make mutate``).

Prints a table, and each mutant that no test noticed and nobody has explained. Exits with 1 where there is one, or where
an explanation is of a mutant that is killed or no longer made; with 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from mutation import tables, verdict, workspace
from mutation.results import Mutant, Result

ROOT = Path(__file__).parents[2]


def main(arguments: list[str] | None = None) -> int:
    """The command.

    Args:
        arguments: those of the command line by default.

    Returns:
        what to exit with.
    """
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", help="rotators/passwords.py, say; by default all in modules.toml")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project")
    parser.add_argument("--tables", type=Path, default=Path(__file__).parent, help="modules.toml and survivors.toml")
    parser.add_argument("--fresh", action="store_true", help="forget which mutants were killed by an earlier run")
    options = parser.parse_args(arguments)
    plan = tables.plan(options.tables / "modules.toml")
    unknown = [name for name in options.modules if name not in plan.modules]
    if unknown:
        print(f"{', '.join(unknown)}: not in modules.toml, which has {', '.join(plan.modules)}", file=sys.stderr)
        return 2
    explained = tables.explained(options.tables / "survivors.toml")
    strays = sorted({one.module for one in explained} - plan.modules.keys())
    if strays:
        print(f"survivors.toml explains mutants of {', '.join(strays)}: not in modules.toml", file=sys.stderr)
        return 2
    results = []
    for name in options.modules or plan.modules:
        results.append(_run(options.root, name, plan, fresh=options.fresh))
        if results[-1] is None:
            return 1
    verdicts = [
        verdict.judge(one, [entry for entry in explained if entry.module == one.module]) for one in results if one
    ]
    print("\n".join(verdict.report(verdicts)))
    return int(any(one.failed for one in verdicts))


def _run(root: Path, module: str, plan: tables.Plan, *, fresh: bool) -> Result | None:
    """Mutate one module, in a process of its own; None where its tests fail without any mutation."""
    print(f"{module} …", file=sys.stderr, flush=True)
    began = time.monotonic()
    folder = workspace.prepare(root, module, plan, fresh=fresh)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    log = folder / "log.txt"
    with log.open("w") as output:
        command = [sys.executable, "-m", "mutation.worker", module]
        ran = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output, check=False)
    if ran.returncode:
        print(f"{module}: mutmut ended with {ran.returncode}; see {log}", file=sys.stderr)
        return None
    told = json.loads((folder / "results.json").read_text())
    mutants = tuple(Mutant(**one) for one in told["mutants"])
    return Result(module, mutants, told["left_out"], time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
