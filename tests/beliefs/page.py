"""The page of the reference that is made from the tables: ``make beliefs`` writes it."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import beliefs
from beliefs.base import READ, Beliefs

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "beliefs.md"
_HEAD = """# Beliefs

`make beliefs` makes this page from the tables in `tests/beliefs`. Each statement, view, privilege and error code that
an engine relies on has a page of the vendor or of AWS that documents it. For five engines the tests have no server, and
no test server has RDS's admin. `tests/beliefs/test_beliefs.py` compares the tables with the engines, the doubles and
the tests' admins: a statement without a row fails, and so does a row for a statement that is never sent.

| engine | statements | views | columns | rights | codes | pages | of these read | checked against |
|---|---|---|---|---|---|---|---|---|
"""
_FORMS = """
In the statements, `NAME` is a quoted name, `TEXT` a text, `WORD` a privilege or the like, and `N` a number; `…` is
anything, `{a|b}` is one of these, `[a]` is optional, and `{a}…` may repeat. MongoDB's are commands with the fields that
are sent. *since* is the first version for which the row is true. *Not read* means that the page's address has the form
of the vendor's pages, but nobody has read the page for this table.
"""
# The parts of forms that stand for a name and the like, longest first.
_PARTS = {
    r"\[(?:[^\]]|\]\])+\]": "NAME",
    '"(?:[^"]|"")+"': "NAME",
    '"[^"]+"': "NAME",
    "N'(?:[^']|'')*'": "TEXT",
    "E?'(?:[^']|'')*'": "TEXT",
    "'(?:[^']|'')*'": "TEXT",
    "`(?:[^`]|``)*`": "NAME",
    r"\*": "*",
    "0x[0-9A-F]*": "0xN",
    "0x[0-9a-f]*": "0xN",
    "[A-Z ]+": "WORD",
    "[A-Z_]+": "WORD",
    "[A-Z]+": "WORD",
    r"\d+": "N",
    ".*": "…",
    ".+": "…",
}
_TOKEN = re.compile("|".join((*map(re.escape, _PARTS), r"\(\?:|\)[?*+]?|\\.|.")), re.DOTALL)
_CLOSING = {")": ("{", "}"), ")?": ("[", "]"), ")*": ("[", "]…"), ")+": ("{", "}…")}


def tables() -> list[Beliefs]:
    """Every engine's, by its name."""
    modules = (importlib.import_module(f"beliefs.{found.name}") for found in pkgutil.iter_modules(beliefs.__path__))
    held = (getattr(module, "BELIEFS", None) for module in modules if not module.__name__.startswith("beliefs.test_"))
    return sorted((one for one in held if isinstance(one, Beliefs)), key=lambda one: one.engine)


def readable(form: str) -> str:
    """A form as a manual would write it."""
    levels = [""]
    for token in _TOKEN.findall(form):
        if token == "(?:":
            levels.append("")
        elif token in _CLOSING and len(levels) > 1:
            opening, closing = _CLOSING[token]
            inner = levels.pop()
            levels[-1] += f"{opening}{inner}{closing}"
        else:
            levels[-1] += _PARTS.get(token, token.removeprefix("\\"))
    return "".join(levels)


def page() -> str:
    """The whole page."""
    found = tables()
    rows = [_row(f"[{one.engine}](#{one.engine})", *map(str, one.counts().values()), one.held_against) for one in found]
    return _HEAD + "".join(rows) + _FORMS + "".join(map(_engine, found))


def _engine(one: Beliefs) -> str:
    return "".join(
        (
            f"\n## {one.engine}\n",
            _table(
                ("statement", "since", "page"),
                ((_code(readable(row.form)), row.since, _link(row.page)) for row in one.statements),
            ),
            _table(
                ("view or function", "columns", "since", "page"),
                (
                    (_code(row.name), ", ".join(map(_code, sorted(row.columns))), row.since, _link(row.page))
                    for row in one.views
                ),
            ),
            _table(
                ("right", "needed for", "since", "AWS's master user has it", "page"),
                (
                    (
                        _code(row.name),
                        row.needed_for,
                        row.since,
                        _link(row.aws, "yes" if row.master else "no"),
                        _link(row.page),
                    )
                    for row in one.rights
                ),
            ),
            _table(
                ("code", "our error", "page"),
                ((_code(row.code), _code(row.kind) if row.kind else "", _link(row.page)) for row in one.codes),
            ),
        )
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(("\n", _row(*head), "|---" * len(head), "|\n", *(_row(*row) for row in rows)))


def _row(*cells: str) -> str:
    return f"| {' | '.join(_cells(cells))} |\n"


def _cells(cells: Iterable[str]) -> Iterator[str]:
    return (cell.replace("|", r"\|") for cell in cells)


def _code(text: str) -> str:
    return f"`{text}`"


def _link(address: str, text: str = "page") -> str:
    return f"[{text}]({address})" + ("" if address in READ else ", not read")


if __name__ == "__main__":
    PAGE.write_text(page())
