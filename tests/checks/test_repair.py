"""``rotators explain`` and ``rotators repair``, on rotations that were broken off at each place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scenes import SimulatedAccount, deploy
from targets import ALTERNATING, SINGLE, PostgresTarget, Rotated, rotated
from typer.testing import CliRunner

from rotators.checks.finding import Finding, Outcome
from rotators.checks.state import State, read
from rotators.cli import explain, repair
from rotators.cli.main import app
from rotators.cli.repair import RepairRefused
from rotators.errors import RotationError
from rotators.testing import RotationService

pytestmark = pytest.mark.server


@pytest.fixture
def subject(
    request: pytest.FixtureRequest,
    own_server: PostgresTarget,
    rotation_service: RotationService,
    monkeypatch: pytest.MonkeyPatch,
) -> Rotated:
    """A secret with its function deployed, which the command line finds."""
    monkeypatch.setattr(explain, "Account", SimulatedAccount)
    monkeypatch.setattr(repair, "Account", SimulatedAccount)
    made = rotated(own_server, rotation_service, getattr(request, "param", SINGLE))
    deploy(SimulatedAccount(region="eu-west-1"), rotation_service, made.arn)
    return made


def run(*arguments: str) -> tuple[int, str]:
    """Run a command; its errors are one line, as in main()."""
    done = CliRunner().invoke(app, [*arguments], catch_exceptions=True)
    if isinstance(done.exception, RotationError):
        return 1, f"{done.output}{done.exception}"
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def state_of(subject: Rotated) -> dict[str, Any]:
    _, output = run("explain", subject.arn, "--output", "json")
    value: dict[str, Any] = json.loads(output)
    return value


def stop_after(subject: Rotated, step: str | None) -> str:
    rotation = subject.service.stage(subject.arn)
    steps = ["createSecret", "setSecret", "testSecret", "finishSecret"]
    for name in steps[: 0 if step is None else steps.index(step) + 1]:
        subject.service.invoke(rotation, name)
    return rotation.token


def require_healthy(subject: Rotated) -> None:
    subject.target.work(subject.value)
    labels = subject.service.labels(subject.arn)
    assert not [one for one in labels.values() if "AWSPENDING" in one]
    subject.service._configured[subject.arn].rotation = None
    assert subject.service.rotate(subject.arn).succeeded


def test_a_healthy_secret_has_nothing_to_repair(subject: Rotated) -> None:
    code, output = run("explain", subject.arn)
    assert code == 0
    assert "AWSCURRENT logs in" in output
    assert run("repair", subject.arn) == (0, "no rotation is half-done, and AWSCURRENT logs in.\n")


@pytest.mark.parametrize("way", ["--finish", "--abandon"])
@pytest.mark.parametrize("step", [None, "createSecret"])
def test_what_did_not_reach_the_database_can_be_finished_or_given_up(
    subject: Rotated, step: str | None, way: str
) -> None:
    first = subject.value
    stop_after(subject, step)
    assert state_of(subject)["state"] == (State.EMPTY if step is None else State.STORED)
    # Nobody is asked, and nothing happens.
    code, output = run("repair", subject.arn, way)
    assert code == 1
    assert "add --yes" in output
    assert subject.value == first
    code, output = run("repair", subject.arn, way, "--yes")
    assert code == 0, output
    assert (subject.value == first) is (way == "--abandon")
    require_healthy(subject)


@pytest.mark.parametrize("subject", [ALTERNATING], indirect=True)
@pytest.mark.parametrize("way", ["--finish", "--abandon"])
def test_with_two_users_both_log_in(subject: Rotated, way: str) -> None:
    first = subject.value
    stop_after(subject, "setSecret")
    assert state_of(subject)["state"] == State.READY
    code, output = run("repair", subject.arn, way, "--yes")
    assert code == 0, output
    assert (subject.value == first) is (way == "--abandon")
    require_healthy(subject)


def test_a_password_whose_label_has_not_followed_is_never_given_up(subject: Rotated) -> None:
    stop_after(subject, "createSecret")
    pending = subject.service.value(subject.arn, "AWSPENDING")
    subject.target.set_password(pending["username"], pending["password"])
    code, output = run("explain", subject.arn)
    assert code == 1
    assert f"rotators repair {subject.arn} --finish" in output
    before = subject.service.labels(subject.arn)
    code, output = run("repair", subject.arn, "--abandon", "--yes")
    assert code == 1
    assert "only record of the valid password" in output
    assert subject.service.labels(subject.arn) == before
    code, output = run("repair", subject.arn, "--yes")
    assert code == 0, output
    assert subject.value == pending
    require_healthy(subject)


def test_a_label_that_is_ahead_of_the_password_goes_back(subject: Rotated) -> None:
    first = subject.value
    assert subject.service.rotate(subject.arn).succeeded
    subject.target.set_password(first["username"], first["password"])
    assert state_of(subject)["state"] == State.BEHIND
    code, output = run("repair", subject.arn, "--yes")
    assert code == 0, output
    assert subject.value == first
    require_healthy(subject)


def test_where_an_edit_took_the_label_off_the_version_that_logs_in_the_check_says_so(subject: Rotated) -> None:
    first = subject.value
    assert subject.service.rotate(subject.arn).succeeded
    subject.target.set_password(first["username"], first["password"])
    edited = json.dumps({**subject.value, "note": "for the person on call"})
    subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=edited)
    assert state_of(subject)["state"] == State.LOST
    found = json.dumps(subject.rotator({"Step": "check", "SecretId": subject.arn}, None))
    assert "without a label) logs in: an edit took the label off it" in found
    assert subject.service.rotate(subject.arn).succeeded
    require_healthy(subject)


def test_where_no_version_logs_in_nothing_is_changed(subject: Rotated) -> None:
    stop_after(subject, "createSecret")
    subject.target.set_password(subject.value["username"], "canary-of-somebody-else")
    assert state_of(subject)["state"] == State.LOST
    before = subject.service.labels(subject.arn)
    for way in ("--finish", "--abandon"):
        code, output = run("repair", subject.arn, way, "--yes")
        assert code == 1
        assert "no labelled version logs in" in output
        assert "canary" not in output
    assert subject.service.labels(subject.arn) == before


def test_where_the_database_is_silent_it_says_that_it_is_not_sure(subject: Rotated) -> None:
    stop_after(subject, "createSecret")
    value = json.dumps(subject.value | {"host": "no-such-host.invalid"})
    subject.service.client.put_secret_value(SecretId=subject.arn, SecretString=value)
    before = subject.service.labels(subject.arn)
    assert state_of(subject)["state"] == State.UNSURE
    for way in ("--finish", "--abandon"):
        code, output = run("repair", subject.arn, way, "--yes")
        assert code == 1
        assert "is not sure" in output
        assert "server DNS" in output
    assert subject.service.labels(subject.arn) == before


def test_both_ways_at_once_is_wrong_usage(subject: Rotated) -> None:
    assert run("repair", subject.arn, "--finish", "--abandon")[0] == 2


def test_what_was_not_tried_is_not_lost() -> None:
    described = {"VersionIdsToStages": {"1": ["AWSCURRENT"], "2": ["AWSPENDING"]}, "RotationEnabled": True}
    refused = Finding("login AWSCURRENT", Outcome.FAILURE, "", "", "refused")
    untried = Finding("login AWSPENDING", Outcome.UNKNOWN, "", "", "untried")
    assert read(described, [refused, untried]).state is State.UNSURE
    assert issubclass(RepairRefused, RotationError)
