"""Nothing that must be unique outlives a snapshot."""

from __future__ import annotations

import random
import time

import pytest
import snapshot_restore_py

from rotators.snapshots import at_restore
from rotators.testing import RotationService
from rotators.versions import SecretVersions, _call_ends


@pytest.fixture
def snapshot_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    monkeypatch.setattr(snapshot_restore_py, "_after_restore_registry", [])


def restore() -> None:
    # As AWS's runtime client runs them.
    for function, arguments, keywords in snapshot_restore_py.get_after_restore():
        function(*arguments, **keywords)


@pytest.mark.usefixtures("snapshot_taken")
def test_two_copies_of_a_snapshot_do_not_draw_the_same_numbers() -> None:
    drawn = []
    before = random.getstate()
    try:
        at_restore(lambda: drawn.append(random.random()))  # noqa: S311  # no secret
        for _ in range(2):
            random.setstate(before)
            restore()
    finally:
        random.setstate(before)
    assert len(set(drawn)) == 2


@pytest.mark.usefixtures("snapshot_taken")
def test_the_client_is_made_anew_and_still_bounded(rotation_service: RotationService) -> None:
    versions = SecretVersions()
    former = versions._client
    rotation_service.client.create_secret(Name="app", SecretString="{}")
    restore()
    assert versions._client is not former
    assert versions.current("app").text == "{}"
    # Like the first one, it sends nothing when the time is over.
    token = _call_ends.set(time.monotonic() - 1)
    try:
        with pytest.raises(TimeoutError):
            versions._client.describe_secret(SecretId="app")
    finally:
        _call_ends.reset(token)


def test_nothing_is_registered_where_no_snapshot_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    monkeypatch.setattr(snapshot_restore_py, "_after_restore_registry", [])
    SecretVersions()
    assert snapshot_restore_py.get_after_restore() == []
