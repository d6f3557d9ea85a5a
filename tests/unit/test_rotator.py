"""The four steps, with a rotator for a service that is a dict."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import boto3
import pytest

from rotators.credentials import SecretValue
from rotators.errors import (
    LoginRefused,
    MalformedEvent,
    PasswordRefused,
    RequestError,
    RotationError,
    RotationNotEnabled,
    SecretEmpty,
    SecretMalformed,
    SecretNotFound,
    SecretsManagerDenied,
    SecretsManagerUnreachable,
    UnexpectedError,
    UnknownStep,
    VersionNotPending,
    VersionUnknown,
)
from rotators.logs import logger
from rotators.rotator import Rotation, RotationEvent, Rotator
from rotators.testing import INTERNAL, KMS_REFUSAL, STEPS, Refusal, RotationService
from rotators.versions import SecretVersions

FIRST = {"key": "first-key-value", "note": {"kept": [1, 2.5, None]}}


class Keys(Rotator[SecretValue]):
    """A service that knows a set of keys; the author's three methods, as in the docs."""

    def __init__(self, versions: SecretVersions) -> None:
        super().__init__(versions)
        self.accepted = {FIRST["key"]}
        self.proposed = 0
        self.fail: dict[str, Exception] = {}

    def _maybe_fail(self, where: str) -> None:
        if where in self.fail:
            raise self.fail[where]

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        current = rotation.current
        self._maybe_fail("propose")
        self.proposed += 1
        return current.replace(key=f"made-key-number-{self.proposed}")

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        self._maybe_fail("apply")
        self.accepted.add(rotation.pending["key"])

    def verify(self, rotation: Rotation[SecretValue]) -> None:
        key = rotation.pending["key"]
        self._maybe_fail("verify")
        if key not in self.accepted:
            raise LoginRefused("the key is not known")


@pytest.fixture
def versions(rotation_service: RotationService) -> SecretVersions:
    return SecretVersions(rotation_service.client, patience=0.2)


@pytest.fixture
def keys(versions: SecretVersions) -> Keys:
    return Keys(versions)


@pytest.fixture
def secret(rotation_service: RotationService, keys: Keys) -> str:
    """The ARN of a secret with rotation on and its first value, not rotated yet."""
    return rotation_service.create_secret("app/key", FIRST, keys)


def test_a_rotation_stores_applies_verifies_and_promotes(
    rotation_service: RotationService, keys: Keys, secret: str
) -> None:
    rotation = rotation_service.rotate(secret)
    assert rotation.succeeded
    assert rotation_service.value(secret) == {**FIRST, "key": "made-key-number-1"}
    assert "made-key-number-1" in keys.accepted
    assert rotation_service.labels(secret)[rotation.token] == ["AWSCURRENT"]
    assert rotation_service.rotate(secret).succeeded
    assert rotation_service.value(secret)["key"] == "made-key-number-2"
    assert rotation_service.value(secret, "AWSPREVIOUS")["key"] == "made-key-number-1"


def test_nothing_is_read_that_is_not_asked_for(rotation_service: RotationService, secret: str) -> None:
    before = len(rotation_service.calls)
    rotation_service.rotate(secret)
    made = [(call.step, call.operation) for call in rotation_service.calls[before:] if call.step]
    assert made == [
        ("createSecret", "DescribeSecret"),
        ("createSecret", "GetSecretValue"),
        ("createSecret", "PutSecretValue"),
        ("setSecret", "DescribeSecret"),
        ("testSecret", "DescribeSecret"),
        ("finishSecret", "DescribeSecret"),
        ("finishSecret", "UpdateSecretVersionStage"),
    ]


