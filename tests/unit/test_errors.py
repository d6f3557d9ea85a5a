import inspect
import re

from rotators import errors


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Whoever adds an error draws it."""
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
