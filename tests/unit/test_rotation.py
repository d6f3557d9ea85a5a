"""One step of a rotation as a rotator sees it, on the simulated Secrets Manager."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from rotators.checks.plan import STEPS_IN_WORDS
from rotators.credentials import Credentials, SecretValue
from rotators.errors import PendingUnusable, SecretMalformed, SecretNotFound
from rotators.logs import redactor
from rotators.rotator import Rotation, RotationEvent, Rotator, budget, learn
from rotators.testing import RotationService
from rotators.versions import SecretVersions


class Scene:
    """A secret with a current and a pending version, and what a step sees of it."""

    def __init__(self, service: RotationService) -> None:
        self.service = service
        client = service.client
        made = client.create_secret(Name="app", SecretString='{"key": "first"}')
        self.arn, self.first = made["ARN"], made["VersionId"]
        self.second = client.put_secret_value(
            SecretId="app", SecretString='{"key": "second"}', VersionStages=["AWSPENDING"]
        )["VersionId"]
        self.versions = SecretVersions(client, patience=0.05)

    def rotation(
        self, version: str | None = None, complete: Callable[[Any, str], Any] = lambda value, _: value, left: float = 30
    ) -> Rotation[SecretValue]:
        event = RotationEvent("setSecret", self.arn, version or self.second, None)
        deadline = time.monotonic() + left
        return Rotation[SecretValue](event, self.versions, SecretValue.from_json, complete, deadline)

    def move(self) -> None:
        """Make the second version AWSCURRENT, and the first one AWSPREVIOUS."""
        self.versions.promote(self.arn, self.second, self.first)

    def calls(self) -> list[str]:
        return [call.operation for call in self.service.calls]


@pytest.fixture
def scene(rotation_service: RotationService) -> Scene:
    return Scene(rotation_service)


def test_a_step_sees_its_secret_and_the_two_values(scene: Scene) -> None:
    seen = scene.rotation()
    assert (seen.secret_id, seen.secret_arn, seen.current_version_id) == (scene.arn, scene.arn, scene.first)
    assert (seen.current["key"], seen.pending["key"]) == ("first", "second")
    assert seen.current.source == f"secret {scene.arn} (AWSCURRENT)"
    assert seen.pending.source == f"secret {scene.arn} (AWSPENDING)"
    assert (seen.promoted, seen.stored, dict(seen.stages)) == (False, True, {})


def test_each_is_read_once_and_when_it_is_asked_for(scene: Scene) -> None:
    seen = scene.rotation()
    before = len(scene.calls())
    assert seen.current is seen.current
    assert seen.pending is seen.pending
    assert (seen.promoted, seen.current_version_id) == (False, scene.first)
    assert scene.calls()[before:] == ["GetSecretValue"] * 2


def test_there_is_a_previous_value_where_a_version_has_the_label(scene: Scene) -> None:
    assert scene.rotation().previous is None
    scene.move()
    seen = scene.rotation()
    previous = seen.previous
    assert previous is not None
    assert (previous["key"], previous.source) == ("first", f"secret {scene.arn} (AWSPREVIOUS)")
    assert (seen.promoted, seen.current_version_id) == (True, scene.second)


def test_a_version_has_a_value_or_not(scene: Scene) -> None:
    assert scene.rotation().stored is True
    assert scene.rotation("0" * 36).stored is False


def test_a_pending_value_that_can_not_be_read_is_told_from_a_current_one(scene: Scene) -> None:
    scene.service.client.put_secret_value(
        SecretId="app", SecretString="no json", ClientRequestToken="1" * 36, VersionStages=["AWSPENDING"]
    )
    with pytest.raises(PendingUnusable) as caught:
        _ = scene.rotation("1" * 36).pending
    assert caught.value.what.endswith("(AWSPENDING) is not JSON (at character 0)")
    assert "must be a JSON object" in caught.value.advice
    assert caught.value.__suppress_context__
    scene.service.client.put_secret_value(SecretId="app", SecretString="no json")
    with pytest.raises(SecretMalformed) as plain:
        _ = scene.rotation().current
    assert not isinstance(plain.value, PendingUnusable)


def test_the_label_moves_and_comes_back(scene: Scene) -> None:
    seen = scene.rotation()
    seen.promote()
    assert "AWSCURRENT" in scene.service.labels("app")[scene.second]
    seen.demote()
    assert "AWSCURRENT" in scene.service.labels("app")[scene.first]


def test_where_it_has_moved_already_nothing_is_asked(scene: Scene) -> None:
    scene.move()
    seen = scene.rotation()
    _ = seen.current
    before = scene.calls()
    seen.promote()
    seen.demote()
    assert scene.calls() == before


def test_time_runs_out_and_is_never_negative(scene: Scene) -> None:
    assert 0 < scene.rotation(left=0.5).time_left <= 0.5
    assert scene.rotation(left=-5).time_left == 0.0


def test_an_admins_value_is_another_secrets_current_one_and_its_name_is_shown(scene: Scene) -> None:
    admin = scene.service.client.create_secret(Name="admin", SecretString='{"password": "top secret"}')["ARN"]
    redactor.forget()
    value = scene.rotation().admin(admin)
    assert (value["password"], value.source) == ("top secret", f"the admin secret {admin}")
    assert redactor.redact(f"{admin}: top secret") == f"{admin}: ***"
    redactor.forget()
    with pytest.raises(SecretNotFound, match="the admin secret nowhere does not exist"):
        scene.rotation().admin("nowhere")


def test_what_is_read_is_completed_with_the_whole_arn_and_hidden(scene: Scene) -> None:
    def complete(value: Any, arn: str) -> Any:
        return value.replace(added=arn, note="a long note")

    redactor.forget()
    seen = scene.rotation(complete=complete)
    assert dict(seen.current) == {"key": "first", "added": scene.arn, "note": "a long note"}
    assert redactor.redact("a long note, second, first") == "***, second, ***"
    assert redactor.redact(scene.arn) == scene.arn
    redactor.forget()


def test_what_can_not_be_parsed_is_hidden_too(scene: Scene) -> None:
    scene.service.client.put_secret_value(SecretId="app", SecretString="a bare password")
    redactor.forget()
    with pytest.raises(SecretMalformed):
        _ = scene.rotation().current
    assert redactor.redact("it is: a bare password") == "it is: ***"
    redactor.forget()


def test_what_is_learned_of_a_value_is_hidden_or_shown() -> None:
    redactor.forget()
    learn(Credentials({"host": "db.example", "password": "correct horse", "note": "battery staple"}, "x"))
    told = redactor.redact("correct horse, battery staple at db.example")
    assert told == "***, *** at db.example"
    redactor.forget()
    # What is secret stays so where something public repeats it.
    learn(Credentials({"host": "db.example", "password": "db.example"}, "x"))
    assert redactor.redact("db.example") == "***"
    redactor.forget()


class Context:
    """Lambda's, with so many milliseconds left."""

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


