"""Names and passwords of any characters: each reaches every statement quoted by its engine's rule, or is refused."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, reject, settings
from hypothesis import strategies as st
from targets import ALTERNATING, DUAL, SINGLE, rotated
from targets.shares import share_of_one

from rotators.errors import RotationError, UnexpectedError
from rotators.testing import RotationService

# What ends a literal, a name, a statement or a comment somewhere, and what is none of these anywhere.
HOSTILE = "'\"`[](){};:$@/\\%&|#*?<>=,.!~^+- \n\tabZ9äß漢"
hostile = st.text(st.sampled_from(HOSTILE), min_size=1, max_size=10)


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
@settings(
    max_examples=max(1, 3 // share_of_one(3).step),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    # A server is too slow to shrink a failure on.
    phases=[Phase.explicit, Phase.generate],
)
@given(name=hostile, password=hostile)
@example(name="'; DROP x; --", password="\\' OR 1=1 --")
@example(name='"; --', password='";`$$)')
@example(name="`]]", password="\n%s{}")
def test_any_name_and_any_password(
    target: Any, rotation_service: RotationService, *, strategy: str, name: str, password: str
) -> None:
    """The user whose secret this is works afterwards, by the new password; nobody else was touched."""
    bystander = target.make_application()
    # Long enough to be found in a log by itself alone.
    chosen = f"{secrets.token_urlsafe(12)}{password}"
    try:
        # Short enough for MySQL, which takes names of 32 characters, with _clone behind it.
        application = target.make_application(f"a{secrets.token_hex(2)}{name}z")
        target.set_password(application.username, chosen)
        target.log_in(target.secret(replace(application, password=chosen)))
    except target.refusals:
        reject()  # the server itself takes no such name or password
    subject = rotated(target, rotation_service, strategy, application=replace(application, password=chosen))
    for _ in range(2):
        before = subject.value
        rotation = subject.service.rotate(subject.arn)
        if rotation.error is not None:
            assert isinstance(rotation.error, RotationError)
            assert not isinstance(rotation.error, UnexpectedError)
            assert rotation.failed_step == "createSecret", rotation.error
            assert subject.value == before
            break
        assert subject.value["password"] != before["password"]
        target.work(subject.value)
    target.work(subject.value)
    target.work(target.secret(bystander))
