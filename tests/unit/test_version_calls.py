"""What SecretVersions asks of Secrets Manager, call by call, and what it makes of each answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ParamValidationError

from rotators import versions as module
from rotators.errors import (
    SecretEmpty,
    SecretMalformed,
    SecretNotFound,
    SecretsManagerDenied,
    SecretsManagerError,
    SecretsManagerUnreachable,
)
from rotators.versions import SecretDescription, SecretOwner, SecretVersion, SecretVersions

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Client:
    """Notes each call, and gives the next answer: a reply, an error, or what a function makes."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.registered: list[tuple[Any, ...]] = []
        events = SimpleNamespace(register_first=lambda *which, **more: self.registered.append((*which, more)))
        self.meta = SimpleNamespace(endpoint_url="https://sm.example", events=events)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**parameters: Any) -> Any:
            self.calls.append((operation, parameters))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if callable(answer):
                answer = answer()
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return call


def made(*answers: Any, **options: Any) -> tuple[SecretVersions, Client]:
    client = Client(*answers)
    return SecretVersions(client, **{"patience": 0.0, **options}), client  # type: ignore[arg-type]


def refusal(code: str, message: str = "no.", operation: str = "GetSecretValue", status: int = 400) -> ClientError:
    reply = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(reply, operation)  # type: ignore[arg-type]


MISSING = refusal("ResourceNotFoundException", "Secrets Manager can't find it.")
DENIED = refusal("AccessDeniedException", "not you")
VALUE = {"ARN": ARN, "VersionId": "v1", "SecretString": "{}"}


def get(**which: str) -> tuple[str, dict[str, str]]:
    return "get_secret_value", {"SecretId": "app", **which}


def test_what_describe_secret_says_is_taken_over() -> None:
    versions, client = made(
        {
            "ARN": ARN,
            "RotationEnabled": True,
            "VersionIdsToStages": {"v1": ["AWSCURRENT", "mine"], "v2": ["AWSPENDING"]},
            "PrimaryRegion": "eu-west-1",
            "ReplicationStatus": [
                {"Region": "eu-central-1", "Status": "Failed"},
                {"Region": "us-east-1", "Status": "InSync"},
                {"Region": "us-east-2"},
            ],
            "NextRotationDate": NOW,
            "RotationLambdaARN": "the function's",
        }
    )
    described = versions.describe("app")
    assert described == SecretDescription(
        rotation_enabled=True,
        stages={"v1": frozenset({"AWSCURRENT", "mine"}), "v2": frozenset({"AWSPENDING"})},
        primary_region="eu-west-1",
        failed_replicas=("eu-central-1",),
        next_rotation=NOW,
        secret_arn=ARN,
        function_arn="the function's",
    )
    assert (described.holder("AWSCURRENT"), described.holder("AWSPENDING"), described.holder("other")) == (
        "v1",
        "v2",
        None,
    )
    assert client.calls == [("describe_secret", {"SecretId": "app"})]


def test_what_it_does_not_say_is_nothing() -> None:
    versions, _ = made({"ARN": ARN})
    assert versions.describe("app") == SecretDescription(None, {}, None, (), None, ARN, None)


def test_a_version_that_must_be_there_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    without, with_it = {"ARN": ARN}, {"ARN": ARN, "VersionIdsToStages": {"v2": ["AWSPENDING"]}}
    versions, client = made(without, without, with_it, patience=60.0)
    assert versions.describe("app", "v2").stages == {"v2": frozenset({"AWSPENDING"})}
    assert len(client.calls) == 3
    assert slept == [0.02, 0.04]
    # Without one to wait for, once is enough.
    versions, client = made(without, patience=60.0)
    assert versions.describe("app").stages == {}
    assert len(client.calls) == 1


def test_pauses_grow_to_half_a_second_and_end_with_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(module.time, "sleep", sleep)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    assert list(module._pauses(2.0)) == [True] * 8
    assert slept == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5, 0.38])
    assert list(module._pauses(0.0)) == []
    assert list(module._pauses(-1.0)) == []


