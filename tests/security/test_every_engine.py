"""What nobody may bring about on any engine: steps out of turn, silent servers, your own servers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from doubles.relay import Relay
from targets import ALTERNATING, SINGLE, rotated

from rotators import errors
from rotators.testing import STEPS, RotationService

# Seconds that an invocation may take here; Lambda would end it without a word.
INVOCATION = 4.0
EVERYTHING = 1 << 40


class TestFinishSecretOutOfTurn:
    """Issue 11, fault 7: finishSecret needs no RotationToken, so whoever may invoke the function can call it."""

    def test_a_password_that_was_never_set_is_not_promoted(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        subject = rotated(target, rotation_service, ALTERNATING)
        before = subject.value
        rotation = rotation_service.stage(subject.arn)
        rotation_service.invoke(rotation, "createSecret")
        with pytest.raises(errors.ServiceError):
            rotation_service.invoke(rotation, "finishSecret")
        assert subject.value == before
        target.work(before)
        assert rotation_service.retry(subject.arn).error is None
        target.work(subject.value)

    def test_a_version_that_was_promoted_by_hand_is_made_to_work(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        subject = rotated(target, rotation_service, ALTERNATING)
        assert rotation_service.rotate(subject.arn).error is None
        rotation = rotation_service.stage(subject.arn)
        rotation_service.invoke(rotation, "createSecret")
        labels = rotation_service.labels(subject.arn)
        current = next(version for version, stages in labels.items() if "AWSCURRENT" in stages)
        rotation_service.client.update_secret_version_stage(
            SecretId=subject.arn,
            VersionStage="AWSCURRENT",
            MoveToVersionId=rotation.token,
            RemoveFromVersionId=current,
        )
        assert not subject.logs_in("AWSCURRENT")
        assert rotation_service.retry(subject.arn).error is None
        target.work(subject.value)
        assert rotation_service.rotate(subject.arn).error is None

    def test_a_version_promoted_by_hand_is_not_repaired_by_another_users_password(
        self, target: Any, rotation_service: RotationService
    ) -> None:
        """AWSPREVIOUS must prove the very user of the pair."""
        victim = target.make_application()
        thief = target.make_application()
        subject = rotated(target, rotation_service, ALTERNATING, application=thief)
        rotation = rotation_service.stage(subject.arn)
        rotation_service.invoke(rotation, "createSecret")
        stolen = {**subject.value, "username": victim.username, "password": "not-the-victims"}
        rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(stolen))
        labels = rotation_service.labels(subject.arn)
        current = next(version for version, stages in labels.items() if "AWSCURRENT" in stages)
        rotation_service.client.update_secret_version_stage(
            SecretId=subject.arn,
            VersionStage="AWSCURRENT",
            MoveToVersionId=rotation.token,
            RemoveFromVersionId=current,
        )
        with pytest.raises(errors.RotationError):
            rotation_service.invoke(rotation, "setSecret")
        target.work(target.secret(victim))
        target.work(target.secret(thief))


@pytest.mark.parametrize("key", ["username", "password"])
def test_half_a_character_is_named(target: Any, rotation_service: RotationService, *, key: str) -> None:
    """JSON takes a lone surrogate, and no driver: none of them may be taken for a server's fault."""
    subject = rotated(target, rotation_service, SINGLE)
    value = {**subject.value, key: f"{subject.value[key]}\ud800"}
    rotation_service.client.put_secret_value(SecretId=subject.arn, SecretString=json.dumps(value))
    failed = rotation_service.rotate(subject.arn)
    assert type(failed.error) is errors.SecretMalformed, failed.error
    assert f"'{key}' holds" in str(failed.error)
    assert failed.failed_step == "createSecret"
    target.work(target.secret(subject.application))


@pytest.mark.parametrize(
    ("step", "after", "every"),
    [
        pytest.param("createSecret", 0, None, id="createSecret-silent"),
        pytest.param("setSecret", 3000, None, id="setSecret-silent later"),
        pytest.param("setSecret", 3000, 0.2, id="setSecret-a byte now and then"),
        pytest.param("testSecret", 1000, 0.2, id="testSecret-a byte now and then"),
    ],
)
def test_a_server_that_stops_answering_ends_the_step_and_not_the_function(
    target: Any, rotation_service: RotationService, *, step: str, after: int, every: float | None
) -> None:
    """Issue 11, fault 12: at the login or after it: our own error, before Lambda ends the function without a word."""
    server = getattr(target, "server", None)
    if not hasattr(server, "port"):
        pytest.skip("the double of this engine is no server on a socket")
    subject = rotated(target, rotation_service, ALTERNATING, ROTATION_CONNECT_TIMEOUT="1")
    with Relay(server.host, server.port, after=EVERYTHING, every=every) as relay:
        for arn in (subject.value["masterarn"], subject.arn):
            value = {**rotation_service.value(arn), "port": relay.port}
            rotation_service.client.put_secret_value(SecretId=arn, SecretString=json.dumps(value))
        rotation = rotation_service.stage(subject.arn)
        for before in STEPS[: STEPS.index(step)]:
            rotation_service.invoke(rotation, before)
        relay.after = after
        rotation_service.timeout = INVOCATION
        started = time.monotonic()
        with pytest.raises((errors.Unreachable, errors.ConnectionLost)):
            rotation_service.invoke(rotation, step)
        # Not how fast it is: that it ended by itself.
        assert time.monotonic() - started < INVOCATION
        relay.after = EVERYTHING
        rotation_service.timeout = 30.0
        assert rotation_service.retry(subject.arn).error is None
