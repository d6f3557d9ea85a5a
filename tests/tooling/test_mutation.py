"""``make mutate`` tells what it should: what survives, what is explained, and what is explained no longer."""

from __future__ import annotations

import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import libcst as cst
import pytest
from mutation import tables, verdict
from mutation.__main__ import main
from mutation.left_out import is_prose, without
from mutation.results import Mutant, Result
from mutation.undecorated import undecorated
from mutmut.mutation.mutators import operator_arg_removal, operator_string

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "tools" / "mutation"
PLAN = tables.plan(TABLES / "modules.toml")
EXPLAINED = tables.explained(TABLES / "survivors.toml")

DEAD = Mutant("f", "return 1", "return 2", "killed")
ALIVE = Mutant("f", "x = 1", "x = 2", "survived")
UNSEEN = Mutant("A.g", "y = 1", "y = 2", "no tests")


def entry(mutant: Mutant, module: str = "m.py") -> tables.Explained:
    return tables.Explained(module, mutant.function, mutant.was, mutant.becomes, "nobody reads x")


def judged(*mutants: Mutant, explained: list[Mutant] | None = None) -> verdict.Verdict:
    return verdict.judge(Result("m.py", mutants, 3, 1.4), [entry(one) for one in explained or []])


def test_what_a_test_notices_is_killed_also_by_never_ending() -> None:
    endless = Mutant("f", "while a", "while True", "timeout")
    told = judged(DEAD, endless)
    assert (told.killed, told.explained, told.survivors, told.failed) == (2, 0, (), False)
    assert list(verdict.report([told]))[2:] == [
        "| `m.py` | 2 | 2 | 1 | 0 | 0 | 3 | 100.0 % | 1 |",
        "| all | 2 | 2 | 1 | 0 | 0 | 3 | 100.0 % | 1 |",
    ]


@pytest.mark.parametrize("status", ["survived", "no tests", "suspicious", "segfault", "not checked"])
def test_anything_else_is_a_survivor_and_is_shown(status: str) -> None:
    mutant = Mutant("A.g", "a = 1\nb = 2", "a = 2", status)
    told = judged(DEAD, DEAD, mutant)
    assert told.survivors == (mutant,)
    assert told.failed
    assert list(verdict.report([told]))[:4] == [f"m.py: A.g: {status}", "    - a = 1", "    - b = 2", "    + a = 2"]
    # Cut, not rounded.
    assert "66.6 %" in list(verdict.report([told]))[-1]


def test_what_is_explained_counts_for_neither_side() -> None:
    told = judged(DEAD, ALIVE, UNSEEN, explained=[ALIVE, UNSEEN])
    assert (told.killed, told.explained, told.survivors, told.stale, told.failed) == (1, 2, (), (), False)
    assert "| 3 | 1 | 0 | 2 | 0 | 3 | 100.0 % |" in list(verdict.report([told]))[-1]


@pytest.mark.parametrize("mutants", [(DEAD,), (DEAD, Mutant("f", "x = 1", "x = 2", "killed"))])
def test_an_explanation_of_what_is_killed_or_gone_is_an_error(mutants: tuple[Mutant, ...]) -> None:
    told = judged(*mutants, explained=[ALIVE])
    assert told.stale == (entry(ALIVE),)
    assert told.failed
    assert next(verdict.report([told])) == "m.py: f: is explained, and is killed or no longer made"


def test_an_explanation_holds_for_its_own_function_and_change_alone() -> None:
    other = Mutant("g", ALIVE.was, ALIVE.becomes, "survived")
    assert judged(ALIVE, other, explained=[ALIVE]).survivors == (other,)


def test_a_module_that_is_not_in_the_table_is_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["rotators/nothing.py"]) == 2
    assert "rotators/nothing.py: not in modules.toml, which has rotators/passwords.py" in capsys.readouterr().err
    (tmp_path / "modules.toml").write_text("[modules]\n")
    (tmp_path / "survivors.toml").write_text(
        '[[survivor]]\nmodule = "m.py"\nfunction = "f"\nwas = "a"\nbecomes = "b"\nreason = "c"\n'
    )
    assert main(["--tables", str(tmp_path)]) == 2
    assert "survivors.toml explains mutants of m.py" in capsys.readouterr().err


def test_every_module_of_the_promise_is_mutated_by_tests_that_are_there() -> None:
    told = {*PLAN.modules}
    must = {f"rotators/{name}.py" for name in ("rotator", "versions", "credentials", "passwords")}
    for folder in ("rotators/strategies", "infra/config"):
        must |= {f"{folder}/{path.name}" for path in (ROOT / folder).glob("*.py") if not path.name.startswith("__")}
    assert told == must
    assert [test for tests in PLAN.modules.values() for test in tests if not (ROOT / test).is_file()] == []


@pytest.mark.parametrize("one", EXPLAINED, ids=lambda one: f"{one.module}:{one.function}")
def test_an_explained_mutant_is_of_a_line_that_is_there_and_has_a_reason(one: tables.Explained) -> None:
    lines = {line.strip() for line in (ROOT / one.module).read_text().splitlines()}
    # mutmut shows a call over several lines as it stands.
    assert set(one.was.splitlines()) <= lines
    assert one.was != one.becomes
    assert len(one.reason.split()) > 3


