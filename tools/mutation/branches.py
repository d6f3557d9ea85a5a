"""How many branches of the modules in modules.toml the tests go, by what ``coverage run`` noted (``make coverage``).

Prints a table with the lines whose branches are missing, and exits with 1 where a module is below 95 %.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from coverage import Coverage

from mutation import tables

LEAST = 95.0


def main() -> int:
    """The command; returns what to exit with."""
    modules = list(tables.plan(Path(__file__).with_name("modules.toml")).modules)
    coverage = Coverage()
    coverage.load()
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        coverage.json_report(include=modules, outfile=file.name)
        files = json.loads(Path(file.name).read_text())["files"]
    print("| module | branches | gone | share | lines that are left, and where they would have gone |")
    print("|---|---|---|---|---|")
    low = []
    for module in modules:
        told = files.get(module, {"summary": {"num_branches": 0, "covered_branches": 0}, "missing_branches": []})
        every, gone = (told["summary"][key] for key in ("num_branches", "covered_branches"))
        share = 100.0 * gone / every if every else 100.0
        missing = ", ".join(f"{start} → {abs(end)}" for start, end in told["missing_branches"])
        print(f"| `{module}` | {every} | {gone} | {int(share * 10) / 10:.1f} % | {missing} |")
        if share < LEAST or module not in files:
            low.append(module)
    if low:
        print(f"below {LEAST:g} %, or never imported: {', '.join(low)}", file=sys.stderr)
    return int(bool(low))


if __name__ == "__main__":
    sys.exit(main())
