import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotators import errors


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Anyone who adds an error draws it."""
    drawn: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ([│ ├└─]*)(\w+)(?: |$)", line)
        if match:
            drawn.append((len(match[1]) // 4, match[2]))
    parents: list[str] = []
    tree = {}
    for depth, name in drawn:
        parents = [*parents[:depth], name]
        tree[name] = parents[depth - 1] if depth else "Exception"
    defined = {
        name: value.__bases__[0].__name__
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert tree == defined


def test_an_error_is_one_line_what_happened_and_what_to_do() -> None:
    assert str(errors.Unreachable("no route", "add one")) == "no route. add one."
    assert str(errors.Unreachable("no route")) == "no route."


@pytest.mark.parametrize(
    "break_",
    [
        "\n",
        "\r\n",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x1b[2J",
        "\x85",
        "\u2028",
        "\u2029",
        "\u202e",
        "\u2066",
        "\ufeff",
        "\ud800",
    ],
)
def test_an_error_is_one_line_whatever_a_server_says(break_: str) -> None:
    error = errors.ServiceFailed(f"it said{break_}more", f"do{break_}this")
    for text in (str(error), error.what, error.advice, *error.args):
        assert len(text.splitlines()) == 1
        assert not set(break_) & set(text) - set("[2J")
        assert text.encode()


@given(st.text(st.characters(exclude_categories=[])), st.text(st.characters(exclude_categories=[])))
def test_a_part_of_a_text_becomes_one_line_as_it_does_by_itself(first: str, second: str) -> None:
    assert errors.one_line(first + second) == errors.one_line(first) + errors.one_line(second)
    assert len(errors.one_line(first).splitlines()) <= 1


def test_names_in_other_scripts_stay_as_they_are() -> None:
    assert errors.ServiceFailed("Büro 山田 😀").what == "Büro 山田 😀"


@pytest.mark.parametrize("text", ["word " * 2_000, "x" * 10_000])
def test_a_long_text_is_cut(text: str) -> None:
    error = errors.ServiceFailed(text, text)
    assert len(str(error)) < 4_100
    assert error.what.endswith(errors.CUT)
    assert text.startswith(error.what.removesuffix(errors.CUT))
    assert errors.ServiceFailed(error.what).what == error.what