def test_no_mutant_is_explained_twice() -> None:
    keys = [(one.module, one.function, one.was, one.becomes) for one in EXPLAINED]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("code", "prose"),
    [
        ('"the event is no JSON object"', True),
        ('f"{a} b"', True),
        ('"a " "b"', False),
        ('"one two" "x"', True),
        ('"AWSCURRENT"', False),
        ('f"{a}{b}"', False),
        ('" and "', False),
        ("name", False),
    ],
)
def test_a_sentence_has_blanks_between_words(code: str, *, prose: bool) -> None:
    assert is_prose(cst.parse_expression(code)) is prose


@pytest.mark.parametrize(
    ("code", "made"),
    [
        ("f(a, 'to do')", ["f(None, 'to do')", "f('to do')"]),
        ("f(a=False)", []),
        ("f(a=False, b=1)", ["f(a=False, b=None)", "f(b=1)", "f(a=False, )"]),
        ("f(a, True)", ["f(None, True)", "f(a, None)", "f(True)", "f(a, )"]),
    ],
)
def test_neither_a_sentence_nor_none_for_false_is_tried_as_an_argument(code: str, made: list[str]) -> None:
    called = cst.parse_expression(code)
    mutants = [cst.Module([]).code_for_node(one) for one in without(operator_arg_removal)(called)]
    assert [one.replace(" ", "") for one in mutants] == [one.replace(" ", "") for one in made]


def test_a_word_that_has_a_line_to_itself_is_part_of_its_sentence() -> None:
    mutate = without(operator_string)
    whole = cst.ensure_type(
        cst.parse_expression("('there is no such' ' ' 'thing' f'{x}' 'there')"), cst.ConcatenatedString
    )
    found: list[cst.CSTNode] = []

    def visit(node: cst.CSTNode) -> None:
        if isinstance(node, cst.BaseString):
            found.extend(mutate(node))
        for child in node.children:
            visit(child)

    visit(whole)
    assert found == []
    visit(cst.parse_expression("'alone'"))
    assert len(found) == 2


DECORATED = """
from contextlib import contextmanager
from functools import cached_property, lru_cache

class A:
    @property
    def one(self):
        return 1

    @cached_property
    def two(self):
        return [2]

    @staticmethod
    def three():
        return 3

    @contextmanager
    def four(self):
        yield 4

    @classmethod
    @lru_cache(maxsize=None)
    def five(cls):
        return [cls.__name__]

@lru_cache(maxsize=None)
def six():
    @lru_cache
    def inner():
        return 6
    return [inner()]
"""


def test_decorators_below_a_function_mean_what_they_meant_above_it() -> None:
    code = undecorated(DECORATED)
    assert "@property" not in code
    assert code.count("@") == 2
    for text in (DECORATED, code):
        names: dict[str, Any] = {}
        exec(text, names)  # noqa: S102
        made = names["A"]()
        assert (made.one, made.two, made.three()) == (1, [2], 3)
        assert made.two is made.two
        assert isinstance(names["A"].two, cached_property)
        with made.four() as four:
            assert four == 4
        assert made.five() == ["A"]
        assert made.five() is names["A"].five()
        assert names["six"]() == [6]
        assert names["six"]() is names["six"]()


SAMPLE = """
class Box:
    @property
    def small(self):
        return self.size < 3

    def __init__(self, size):
        self.size = size


def fits(box):
    return box.small and box.size != 1
"""
TEST = """
from sample.box import Box, fits

def test_small():
    assert Box(0).small
    assert not Box(5).small

def test_fits():
    assert fits(Box(2))
"""
SURVIVOR = """
[[survivor]]
module = "sample/box.py"
function = "{function}"
was = "{was}"
becomes = "{becomes}"
reason = "boxes have no such size"
"""


@pytest.mark.slow
def test_the_command_finds_what_no_test_notices_and_ends_with_one(tmp_path: Path) -> None:
    """On a project of one module, whose tests leave a limit and a number untried."""
    (tmp_path / "sample").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "sample/__init__.py").touch()
    (tmp_path / "sample/box.py").write_text(SAMPLE)
    (tmp_path / "tests/test_box.py").write_text(TEST)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['server', 'slow', 'long']\n")
    (tmp_path / "modules.toml").write_text('[modules]\n"sample/box.py" = ["tests/test_box.py"]\n')

    def run() -> tuple[int, str]:
        command = [sys.executable, "-m", "mutation", "--root", str(tmp_path), "--tables", str(tmp_path)]
        environment = {"PYTHONPATH": str(ROOT / "tools"), "PATH": "/usr/bin:/bin"}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout

    code, said = run()
    assert code == 1
    assert "sample/box.py: Box.small: survived\n    - return self.size < 3\n    + return self.size <= 3\n" in said
    assert "+ return self.size < 4" in said
    assert "+ return box.small and box.size != 2" not in said
    assert "+ return box.small or box.size != 1" in said
    survivors = [
        ("Box.small", "return self.size < 3", "return self.size <= 3"),
        ("Box.small", "return self.size < 3", "return self.size < 4"),
        ("fits", "return box.small and box.size != 1", "return box.small or box.size != 1"),
    ]
    entries = [SURVIVOR.format(function=one, was=was, becomes=becomes) for one, was, becomes in survivors]
    (tmp_path / "survivors.toml").write_text("".join(entries))
    code, said = run()
    assert (code, "survived" in said) == (0, False)
    assert "| 0 | 3 | 0 | 0 | 100.0 % |" in said
    # A test that notices makes the explanation wrong, and what was killed before counts without being tried again.
    (tmp_path / "tests/test_box.py").write_text(TEST + "    assert not Box(3).small\n")
    code, said = run()
    assert code == 1
    assert said.count("is explained, and is killed or no longer made") == 2