@pytest.mark.parametrize("step", ["propose", "apply", "verify"])
def test_a_failed_rotation_is_finished_by_the_next_attempt(
    rotation_service: RotationService, keys: Keys, secret: str, step: str
) -> None:
    keys.fail[step] = LoginRefused("not now")
    failed = rotation_service.rotate(secret)
    assert isinstance(failed.error, LoginRefused)
    assert rotation_service.value(secret) == FIRST
    keys.fail.clear()
    assert rotation_service.retry(secret).succeeded
    # The value that was stored first is the one that counts, whatever was proposed later.
    assert rotation_service.value(secret)["key"] == "made-key-number-1"
    assert rotation_service.rotate(secret).succeeded


@pytest.mark.parametrize("step", STEPS)
def test_every_step_may_be_repeated(rotation_service: RotationService, secret: str, step: str) -> None:
    rotation = rotation_service.stage(secret)
    for name in STEPS:
        rotation_service.invoke(rotation, name)
        if name == step:
            rotation_service.invoke(rotation, name)
            rotation_service.invoke(rotation, name)
    assert rotation_service.value(secret)["key"] == "made-key-number-1"
    assert rotation_service.retry(secret).succeeded


def test_both_spellings_of_a_step_are_taken(rotation_service: RotationService, keys: Keys, secret: str) -> None:
    rotation = rotation_service.stage(secret)
    for step in ("create_secret", "SET_SECRET", "testSecret", "finish_secret"):
        keys(rotation.event(step))
    assert rotation_service.value(secret)["key"] == "made-key-number-1"


@pytest.mark.parametrize(
    "operation", ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"]
)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["network", "crash", INTERNAL])
def test_a_call_that_fails_is_made_good_by_the_next_attempt(
    rotation_service: RotationService, keys: Keys, secret: str, operation: str, when: Any, kind: Any
) -> None:
    fault = rotation_service.faults.fail(operation, when=when, kind=kind)
    rotation_service.rotate(secret, attempts=2)
    assert fault.fired
    assert rotation_service.value(secret)["key"] in keys.accepted - {FIRST["key"]}
    assert rotation_service.rotate(secret).succeeded


@pytest.mark.parametrize("lag", [1, 2, 4])
def test_reads_that_lag_behind_are_waited_for(rotation_service: RotationService, lag: int) -> None:
    """A lag is counted in reads here: a busy machine needs more time for as many."""
    patient = Keys(SecretVersions(rotation_service.client, patience=60))
    secret = rotation_service.create_secret("app/key", FIRST, patient)
    rotation_service.consistency_lag = lag
    for number in (1, 2):
        assert rotation_service.rotate(secret).succeeded
        rotation_service.consistency_lag = 0
        assert rotation_service.value(secret)["key"] == f"made-key-number-{number}"
        rotation_service.consistency_lag = lag


def test_the_rotation_token_goes_with_the_value_and_into_no_log(
    rotation_service: RotationService, secret: str, log: io.StringIO
) -> None:
    rotation_service.require_rotation_token = True
    rotation = rotation_service.rotate(secret)
    assert rotation.succeeded
    puts = [call.parameters for call in rotation_service.calls if call.operation == "PutSecretValue"]
    assert puts[-1]["RotationToken"] == "***"
    assert rotation.rotation_token not in log.getvalue()


def test_no_repr_shows_a_secret(rotation_service: RotationService, versions: SecretVersions, secret: str) -> None:
    rotation = rotation_service.stage(secret)
    event = RotationEvent.parse(rotation.event("createSecret"))
    assert rotation.rotation_token not in repr(event)
    assert FIRST["key"] not in repr(versions.current(secret))


def test_an_event_without_a_rotation_token_works_where_none_is_needed(
    rotation_service: RotationService, keys: Keys, secret: str
) -> None:
    event = rotation_service.stage(secret).event("createSecret")
    del event["RotationToken"]
    keys(event)
    assert rotation_service.value(secret, "AWSPENDING")["key"] == "made-key-number-1"


