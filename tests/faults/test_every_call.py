"""A rotation broken at every call to Secrets Manager: before it is carried out, and after."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recovery import goes_on, recovers, survives
from situations import FOUND, SITUATIONS, Situation, rights_of
from targets import ALTERNATING, DUAL, KINDS, SINGLE, Rotated, rotated
from targets.shares import share_of_one, staggered

from rotators.errors import EditedMeanwhile, LoginRefused, PendingUnusable
from rotators.testing import INTERNAL, THROTTLED, Crash, Refusal, RotationService

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
    numbers = range(1, steps + 1)[staggered(share_of_one(12), FAULTS.index((when, kind)))]
    for nth in numbers:
        # The first call that counts is RotateSecret itself.
        fault = rotation_service.faults.fail(nth=nth + 1, when=when, kind=kind)
        rotation = rotation_service.rotate(subject.arn)
        where = f"{when} call {nth} of {steps} ({kind}, {strategy})"
        assert fault.fired, where
        # A process that is killed between the promotion and the commit leaves AWSPREVIOUS valid, and no more.
        killed = isinstance(rotation.error, Crash)
        survives(subject, (*FOUND, "AWSPREVIOUS") if killed and strategy == SINGLE else FOUND, where)
        recovers(subject, rotation, where)
    goes_on(subject)
    record_property("faults", (f"{strategy}: calls to Secrets Manager", len(numbers)))


def killed_at_its_commit_and_edited(subject: Rotated, service: RotationService, *edits: dict[str, Any]) -> None:
    """Kill a rotation between the promotion and the commit, and edit the secret: then no label logs in."""
    assert service.rotate(subject.arn).succeeded
    service.faults.fail("UpdateSecretVersionStage", when="after", kind="crash", step="setSecret")
    assert isinstance(service.rotate(subject.arn).error, Crash)
    assert [stage for stage in ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS") if subject.logs_in(stage)] == ["AWSPREVIOUS"]
    for edit in edits:
        text = json.dumps({**subject.value, **edit})
        service.client.put_secret_value(SecretId=subject.arn, SecretString=text)
    assert not any(subject.logs_in(stage) for stage in ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"))


_ON_LIBPQ = [
    pytest.param((kind, server), id=f"{kind}{version}")
    for kind in ("postgresql", "redshift")
    for version, server in KINDS[kind].servers()[-1:] or [("", None)]
]


@pytest.mark.parametrize("target", _ON_LIBPQ, indirect=True, scope="session")
@pytest.mark.parametrize("edits", [1, 3])
def test_an_edit_after_a_kill_at_the_commit_is_kept_and_its_password_comes_into_force_with_the_retry(
    target: Any, rotation_service: RotationService, edits: int
) -> None:
    subject = rotated(target, rotation_service, SINGLE)
    killed_at_its_commit_and_edited(subject, rotation_service, *({"note": number} for number in range(edits)))
    rotation = rotation_service.retry(subject.arn)
    # The rotation itself ends: AWSCURRENT is the edited version, and stays it.
    assert isinstance(rotation.error, PendingUnusable)
    assert subject.logs_in("AWSCURRENT")
    assert "AWSPENDING" not in rotation_service.labels(subject.arn).get(rotation.token, [])
    goes_on(subject)
    assert subject.value["note"] == edits - 1


@pytest.mark.parametrize("target", _ON_LIBPQ, indirect=True, scope="session")
def test_an_edit_of_the_host_then_is_to_be_undone_and_the_retry_passes(
    target: Any, rotation_service: RotationService
) -> None:
    subject = rotated(target, rotation_service, SINGLE)
    host = subject.value["host"]
    killed_at_its_commit_and_edited(subject, rotation_service, {"host": "127.0.0.1"})
    assert isinstance(rotation_service.retry(subject.arn).error, EditedMeanwhile)
    undone = json.dumps({**subject.value, "host": host})
    rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=undone)
    assert rotation_service.retry(subject.arn).succeeded
    goes_on(subject)


@pytest.mark.parametrize("target", _ON_LIBPQ, indirect=True, scope="session")
def test_a_function_that_may_not_list_versions_says_so_where_no_label_logs_in(
    target: Any, rotation_service: RotationService
) -> None:
    subject = rotated(target, rotation_service, SINGLE)
    killed_at_its_commit_and_edited(subject, rotation_service, {"note": "for the person on call"})
    denied = Refusal("AccessDeniedException", "User is not authorized to perform: secretsmanager:ListSecretVersionIds")
    for nth in (1, 2):
        rotation_service.faults.fail("ListSecretVersionIds", nth=nth, kind=denied)
    with pytest.raises(LoginRefused) as caught:
        raise rotation_service.retry(subject.arn).error or AssertionError
    assert "no password of secret" in caught.value.what
    assert "allow the function's role secretsmanager:ListSecretVersionIds on this secret" in caught.value.what
    # With the right, it passes.
    assert isinstance(rotation_service.retry(subject.arn).error, PendingUnusable)
    goes_on(subject)


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
