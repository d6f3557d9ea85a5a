"""The fleet's state machine at work: its synthesized definition in moto's interpreter, on the simulated service."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from fleets import definition_of, template
from interpreter import Interpreter, interpreter

from rotators.credentials import SecretValue
from rotators.rotator import Rotation, Rotator
from rotators.testing import INTERNAL, THROTTLED, RotationService
from rotators.versions import SecretVersions

pytestmark = pytest.mark.slow

FIRST, NEXT = "the-canary-that-was-first", "the-canary-that-comes-next"
# Real time passes in no wait, so a long one costs nothing.
GO = {"dry_run": False, "concurrency": 4, "wait_seconds": 1800}
_SEEN: set[str] = set()


class Works(Rotator[SecretValue]):
    """A rotator of nothing, which fails for secrets with such a name."""

    value_type = SecretValue

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        return rotation.current.replace(password=NEXT)

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        if "broken" in rotation.secret_id:
            raise RuntimeError("no server")

    def verify(self, rotation: Rotation[SecretValue]) -> None:
        if "late" in rotation.secret_id and rotation.event.version_id not in _SEEN:
            _SEEN.add(rotation.event.version_id)
            raise RuntimeError("not yet")


@pytest.fixture
def fleet(rotation_service: RotationService) -> Iterator[Interpreter]:
    with interpreter(rotation_service, definition_of(template())) as made:
        yield made


def add(service: RotationService, *names: str, function: str | None = "orders", tags: Any = ()) -> None:
    """Make secrets that rotate by a function; None: by none."""
    works = Works(SecretVersions(service.client))
    for name in names:
        service.client.create_secret(Name=name, SecretString=json.dumps({"password": FIRST}), Tags=list(tags))
        if function is not None:
            arn = service.register(works, function)
            rules: Any = {"AutomaticallyAfterDays": 30}
            service.client.rotate_secret(
                SecretId=name, RotationLambdaARN=arn, RotationRules=rules, RotateImmediately=False
            )


def calls(service: RotationService, operation: str) -> list[dict[str, Any]]:
    """What the state machine sent, and no function."""
    return [one.parameters for one in service.calls if one.operation == operation and one.step is None]


def outcomes(fleet: Interpreter, ran: dict[str, Any]) -> dict[str, str]:
    return {name: one["outcome"] for name, one in fleet.results(ran).items()}


def test_twenty_secrets_rotate_once_each_and_their_results_tell(
    fleet: Interpreter, rotation_service: RotationService
) -> None:
    names = [f"orders/{number}" for number in range(20)]
    add(rotation_service, *names)
    before = len(calls(rotation_service, "RotateSecret"))
    ran = fleet.run(GO, name="leak")
    assert ran["status"] == "SUCCEEDED"
    results = fleet.results(ran)
    assert sorted(results) == sorted(names)
    for name in names:
        labels = rotation_service.labels(name)
        assert results[name]["outcome"] == "rotated"
        assert results[name]["versions_after"] == labels
        assert labels[results[name]["version"]] == ["AWSCURRENT"]
        assert list(results[name]["versions_before"].values()) == [["AWSCURRENT"]]
        assert rotation_service.value(name) == {"password": NEXT}
    sent = calls(rotation_service, "RotateSecret")[before:]
    assert sorted(one["ClientRequestToken"] for one in sent) == sorted(one["version"] for one in results.values())
    assert {tuple(one) for one in sent} == {("SecretId", "ClientRequestToken")}
    assert not calls(rotation_service, "GetSecretValue")
    counted = fleet.map_run(ran)
    assert (counted["maxConcurrency"], counted["toleratedFailureCount"]) == (4, 1_000_000)
    assert (counted["itemCounts"]["total"], counted["itemCounts"]["succeeded"]) == (20, 20)
    told = fleet.history(ran) + json.dumps(fleet.objects())
    assert "orders/7" in told
    assert FIRST not in told
    assert NEXT not in told


def test_an_execution_without_input_is_a_dry_run(fleet: Interpreter, rotation_service: RotationService) -> None:
    add(rotation_service, "works", "stuck")
    rotation_service.stage("stuck")
    before = len(calls(rotation_service, "RotateSecret"))
    ran = fleet.run({})
    assert outcomes(fleet, ran) == {"works": "would rotate", "stuck": "failed"}
    assert len(calls(rotation_service, "RotateSecret")) == before


def test_what_does_not_rotate_is_told_apart(fleet: Interpreter, rotation_service: RotationService) -> None:
    add(rotation_service, "works", "broken", "off", "busy")
    add(rotation_service, "foreign", function="somebody-elses")
    add(rotation_service, "never", function=None)
    rotation_service.client.cancel_rotate_secret(SecretId="off")
    rotation_service.stage("busy")
    began = rotation_service.clock.now
    ran = fleet.run({**GO, "poll_seconds": 60, "max_failures": 7})
    results = fleet.results(ran)
    assert {name: (one["outcome"], one["reason"]) for name, one in results.items()} == {
        "works": ("rotated", "its new version is AWSCURRENT"),
        "broken": (
            "unfinished",
            "it did not end in wait_seconds; the service may try again for hours: see rotators check",
        ),
        "off": ("skipped", "its rotation is off"),
        "busy": ("failed", "another rotation of it has not ended: see rotators explain"),
    }
    assert (rotation_service.clock.now - began).total_seconds() == GO["wait_seconds"]
    assert rotation_service.value("foreign") == {"password": FIRST}
    counted = fleet.map_run(ran)
    assert counted["toleratedFailureCount"] == 7
    assert counted["executionCounts"]["failed"] == 2


def test_what_secrets_manager_refuses_is_a_result_with_its_words(
    fleet: Interpreter, rotation_service: RotationService
) -> None:
    add(rotation_service, "orders")
    listed = rotation_service.faults
    listed.hooks.append(
        lambda operation, when: delete(rotation_service) if (operation, when) == ("ListSecrets", "after") else None
    )
    result = fleet.results(fleet.run(GO))["orders"]
    assert (result["outcome"], result["error"]) == ("failed", "SecretsManager.InvalidRequestException")
    assert "marked for deletion" in result["reason"]
    assert result["rotated_before"] is None


def delete(service: RotationService) -> None:
    service.faults.hooks.clear()
    service.client.delete_secret(SecretId="orders")


@pytest.mark.parametrize("operation", ["ListSecrets", "DescribeSecret", "RotateSecret"])
def test_a_call_that_is_throttled_is_sent_again(
    fleet: Interpreter, rotation_service: RotationService, operation: str
) -> None:
    add(rotation_service, "orders")
    faults = [rotation_service.faults.fail(operation, kind=THROTTLED, nth=1) for _ in range(1)]
    faults += [rotation_service.faults.fail(operation, kind=INTERNAL, nth=1)]
    began = rotation_service.clock.now
    assert outcomes(fleet, fleet.run(GO)) == {"orders": "rotated"}
    assert all(one.fired for one in faults)
    assert rotation_service.clock.now > began


@pytest.mark.parametrize("at_once", [False, True], ids=["while it is under way", "after it has ended"])
def test_a_reply_that_is_lost_makes_no_second_rotation(
    fleet: Interpreter, rotation_service: RotationService, *, at_once: bool
) -> None:
    add(rotation_service, "orders")
    fault = rotation_service.faults.fail("RotateSecret", when="after", kind=INTERNAL)
    if at_once:
        rotation_service.faults.hooks.append(
            lambda operation, when: (
                rotate_now(rotation_service) if (operation, when) == ("RotateSecret", "after") else None
            )
        )
    before = len(calls(rotation_service, "RotateSecret"))
    ran = fleet.run(GO)
    assert fault.fired
    result = fleet.results(ran)["orders"]
    assert result["outcome"] == "rotated"
    sent = calls(rotation_service, "RotateSecret")[before:]
    assert len(sent) == 2
    assert {one["ClientRequestToken"] for one in sent} == {result["version"]}
    assert sorted(rotation_service.labels("orders").values()) == [["AWSCURRENT"], ["AWSPREVIOUS"]]
    assert [one["detail"]["eventName"] for one in rotation_service.events].count("RotationStarted") == 1


def rotate_now(service: RotationService) -> None:
    service.faults.hooks.clear()
    with service.faults.paused():
        service.run()


@pytest.mark.parametrize("stays", [False, True], ids=["and AWSPENDING is taken away", "and AWSPENDING stays on it"])
def test_a_version_that_is_current_before_its_last_step_is_waited_for(
    fleet: Interpreter, rotation_service: RotationService, *, stays: bool
) -> None:
    """As with a single user, whose AWSCURRENT moves at the second step: here the third one fails at first."""
    add(rotation_service, "late")
    client, labels = rotation_service.client, rotation_service.labels

    def promote(rotation: Any, step: str) -> None:
        (before,) = (version for version, on in labels("late").items() if "AWSCURRENT" in on)
        if step == "setSecret" and before != rotation.token:
            client.update_secret_version_stage(
                SecretId="late", VersionStage="AWSCURRENT", MoveToVersionId=rotation.token, RemoveFromVersionId=before
            )

    def put_back(operation: str, when: str) -> None:
        ended = [one for one in rotation_service.events if one["detail"]["eventName"] == "RotationSucceeded"]
        if stays and ended and (operation, when) == ("DescribeSecret", "before"):
            (token,) = (version for version, on in labels("late").items() if "AWSCURRENT" in on)
            with rotation_service.faults.paused():
                client.update_secret_version_stage(SecretId="late", VersionStage="AWSPENDING", MoveToVersionId=token)

    rotation_service.after_step.append(promote)
    rotation_service.faults.hooks.append(put_back)
    began = rotation_service.clock.now
    result = fleet.results(fleet.run(GO))["late"]
    assert result["outcome"] == "rotated"
    assert result["versions_after"][result["version"]] == ["AWSCURRENT", *(["AWSPENDING"] if stays else [])]
    # The service tries again after five minutes.
    assert (rotation_service.clock.now - began).total_seconds() >= 300


def test_a_rotation_whose_labels_are_taken_away_is_not_waited_for(
    fleet: Interpreter, rotation_service: RotationService
) -> None:
    add(rotation_service, "broken")

    def give_up(rotation: Any, step: str) -> None:
        rotation_service.client.update_secret_version_stage(
            SecretId="broken", VersionStage="AWSPENDING", RemoveFromVersionId=rotation.token
        )

    rotation_service.after_step.append(give_up)
    began = rotation_service.clock.now
    result = fleet.results(fleet.run(GO))["broken"]
    assert result["outcome"] == "failed"
    assert "neither AWSCURRENT nor AWSPENDING" in result["reason"]
    assert (rotation_service.clock.now - began).total_seconds() < 60


@pytest.mark.parametrize(
    "wrong",
    [
        {"dryrun": False},
        {"dry_run": "false"},
        {"dry_run": False, "concurrency": 0},
        {"dry_run": False, "max_failures": "5"},
        {"dry_run": False, "wait_seconds": None},
        {"dry_run": False, "poll_seconds": 0},
        {"dry_run": False, "filters": "orders/"},
    ],
    ids=json.dumps,
)
def test_input_that_is_wrong_ends_it_before_anything_is_called(
    fleet: Interpreter, rotation_service: RotationService, wrong: dict[str, Any]
) -> None:
    ran = fleet.run(wrong)
    assert (ran["status"], ran["error"]) == ("FAILED", "WrongInput")
    assert rotation_service.calls == []
    assert fleet.objects() == {}


def test_every_page_is_read_once(fleet: Interpreter, rotation_service: RotationService) -> None:
    names = [f"orders/{number}" for number in range(41)]
    add(rotation_service, *names, function=None)
    ran = fleet.run({})
    assert ran["status"] == "SUCCEEDED"
    pages = fleet.objects(f"runs/{ran['name']}/secrets/")
    assert [len(json.loads(text)) for _, text in sorted(pages.items())] == [20, 20, 1]
    assert sorted(entry["Name"] for text in pages.values() for entry in json.loads(text)) == sorted(names)
    assert fleet.map_run(ran)["itemCounts"]["total"] == 41
    assert fleet.results(ran) == {}


def test_pages_that_are_too_large_for_a_state_are_asked_for_in_parts(
    fleet: Interpreter, rotation_service: RotationService
) -> None:
    tags = [{"Key": f"{number:03}{'k' * 120}", "Value": "v" * 256} for number in range(50)]
    names = [f"orders/{number}" for number in range(20)]
    add(rotation_service, *names, function=None, tags=tags)
    ran = fleet.run({})
    assert ran["status"] == "SUCCEEDED"
    listed = [one.get("MaxResults") for one in calls(rotation_service, "ListSecrets")]
    assert listed == [20] + [2] * 10
    assert fleet.map_run(ran)["itemCounts"]["total"] == 20


def test_an_account_without_such_secrets_is_no_failure(fleet: Interpreter, rotation_service: RotationService) -> None:
    add(rotation_service, "shop/app")
    ran = fleet.run({**GO, "filters": [{"Key": "name", "Values": ["orders/"]}]})
    assert ran["status"] == "SUCCEEDED"
    assert fleet.objects() == {}


def test_a_tag_is_compared_whole(fleet: Interpreter, rotation_service: RotationService) -> None:
    for name, team in {"ours": "orders", "longer": "orders-old"}.items():
        add(rotation_service, name, tags=[{"Key": "stage", "Value": "live"}, {"Key": "team", "Value": team}])
    add(rotation_service, "bare")
    ran = fleet.run({"tag": {"Key": "team", "Value": "orders"}})
    assert outcomes(fleet, ran) == {"ours": "would rotate"}


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_thousand_secrets_rotate_within_the_services_quotas(
    fleet: Interpreter, rotation_service: RotationService
) -> None:
    names = [f"orders/{number}" for number in range(1000)]
    add(rotation_service, *names)
    rotation_service.throttle = True
    ran = fleet.run({**GO, "concurrency": 100})
    assert ran["status"] == "SUCCEEDED"
    results = fleet.results(ran)
    assert Counter(one["outcome"] for one in results.values()) == {"rotated": 1000}
    assert all(rotation_service.labels(name)[results[name]["version"]] == ["AWSCURRENT"] for name in names)
    began = Counter(
        one["detail"]["additionalEventData"]["SecretId"]
        for one in rotation_service.events
        if one["detail"]["eventName"] == "RotationStarted"
    )
    assert set(began.values()) == {1}
    assert len(began) == 1000
    # The quota of 50 RotateSecret calls a second was met, and what was refused was sent again.
    assert [one for one in rotation_service.calls if one.operation == "RotateSecret" and one.error]
    assert fleet.map_run(ran)["itemCounts"]["failed"] == 0