def test_a_refused_value_is_discarded_and_the_next_rotation_makes_another(
    rotation_service: RotationService, keys: Keys, secret: str
) -> None:
    keys.fail["apply"] = PasswordRefused("too simple")
    failed = rotation_service.rotate(secret)
    assert isinstance(failed.error, PasswordRefused)
    assert failed.token not in rotation_service.labels(secret)
    assert rotation_service.value(secret) == FIRST
    keys.fail.clear()
    again = rotation_service.rotate(secret)
    assert again.succeeded
    assert rotation_service.value(secret)["key"] == "made-key-number-2"


def test_a_pending_value_that_nobody_can_read_is_discarded(rotation_service: RotationService, secret: str) -> None:
    rotation = rotation_service.stage(secret)
    rotation_service.client.put_secret_value(
        SecretId=secret, ClientRequestToken=rotation.token, SecretString="no json", VersionStages=["AWSPENDING"]
    )
    failed = rotation_service.retry(secret)
    assert isinstance(failed.error, SecretMalformed)
    assert rotation.token not in rotation_service.labels(secret)
    assert rotation_service.rotate(secret).succeeded


def test_a_secret_without_a_value_gives_one_error_and_rotates_once_it_has_one(
    rotation_service: RotationService, keys: Keys
) -> None:
    secret = rotation_service.create_secret("empty", None, keys)
    failed = rotation_service.rotate(secret)
    assert isinstance(failed.error, SecretEmpty)
    assert failed.failed_step == "createSecret"
    rotation_service.client.put_secret_value(SecretId=secret, SecretString=json.dumps(FIRST))
    assert rotation_service.retry(secret).succeeded


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"SecretString": "not json"}, "is not JSON (at character 0)"),
        ({"SecretString": "[1]"}, "is JSON, but not an object"),
        ({"SecretBinary": b"{}"}, "is binary"),
    ],
)
def test_a_value_that_is_no_json_object_is_refused(
    rotation_service: RotationService, keys: Keys, value: dict[str, Any], says: str
) -> None:
    secret = rotation_service.create_secret("odd", None, keys)
    rotation_service.client.put_secret_value(SecretId=secret, **value)
    before = rotation_service.labels(secret)
    failed = rotation_service.rotate(secret)
    assert isinstance(failed.error, SecretMalformed)
    assert says in str(failed.error)
    assert keys.proposed == 0
    assert rotation_service.labels(secret) == {**before, failed.token: ["AWSPENDING"]}


def test_every_other_key_comes_out_as_it_went_in(rotation_service: RotationService, keys: Keys) -> None:
    text = """{ "key": "first-key-value",
      "ratio": 1.50, "big": 1E5, "id": 123456789012345678901234567890, "name": "Büro \\u00fc",
      "twice": 1, "twice": [2 , 3], "half": "\\ud800" }"""
    secret = rotation_service.create_secret("odd", text, keys)
    assert rotation_service.rotate(secret).succeeded
    stored = rotation_service.client.get_secret_value(SecretId=secret)["SecretString"]
    assert stored == text.replace("first-key-value", "made-key-number-1")


