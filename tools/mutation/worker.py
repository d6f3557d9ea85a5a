"""Runs mutmut in the folder of one module, and writes what it found to ``results.json``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import libcst as cst
from mutmut import __main__ as mutmut
from mutmut.configuration import config
from mutmut.mutation import mutators
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import create_mutations
from mutmut.runners.harness import PytestRunner
from mutmut.state import state
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import change_cwd
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

from mutation.left_out import without
from mutation.results import Mutant

_NOTICED = Path("noticed.txt").absolute()


def main() -> None:
    """Mutate the module that is named on the command line."""
    module = Path(sys.argv[1])
    left_out = _leave_out(module)
    _likely_ones_first()
    mutmut._run((), max_children=1)  # noqa: SLF001  # what `mutmut run` calls
    told = {"mutants": [asdict(one) for one in _mutants(module)], "left_out": left_out}
    Path("results.json").write_text(json.dumps(told, indent=1))


def _leave_out(module: Path) -> int:
    """Have mutmut change nothing that is left out, and tell how many such mutants there would be."""
    patterns = config().do_not_mutate_patterns
    config().do_not_mutate_patterns = []
    everything = _count(module)
    config().do_not_mutate_patterns = patterns
    kept = [(kind, without(operator)) for kind, operator in mutators.mutation_operators]
    mutators.mutation_operators[:] = kept  # type: ignore[index]
    return everything - _count(module)


def _likely_ones_first() -> None:
    """Have each mutant meet those tests first that noticed the most mutants before it; of the others, the fastest."""
    order = PytestRunner._pytest_args_regular_run  # noqa: SLF001

    def likely_first(self: PytestRunner, tests: Iterable[str]) -> Any:
        noticed = Counter(_NOTICED.read_text().splitlines()) if _NOTICED.exists() else Counter[str]()
        return order(self, sorted(tests, key=lambda test: (-noticed[test], state().duration_by_test[test])))

    def run_tests(self: PytestRunner, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        with change_cwd("mutants"):
            plugins = [] if mutant_name is None else [_Noticed()]
            return int(self.execute_pytest(self._pytest_args_regular_run(tests), plugins=plugins))

    PytestRunner._pytest_args_regular_run = likely_first  # type: ignore[method-assign]  # noqa: SLF001
    PytestRunner.run_tests = run_tests  # type: ignore[method-assign]


class _Noticed:
    """A plugin of pytest that notes which test failed. Each mutant's tests run in a process of their own."""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest."""
        if report.failed:
            with _NOTICED.open("a") as file:
                file.write(f"{report.nodeid}\n")


def _count(module: Path) -> int:
    _, mutations, _, _ = create_mutations(str(module), module.read_text())
    return sum(isinstance(one.contained_by_top_level_function, cst.FunctionDef) for one in mutations)


def _mutants(module: Path) -> Iterator[Mutant]:
    data = SourceFileMutationData(path=module)
    data.load()
    for name, code in data.exit_code_by_key.items():
        function, of = orig_function_and_class_names_from_key(name)
        changed = get_diff_for_mutant(name, path=module).splitlines()[2:]
        was, becomes = ("\n".join(line[1:].strip() for line in changed if line.startswith(sign)) for sign in ("-", "+"))
        yield Mutant(f"{of}.{function}" if of else function, was, becomes, status_by_exit_code[code])


if __name__ == "__main__":
    main()
