from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotators.errors import MalformedEvent
from rotators.overdue import OverdueCheck
from rotators.testing import RotationService
from rotators.versions import SecretVersions


def handler(*_: Any) -> None:
    """A function that does nothing."""


def rotated(service: RotationService, name: str, days: int | None = 30) -> str:
    arn = service.create_secret(name, {"password": "x"}, handler)
    service.configure(arn, handler, days=days)
    return arn


def check(service: RotationService, event: Any, later: timedelta = timedelta(0)) -> dict[str, str]:
    return OverdueCheck(SecretVersions(service.client), lambda: datetime.now(UTC) + later)(event, None)


def counted(output: str) -> tuple[int, str]:
    metric = json.loads(output.splitlines()[-1])
    # What the alarm asks for: one dimension more, and it would never find it.
    assert metric["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["stack"]]
    return metric["OverdueSecrets"][0], metric["stack"]


def test_a_secret_that_rotates_in_time_is_no_reason_for_alarm(
    rotation_service: RotationService, capsys: pytest.CaptureFixture[str]
) -> None:
    arn = rotated(rotation_service, "app")
    assert check(rotation_service, {"stack": "Rotations", "secrets": [arn, "app"]}) == {}
    assert counted(capsys.readouterr().out) == (0, "Rotations")


def test_one_whose_window_has_passed_is_counted_and_named(
    rotation_service: RotationService, capsys: pytest.CaptureFixture[str], log: io.StringIO
) -> None:
    arn, other = rotated(rotation_service, "app"), rotated(rotation_service, "other")
    wrong = check(rotation_service, {"stack": "Rotations", "secrets": [arn, other]}, timedelta(days=90))
    assert set(wrong) == {arn, other}
    assert "it should have rotated by" in wrong[arn]
    assert counted(capsys.readouterr().out) == (2, "Rotations")
    assert arn in log.getvalue()


def test_a_failed_rotation_is_given_the_time_for_its_repetitions(rotation_service: RotationService) -> None:
    arn = rotated(rotation_service, "app")
    due = rotation_service.client.describe_secret(SecretId=arn)["NextRotationDate"]
    later = due - datetime.now(UTC)
    event = {"stack": "Rotations", "secrets": [arn]}
    assert check(rotation_service, event, later + timedelta(hours=5)) == {}
    assert check(rotation_service, event, later + timedelta(hours=7)).keys() == {arn}


def test_lost_schedules_deleted_secrets_and_cancelled_rotations_are_found(rotation_service: RotationService) -> None:
    cancelled = rotated(rotation_service, "cancelled")
    rotation_service.client.cancel_rotate_secret(SecretId=cancelled)
    never = rotation_service.client.create_secret(Name="never", SecretString="{}")["ARN"]
    wrong = check(rotation_service, {"stack": "s", "secrets": [cancelled, never, "gone"]})
    assert "rotation is switched off" in wrong[cancelled]
    assert "rotation is switched off" in wrong[never]
    assert "gone" in wrong["gone"]


def test_one_without_a_schedule_is_right_where_that_is_meant(rotation_service: RotationService) -> None:
    arn = rotated(rotation_service, "app", days=None)
    assert "it has no schedule any more" in check(rotation_service, {"stack": "s", "secrets": [arn]})[arn]
    assert check(rotation_service, {"stack": "s", "secrets": [arn], "on_demand": [arn]}) == {}


def test_one_on_demand_that_kept_its_former_schedule_is_told(rotation_service: RotationService) -> None:
    """RotateSecret without rules keeps those that are stored: a schedule does not end by being left out."""
    arn = rotated(rotation_service, "app", days=30)
    event = {"stack": "s", "secrets": [arn], "on_demand": [arn]}
    assert check(rotation_service, event)[arn].endswith(f"aws secretsmanager cancel-rotate-secret --secret-id {arn}")
    rotation_service.client.cancel_rotate_secret(SecretId=arn)
    assert check(rotation_service, event) == {}


def test_the_way_out_is_the_command_that_works(rotation_service: RotationService) -> None:
    """Deploying the same template again would change nothing."""
    cancelled, unscheduled = rotated(rotation_service, "cancelled"), rotated(rotation_service, "unscheduled", days=None)
    rotation_service.client.cancel_rotate_secret(SecretId=cancelled)
    functions = [f"arn:aws:lambda:eu-west-1:111122223333:function:{name}" for name in ("one", "two")]
    rules: list[dict[str, str]] = [{}, {"ScheduleExpression": "rate(30 days)", "Duration": "3h"}]
    event = {
        "stack": "s",
        "secrets": [cancelled, unscheduled],
        "functions": functions,
        "rotated_by": [1, 0],
        "rules": rules,
    }
    wrong = check(rotation_service, event)
    assert wrong[cancelled] == (
        f"rotation is switched off. To switch it on: aws secretsmanager rotate-secret --secret-id {cancelled} "
        f"--no-rotate-immediately --rotation-lambda-arn {functions[1]}"
    )
    assert wrong[unscheduled].endswith(
        f"--rotation-lambda-arn {functions[0]} "
        """--rotation-rules '{"ScheduleExpression": "rate(30 days)", "Duration": "3h"}'"""
    )


@pytest.mark.parametrize(
    "odd", [{"rotated_by": [7]}, {"rotated_by": []}, {"rules": None}, {"functions": None}, {"rotated_by": ["x"]}]
)
def test_an_event_that_does_not_tell_the_function_is_no_reason_to_stop(
    rotation_service: RotationService, odd: dict[str, Any]
) -> None:
    arn = rotated(rotation_service, "app", days=None)
    event = {"stack": "s", "secrets": [arn], "functions": ["f"], "rotated_by": [0], "rules": [{}], **odd}
    assert "aws secretsmanager rotate-secret, with --rotation-lambda-arn" in check(rotation_service, event)[arn]


@pytest.mark.parametrize(
    "event", [None, {}, {"stack": "s"}, {"stack": 1, "secrets": []}, {"stack": "s", "secrets": "x"}]
)
def test_an_event_of_another_form_is_refused(rotation_service: RotationService, event: Any) -> None:
    with pytest.raises(MalformedEvent, match="does not name a stack and its secrets"):
        check(rotation_service, event)