@pytest.mark.parametrize(
    ("context", "seconds"),
    [(None, 30.0), (Context(60_000), 59.0), (Context(3_000), 2.0), (Context(2_000), 1.0), (Context(1_000), 0.5)],
)
def test_a_step_leaves_a_second_or_half_of_what_there_is_to_its_answer(context: Any, seconds: float) -> None:
    assert math.isclose(budget(context), seconds)


class Plain(Rotator[SecretValue]):
    """Does nothing."""

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        return rotation.current.replace(key="second")

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        """Nothing."""

    def verify(self, rotation: Rotation[SecretValue]) -> None:
        """Nothing."""


def test_a_restarted_rotator_remembers_nothing_and_leaves_the_first_alone(rotation_service: RotationService) -> None:
    rotator = Plain(SecretVersions(rotation_service.client, patience=1.5))
    arn = rotation_service.create_secret("other", {"key": "first"}, rotator)
    rotation = rotation_service.stage(arn)
    for step in ("createSecret", "setSecret", "testSecret"):
        rotator(rotation.event(step))
    again = rotator.restarted()
    assert isinstance(again, Plain)
    assert again is not rotator
    assert (again._tested, again._worked_from) == (None, None)
    assert (rotator._tested, rotator._worked_from) != (None, None)
    assert again._versions is not rotator._versions
    assert (again._versions._client, again._versions._patience) == (rotation_service.client, 1.5)
    assert rotator.restarted(patience=0.5)._versions._patience == 0.5
    again(rotation.event("finishSecret"))
    assert rotation_service.value(arn) == {"key": "second"}


def test_by_default_a_rotator_plans_the_four_steps_and_checks_nothing(scene: Scene) -> None:
    rotator = Plain(scene.versions)
    planned = rotator.plan(scene.rotation())
    assert (planned.strategy, planned.steps) == ("Plain", STEPS_IN_WORDS)
    assert tuple(rotator.check(scene.rotation())) == ()
    assert rotator.may_repeat(SecretMalformed("x")) is True


def test_a_question_is_answered_and_a_step_gives_nothing(rotation_service: RotationService) -> None:
    rotator = Plain(SecretVersions(rotation_service.client, patience=0.05))
    arn = rotation_service.create_secret("other", {"key": "first"}, rotator)
    answer = rotator({"Step": "plan", "SecretId": arn})
    assert json.loads(json.dumps(answer))["strategy"] == "Plain"
    checked = rotator({"Step": "check", "SecretId": arn}, Context(60_000))
    assert checked is not None
    assert rotator(rotation_service.stage(arn).event("createSecret"), Context(60_000)) is None