def test_a_second_of_the_step_is_not_waited_away(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    versions, _ = made({"ARN": ARN}, patience=60.0)
    versions.must_answer_by(103.0)
    assert versions.describe("app", "v2").stages == {}
    assert now[0] == pytest.approx(102.0)


def test_the_current_version_is_read_by_its_label() -> None:
    versions, client = made(VALUE)
    assert versions.current("app") == SecretVersion("v1", ARN, "{}")
    assert client.calls == [get(VersionStage="AWSCURRENT")]
    versions, _ = made({"ARN": ARN, "VersionId": "v1", "SecretBinary": b""})
    with pytest.raises(SecretMalformed, match=r"^version v1 of secret app is binary"):
        versions.current("app")
    versions, _ = made(MISSING)
    with pytest.raises(SecretEmpty, match=r"^secret app has no AWSCURRENT value") as caught:
        versions.current("app")
    assert caught.value.__suppress_context__
    versions, _ = made(DENIED)
    with pytest.raises(SecretsManagerDenied):
        versions.current("app")


def test_the_previous_one_may_be_missing() -> None:
    versions, client = made(VALUE)
    assert versions.previous("app") == SecretVersion("v1", ARN, "{}")
    assert client.calls == [get(VersionStage="AWSPREVIOUS")]
    assert made(MISSING)[0].previous("app") is None
    with pytest.raises(SecretsManagerDenied):
        made(DENIED)[0].previous("app")


def test_versions_without_a_label_are_read_the_newest_first_and_when_they_are_asked_for() -> None:
    def listed(name: str, hour: int, *labels: str) -> dict[str, Any]:
        return {
            "VersionId": name,
            "VersionStages": list(labels),
            "CreatedDate": datetime(2026, 11, 28, hour, tzinfo=UTC),
        }

    first = {"ARN": ARN, "Versions": [listed("older", 1), listed("now", 9, "AWSCURRENT")], "NextToken": "more"}
    second = {"ARN": ARN, "Versions": [listed("gone", 7), listed("newest", 8), listed("binary", 2)]}
    binary = {"ARN": ARN, "VersionId": "binary", "SecretBinary": b"x"}
    versions, client = made(
        first, second, VALUE | {"VersionId": "newest"}, MISSING, binary, VALUE | {"VersionId": "older"}
    )
    found = versions.unlabelled("app")
    assert client.calls == []
    assert next(found).version_id == "newest"
    every: dict[str, Any] = {"SecretId": "app", "IncludeDeprecated": True, "MaxResults": 100}
    assert client.calls == [
        ("list_secret_version_ids", every),
        ("list_secret_version_ids", every | {"NextToken": "more"}),
        get(VersionId="newest"),
    ]
    assert [version.version_id for version in found] == ["older"]
    assert client.calls[3:] == [get(VersionId="gone"), get(VersionId="binary"), get(VersionId="older")]


def test_the_one_under_rotation_is_read_by_its_id_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    versions, client = made(MISSING, VALUE, patience=60.0)
    assert versions.rotating("app", "v1") == SecretVersion("v1", ARN, "{}")
    assert client.calls == [get(VersionId="v1")] * 2
    versions, _ = made(MISSING)
    with pytest.raises(SecretNotFound, match=r"^version v1 of secret app has no value"):
        versions.rotating("app", "v1")


def test_what_this_process_has_stored_is_not_read_again() -> None:
    versions, client = made(VALUE)
    assert versions.put_pending("app", "v2", "text", None) is True
    assert versions.rotating("app", "v2") == SecretVersion("v2", "app", "text")
    assert len(client.calls) == 1
    versions.keep_only("app", "v2")
    assert versions.rotating("app", "v2").text == "text"
    # Another version, and it is forgotten for good.
    assert versions.rotating("app", "v1").text == "{}"
    assert versions.rotating("app", "v2").text == "{}"
    assert len(client.calls) == 3


@pytest.mark.parametrize(
    "forget",
    [
        lambda versions: versions.keep_only("other", "v2"),
        lambda versions: versions.keep_only("app", "v1"),
        lambda versions: versions.forget_pending(),
        lambda versions: versions.discard_pending("app", "v2"),
    ],
)
def test_until_it_is_forgotten(forget: Callable[[SecretVersions], None]) -> None:
    versions, client = made(VALUE)
    versions.put_pending("app", "v2", "text", None)
    forget(versions)
    assert versions._stored is None
    assert versions.rotating("app", "v2").text == "{}"
    assert client.calls[-1] == get(VersionId="v2")


def test_a_copy_remembers_nothing_and_has_the_same_client_and_limits() -> None:
    versions, client = made(VALUE, patience=1.5, longest_call=4.0)
    versions.put_pending("app", "v2", "text", None)
    again = versions.restarted()
    assert (again._client, again._patience, again._longest_call, again._stored) == (client, 1.5, 4.0, None)
    assert versions.restarted(patience=0.0)._patience == 0.0
    assert made(VALUE)[0]._longest_call == 8.0
    assert SecretVersions(client)._patience == 3.0  # type: ignore[arg-type]


def test_whether_a_version_holds_a_value() -> None:
    versions, client = made(VALUE)
    assert versions.has_value("app", "v1") is True
    assert client.calls == [get(VersionId="v1")]
    assert made({**VALUE, "SecretString": ""})[0].has_value("app", "v1") is False
    assert made(MISSING)[0].has_value("app", "v1") is False
    assert made(DENIED)[0].has_value("app", "v1") is False


def test_whether_one_surely_holds_none() -> None:
    versions, client = made(VALUE)
    assert versions.is_empty("app", "v1") is False
    assert client.calls == [get(VersionId="v1")]
    assert made(MISSING)[0].is_empty("app", "v1") is True
    assert made(DENIED)[0].is_empty("app", "v1") is False


def test_the_admins_value_is_its_current_one() -> None:
    versions, client = made(VALUE)
    assert versions.admin("app").text == "{}"
    assert client.calls == [get(VersionStage="AWSCURRENT")]
    with pytest.raises(SecretNotFound, match=r"^the admin secret app does not exist or has no AWSCURRENT value") as no:
        made(MISSING)[0].admin("app")
    assert "ROTATION_ADMIN_SECRET" in no.value.advice


@pytest.mark.parametrize(("token", "more"), [("proof", {"RotationToken": "proof"}), (None, {}), ("", {})])
def test_a_value_is_stored_as_pending(token: str | None, more: dict[str, str]) -> None:
    versions, client = made({"ARN": ARN})
    assert versions.put_pending("app", "v2", "text", token) is True
    parameters = {"SecretId": "app", "ClientRequestToken": "v2", "SecretString": "text", **more}
    assert client.calls == [("put_secret_value", {**parameters, "VersionStages": ["AWSPENDING"]})]


def test_another_value_that_is_there_already_is_kept() -> None:
    versions, _ = made(refusal("ResourceExistsException"))
    assert versions.put_pending("app", "v2", "text", None) is False
    assert versions._stored is None


MOVE = (
    "update_secret_version_stage",
    {"SecretId": "app", "VersionStage": "AWSCURRENT", "MoveToVersionId": "v2", "RemoveFromVersionId": "v1"},
)
LOOK = ("describe_secret", {"SecretId": "app"})
IS_CURRENT = {"ARN": ARN, "VersionIdsToStages": {"v2": ["AWSCURRENT"]}}
IS_NOT = {"ARN": ARN, "VersionIdsToStages": {"v1": ["AWSCURRENT"], "v2": ["AWSPENDING"]}}
LOST = EndpointConnectionError(endpoint_url="https://sm.example")
ELSEWHERE = refusal("InvalidParameterException", operation="UpdateSecretVersionStage")
REQUEST = refusal("InvalidRequestException", operation="UpdateSecretVersionStage")


def test_the_label_moves_with_one_call() -> None:
    versions, client = made({"ARN": ARN})
    versions.promote("app", "v2", "v1")
    assert client.calls == [MOVE]


@pytest.mark.parametrize("doubt", [LOST, ELSEWHERE, REQUEST, refusal("InternalServiceError", status=500)])
def test_where_that_is_in_doubt_it_is_looked_up_and_asked_for_once_more(doubt: Exception) -> None:
    versions, client = made(doubt, IS_CURRENT)
    versions.promote("app", "v2", "v1")
    assert client.calls == [MOVE, LOOK]
    versions, client = made(doubt, IS_NOT, {"ARN": ARN})
    versions.promote("app", "v2", "v1")
    assert client.calls == [MOVE, LOOK, MOVE]
    versions, client = made(doubt, IS_NOT, doubt, IS_CURRENT)
    versions.promote("app", "v2", "v1")
    assert client.calls == [MOVE, LOOK, MOVE, LOOK]
    for unknown in (IS_NOT, {"ARN": ARN}):
        versions, client = made(doubt, unknown, doubt, unknown)
        with pytest.raises(SecretsManagerError):
            versions.promote("app", "v2", "v1")


def test_a_look_up_that_sees_it_does_not_wait_and_one_that_is_refused_names_the_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def sleep(_: float) -> None:
        pytest.fail("there is nothing to wait for")

    monkeypatch.setattr(module.time, "sleep", sleep)
    made(LOST, IS_CURRENT, patience=60.0)[0].promote("app", "v2", "v1")
    with pytest.raises(SecretsManagerDenied, match=r"^GetSecretValue for secret app was refused"):
        made(LOST, DENIED)[0].promote("app", "v2", "v1")


def test_what_is_refused_is_no_doubt() -> None:
    versions, client = made(DENIED)
    with pytest.raises(SecretsManagerDenied):
        versions.promote("app", "v2", "v1")
    assert client.calls == [MOVE]


def test_the_label_is_taken_off_a_version() -> None:
    versions, client = made({"ARN": ARN})
    versions.discard_pending("app", "v2")
    parameters = {"SecretId": "app", "VersionStage": "AWSPENDING", "RemoveFromVersionId": "v2"}
    assert client.calls == [("update_secret_version_stage", parameters)]


def test_who_manages_a_secret_and_its_tags() -> None:
    tags = [{"Key": "aws:rds:primaryDBInstanceArn", "Value": "x"}, {"Key": "team", "Value": "y"}]
    versions, client = made({"ARN": ARN, "OwningService": "rds", "Tags": tags})
    assert versions.owner("app") == SecretOwner(ARN, "rds", {"aws:rds:primaryDBInstanceArn": "x", "team": "y"})
    assert client.calls == [LOOK]
    assert made({"ARN": ARN})[0].owner("app") == SecretOwner(ARN, None, {})


ROLE = "allow the function's role "
KEY = "allow the function's role kms:Decrypt and kms:GenerateDataKey on the secret's KMS key"
STRANGE = "the endpoint https://sm.example answered describe_secret, but not as Secrets Manager does"
REPEATED = "Secrets Manager retries the rotation"


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (MISSING, SecretNotFound, ""),
        (DENIED, SecretsManagerDenied, f"{ROLE}secretsmanager:GetSecretValue on this secret"),
        (refusal("Odd", "User is not authorized to"), SecretsManagerDenied, KEY),
        (refusal("AccessDeniedException", "Access to KMS is not allowed"), SecretsManagerDenied, KEY),
        (refusal("AccessDeniedException", "to perform: kms:Decrypt"), SecretsManagerDenied, KEY),
        (refusal("DecryptionFailure", "x"), SecretsManagerDenied, KEY),
        (refusal("EncryptionFailure", "x"), SecretsManagerDenied, KEY),
        (refusal("KMSAccessDeniedException", "x"), SecretsManagerDenied, KEY),
        (refusal("ThrottlingException"), SecretsManagerError, REPEATED),
        (refusal("InvalidParameterException"), SecretsManagerError, REPEATED),
        (refusal("InternalServiceError", status=500), SecretsManagerUnreachable, REPEATED),
        (refusal("ResourceNotFoundException", status=503), SecretsManagerUnreachable, REPEATED),
        (refusal("Odd", status=499), SecretsManagerError, REPEATED),
        (refusal("Odd", "ask for X."), SecretsManagerError, REPEATED),
    ],
)
def test_each_refusal_has_its_kind_and_its_cure(
    error: ClientError, kind: type[SecretsManagerError], advice: str
) -> None:
    with pytest.raises(SecretsManagerError) as caught:
        made(error)[0].owner("app")
    assert type(caught.value) is kind
    detail = error.response["Error"]
    said = detail["Message"].rstrip(".")
    assert caught.value.what == f"GetSecretValue for secret app was refused: {detail['Code']}: {said}"
    assert caught.value.advice == advice
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "call",
    [
        lambda versions: versions.describe("app"),
        lambda versions: versions.current("app"),
        lambda versions: versions.put_pending("app", "v2", "text", None),
        lambda versions: versions.promote("app", "v2", "v1"),
        lambda versions: versions.discard_pending("app", "v2"),
        lambda versions: versions.owner("app"),
    ],
)
def test_every_refusal_names_its_secret(call: Callable[[SecretVersions], Any]) -> None:
    with pytest.raises(SecretsManagerDenied, match=r"^GetSecretValue for secret app was refused"):
        call(made(DENIED)[0])


