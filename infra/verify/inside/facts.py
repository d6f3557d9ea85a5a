"""The facts about Secrets Manager that the simulated service relies on, each with AWS's page.

A fact's check does something with secrets of its own, and tells what it saw, in words that are the same for every
account: versions are called by the order in which they were made. What it saw of the simulated service is what is
expected of the real one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.verify.inside.probe import FAIL, SEEN
from infra.verify.inside.service import NotInTime, Service, labels
from rotators.steps import STEPS

_API = "https://docs.aws.amazon.com/secretsmanager/latest/apireference/"
_GUIDE = "https://docs.aws.amazon.com/secretsmanager/latest/userguide/"
_ARN = re.compile(r"arn:aws[a-z-]*:[^\s,]*[^\s,.]")
_VERSION = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
NO_FUNCTION = "rotators-no-such-function"
_MONTHLY: Any = {"AutomaticallyAfterDays": 30}


@dataclass(frozen=True)
class Fact:
    """Something that Secrets Manager does.

    Args:
        name: a sentence.
        page: AWS's page that says so.
        check: does it, and tells what it saw, as JSON can hold it.
    """

    name: str
    page: str
    check: Callable[[Service], Any]


FACTS: list[Fact] = []


def observe(service: Service, only: frozenset[str] | None = None) -> dict[str, Any]:
    """What the service does, by the names of the facts.

    Args:
        service: the one to ask.
        only: the names of those to look at; None: all.
    """
    seen = {}
    for fact in FACTS:
        if only is None or fact.name in only:
            try:
                seen[fact.name] = fact.check(service)
            except NotInTime:
                seen[fact.name] = "did not happen in time"
            except ClientError as error:
                seen[fact.name] = refusal(error)
    return seen


def _fact(name: str, page: str) -> Callable[[Callable[[Service], Any]], Callable[[Service], Any]]:
    def add(check: Callable[[Service], Any]) -> Callable[[Service], Any]:
        FACTS.append(Fact(name, page, check))
        return check

    return add


def refusal(error: ClientError) -> str:
    """Describe a refusal, without the parts that differ in each call."""
    text = f"{error.operation_name}: {error.response['Error']['Code']}: {error.response['Error']['Message']}"
    return _VERSION.sub("<version>", _ARN.sub("<arn>", text))


def _refused(call: Callable[..., Any], **parameters: Any) -> str:
    try:
        call(**parameters)
    except ClientError as error:
        return refusal(error)
    return "accepted"


def _put(service: Service, arn: str, value: str = "second", **more: Any) -> str:
    return str(service.client.put_secret_value(SecretId=arn, SecretString=value, **more)["VersionId"])


def _current(service: Service, arn: str) -> str:
    return str(service.client.get_secret_value(SecretId=arn)["VersionId"])


def _labels(service: Service, arn: str, *versions: str) -> list[list[str]]:
    """The labels of these versions, in order."""
    found = labels(service.client, arn)
    return [sorted(found.get(version, [])) for version in versions]


def _begin(service: Service, arn: str, **more: Any) -> str:
    """Start a rotation with the probe; its version."""
    asked = {"RotationLambdaARN": service.probe_arn, "RotationRules": _MONTHLY, **more}
    return str(service.client.rotate_secret(SecretId=arn, **asked).get("VersionId"))


def _notes(service: Service, arn: str) -> list[str]:
    tags = service.client.describe_secret(SecretId=arn).get("Tags", [])
    return [tag["Value"] for tag in sorted(tags, key=lambda one: one["Key"]) if tag["Key"].startswith(SEEN)]


def _until_noted(service: Service, arn: str, step: str) -> list[str]:
    service.wait(lambda: any(note.startswith(step) for note in _notes(service, arn)))
    return _notes(service, arn)


def _rotated(service: Service, arn: str) -> None:
    service.wait(lambda: "LastRotatedDate" in service.client.describe_secret(SecretId=arn))


# Versions and labels.


@_fact("a token that is used again brings the same value or is refused", f"{_API}API_PutSecretValue.html")
def _same_token(service: Service) -> Any:
    arn, token = service.secret(), "0123456789abcdef0123456789abcdef"
    first = _current(service, arn)
    _put(service, arn, ClientRequestToken=token)
    _put(service, arn, ClientRequestToken=token)
    again = {"SecretId": arn, "ClientRequestToken": token, "SecretString": "third"}
    refusal = _refused(service.client.put_secret_value, **again).replace(token, "<version>")
    return [refusal, *_labels(service, arn, first, token)]


@_fact("AWSPREVIOUS follows AWSCURRENT", f"{_GUIDE}getting-started.html")
def _previous(service: Service) -> Any:
    arn = service.secret()
    versions = [_current(service, arn), _put(service, arn), _put(service, arn, "third")]
    return _labels(service, arn, *versions)


@_fact("AWSCURRENT is moved only from the version it is on", f"{_API}API_UpdateSecretVersionStage.html")
def _move(service: Service) -> Any:
    arn = service.secret()
    first, second = _current(service, arn), _put(service, arn)
    move = {"SecretId": arn, "VersionStage": "AWSCURRENT", "MoveToVersionId": first}
    update = service.client.update_secret_version_stage
    answers = [_refused(update, **move), _refused(update, **move, RemoveFromVersionId=first).partition(": The")[0]]
    answers.append(_refused(update, **move, RemoveFromVersionId=second))
    return [*answers, *_labels(service, arn, first, second)]


@_fact("AWSCURRENT is never removed", f"{_API}API_UpdateSecretVersionStage.html")
def _never_removed(service: Service) -> Any:
    arn = service.secret()
    parameters = {"VersionStage": "AWSCURRENT", "RemoveFromVersionId": _current(service, arn)}
    return _refused(service.client.update_secret_version_stage, SecretId=arn, **parameters)


@_fact("a label of one's own is on one version", f"{_API}API_UpdateSecretVersionStage.html")
def _own_label(service: Service) -> Any:
    arn = service.secret()
    first, second = _current(service, arn), _put(service, arn, VersionStages=["MINE"])
    move = {"SecretId": arn, "VersionStage": "MINE", "MoveToVersionId": first}
    answers = [_refused(service.client.update_secret_version_stage, **move)]
    answers.append(_refused(service.client.update_secret_version_stage, **move, RemoveFromVersionId=second))
    return [*answers, *_labels(service, arn, first, second)]


@_fact("a version without labels is listed as deprecated, and read by its id", f"{_API}API_ListSecretVersionIds.html")
def _deprecated(service: Service) -> Any:
    arn = service.secret()
    first = _current(service, arn)
    for value in ("second", "third"):
        _put(service, arn, value)

    def listed(**more: Any) -> bool:
        versions = service.client.list_secret_version_ids(SecretId=arn, **more)["Versions"]
        return first in {version.get("VersionId") for version in versions}

    read = service.client.get_secret_value(SecretId=arn, VersionId=first)["SecretString"]
    return [listed(), listed(IncludeDeprecated=True), read, *_labels(service, arn, first)]


@_fact("what a read asks for must be there", f"{_API}API_GetSecretValue.html")
def _absent(service: Service) -> Any:
    arn, get = service.secret(), service.client.get_secret_value
    return [
        _refused(get, SecretId=arn, VersionStage="AWSPENDING"),
        _refused(get, SecretId=arn, VersionId="00000000-0000-0000-0000-000000000000"),
        _refused(get, SecretId=arn, VersionId=_current(service, arn), VersionStage="AWSPREVIOUS"),
        _refused(get, SecretId=service.name()),
    ]


@_fact("a value has 65,536 bytes at most", f"{_GUIDE}reference_limits.html")
def _size(service: Service) -> Any:
    arn, put = service.secret(), service.client.put_secret_value
    sizes = ("x" * 65_536, "x" * 65_537, "ü" * 32_768, "ü" * 32_769)
    # Only the error code is part of the fact: the message quotes the value.
    return [_refused(put, SecretId=arn, SecretString=value).partition(": 1 ")[0] for value in sizes]


@_fact("a value may be binary", f"{_API}API_GetSecretValue.html")
def _binary(service: Service) -> Any:
    arn = service.secret()
    service.client.put_secret_value(SecretId=arn, SecretBinary=b"\x00\xff")
    reply = service.client.get_secret_value(SecretId=arn)
    return [list(reply["SecretBinary"]), "SecretString" in reply]


@_fact("a secret that is to be deleted is neither read nor rotated", f"{_GUIDE}manage_delete-secret.html")
def _deleted(service: Service) -> Any:
    arn, client = service.secret(), service.client
    client.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    answers = [_refused(client.get_secret_value, SecretId=arn), _refused(client.rotate_secret, SecretId=arn)]
    client.restore_secret(SecretId=arn)
    return [*(answer.rpartition(": ")[0] for answer in answers), _refused(client.get_secret_value, SecretId=arn)]


# Rotation.


@_fact("a secret that was never configured is not rotated", f"{_API}API_RotateSecret.html")
def _unconfigured(service: Service) -> Any:
    arn, client = service.secret(), service.client
    answers = [_refused(call, SecretId=arn) for call in (client.rotate_secret, client.cancel_rotate_secret)]
    return [*answers, "RotationEnabled" in client.describe_secret(SecretId=arn)]


@_fact("a function that is not there is refused, and nothing is staged", f"{_API}API_RotateSecret.html")
def _no_function(service: Service) -> Any:
    arn = service.secret()
    first = _current(service, arn)
    nowhere = f"{service.probe_arn.rpartition(':')[0]}:{NO_FUNCTION}"
    answer = _refused(_begin, service=service, arn=arn, RotationLambdaARN=nowhere)
    return [answer, *_labels(service, arn, first)]


@_fact("rules that contradict each other are refused", f"{_API}API_RotationRulesType.html")
def _rules(service: Service) -> Any:
    wrong: tuple[Any, ...] = (
        {"AutomaticallyAfterDays": 30, "ScheduleExpression": "rate(30 days)"},
        {"ScheduleExpression": "rate(3 hours)"},
        {"ScheduleExpression": "often"},
        {"ScheduleExpression": "rate(4 hours)", "Duration": "5h"},
    )
    arn = service.secret()
    # The wording is up to AWS.
    return [
        ": ".join(_refused(_begin, service=service, arn=arn, RotationRules=rules).split(": ")[:2]) for rules in wrong
    ]


@_fact("a rotation stages an empty version and calls the four steps", f"{_GUIDE}rotate-secrets_lambda-functions.html")
def _steps(service: Service) -> Any:
    arn = service.secret()
    first = _current(service, arn)
    token = _begin(service, arn)
    _rotated(service, arn)
    described = service.client.describe_secret(SecretId=arn)
    return [
        *_notes(service, arn)[: len(STEPS)],
        *_labels(service, arn, first, token),
        described.get("RotationEnabled"),
        described.get("RotationRules"),
        "NextRotationDate" in described,
    ]


@_fact("a rotation that is not complete refuses the next", f"{_GUIDE}troubleshoot_rotation.html")
def _incomplete(service: Service) -> Any:
    arn = service.secret(**{FAIL: "createSecret"})
    first = _current(service, arn)
    token = _begin(service, arn)
    notes = _until_noted(service, arn, "createSecret")
    refusal = _refused(service.client.rotate_secret, SecretId=arn)
    return [notes[0], refusal, *_labels(service, arn, first, token)]


@_fact("a rotation that is cancelled leaves AWSPENDING where it is", f"{_API}API_CancelRotateSecret.html")
def _cancelled(service: Service) -> Any:
    arn = service.secret(**{FAIL: "createSecret"})
    first = _current(service, arn)
    token = _begin(service, arn)
    _until_noted(service, arn, "createSecret")
    reply = service.client.cancel_rotate_secret(SecretId=arn)
    return [
        reply.get("VersionId") == token,
        service.client.describe_secret(SecretId=arn).get("RotationEnabled"),
        *_labels(service, arn, first, token),
    ]


@_fact("a request that is sent again begins no second rotation", f"{_API}API_RotateSecret.html")
def _sent_again(service: Service) -> Any:
    arn, token = service.secret(), "0a1b2c3d" * 4
    first = _current(service, arn)
    _begin(service, arn, ClientRequestToken=token)
    _rotated(service, arn)
    again = _refused(service.client.rotate_secret, SecretId=arn, ClientRequestToken=token)
    return [again, *_labels(service, arn, first, token)]


@_fact("a configuration is tested by testSecret alone, on a version that is gone then", f"{_API}API_RotateSecret.html")
def _tested(service: Service) -> Any:
    arn = service.secret()
    first = _current(service, arn)
    _begin(service, arn, RotateImmediately=False)
    notes = _until_noted(service, arn, "testSecret")
    service.wait(lambda: set(labels(service.client, arn)) == {first})
    return [*notes, *_labels(service, arn, first), "LastRotatedDate" in service.client.describe_secret(SecretId=arn)]


@_fact("a RotationToken that is not this rotation's is refused", f"{_API}API_PutSecretValue.html")
def _wrong_token(service: Service) -> Any:
    arn = service.secret(**{FAIL: "createSecret"})
    token = _begin(service, arn)
    _until_noted(service, arn, "createSecret")
    put = {"SecretId": arn, "ClientRequestToken": token, "SecretString": "x", "RotationToken": "0" * 40}
    return ": ".join(_refused(service.client.put_secret_value, **put).split(": ")[:2])
