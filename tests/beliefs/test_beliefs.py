"""Table, engine and double of what we believe are in step: nothing is sent, read, needed or mapped without its page."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any

import pytest
import sqlglot

from beliefs import db2 as db2_beliefs
from beliefs import mariadb as mariadb_beliefs
from beliefs import mongo as mongo_beliefs
from beliefs import mysql as mysql_beliefs
from beliefs import oracle as oracle_beliefs
from beliefs import postgres as postgres_beliefs
from beliefs import redshift as redshift_beliefs
from beliefs import sqlserver as sqlserver_beliefs
from beliefs.base import READ
from rotators.testing import RotationService

# Engines are made to send all that they can, on their servers and doubles.
pytestmark = pytest.mark.server

# An engine joins with its module, and with what ``_Kept`` asks of it.
MODULES: dict[str, ModuleType] = {
    "sqlserver": sqlserver_beliefs,
    "oracle": oracle_beliefs,
    "db2": db2_beliefs,
    "mongo": mongo_beliefs,
    "redshift": redshift_beliefs,
    "mysql": mysql_beliefs,
    "mariadb": mariadb_beliefs,
    "postgres": postgres_beliefs,
}
_VENDORS = (
    "learn.microsoft.com",
    "docs.oracle.com",
    "docs.aws.amazon.com",
    "repost.aws",
    "www.ibm.com",
    "www.mongodb.com",
    "www.postgresql.org",
    "dev.mysql.com",
    "python-oracledb.readthedocs.io",
    "mariadb.com",
    "github.com/mongodb",
)
_PAGES = re.compile(rf"https://(?:{'|'.join(map(re.escape, _VENDORS))})/\S+")


# What each engine sent, of those that were made to already.
_sent: dict[str, set[str]] = {}


@pytest.fixture(params=sorted(MODULES))
def kept(request: pytest.FixtureRequest, rotation_service: RotationService) -> tuple[ModuleType, set[str]]:
    """An engine's table, and what its engine sent when it was made to send all that it can."""
    module = MODULES[request.param]
    return module, _statements(request, module, rotation_service)


@pytest.fixture(params=[name for name in sorted(MODULES) if hasattr(MODULES[name], "SQLGLOT")])
def read_twice(request: pytest.FixtureRequest, rotation_service: RotationService) -> tuple[ModuleType, set[str]]:
    """The same, of an engine whose language sqlglot knows."""
    module = MODULES[request.param]
    return module, _statements(request, module, rotation_service)


def _statements(request: pytest.FixtureRequest, module: ModuleType, service: RotationService) -> set[str]:
    name = module.BELIEFS.engine
    if name not in _sent:
        start = getattr(module, "start", None)
        if start is not None:
            with start() as started:
                _sent[name] = module.exercise(started, service)
        else:
            _sent[name] = set(module.exercise(request.getfixturevalue(name), service))
    return _sent[name]


def test_what_is_sent_and_read_and_asked_has_its_row_and_no_row_is_idle(kept: tuple[ModuleType, set[str]]) -> None:
    module, sent = kept
    beliefs = module.BELIEFS
    assert beliefs.without_a_row(sent) == []
    assert beliefs.unsent(sent) == []
    ours = beliefs.ours(sent)
    assert {view: sorted(columns) for view, columns in module.columns_of(ours).items()} == {
        view: sorted(columns) for view, columns in beliefs.columns().items()
    }
    assert module.rights_of(ours) <= {right.name for right in beliefs.rights}


def test_a_second_parser_reads_what_is_sent_but_for_forms_that_are_listed(
    read_twice: tuple[ModuleType, set[str]],
) -> None:
    """By sqlglot, which is neither sqlfluff nor ours: its fallback, a command with a text, is no parse."""
    module, sent = read_twice
    unread, met = [], set()
    for statement in sorted({" ".join(one.split()) for one in module.BELIEFS.ours(sent)}):
        listed = {form for form in module.BEYOND_SQLGLOT if re.fullmatch(form, statement)}
        tree = _parsed(statement, module.SQLGLOT)
        if tree is None:
            met |= listed
            if not listed:
                unread.append(statement[:60])
        elif isinstance(tree, sqlglot.exp.Query):
            assert _names(tree, sqlglot.exp.Table) <= {view.name.lower() for view in module.BELIEFS.views}, statement
            # Some columns are in a subquery, under another name; and some functions are written like columns.
            known = {"current_namespace", "session_user"} | {
                column.lower() for view in module.BELIEFS.views for column in view.columns
            }
            assert _names(tree, sqlglot.exp.Column) - _names(tree, sqlglot.exp.Alias) <= known, statement
    assert unread == []
    assert module.BEYOND_SQLGLOT.keys() - met == set(), "sqlglot reads these by now, or nothing sends them"


def _parsed(statement: str, dialect: str) -> sqlglot.exp.Expression | None:
    # Of bind variables it knows those with names.
    named = re.sub(r":(\d+)", r":v\1", statement)
    try:
        trees = sqlglot.parse(named, dialect=dialect)
    except sqlglot.errors.ParseError:
        return None
    return None if any(tree is None or tree.find(sqlglot.exp.Command) for tree in trees) else trees[0]


def _names(tree: sqlglot.exp.Expression, kind: type[Any]) -> set[str]:
    found = tree.find_all(kind)
    if kind is sqlglot.exp.Table:
        return {".".join(part.name for part in table.parts).lower() for table in found}
    return {(one.alias if kind is sqlglot.exp.Alias else one.name).lower() for one in found}


@pytest.mark.parametrize("engine", sorted(MODULES))
def test_every_number_is_in_the_table_as_the_engine_maps_it(engine: str) -> None:
    module = MODULES[engine]
    mapped = module.MAPPED
    rows = {code.code: code.kind for code in module.BELIEFS.codes}
    assert {code: kind for code, kind in rows.items() if kind} == mapped
    # A real server raises its own.
    if hasattr(module, "DOUBLE"):
        raised = set(re.findall(module.RAISED, inspect.getsource(module.DOUBLE)))
        assert {module.as_code(number) for number in raised} <= rows.keys()


@pytest.mark.parametrize("engine", sorted(MODULES))
def test_the_admin_of_the_tests_has_what_awss_master_has(engine: str) -> None:
    module = MODULES[engine]
    has = {right.name for right in module.BELIEFS.rights if right.master}
    assert has == module.ADMINS | module.BY_OTHERS, sorted(has ^ (module.ADMINS | module.BY_OTHERS))
    needed = {right.name for right in module.BELIEFS.rights if right.needed_for and right.master}
    assert needed - module.ADMINS <= module.BY_OTHERS
    lacking = {right.name for right in module.BELIEFS.rights if not right.master}
    assert not lacking & module.ADMINS


@pytest.mark.parametrize("engine", sorted(MODULES))
def test_every_row_has_a_page_and_a_version(engine: str) -> None:
    beliefs = MODULES[engine].BELIEFS
    assert all(_PAGES.fullmatch(page) for page in beliefs.pages())
    assert all(row.since for row in (*beliefs.statements, *beliefs.views, *beliefs.rights))
    assert all(beliefs.counts().values())
    assert beliefs.held_against


def test_only_pages_that_a_table_names_are_said_to_be_read() -> None:
    assert READ - {page for module in MODULES.values() for page in module.BELIEFS.pages()} == set()