def test_a_refusal_that_says_nothing_is_one_all_the_same() -> None:
    with pytest.raises(SecretsManagerError) as caught:
        made(ClientError({}, "GetSecretValue"))[0].owner("app")
    assert caught.value.what == "GetSecretValue for secret app was refused: : "


@pytest.mark.parametrize(
    ("error", "kind", "what"),
    [
        (
            LOST,
            SecretsManagerUnreachable,
            "the Secrets Manager endpoint https://sm.example gave no answer (EndpointConnectionError)",
        ),
        (
            NoCredentialsError(),
            SecretsManagerError,
            "the call describe_secret for secret app could not be made (NoCredentialsError)",
        ),
        (
            KeyError("VersionId"),
            SecretsManagerUnreachable,
            f"{STRANGE} (KeyError)",
        ),
    ],
)
def test_what_is_no_answer_is_told_apart(error: Exception, kind: type[SecretsManagerError], what: str) -> None:
    with pytest.raises(SecretsManagerError) as caught:
        made(error)[0].owner("app")
    assert type(caught.value) is kind
    assert caught.value.what == what
    assert caught.value.__suppress_context__


def test_an_answer_without_an_arn_is_none() -> None:
    with pytest.raises(SecretsManagerUnreachable) as caught:
        made({"Name": "app"})[0].owner("app")
    assert caught.value.what == f"{STRANGE} (without an ARN)"


