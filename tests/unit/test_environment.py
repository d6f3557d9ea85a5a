import pytest

from rotators.environment import Environment
from rotators.errors import ConfigurationError


def test_an_empty_variable_counts_as_not_set() -> None:
    environment = Environment({"A": ""})
    assert environment.text("A") is None
    assert environment.flag("A", default=True) is True
    assert environment.whole_number("A", default=3) == 3
    assert environment.seconds("A", default=2.5) == 2.5
    assert environment.choice("A", ("x", "y"), default="x") == "x"


@pytest.mark.parametrize(
    ("spelled", "means"), [("true", True), ("YES", True), ("1", True), ("0", False), ("No", False)]
)
def test_flags_are_spelled_as_in_awss_templates(spelled: str, means: bool) -> None:
    assert Environment({"A": spelled}).flag("A", default=not means) is means


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_seconds_are_a_time(value: str) -> None:
    with pytest.raises(ConfigurationError, match="A is not a time in seconds"):
        Environment({"A": value}).seconds("A", default=1)


def test_a_choice_names_what_there_is() -> None:
    with pytest.raises(ConfigurationError, match="set it to one of x, y"):
        Environment({"A": "z"}).choice("A", ("y", "x"), default="x")


def test_without_variables_it_reads_the_processs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTATORS_TEST_VARIABLE", "here")
    assert Environment().text("ROTATORS_TEST_VARIABLE") == "here"
