"""What each step asks a rotator for, how often, and what it does with the label of a value that can't be used."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest

from rotators import rotator as module
from rotators.credentials import SecretValue
from rotators.errors import (
    EditedMeanwhile,
    LoginRefused,
    MalformedEvent,
    PasswordRefused,
    PendingUnusable,
    RotationError,
    SecretMalformed,
    UnknownStep,
    VersionNotPending,
    VersionUnknown,
)
from rotators.rotator import Rotation, RotationEvent, Rotator
from rotators.testing import KMS_REFUSAL, STEPS, RotationService
from rotators.versions import LARGEST_VALUE, SecretVersions


class Noting(Rotator[SecretValue]):
    """Notes what is asked of it, and fails where a test says so."""

    def __init__(self, versions: SecretVersions) -> None:
        super().__init__(versions)
        self.asked: list[str] = []
        self.fail: dict[str, Exception] = {}
        self.repeats = True
        self.dismissed: list[tuple[str, str]] = []

    def _note(self, what: str, rotation: Any = None) -> None:
        if not what.startswith("may repeat"):
            assert rotation.time_left > 0
            assert rotation.event.version_id in rotation.stages
        self.asked.append(what)
        if what in self.fail:
            raise self.fail[what]

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        self._note("propose", rotation)
        return rotation.current.replace(key=f"made {self.asked.count('propose')}")

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        self._note("apply", rotation)

    def verify(self, rotation: Rotation[SecretValue]) -> None:
        self._note("verify", rotation)

    def require_unedited(self, rotation: Rotation[SecretValue]) -> None:
        self._note("require unedited", rotation)

    def dismiss(self, rotation: Rotation[SecretValue], proposed: SecretValue) -> None:
        self.dismissed.append((rotation.pending["key"], proposed["key"]))

    def may_repeat(self, error: RotationError) -> bool:
        self._note(f"may repeat {error.what}")
        return self.repeats


@pytest.fixture
def noting(rotation_service: RotationService) -> Noting:
    return Noting(SecretVersions(rotation_service.client, patience=0.05))


@pytest.fixture
def secret(rotation_service: RotationService, noting: Noting) -> str:
    return rotation_service.create_secret("app", {"key": "first"}, noting)


def run(service: RotationService, secret: str, *steps: str) -> Any:
    rotation = service.stage(secret)
    for step in steps:
        service.invoke(rotation, step)
    return rotation


def test_a_healthy_rotation_asks_once_for_each_and_compares_nothing(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    assert rotation_service.rotate(secret).succeeded
    assert noting.asked == ["propose", "apply", "verify"]
    assert noting._versions._stored is None


def test_a_pending_value_that_this_process_stored_is_kept_until_it_is_tested(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    rotation = run(rotation_service, secret, "createSecret", "setSecret")
    assert noting._versions._stored is not None
    rotation_service.invoke(rotation, "testSecret")
    assert noting._versions._stored is None


def test_a_new_process_tries_and_compares_before_it_promotes(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    rotation = run(rotation_service, secret, "createSecret", "setSecret", "testSecret")
    other = noting.restarted()
    other.asked = []
    other(rotation.event("finishSecret"))
    assert other.asked == ["require unedited", "verify"]
    assert "AWSCURRENT" in rotation_service.labels(secret)[rotation.token]
    assert other._versions._stored is None


@pytest.mark.parametrize("again", ["createSecret", "setSecret"])
def test_so_does_one_that_began_anew_since(
    rotation_service: RotationService, noting: Noting, secret: str, again: str
) -> None:
    rotation = run(rotation_service, secret, "createSecret", "setSecret", "testSecret", again, "finishSecret")
    assert noting.asked[-1] == "verify"
    assert "AWSCURRENT" in rotation_service.labels(secret)[rotation.token]


def test_what_was_tested_counts_for_one_promotion(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    rotation = run(rotation_service, secret, "createSecret", "setSecret", "testSecret")
    noting.fail["require unedited"] = EditedMeanwhile("edited")
    rotation_service.client.put_secret_value(SecretId=secret, SecretString='{"key": "edited"}')
    with pytest.raises(EditedMeanwhile):
        noting(rotation.event("finishSecret"))
    assert noting.asked[-1] == "require unedited"
    noting.fail.clear()
    noting(rotation.event("finishSecret"))
    assert noting.asked[-2:] == ["require unedited", "verify"]


def test_a_version_that_is_current_already_is_left_alone_but_for_its_own_steps(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    rotation = run(rotation_service, secret, *STEPS)
    noting.asked.clear()
    calls = len(rotation_service.calls)
    for step in STEPS:
        noting(rotation.event(step))
    assert noting.asked == ["apply", "verify"]
    made = [call.operation for call in rotation_service.calls[calls:]]
    assert set(made) <= {"DescribeSecret", "GetSecretValue"}


def test_a_value_that_was_stored_already_is_kept_and_the_other_dismissed(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    run(rotation_service, secret, "createSecret", "createSecret")
    assert rotation_service.value(secret, "AWSPENDING") == {"key": "made 1"}
    assert noting.dismissed == [("made 1", "made 2")]


def test_a_proposal_that_fails_does_no_harm_where_a_value_is_stored(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    rotation = run(rotation_service, secret, "createSecret")
    noting.fail["propose"] = LoginRefused("no")
    noting(rotation.event("createSecret"))
    assert noting.asked == ["propose", "propose"]
    assert rotation_service.value(secret, "AWSPENDING") == {"key": "made 1"}


def test_one_that_may_be_repeated_keeps_its_label(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    noting.fail["propose"] = LoginRefused("no", "look")
    rotation = rotation_service.stage(secret)
    with pytest.raises(LoginRefused, match=r"^no\. look\.$"):
        noting(rotation.event("createSecret"))
    assert noting.asked == ["propose", "may repeat no"]
    assert rotation_service.labels(secret)[rotation.token] == ["AWSPENDING"]


def test_one_that_may_not_loses_it_and_says_what_to_do(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    noting.fail["propose"] = LoginRefused("no", "look", code="28P01")
    noting.repeats = False
    rotation = rotation_service.stage(secret)
    with pytest.raises(LoginRefused) as caught:
        noting(rotation.event("createSecret"))
    assert (caught.value.what, caught.value.code) == ("no", "28P01")
    assert caught.value.advice.startswith("look; then call RotateSecret, or wait for the schedule")
    assert rotation.token not in rotation_service.labels(secret)
    # The service's own repetitions end before they do anything.
    with pytest.raises(VersionUnknown):
        noting(rotation.event("createSecret"))
    assert noting.asked == ["propose", "may repeat no"]


def test_it_keeps_it_where_nobody_knows_whether_a_value_is_stored(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    noting.fail["propose"] = LoginRefused("no")
    noting.repeats = False
    rotation = rotation_service.stage(secret)
    for nth in (1, 2):
        rotation_service.faults.fail("GetSecretValue", nth=nth, kind=KMS_REFUSAL)
    with pytest.raises(LoginRefused, match=r"^no\.$"):
        noting(rotation.event("createSecret"))
    assert rotation_service.labels(secret)[rotation.token] == ["AWSPENDING"]


@pytest.mark.parametrize("error", [PasswordRefused("no"), PendingUnusable("no")])
def test_a_value_that_nobody_can_use_is_discarded_but_never_once_it_is_current(
    rotation_service: RotationService, noting: Noting, secret: str, error: RotationError
) -> None:
    rotation = run(rotation_service, secret, "createSecret")
    noting.fail["apply"] = error
    with pytest.raises(type(error)):
        noting(rotation.event("setSecret"))
    assert rotation.token not in rotation_service.labels(secret)
    noting.fail.clear()
    done = run(rotation_service, secret, *STEPS)
    noting.fail["apply"] = error
    with pytest.raises(type(error)):
        noting(done.event("setSecret"))
    assert "AWSCURRENT" in rotation_service.labels(secret)[done.token]


def test_one_that_was_edited_meanwhile_is_discarded_at_the_end_too(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    rotation = run(rotation_service, secret, "createSecret", "setSecret", "testSecret")
    other = noting.restarted()
    other.fail = {"require unedited": PendingUnusable("edited")}
    with pytest.raises(PendingUnusable):
        other(rotation.event("finishSecret"))
    assert rotation.token not in rotation_service.labels(secret)


def test_further_attempts_with_a_discarded_version_say_so(
    rotation_service: RotationService, noting: Noting, secret: str
) -> None:
    rotation = run(rotation_service, secret, "createSecret")
    noting.fail["apply"] = PasswordRefused("no")
    with pytest.raises(PasswordRefused):
        noting(rotation.event("setSecret"))
    with pytest.raises(VersionNotPending) as caught:
        noting(rotation.event("setSecret"))
    assert caught.value.what.startswith(f"version {rotation.token} of secret {secret} has a value and no label")


def test_without_a_current_version_nothing_is_promoted(
    rotation_service: RotationService, noting: Noting, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotation = run(rotation_service, secret, "createSecret", "setSecret", "testSecret")
    real = noting._versions.describe

    def without(*arguments: Any) -> Any:
        described = real(*arguments)
        described.__dict__["stages"] = {rotation.token: frozenset({"AWSPENDING"})}
        return described

    monkeypatch.setattr(noting._versions, "describe", without)
    with pytest.raises(VersionNotPending, match=f"^secret {secret} has no AWSCURRENT version"):
        noting(rotation.event("finishSecret"))


def test_replicas_that_are_out_of_date_are_told_in_the_log(
    rotation_service: RotationService, noting: Noting, secret: str, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = noting._versions.describe
    late = ("eu-central-1", "us-east-1")
    monkeypatch.setattr(noting._versions, "describe", lambda *which: replace(real(*which), failed_replicas=late))
    assert rotation_service.rotate(secret).succeeded
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["regions"] for line in lines if line["level"] == "WARNING"] == [[*late]]


def test_a_secret_may_be_named_by_its_name(rotation_service: RotationService, noting: Noting, secret: str) -> None:
    rotation = rotation_service.stage(secret)
    for step in STEPS:
        noting({**rotation.event(step), "SecretId": "app"})
    assert rotation_service.value(secret) == {"key": "made 1"}


@pytest.mark.parametrize("over", [0, 1])
def test_the_largest_value_has_so_many_bytes_and_no_more(
    rotation_service: RotationService, noting: Noting, over: int
) -> None:
    whole = len(json.dumps({"key": "made 1", "note": ""}))
    note = "x" * (LARGEST_VALUE - whole + over)
    arn = rotation_service.create_secret("large", json.dumps({"key": "1", "note": note}), noting)
    error = rotation_service.rotate(arn).error
    if over:
        assert isinstance(error, SecretMalformed)
        assert "it would have 65,537 bytes, and Secrets Manager stores at most 65,536" in error.what
        assert error.what.startswith(f"secret {arn} (AWSCURRENT): ")
    else:
        assert error is None


def test_an_error_of_a_step_is_one_line_of_the_log(
    rotation_service: RotationService, noting: Noting, secret: str, log: io.StringIO
) -> None:
    noting.fail["verify"] = LoginRefused("no", "look")
    rotation_service.rotate(secret)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    [line] = [one for one in lines if one["level"] == "ERROR"]
    assert (line["message"], line["error"], line["reason"]) == ("the step failed", "LoginRefused", "no. look.")
    assert line["step"] == "testSecret"


def test_so_is_an_event_that_is_none(noting: Noting, log: io.StringIO) -> None:
    with pytest.raises(MalformedEvent):
        noting({"Step": "createSecret"})
    line = json.loads(log.getvalue().splitlines()[-1])
    assert (line["message"], line["error"]) == ("the event was refused", "MalformedEvent")
    assert line["reason"].startswith("the event has no SecretId. the function is meant to be invoked by")


EVENT = RotationEvent("setSecret", "arn", "v1", None)


@pytest.mark.parametrize(("failure", "failed"), [(None, 0.0), (LoginRefused("no"), 1.0)])
def test_metrics_are_of_one_step(
    failure: RotationError | None, failed: float, capsys: pytest.CaptureFixture[str]
) -> None:
    module._measure(EVENT, failure, 1.5)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["StepDuration"] == [1500.0]
    assert told["StepFailed"] == [failed]
    assert (told["step"], told["secret"], told.get("error")) == ("setSecret", "arn", failure and "LoginRefused")
    units = {one["Name"]: one["Unit"] for one in told["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert units == {"StepDuration": "Milliseconds", "StepFailed": "Count"}


def test_a_step_takes_as_long_as_it_takes(
    rotation_service: RotationService, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rotation_service.rotate(secret)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    # Not the hours since the machine was started.
    assert all(0 <= line["StepDuration"][0] < 300_000 for line in told)
    assert len(told) == len(STEPS)


def test_an_event_is_read_whole() -> None:
    event = {"Step": "set_secret", "SecretId": "arn", "ClientRequestToken": "v1"}
    assert RotationEvent.parse({**event, "RotationToken": "proof"}) == RotationEvent("setSecret", "arn", "v1", "proof")
    for none in (None, ""):
        assert RotationEvent.parse({**event, "RotationToken": none}).rotation_token is None
    with pytest.raises(MalformedEvent, match=r"^the event has no ClientRequestToken"):
        RotationEvent.parse({**event, "ClientRequestToken": ""})
    with pytest.raises(MalformedEvent, match="the event's SecretId holds characters that no SecretId has"):
        RotationEvent.parse({**event, "SecretId": "a b"})
    with pytest.raises(MalformedEvent, match=r"use one of|has no Step"):
        RotationEvent.parse({**event, "Step": None})


def test_an_event_that_is_none_is_told_who_is_meant_to_send_it() -> None:
    event = {"Step": "set_secret", "SecretId": "arn", "ClientRequestToken": "v1"}
    for wrong in ("text", {**event, "SecretId": "a b"}):
        with pytest.raises(MalformedEvent) as malformed:
            RotationEvent.parse(wrong)
        assert malformed.value.advice.startswith("the function is meant to be invoked by Secrets Manager")
    with pytest.raises(UnknownStep) as unknown:
        RotationEvent.parse({**event, "Step": "sleep"})
    assert unknown.value.advice == "use one of createSecret, setSecret, testSecret, finishSecret"


class Remaining:
    """A context of two hours, which no machine is too slow for."""

    invoked_function_arn = ""

    def get_remaining_time_in_millis(self) -> int:
        return 7_200_000


@pytest.mark.parametrize("step", ["createSecret", "check"])
def test_a_step_and_a_question_may_take_as_long_as_lambda_lets_them(
    rotation_service: RotationService, noting: Noting, secret: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    left: list[float] = []

    def note(rotation: Rotation[SecretValue]) -> Any:
        left.append(rotation.time_left)
        return rotation.current if step == "createSecret" else ()

    monkeypatch.setattr(noting, "propose" if step == "createSecret" else "check", note)
    event = rotation_service.stage(secret).event(step)
    context = Remaining()
    context.invoked_function_arn = rotation_service.client.describe_secret(SecretId=secret)["RotationLambdaARN"]
    noting(event, context)
    noting(event)
    assert left[0] > 3600
    # Where nobody tells, as in a call by hand.
    assert 0 < left[1] <= 30


def test_a_secret_with_replicas_is_rotated_in_its_primary_region(
    rotation_service: RotationService, noting: Noting, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = noting._versions.describe
    monkeypatch.setattr(noting._versions, "describe", lambda *which: replace(real(*which), primary_region="eu-west-1"))
    assert rotation_service.rotate(secret).error is None


def test_a_rotator_that_is_told_of_no_versions_has_those_of_its_own_account(rotation_service: RotationService) -> None:
    class Own(Rotator[SecretValue]):
        def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
            return rotation.current.replace(key="second")

        def apply(self, rotation: Rotation[SecretValue]) -> None: ...

        def verify(self, rotation: Rotation[SecretValue]) -> None: ...

    arn = rotation_service.create_secret("own", {"key": "first"}, Own())
    assert rotation_service.rotate(arn).succeeded
    assert rotation_service.value(arn) == {"key": "second"}