@pytest.mark.parametrize(
    ("report", "what", "cure"),
    [
        (
            "Invalid length for parameter SecretId, value: 0",
            "Invalid length for parameter SecretId",
            "correct the secret's ARN",
        ),
        (
            'Missing required parameter in input: "SecretString"',
            'Missing required parameter in input: "SecretString"',
            "give the secret a value",
        ),
        ("hunter2 is odd", "it has a wrong parameter", ""),
        (
            "Invalid type for parameter ClientRequestToken, value: 1\nInvalid type for parameter SecretString",
            "Invalid type for parameter ClientRequestToken; Invalid type for parameter SecretString",
            "use the id of a version under rotation, which has 32 to 64 characters; give the secret a value",
        ),
    ],
)
def test_what_botocore_refuses_is_named_by_its_parameter_alone(report: str, what: str, cure: str) -> None:
    with pytest.raises(SecretsManagerError) as caught:
        made(ParamValidationError(report=report))[0].owner("app")
    assert caught.value.what == f"the call describe_secret for secret app could not be made: {what}"
    assert caught.value.advice.startswith(cure)
    assert ("; " in caught.value.advice) is ("; " in cure)


@pytest.mark.parametrize(("left", "asked"), [(0.5, True), (0.05, False), (-1.0, False)])
def test_nothing_is_asked_when_the_time_is_over(left: float, *, asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0)
    versions, client = made({"ARN": ARN})
    versions.must_answer_by(100.0 + left)
    if asked:
        versions.owner("app")
    else:
        with pytest.raises(SecretsManagerUnreachable) as caught:
            versions.owner("app")
        assert caught.value.what == (
            "the invocation's time was over before describe_secret could be called at https://sm.example"
        )
    assert bool(client.calls) is asked


