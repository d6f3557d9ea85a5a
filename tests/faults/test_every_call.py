"""A rotation broken at every call to Secrets Manager: before it is carried out, and after."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recovery import goes_on, recovers, survives
from situations import FOUND, SITUATIONS, Situation, rights_of
from targets import ALTERNATING, DUAL, SINGLE, PostgresTarget, rotated
from targets.shares import share_of_one, staggered

from rotators.errors import PendingUnusable
from rotators.testing import INTERNAL, THROTTLED, Crash, RotationService

FAULTS = [
    ("before", "network"),
    ("after", "network"),
    ("before", "crash"),
    ("after", "crash"),
    ("before", INTERNAL),
    ("after", INTERNAL),
    # A call that is throttled is not carried out.
    ("before", THROTTLED),
]


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
@pytest.mark.parametrize(
    ("when", "kind"), FAULTS, ids=[f"{when}-{getattr(kind, 'code', kind)}" for when, kind in FAULTS]
)
def test_every_call(
    target: Any,
    rotation_service: RotationService,
    record_property: Any,
    *,
    strategy: str,
    kind: Any,
    when: Any,
) -> None:
    subject = rotated(target, rotation_service, strategy)
    before = len(rotation_service.calls)
    assert rotation_service.rotate(subject.arn).succeeded
    steps = len([call for call in rotation_service.calls[before:] if call.step])
    numbers = range(1, steps + 1)[staggered(share_of_one(8), FAULTS.index((when, kind)))]
    for nth in numbers:
        # The first call that counts is RotateSecret itself.
        fault = rotation_service.faults.fail(nth=nth + 1, when=when, kind=kind)
        rotation = rotation_service.rotate(subject.arn)
        where = f"{when} call {nth} of {steps} ({kind}, {strategy})"
        assert fault.fired, where
        # A process that is killed between the promotion and the commit leaves AWSPREVIOUS in force, and no more.
        killed = isinstance(rotation.error, Crash)
        survives(subject, (*FOUND, "AWSPREVIOUS") if killed and strategy == SINGLE else FOUND, where)
        recovers(subject, rotation, where)
    goes_on(subject)
    record_property("faults", (f"{strategy}: calls to Secrets Manager", len(numbers)))


def test_an_edit_before_the_retry_of_a_rotation_that_was_killed_at_its_commit_is_for_the_admin_to_repair(
    postgres: PostgresTarget, rotation_service: RotationService
) -> None:
    """The price in docs/explanation/decisions.md: the edit takes the label off the one version that logs in."""
    application = postgres.make_application()
    admin = rotation_service.create_secret("who-repairs", postgres.admin_secret(), postgres.rotator(rotation_service))
    subject = rotated(
        postgres, rotation_service, SINGLE, application=application, masterarn=admin, ALLOW_ADMIN_RESET="true"
    )
    assert rotation_service.rotate(subject.arn).succeeded
    rotation_service.faults.fail("UpdateSecretVersionStage", when="after", kind="crash", step="setSecret")
    assert isinstance(rotation_service.rotate(subject.arn).error, Crash)
    assert [stage for stage in ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS") if subject.logs_in(stage)] == ["AWSPREVIOUS"]
    edited = json.dumps({**subject.value, "note": "for the person on call"})
    rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=edited)
    assert not any(subject.logs_in(stage) for stage in ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"))
    assert isinstance(rotation_service.retry(subject.arn).error, PendingUnusable)
    goes_on(subject)
    assert subject.value["note"] == "for the person on call"


def break_calls(
    target: Any, service: RotationService, situation: Situation, strategy: str, fault: tuple[Any, Any], part: slice
) -> int:
    """Break a rotation at some of its calls, in a situation."""
    when, kind = fault
    subject = situation.begin(target, service, strategy)
    situation.before(subject)
    before = len(service.calls)
    assert service.rotate(subject.arn).succeeded
    rights = rights_of(subject)
    steps = len([call for call in service.calls[before:] if call.step])
    numbers = range(1, steps + 1)[part]
    for nth in numbers:
        situation.before(subject)
        # What a situation changes by itself counts not: the fault is planned after it, and RotateSecret is the first.
        planned = service.faults.fail(nth=nth + 1, when=when, kind=kind)
        rotation = service.rotate(subject.arn)
        where = f"{when} call {nth} of {steps} ({kind}, {strategy}, {situation.name})"
        assert planned.fired, where
        killed = isinstance(rotation.error, Crash)
        stages = (*FOUND, "AWSPREVIOUS") if killed and strategy == SINGLE else FOUND
        situation.survives(subject, where, stages=stages)
        situation.recovers(subject, rotation, where)
    goes_on(subject)
    assert rights_of(subject) == rights
    return len(numbers)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
def test_some_calls_in_each_situation(
    target: Any, rotation_service: RotationService, record_property: Any, *, strategy: str, situation: type[Situation]
) -> None:
    """Issue 12: the rest of them is broken by test_every_call_in_each_situation."""
    broken = break_calls(target, rotation_service, situation(), strategy, ("after", "crash"), slice(4, None, 4))
    record_property("faults", (f"{strategy}: calls to Secrets Manager", broken))


@pytest.mark.long
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["network", "crash"])
def test_every_call_in_each_situation(
    target: Any,
    rotation_service: RotationService,
    record_property: Any,
    *,
    strategy: str,
    situation: type[Situation],
    when: str,
    kind: str,
) -> None:
    """Issue 12, "Must be shown"."""
    broken = break_calls(target, rotation_service, situation(), strategy, (when, kind), slice(None))
    record_property("faults", (f"{strategy}: calls to Secrets Manager", broken))