def test_a_value_that_would_be_too_large_is_refused_before_anything_is_written(
    rotation_service: RotationService, keys: Keys
) -> None:
    # Two bytes each: it is bytes that count.
    note = "ü" * ((65_536 - len('{"key": "first", "note": ""}')) // 2)
    text = json.dumps({"key": "first", "note": note}, ensure_ascii=False)
    secret = rotation_service.create_secret("large", text, keys)
    before = len(rotation_service.calls)
    failed = rotation_service.rotate(secret)
    assert isinstance(failed.error, SecretMalformed)
    assert "and Secrets Manager stores at most 65,536. shorten what" in str(failed.error)
    assert failed.failed_step == "createSecret"
    assert "PutSecretValue" not in [call.operation for call in rotation_service.calls[before:]]
    rotation_service.client.put_secret_value(SecretId=secret, SecretString=text[:-20] + '"}')
    assert rotation_service.retry(secret).succeeded


def test_an_error_is_one_line_whatever_a_service_says(
    rotation_service: RotationService, keys: Keys, secret: str
) -> None:
    keys.fail["verify"] = LoginRefused("it said\nno\x1b[2J \u2028 to made-key-number-1\u202e" + " word" * 1_000)
    failed = rotation_service.rotate(secret)
    assert len(str(failed.error).splitlines()) == 1
    assert str(failed.error).startswith("it said no\\x1b[2J \\u2028 to ***\\u202e word")
    assert len(str(failed.error)) < 2_100


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"Step": "dropSecret"}, UnknownStep),
        ({"Step": ""}, MalformedEvent),
        ({"Step": None}, MalformedEvent),
        ({"SecretId": "arn\nsecret"}, MalformedEvent),
        ({"SecretId": "arn\x1b[31m"}, MalformedEvent),
        ({"SecretId": 17}, MalformedEvent),
        ({"ClientRequestToken": "token\r\n"}, MalformedEvent),
        ({"ClientRequestToken": "0" * 36}, VersionUnknown),
        ({"RotationToken": "to ken"}, MalformedEvent),
    ],
)
@pytest.mark.parametrize("step", STEPS)
def test_an_event_that_is_none_changes_nothing_and_is_not_echoed(
    rotation_service: RotationService,
    keys: Keys,
    secret: str,
    log: io.StringIO,
    *,
    changes: dict[str, Any],
    error: type[RotationError],
    step: str,
) -> None:
    rotation = rotation_service.stage(secret)
    rotation_service.invoke(rotation, "createSecret")
    before = rotation_service.labels(secret), rotation_service.value(secret, "AWSPENDING")
    with pytest.raises(error) as caught:
        keys({**rotation.event(step), **changes})
    assert (rotation_service.labels(secret), rotation_service.value(secret, "AWSPENDING")) == before
    for value in changes.values():
        if error in {UnknownStep, MalformedEvent} and isinstance(value, str) and value:
            assert value not in str(caught.value)
            assert json.dumps(value)[1:-1] not in log.getvalue()


@pytest.mark.parametrize("event", [None, [], "createSecret", {}])
def test_what_is_no_event_at_all_is_refused(keys: Keys, event: Any) -> None:
    with pytest.raises(MalformedEvent):
        keys(event)


@pytest.mark.parametrize("step", STEPS)
def test_a_version_that_is_neither_pending_nor_current_is_refused(
    rotation_service: RotationService, keys: Keys, secret: str, step: str
) -> None:
    old = rotation_service.rotate(secret)
    rotation_service.rotate(secret)
    rotation_service.rotate(secret)
    with pytest.raises((VersionNotPending, VersionUnknown)):
        keys(old.event(step))
    previous = next(token for token, stages in rotation_service.labels(secret).items() if "AWSPREVIOUS" in stages)
    with pytest.raises(VersionNotPending):
        keys({**old.event(step), "ClientRequestToken": previous})


@pytest.mark.parametrize("step", STEPS)
def test_a_secret_whose_rotation_is_off_is_refused(
    rotation_service: RotationService, keys: Keys, secret: str, step: str
) -> None:
    rotation = rotation_service.stage(secret)
    rotation_service.client.cancel_rotate_secret(SecretId=secret)
    with pytest.raises(RotationNotEnabled, match="rotation is not enabled for secret"):
        keys(rotation.event(step))


