"""The shared part of the doubles: statements found by their form, and remembered for the grammar."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn, TypeVar

_Method = TypeVar("_Method", bound=Callable[..., Any])


class UnknownStatement(AssertionError):
    """The double was asked for something that nobody has taught it: no test may pass on a guess."""


def statement(form: str) -> Callable[[_Method], _Method]:
    """Mark a method as the answer to statements of a form.

    Args:
        form: a regular expression for the whole statement; blanks stand for any white space, and its groups are the
            method's arguments, behind the statement's parameters.
    """

    def mark(method: _Method) -> _Method:
        forms: list[str] = getattr(method, "forms", [])
        method.forms = [*forms, form]  # type: ignore[attr-defined]
        return method

    return mark


class Statements:
    """A base for doubles: ``run`` finds the method for a statement.

    Args:
        seen: every statement that was run, for the grammar's test.
        failures: what failed otherwise than a server fails, for the end: an engine may have taken it for the server's.
    """

    _table: ClassVar[list[tuple[re.Pattern[str], str]]] = []

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._table = [
            (re.compile(form.replace(" ", r"\s+"), re.DOTALL), name)
            for name in dir(cls)
            for form in getattr(getattr(cls, name), "forms", ())
        ]

    refusals: ClassVar[type[Exception]]
    """What the double answers where the server would refuse."""

    def __init__(self, seen: set[str], failures: list[str]) -> None:
        self.seen = seen
        self.failures = failures

    def run(self, text: str, parameters: Sequence[Any] = ()) -> Any:
        """Answer a statement.

        Args:
            text: the statement, as the driver got it.
            parameters: what the driver was given to bind.

        Raises:
            UnknownStatement: there is no method for it, or more than one.
        """
        self.seen.add(text)
        found = [(match, name) for form, name in self._table if (match := form.fullmatch(text.strip()))]
        if len(found) != 1:
            self._fail(text, [name for _, name in found])
        match, name = found[0]
        try:
            return getattr(self, name)(*match.groups(), *parameters)
        except self.refusals:
            raise
        except BaseException as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            raise

    def _fail(self, text: str, candidates: list[str]) -> NoReturn:
        # The beginning is enough to find it, and holds no password.
        said = f"{type(self).__name__} does not know {' '.join(text.split())[:60]!r} {candidates}"
        self.failures.append(said)
        raise UnknownStatement(said)
