"""The table of engines says what each engine says of itself."""

from __future__ import annotations

from importlib import import_module

import pytest

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.names import ENGINE_NAMES, serving
from rotators.engines.specs import SPECS, NameUnit
from rotators.errors import UserPairMismatch
from rotators.packaging import locks
from rotators.packaging.platforms import engines


def test_every_engine_has_a_handler_and_a_locked_driver() -> None:
    assert engines() == sorted(SPECS)
    for spec in SPECS.values():
        assert locks.lock(spec.driver_layer).is_file()


def test_a_spelling_means_one_engine() -> None:
    spellings = [spelling for names in ENGINE_NAMES.values() for spelling in names]
    assert len(spellings) == len(set(spellings))
    for name, spec in SPECS.items():
        assert {serving(spelling) for spelling in spec.spellings} == {name}
        assert name in spec.spellings
    assert serving("nosuch") is None


@pytest.mark.parametrize("name", sorted(SPECS))
def test_an_engine_is_as_its_row_says(name: str) -> None:
    spec = SPECS[name]
    engine = import_module(f"rotators.handlers.{name}").handler._engine
    assert engine.name == name
    assert engine.default_port == spec.port
    assert engine.second_password == spec.second_password
    assert engine.password_limits.longest == spec.longest_password


@pytest.mark.parametrize("name", sorted(SPECS))
def test_a_second_user_has_the_longest_name_and_no_longer_one(name: str) -> None:
    spec = SPECS[name]
    engine = import_module(f"rotators.handlers.{name}").handler._engine
    # db2 takes ASCII letters only; a character that is longer in its unit than in another where there is one.
    letter = {NameUnit.CHARACTERS: "a", NameUnit.BYTES: "é", NameUnit.UTF16_UNITS: "😀"}[spec.name_unit]
    room = spec.longest_name - len(CLONE_SUFFIX)
    size = spec.name_unit.length(letter)
    fits = letter * (room // size) + "a" * (room % size)
    assert engine.other_name(fits) == fits + CLONE_SUFFIX
    with pytest.raises(UserPairMismatch, match=f"names of 1 to {spec.longest_name}"):
        engine.other_name(fits + "a")
    with pytest.raises(UserPairMismatch):
        engine.other_name(CLONE_SUFFIX)


@pytest.mark.parametrize(("unit", "length"), [("CHARACTERS", 2), ("BYTES", 7), ("UTF16_UNITS", 3)])
def test_a_name_is_as_long_as_its_server_counts(unit: str, length: int) -> None:
    assert NameUnit[unit].length("😀\ud800") == length
