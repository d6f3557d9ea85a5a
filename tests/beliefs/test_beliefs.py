"""Table, engine and double of what we believe are in step: nothing is sent, read, needed or mapped without its page."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any

import pytest

from beliefs import db2 as db2_beliefs
from beliefs import mongo as mongo_beliefs
from beliefs import oracle as oracle_beliefs
from beliefs import redshift as redshift_beliefs
from beliefs import sqlserver as sqlserver_beliefs
from rotators.testing import RotationService

# An engine joins with its module, and with what ``_Kept`` asks of it.
MODULES: dict[str, ModuleType] = {
    "sqlserver": sqlserver_beliefs,
    "oracle": oracle_beliefs,
    "db2": db2_beliefs,
    "mongo": mongo_beliefs,
    "redshift": redshift_beliefs,
}
_VENDORS = (
    "learn.microsoft.com",
    "docs.oracle.com",
    "docs.aws.amazon.com",
    "repost.aws",
    "www.ibm.com",
    "www.mongodb.com",
    "www.postgresql.org",
    "github.com/mongodb",
)
_PAGES = re.compile(rf"https://(?:{'|'.join(map(re.escape, _VENDORS))})/\S+")


@pytest.fixture(params=sorted(MODULES))
def kept(request: pytest.FixtureRequest, rotation_service: RotationService) -> tuple[ModuleType, set[str]]:
    """An engine's table, and what its engine sent when it was made to send all that it can."""
    module = MODULES[request.param]
    start = getattr(module, "start", None)
    if start is not None:
        with start() as started:
            return module, module.exercise(started, rotation_service)
    target: Any = request.getfixturevalue(request.param)
    return module, module.exercise(target, rotation_service)


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


@pytest.mark.parametrize("engine", sorted(MODULES))
def test_every_number_is_in_the_table_as_the_engine_maps_it(engine: str) -> None:
    module = MODULES[engine]
    mapped = module.MAPPED
    rows = {code.code: code.kind for code in module.BELIEFS.codes}
    assert {code: kind for code, kind in rows.items() if kind} == mapped
    raised = set(re.findall(module.RAISED, inspect.getsource(module.DOUBLE)))
    assert {module.as_code(number) for number in raised} <= rows.keys()


@pytest.mark.parametrize("engine", sorted(MODULES))
def test_the_admin_of_the_tests_has_what_awss_master_has(engine: str) -> None:
    module = MODULES[engine]
    has = {right.name for right in module.BELIEFS.rights if right.master}
    assert has >= module.ADMINS, sorted(module.ADMINS - has)
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
