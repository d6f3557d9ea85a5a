"""What differs between PostgreSQL's versions, and must be said rather than promised."""

from __future__ import annotations

import pytest
from targets import ALTERNATING, SINGLE, PostgresTarget, rotated
from targets.postgres import ROLE_SETTING_IGNORED

from rotators.errors import UserNotRotatable
from rotators.testing import RotationService

pytestmark = pytest.mark.server

MENDED = {"12.21": "12.22", "13.17": "13.18", "14.14": "14.15", "15.9": "15.10", "16.5": "16.6", "17.1": "17.2"}


@pytest.fixture
def ignoring(postgres: PostgresTarget) -> PostgresTarget:
    """A server whose second users would not be the first one, and of which the suites ask none."""
    target = PostgresTarget(postgres.server)
    target.alternates = True
    return target


def test_whether_a_minor_version_applies_a_roles_setting_is_known(postgres: PostgresTarget) -> None:
    """Issue 12, C15: asked of the server itself, so that our list of versions is no hearsay."""
    first, second = postgres.make_application(), postgres.make_application()
    postgres.as_superuser(f'GRANT "{first.username}" TO "{second.username}"')
    postgres.as_superuser(f'ALTER ROLE "{second.username}" SET role TO "{first.username}"')
    with postgres.session(postgres.secret(second)) as cursor:
        cursor.execute("SELECT current_user::text")
        assert cursor.fetchone() == (first.username if postgres.alternates else second.username,)


def test_a_second_user_that_would_have_other_rights_is_refused_before_anything_is_written(
    ignoring: PostgresTarget, rotation_service: RotationService
) -> None:
    """Issue 12, C15: with the version that mends it."""
    subject = rotated(ignoring, rotation_service, ALTERNATING)
    failed = subject.service.rotate(subject.arn)
    assert isinstance(failed.error, UserNotRotatable), failed.error
    assert failed.failed_step == "createSecret"
    assert f"upgrade to {MENDED[ignoring.server.installation.full_version]} or newer" in str(failed.error)
    assert "or rotate a single user" in str(failed.error)
    with pytest.raises(KeyError):
        subject.service.value(subject.arn, "AWSPENDING")
    name = f"{subject.application.username}_clone"
    assert ignoring.as_superuser(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'") == []
    ignoring.work(subject.value)


def test_a_single_user_works_there(ignoring: PostgresTarget, rotation_service: RotationService) -> None:
    """Issue 12, C15."""
    subject = rotated(ignoring, rotation_service, SINGLE)
    for _ in range(2):
        assert subject.service.rotate(subject.arn).error is None
        ignoring.work(subject.value)


def test_the_suites_leave_out_what_the_engine_refuses() -> None:
    assert MENDED.keys() == ROLE_SETTING_IGNORED
