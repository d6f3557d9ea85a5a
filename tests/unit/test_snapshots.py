"""Nothing that must be unique outlives a snapshot."""

from __future__ import annotations

import random
import time
from pathlib import Path

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


@pytest.mark.usefixtures("snapshot_taken")
def test_what_the_page_for_rotators_renews_is_made_anew_at_each_restore() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/write-a-rotator.md").read_text()
    section = page.partition("\n## SnapStart\n")[2].partition("\n## ")[0]
    module = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    ") or not line)
    made: list[object] = []

    def connect_to_billing() -> object:
        made.append(object())
        return made[-1]

    names: dict[str, object] = {"connect_to_billing": connect_to_billing}
    exec(module, names)  # noqa: S102  # our own documentation
    assert names["client"] is made[0]
    restore()
    assert len(made) == 2
    assert names["client"] is made[1]
