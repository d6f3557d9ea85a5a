"""A grammar that is not ours reads what an engine sends: sqlfluff's."""

from __future__ import annotations

import re
from collections.abc import Iterable


def require_parsed(dialect: str, forms: Iterable[str], beyond: Iterable[str]) -> None:
    """Make sure that every statement is one of the dialect's.

    Args:
        dialect: as sqlfluff calls it.
        forms: the statements, with names and values that are alike for every test: they are shown where one fails.
        beyond: patterns of those that the grammar does not know, though the manual does.

    Raises:
        AssertionError: one is not; the text has all of these.
    """
    from sqlfluff.core import Linter  # noqa: PLC0415  # half a second for each process that collects tests

    linter = Linter(dialect=dialect)
    unparsed = []
    for form in sorted(set(forms)):
        if any(re.fullmatch(known, form) for known in beyond):
            continue
        # A block of PL/SQL ends with a semicolon of its own.
        parsed = linter.parse_string(form + ("\n/\n" if form.endswith(";") else ";\n"))
        if parsed.violations or "unparsable" in parsed.tree.type_set():
            unparsed.append(form)
    assert not unparsed, "\n".join(unparsed)
