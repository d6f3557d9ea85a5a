"""What the environment may ask `make chaos` for, and what it is told where there is no such thing."""

from __future__ import annotations

import pytest
from targets import DUAL, KINDS, SINGLE

from chaos.__main__ import main
from chaos.choices import UsageError, read


def test_without_variables_every_engine_has_every_strategy_of_its() -> None:
    choices = read({})
    assert {kind: {one for of, one in choices.pairs if of == kind} for kind in KINDS} == {
        kind: set(known.strategies) for kind, known in KINDS.items()
    }
    assert len(choices.seeds("mysql")) == 2_000
    assert len(choices.seeds("db2")) == 500
    assert choices.jobs >= 2


def test_what_is_chosen_is_run() -> None:
    variables = {"CHAOS_ENGINE": "mysql, db2", "CHAOS_STRATEGY": "dual-password,single-user"}
    choices = read(variables | {"CHAOS_SCHEDULES": "20", "CHAOS_FIRST": "100", "CHAOS_JOBS": "3"})
    assert set(choices.pairs) == {("mysql", DUAL), ("mysql", SINGLE), ("db2", SINGLE)}
    assert choices.seeds("mysql") == choices.seeds("db2") == range(100, 120)
    assert choices.jobs == 3
    assert read({"CHAOS_SEED": "7", "CHAOS_SCHEDULES": "20"}).seeds("mysql") == range(7, 8)


@pytest.mark.parametrize(
    ("name", "kind"), [("postgres", "postgresql"), ("aurora-mysql", "mysql"), ("docdb", "mongo"), ("db2", "db2")]
)
def test_an_engine_has_the_names_that_it_has_elsewhere_too(name: str, kind: str) -> None:
    assert {of for of, _ in read({"CHAOS_ENGINE": name}).pairs} == {kind}


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"CHAOS_ENGINE": "postgre"}, "CHAOS_ENGINE=postgre is no engine: choose of postgresql, mariadb"),
        ({"CHAOS_ENGINE": "mysql,nosuch"}, "CHAOS_ENGINE=nosuch is no engine"),
        ({"CHAOS_STRATEGY": "single"}, "CHAOS_STRATEGY=single is no strategy: choose of alternating-users, dual-"),
        ({"CHAOS_ENGINE": "db2", "CHAOS_STRATEGY": DUAL}, "db2 has alternating-users, single-user"),
        ({"CHAOS_SCHEDULES": "ten"}, "CHAOS_SCHEDULES=ten is no number: give a whole one, 1 or more"),
        ({"CHAOS_SCHEDULES": "0"}, "CHAOS_SCHEDULES=0 is no number"),
        ({"CHAOS_SEED": "-1"}, "CHAOS_SEED=-1 is no number: give a whole one, 0 or more"),
        ({"CHAOS_FIRST": "1_0"}, "CHAOS_FIRST=1_0 is no number"),
        ({"CHAOS_JOBS": "1.5"}, "CHAOS_JOBS=1.5 is no number"),
    ],
)
def test_what_there_is_not_is_told_with_the_choices(variables: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError) as error:
        read(variables)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_usage_is_a_line_and_no_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CHAOS_ENGINE", "postgre")
    assert main() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
