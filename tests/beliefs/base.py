"""The form of a table of beliefs, and what is out of step with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rotators.checks.finding import Finding
from rotators.checks.way import Way
from rotators.engines.mapping import ErrorMap
from rotators.testing import FakeLambdaContext, RotationService

# The pages that somebody has read, and found to say what their rows say; of the others the address alone is known.
READ = frozenset(Path(__file__).with_name("read.txt").read_text().split())


@dataclass(frozen=True)
class Statement:
    """A form of statement that we send.

    Args:
        form: a regular expression for the whole statement; a blank stands for any white space.
        page: the vendor's, which says that there is such a statement, and what it does.
        since: the version since which it holds.
    """

    form: str
    page: str
    since: str

    def takes(self, statement: str) -> bool:
        """Whether a statement is of this form."""
        return re.fullmatch(self.form.replace(" ", r"\s+"), statement.strip(), re.DOTALL) is not None


@dataclass(frozen=True)
class View:
    """A catalogue view, or a function that a session asks, and what we read of it.

    Args:
        name: as statements spell it.
        columns: those that we read.
        page: the vendor's.
        since: the version since which all of these are there.
    """

    name: str
    columns: frozenset[str]
    page: str
    since: str


@dataclass(frozen=True)
class Right:
    """A right that somebody needs, or that an admin of AWS's has.

    Args:
        name: as GRANT spells it.
        needed_for: what we need it for; empty where AWS's admin has it and we ask nothing of it.
        page: the vendor's.
        since: the version since which it is there.
        master: whether AWS's master user has it.
        aws: AWS's page that says so.
    """

    name: str
    needed_for: str
    page: str
    since: str
    master: bool
    aws: str


@dataclass(frozen=True)
class Code:
    """An error number.

    Args:
        code: as the server says it.
        kind: the name of our error for it; empty where it has none, and the double raises it.
        page: the vendor's.
    """

    code: str
    kind: str
    page: str


@dataclass(frozen=True)
class Beliefs:
    """All of an engine.

    Args:
        engine: its name.
        held_against: what the table was compared with, in one line.
        tests_own: forms of statements that the tests send, as an application or as a test query.
    """

    engine: str
    held_against: str
    statements: tuple[Statement, ...]
    views: tuple[View, ...]
    rights: tuple[Right, ...]
    codes: tuple[Code, ...]
    tests_own: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many there are of each."""
        return {
            "statements": len(self.statements),
            "views": len(self.views),
            "columns": sum(len(view.columns) for view in self.views),
            "rights": len(self.rights),
            "codes": len(self.codes),
            "pages": len(self.pages()),
            "read": len(self.pages() & READ),
        }

    def pages(self) -> set[str]:
        """Every page that is named."""
        rows = (*self.statements, *self.views, *self.rights, *self.codes)
        return {row.page for row in rows} | {right.aws for right in self.rights}

    def without_a_row(self, statements: Iterable[str]) -> list[str]:
        """The beginnings of statements that no row knows: enough to find them, and no password."""
        own = [Statement(form, "", "") for form in self.tests_own]
        return sorted(
            {
                " ".join(statement.split())[:60]
                for statement in statements
                if not any(row.takes(statement) for row in (*self.statements, *own))
            }
        )

    def unsent(self, statements: Iterable[str]) -> list[str]:
        """The forms of rows that nothing sends."""
        sent = list(statements)
        return [row.form for row in self.statements if not any(row.takes(statement) for statement in sent)]

    def ours(self, statements: Iterable[str]) -> list[str]:
        """The statements that are the engine's."""
        return [statement for statement in statements if any(row.takes(statement) for row in self.statements)]

    def columns(self) -> Mapping[str, frozenset[str]]:
        """The columns that are read, by view."""
        return {view.name: view.columns for view in self.views}


@contextmanager
def sent_to(log: set[str]) -> Iterator[set[str]]:
    """What is sent within the block; a double's log is of all tests of a process, and keeps theirs, too."""
    before, sent = set(log), set[str]()
    log.clear()
    try:
        yield sent
    finally:
        sent |= log
        log |= before


def mapped(*maps: ErrorMap) -> dict[str, str]:
    """The name of our error for each code in an engine's tables; where two list one, the later table counts."""
    found: dict[str, str] = {}
    for one in maps:
        found |= {str(code): kind.__name__ for code, (kind, _) in one.of_passwords.items()}
        found |= dict.fromkeys(map(str, one.lost), "ConnectionLost")
        found |= {str(code): kind.__name__ for code, (kind, _) in one.codes.items()}
    return found


def look_at(service: RotationService, *secrets: str) -> None:
    """Have each secret's function check it, and plan its next rotation: nothing may stand against that.

    The way to the server is left out: nothing is sent on it, and some doubles have no port.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Way, "look", _stands)
        for arn in secrets:
            function = service._configured[arn].function_arn
            for question in ("check", "plan"):
                asked = {"Step": question, "SecretId": arn}
                answer: Mapping[str, Any] = service._functions[function](asked, FakeLambdaContext(30, function))
                failed = [found for found in answer["findings"] if found["outcome"] == "failure"]
                assert failed == [], (question, failed)


def _stands(way: Way) -> Iterator[Finding]:
    way.stands = True
    yield from ()