@pytest.mark.parametrize(("left", "seconds"), [(100.0, 4.0), (2.0, 2.0)])
def test_a_call_has_its_own_time_and_never_more_than_is_left(
    left: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def within(limit: float, work: Callable[[], Any]) -> Any:
        given.append(limit)
        given.append(module._call_ends.get())
        answer = work()
        given.append(module._call_ends.get())
        return answer

    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(module, "within", within)
    versions, _ = made({"ARN": ARN}, longest_call=4.0)
    versions.must_answer_by(100.0 + left)
    token = module._call_ends.set(float("inf"))
    versions.owner("app")
    module._call_ends.reset(token)
    assert given == [seconds, float("inf"), 100.0 + seconds]


def test_a_call_that_takes_longer_is_told_with_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    def within(*_: object) -> Any:
        raise TimeoutError

    monkeypatch.setattr(module, "within", within)
    with pytest.raises(SecretsManagerUnreachable) as caught:
        made({"ARN": ARN}, longest_call=4.0)[0].owner("app")
    assert caught.value.what == "the Secrets Manager endpoint https://sm.example gave no answer within 4.0 s"


def test_a_request_that_nobody_waits_for_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0)
    _, client = made({"ARN": ARN})
    [(event, refuse, more)] = client.registered
    assert (event, more) == ("before-send.secretsmanager", {"unique_id": "rotators-late"})
    token = module._call_ends.set(99.9)
    with pytest.raises(TimeoutError):
        refuse(request=None)
    module._call_ends.set(100.0)
    assert refuse(request=None) is None
    module._call_ends.reset(token)


def test_a_repr_shows_no_value() -> None:
    assert "hunter2" not in repr(SecretVersion("v1", ARN, "hunter2"))