def test_a_secret_that_does_not_exist_is_named(rotation_service: RotationService, keys: Keys, secret: str) -> None:
    event = rotation_service.stage(secret).event("createSecret")
    with pytest.raises(SecretNotFound, match="arn:aws:secretsmanager:eu-west-1:123456789012:secret:none-AAAAAA"):
        keys({**event, "SecretId": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:none-AAAAAA"})


@pytest.mark.parametrize("operation", ["DescribeSecret", "GetSecretValue", "PutSecretValue"])
def test_a_denied_call_names_itself_and_what_to_allow(
    rotation_service: RotationService, secret: str, operation: str
) -> None:
    rotation_service.faults.fail(operation, kind=Refusal("AccessDeniedException", "User is not authorized"))
    failed = rotation_service.rotate(secret)
    assert isinstance(failed.error, SecretsManagerDenied)
    assert f"allow the function's role secretsmanager:{operation}" in str(failed.error)
    assert secret in str(failed.error)


def test_a_denied_key_is_told_from_a_denied_call(rotation_service: RotationService, secret: str) -> None:
    rotation_service.faults.fail("GetSecretValue", kind=KMS_REFUSAL)
    failed = rotation_service.rotate(secret)
    assert isinstance(failed.error, SecretsManagerDenied)
    assert "Access to KMS is not allowed" in str(failed.error)
    assert "kms:Decrypt and kms:GenerateDataKey" in str(failed.error)


def test_a_silent_endpoint_is_named(rotation_service: RotationService, secret: str) -> None:
    rotation_service.faults.fail("DescribeSecret")
    failed = rotation_service.rotate(secret)
    assert isinstance(failed.error, SecretsManagerUnreachable)
    assert "the Secrets Manager endpoint https://secretsmanager.eu-west-1.amazonaws.com gave no answer" in str(
        failed.error
    )


def test_a_replica_is_sent_to_its_primary_region(rotation_service: RotationService, keys: Keys) -> None:
    rotation_service.client.create_secret(
        Name="replicated", SecretString=json.dumps(FIRST), AddReplicaRegions=[{"Region": "eu-central-1"}]
    )
    arn = rotation_service.client.describe_secret(SecretId="replicated")["ARN"]
    rotation_service.configure(arn, keys)
    rotation = rotation_service.stage(arn)
    replica = arn.replace("eu-west-1", "eu-central-1")
    elsewhere = Keys(SecretsManagerVersionsIn("eu-central-1"))
    with pytest.raises(RequestError, match=r"is a replica\. rotate it in its primary Region, eu-west-1"):
        elsewhere({**rotation.event("createSecret"), "SecretId": replica})


def SecretsManagerVersionsIn(region: str) -> SecretVersions:  # noqa: N802
    return SecretVersions(boto3.client("secretsmanager", region_name=region), patience=0.2)


def test_an_unexpected_error_shows_its_kind_and_keeps_its_text_to_the_log(
    rotation_service: RotationService, keys: Keys, secret: str, log: io.StringIO
) -> None:
    keys.fail["apply"] = KeyError("made-key-number-1 and more")
    failed = rotation_service.rotate(secret)
    assert isinstance(failed.error, UnexpectedError)
    assert str(failed.error).startswith("setSecret ended with an unexpected KeyError in ")
    assert failed.error.__cause__ is None
    assert failed.error.__context__ is None
    assert "made-key-number-1" not in log.getvalue()
    assert "and more" in log.getvalue()


@pytest.mark.parametrize("method", ["propose", "apply", "verify"])
@pytest.mark.parametrize("kind", [ConnectionError, KeyError, ZeroDivisionError])
def test_a_fault_in_the_rotators_own_code_is_named_with_its_place_and_no_value(
    rotation_service: RotationService, keys: Keys, secret: str, method: str, kind: type[Exception]
) -> None:
    keys.fail[method] = kind("what nobody may see")
    text = str(rotation_service.rotate(secret).error)
    line = next(
        number
        for number, code in enumerate(Path(__file__).read_text().splitlines(), start=1)
        if code.strip() == "raise self.fail[where]"
    )
    assert f"an unexpected {kind.__name__} in Keys._maybe_fail, {__file__}:{line}, the rotator's own code. " in text
    assert "fault of rotators" not in text
    assert "what nobody may see" not in text
    assert ("raise Unreachable or ConnectionLost" in text) == (kind is ConnectionError)


def test_a_fault_below_the_rotators_own_code_is_named_where_that_code_called(
    rotation_service: RotationService, keys: Keys, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Keys, "verify", lambda *_: json.loads("no json"))
    text = str(rotation_service.rotate(secret).error)
    assert "an unexpected JSONDecodeError in " in text
    assert f"<lambda>, {__file__}:" in text


def test_a_fault_in_a_rotator_that_is_installed_as_a_package_is_its_own(
    rotation_service: RotationService, versions: SecretVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = compile("def verify(self, rotation):\n    return {}['key']\n", "/opt/python/theirs/keys.py", "exec")
    names: dict[str, Any] = {"__name__": "theirs.keys"}
    exec(code, names)  # noqa: S102
    theirs = type("Theirs", (Keys,), {"__module__": "theirs.keys", "verify": names["verify"]})
    secret = rotation_service.create_secret("app", FIRST, theirs(versions))
    assert "KeyError in verify, /opt/python/theirs/keys.py:2, the" in str(rotation_service.rotate(secret).error)


def test_a_fault_in_our_code_asks_for_a_report(
    rotation_service: RotationService, keys: Keys, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys._versions, "put_pending", None)
    text = str(rotation_service.rotate(secret).error)
    assert "an unexpected TypeError. see the function's log, and report it: it is a fault of rotators" in text


def test_a_proposal_that_is_no_secret_value_is_named(
    rotation_service: RotationService, keys: Keys, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Keys, "propose", lambda *_: {"key": "made-key-number-1"})
    text = str(rotation_service.rotate(secret).error)
    assert text.startswith("Keys.propose returned a dict, not a SecretValue. end it with: return rotation.current.")


def test_nothing_secret_is_logged_at_debug_with_an_error_in_every_step(
    rotation_service: RotationService, keys: Keys, secret: str, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(logger.name), "level", logging.DEBUG)
    for step, known in (("propose", FIRST["key"]), ("apply", "made-key-number-1"), ("verify", "made-key-number-1")):
        keys.fail = {step: RuntimeError(f"it is {known}")}
        if step == "propose":
            rotation_service.rotate(secret)
        else:
            rotation_service.retry(secret)
    keys.fail = {}
    assert rotation_service.retry(secret).succeeded
    written = log.getvalue()
    assert len(written.splitlines()) >= 6
    assert FIRST["key"] not in written
    assert "made-key-number" not in written


def test_a_log_line_names_secret_step_and_version(
    rotation_service: RotationService, secret: str, log: io.StringIO
) -> None:
    rotation = rotation_service.rotate(secret)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    done = [line for line in lines if line["message"] == "the step is done"]
    assert [line["step"] for line in done] == list(STEPS)
    assert {line["secret"] for line in done} == {secret}
    assert {line["version"] for line in done} == {rotation.token}
    assert {line["service"] for line in done} == {"rotators"}


@pytest.mark.parametrize(("code", "shown"), [(18456, "18456"), (None, None), ("first-key-value", "***")])
def test_a_log_line_shows_the_servers_code_and_never_a_secret(
    rotation_service: RotationService, keys: Keys, log: io.StringIO, code: str | int | None, shown: str | None
) -> None:
    arn = rotation_service.create_secret("app/coded", FIRST, keys)
    keys.fail["propose"] = LoginRefused("no", code=code)
    rotation_service.rotate(arn)
    [line] = [one for one in map(json.loads, log.getvalue().splitlines()) if one["message"] == "the step failed"]
    assert line.get("code") == shown


def test_metrics_tell_duration_and_failure_by_step(
    rotation_service: RotationService, keys: Keys, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    keys.fail["verify"] = LoginRefused("no")
    rotation_service.rotate(secret)
    emitted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [(line["step"], line["StepFailed"]) for line in emitted] == [
        ("createSecret", [0.0]),
        ("setSecret", [0.0]),
        ("testSecret", [1.0]),
    ]
    assert all(line["StepDuration"][0] >= 0 for line in emitted)
    assert emitted[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Rotators"
    assert emitted[-1]["error"] == "LoginRefused"
