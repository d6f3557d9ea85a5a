"""What a function answers to ``check`` and ``plan``, on every engine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from targets import ALTERNATING, DUAL, SINGLE, Db2Target, OracleDouble, Rotated, SqlserverDouble, rotated

from rotators.checks.answer import Inspection
from rotators.checks.finding import Finding, ok, warning
from rotators.checks.way import Way
from rotators.credentials import SecretValue
from rotators.errors import RequestError, RotationNotEnabled, UnexpectedError
from rotators.rotator import QUESTIONS, Rotation, Rotator
from rotators.testing import FakeLambdaContext, RotationService
from rotators.versions import SecretVersions

# What takes the place of these has no port.
WITHOUT_PORT = (SqlserverDouble, OracleDouble, Db2Target)


@pytest.fixture(params=[SINGLE, ALTERNATING, DUAL])
def subject(
    request: pytest.FixtureRequest, target: Any, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> Rotated:
    """A secret under rotation."""
    if isinstance(target, WITHOUT_PORT):

        def look(way: Way) -> Iterator[Finding]:
            way.stands = True
            return iter(())

        monkeypatch.setattr(Way, "look", look)
    return rotated(target, rotation_service, request.param)


def ask(service: RotationService, arn: str, step: str = "check", **more: Any) -> dict[str, Any]:
    configured = service._configured[arn]
    event = {"Step": step, "SecretId": arn, **more}
    answer = service._functions[configured.function_arn](event, FakeLambdaContext(30, configured.function_arn))
    # It must be JSON.
    return json.loads(json.dumps(answer))


def outcomes(answer: dict[str, Any]) -> dict[str, str]:
    return {found["subject"]: found["outcome"] for found in answer["findings"]}


def test_nothing_stands_against_a_healthy_rotation_and_nothing_changes(subject: Rotated) -> None:
    if subject.strategy != SINGLE:
        # With a second user, or a second password.
        assert subject.service.rotate(subject.arn).succeeded
    before = subject.service.labels(subject.arn), subject.value
    mark = subject.target.log_mark()
    answer = ask(subject.service, subject.arn)
    # The servers' certificates are short-lived ones, and some servers lock users who are refused.
    assert {one["subject"] for one in answer["findings"] if one["outcome"] != "ok"} <= {
        "server TLS",
        "login AWSPREVIOUS",
    }
    assert "failure" not in outcomes(answer).values()
    assert outcomes(answer)["rehearsal"] == "ok"
    plan = ask(subject.service, subject.arn, "plan")
    assert plan["findings"] == []
    assert plan["strategy"] == subject.strategy
    assert plan["statements"]
    assert subject.target.failed_logins(subject.target.log_since(mark)) == 0
    assert (subject.service.labels(subject.arn), subject.value) == before
    subject.target.work(subject.value)
    assert subject.service.rotate(subject.arn).succeeded
    assert plan["user"] == subject.value["username"]
    shown = json.dumps([answer, plan])
    assert not [one for one in subject.target.passwords | {before[1]["password"]} if one in shown]


def test_a_function_answers_for_its_own_secrets_only(rotation_service: RotationService) -> None:
    class Own(Rotator[SecretValue]):
        def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
            raise NotImplementedError

        apply = verify = propose  # type: ignore[assignment]

        def check(self, rotation: Rotation[SecretValue]) -> list[Finding]:
            return [warning("key", f"it is {rotation.current['password']}"), ok("api", "it answers")]

    rotator = Own(SecretVersions(rotation_service.client))
    arn = rotation_service.create_secret("mine", {"password": "canary-3141"}, rotator)
    other = rotation_service.create_secret("other", {"password": "canary-2718"}, lambda *_: None)
    answer = ask(rotation_service, arn)
    assert outcomes(answer) == {
        "AWSPENDING": "ok",
        "AWSPREVIOUS": "ok",
        "secret AWSCURRENT": "ok",
        "key": "warning",
        "api": "ok",
    }
    # A rotator of somebody's own may be careless: what it says is redacted like everything else.
    assert "canary" not in json.dumps(answer)
    assert ask(rotation_service, arn, "plan")["steps"]
    mine = FakeLambdaContext(30, rotation_service._configured[arn].function_arn)
    for question in QUESTIONS:
        with pytest.raises(RequestError, match="is rotated by"):
            rotator({"Step": question, "SecretId": other}, mine)
    # An alias is the same function.
    rotator({"Step": "check", "SecretId": arn}, FakeLambdaContext(30, f"{mine.invoked_function_arn}:live"))
    rotation_service.client.cancel_rotate_secret(SecretId=arn)
    with pytest.raises(RotationNotEnabled, match="rotate-secret --secret-id"):
        rotator({"Step": "check", "SecretId": arn}, mine)
    # From one's desk, with one's own rights.
    assert rotator({"Step": "check", "SecretId": arn}, None)


def test_a_rotation_loads_no_check(rotation_service: RotationService) -> None:
    code = (
        "import sys, rotators.handlers.postgres as _; print([one for one in sys.modules if 'rotators.checks' in one])"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "[]\n"


def test_a_check_can_move_no_label(rotation_service: RotationService) -> None:
    arn = rotation_service.create_secret("labels", {"password": "first"}, lambda *_: None)
    versions = SecretVersions(rotation_service.client)
    looked_at = Inspection(
        versions.describe(arn), versions, SecretValue.from_json, lambda value, _: value, time.monotonic() + 5
    )
    for move in (looked_at.promote, looked_at.demote):
        with pytest.raises(UnexpectedError):
            move()
