"""The simulated service against what AWS documents, and against what moto does instead."""

from __future__ import annotations

import contextvars
import json
import threading
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, HTTPClientError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rotators.testing import ATTEMPTS, STEPS, THROTTLED, Clock, Crash, RotationService, labels


class Function:
    """A rotation function that does as it is told, and keeps what it was told."""

    def __init__(self) -> None:
        self.client: Any = None
        self.events: list[dict[str, Any]] = []
        self.fail_at: str | None = None
        self.promote = True

    def __call__(self, event: dict[str, Any], context: Any) -> None:
        self.events.append(event)
        assert context.get_remaining_time_in_millis() > 0
        if event["Step"] == self.fail_at:
            raise RuntimeError("as told")
        where = {"SecretId": event["SecretId"]}
        token = event["ClientRequestToken"]
        if event["Step"] == "createSecret":
            with pytest.raises(ClientError, match="can't find the specified secret value for VersionId"):
                self.client.get_secret_value(**where, VersionId=token)
            self.client.put_secret_value(
                **where,
                ClientRequestToken=token,
                SecretString=f"value of {token}",
                VersionStages=["AWSPENDING"],
                RotationToken=event["RotationToken"],
            )
        if event["Step"] == "finishSecret" and self.promote:
            stages = self.client.describe_secret(**where)["VersionIdsToStages"]
            current = next(version for version, names in stages.items() if "AWSCURRENT" in names)
            self.client.update_secret_version_stage(
                **where, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current
            )


@pytest.fixture
def function(rotation_service: RotationService) -> Function:
    made = Function()
    made.client = rotation_service.client
    return made


@pytest.fixture
def secret(rotation_service: RotationService, function: Function) -> str:
    return rotation_service.create_secret("app", "first", function)


def error_of(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def names(service: RotationService) -> list[str]:
    return [event["detail"]["eventName"] for event in service.events]


class TestARotation:
    def test_it_stages_an_empty_version_and_invokes_the_four_steps(
        self, rotation_service: RotationService, function: Function, secret: str
    ) -> None:
        first = rotation_service.client.get_secret_value(SecretId=secret)["VersionId"]
        rotation = rotation_service.rotate(secret)
        assert rotation.succeeded
        assert [event["Step"] for event in function.events] == list(STEPS)
        for event in function.events:
            assert event["SecretId"] == secret
            assert event["SecretId"].startswith("arn:aws:secretsmanager:eu-west-1:")
            assert event["ClientRequestToken"] == rotation.token
            assert 36 <= len(event["RotationToken"]) <= 256
        assert rotation_service.labels(secret) == {first: ["AWSPREVIOUS"], rotation.token: ["AWSCURRENT"]}
        assert names(rotation_service) == ["RotationStarted", "RotationSucceeded"]
        assert rotation_service.rotate(secret).succeeded

    def test_rotate_secret_only_asks_and_the_service_does_it_later(
        self, rotation_service: RotationService, function: Function, secret: str
    ) -> None:
        reply = rotation_service.client.rotate_secret(SecretId=secret)
        assert function.events == []
        assert rotation_service.client.get_secret_value(SecretId=secret)["SecretString"] == "first"
        [rotation] = rotation_service.run()
        assert rotation.token == reply["VersionId"]
        assert rotation.succeeded
        assert rotation_service.run() == []

    @pytest.mark.parametrize("step", STEPS)
    def test_a_failed_step_ends_the_attempt_and_is_tried_again_with_the_same_token(
        self, rotation_service: RotationService, function: Function, secret: str, step: str
    ) -> None:
        function.fail_at = step
        failed = rotation_service.rotate(secret)
        assert failed.failed_step == step
        assert str(failed.error) == "as told"
        assert [event["Step"] for event in function.events] == list(STEPS[: STEPS.index(step) + 1])
        assert rotation_service.client.get_secret_value(SecretId=secret)["SecretString"] == "first"
        assert "LastRotatedDate" not in rotation_service.client.describe_secret(SecretId=secret)
        assert names(rotation_service) == ["RotationStarted", "RotationFailed"]
        assert rotation_service.run() == [], "it is too early"
        function.fail_at = None
        function.events.clear()
        rotation_service.clock.advance(hours=1)
        if step == "createSecret":
            [again] = rotation_service.run()
            assert again is failed
            assert again.succeeded
            assert {event["ClientRequestToken"] for event in function.events} == {failed.token}

    def test_it_is_abandoned_after_some_attempts_and_the_label_stays(
        self, rotation_service: RotationService, function: Function, secret: str
    ) -> None:
        function.fail_at = "createSecret"
        rotation = rotation_service.rotate(secret, attempts=99)
        assert rotation.abandoned
        assert len(rotation.attempts) == ATTEMPTS
        assert names(rotation_service) == ["RotationStarted"] + ["RotationFailed"] * ATTEMPTS + ["RotationAbandoned"]
        assert rotation_service.labels(secret)[rotation.token] == ["AWSPENDING"]
        with pytest.raises(LookupError):
            rotation_service.retry(secret)

    def test_a_function_that_promotes_nothing_has_failed(
        self, rotation_service: RotationService, function: Function, secret: str
    ) -> None:
        function.promote = False
        failed = rotation_service.rotate(secret)
        assert "not AWSCURRENT" in str(failed.error)
        assert names(rotation_service)[-1] == "RotationFailed"

    def test_it_may_begin_before_the_secret_has_a_value(
        self, rotation_service: RotationService, function: Function
    ) -> None:
        empty = rotation_service.create_secret("empty", None, function)
        rotation = rotation_service.stage(empty)
        assert rotation_service.labels(empty) == {rotation.token: ["AWSPENDING"]}
        code, message = error_of(rotation_service.client.get_secret_value, SecretId=empty)
        assert code == "ResourceNotFoundException"
        assert message == "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"

    def test_a_request_that_is_sent_again_after_its_rotation_has_ended_begins_none(
        self, rotation_service: RotationService, secret: str
    ) -> None:
        again = {"SecretId": secret, "ClientRequestToken": "0a1b2c3d" * 4}
        first = rotation_service.client.rotate_secret(**again)  # type: ignore[arg-type]
        rotation_service.run()
        labels, events = rotation_service.labels(secret), list(rotation_service.events)
        assert rotation_service.client.rotate_secret(**again)["VersionId"] == first["VersionId"]  # type: ignore[arg-type]
        assert rotation_service.run() == []
        assert rotation_service.labels(secret) == labels
        assert rotation_service.events == events

    def test_those_who_want_to_watch_see_each_step(self, rotation_service: RotationService, secret: str) -> None:
        seen: list[str] = []
        rotation_service.after_step.append(lambda _, step: seen.append(step))
        rotation_service.rotate(secret)
        assert seen == list(STEPS)


class TestTheGuard:
    def test_a_label_left_on_another_version_refuses_the_next_rotation(
        self, rotation_service: RotationService, function: Function, secret: str
    ) -> None:
        function.fail_at = "setSecret"
        rotation = rotation_service.rotate(secret)
        code, message = error_of(rotation_service.client.rotate_secret, SecretId=secret)
        assert code == "InvalidRequestException"
        assert message == "A previous rotation isn't complete. That rotation will be reattempted."
        rotation_service.client.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSPENDING", RemoveFromVersionId=rotation.token
        )
        function.fail_at = None
        assert rotation_service.rotate(secret).succeeded

    def test_a_label_on_the_current_version_is_no_obstacle(
        self, rotation_service: RotationService, secret: str
    ) -> None:
        current = rotation_service.client.get_secret_value(SecretId=secret)["VersionId"]
        rotation_service.client.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSPENDING", MoveToVersionId=current
        )
        assert rotation_service.rotate(secret).succeeded

    def test_cancelling_leaves_the_label_where_it_is(self, rotation_service: RotationService, secret: str) -> None:
        rotation = rotation_service.stage(secret)
        reply = rotation_service.client.cancel_rotate_secret(SecretId=secret)
        assert reply["VersionId"] == rotation.token
        assert rotation_service.labels(secret)[rotation.token] == ["AWSPENDING"]
        assert rotation_service.client.describe_secret(SecretId=secret)["RotationEnabled"] is False
        assert rotation_service.run() == []
        assert error_of(rotation_service.client.rotate_secret, SecretId=secret)[0] == "InvalidRequestException"

    def test_what_is_cancelled_while_it_runs_changes_nothing_of_the_rotation_after_it(
        self, rotation_service: RotationService, secret: str
    ) -> None:
        client, begun = rotation_service.client, []

        def begin_another(rotation: Any, step: str) -> None:
            if step == "createSecret" and not begun:
                client.cancel_rotate_secret(SecretId=secret)
                pending = {"SecretId": secret, "VersionStage": "AWSPENDING"}
                client.update_secret_version_stage(**pending, RemoveFromVersionId=rotation.token)
                begun.append(client.rotate_secret(SecretId=secret)["VersionId"])

        rotation_service.after_step.append(begin_another)
        cancelled = rotation_service.rotate(secret)
        assert cancelled.token != begun[0]
        other = rotation_service.retry(secret)
        assert other.token == begun[0]
        assert rotation_service.labels(secret)[other.token] == ["AWSCURRENT"]

    def test_what_begins_in_the_moment_in_which_another_ends_is_not_taken_for_ended(
        self, rotation_service: RotationService, secret: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moves, begun, moved = labels.move, [], []

        def begin() -> None:
            begun.append(rotation_service.client.rotate_secret(SecretId=secret)["VersionId"])

        caller = threading.Thread(target=contextvars.copy_context().run, args=(begin,))

        def move(*arguments: Any) -> None:
            moves(*arguments)
            moved.append((arguments[1], arguments[3]))

        def now(clock: Clock) -> datetime:
            # The first look at the time after the rotation has lost its label.
            if moved and moved[-1] == ("AWSPENDING", None) and caller.ident is None:
                caller.start()
                # Were it let in, it would be back by then.
                caller.join(0.3)
            return clock._now

        monkeypatch.setattr(labels, "move", move)
        monkeypatch.setattr(Clock, "now", property(now))
        assert rotation_service.rotate(secret).succeeded
        caller.join()
        assert rotation_service.retry(secret).token == begun[0]
        assert rotation_service.labels(secret)[begun[0]] == ["AWSCURRENT"]

    def test_cancelling_names_no_version_where_none_is_pending(
        self, rotation_service: RotationService, secret: str
    ) -> None:
        rotation_service.rotate(secret)
        assert "VersionId" not in rotation_service.client.cancel_rotate_secret(SecretId=secret)

    def test_a_secret_that_was_never_configured_is_refused(self, rotation_service: RotationService) -> None:
        rotation_service.client.create_secret(Name="plain", SecretString="x")
        for call in (rotation_service.client.rotate_secret, rotation_service.client.cancel_rotate_secret):
            code, message = error_of(call, SecretId="plain")
            assert code == "InvalidRequestException"
            assert "doesn't already have a Lambda function ARN configured" in message
        assert "RotationEnabled" not in rotation_service.client.describe_secret(SecretId="plain")

    def test_a_function_that_is_not_there_is_refused_and_nothing_is_staged(
        self, rotation_service: RotationService
    ) -> None:
        rotation_service.client.create_secret(Name="plain", SecretString="x")
        arn = "arn:aws:lambda:eu-west-1:123456789012:function:nowhere"
        code, message = error_of(rotation_service.client.rotate_secret, SecretId="plain", RotationLambdaARN=arn)
        assert code == "AccessDeniedException"
        assert "cannot invoke the specified Lambda function" in message
        assert list(rotation_service.labels("plain").values()) == [["AWSCURRENT"]]


class TestATestOfTheConfiguration:
    def test_only_test_secret_runs_on_a_version_that_is_gone_afterwards(
        self, rotation_service: RotationService, secret: str
    ) -> None:
        before = rotation_service.labels(secret)
        seen: list[Any] = []

        def look(event: Any, _: Any) -> None:
            seen.append((event["Step"], rotation_service.labels(secret)[event["ClientRequestToken"]]))
            version = {"SecretId": secret, "VersionId": event["ClientRequestToken"]}
            seen.append(rotation_service.client.get_secret_value(**version)["SecretString"])

        rotation_service.configure(secret, look)
        rotation_service.client.rotate_secret(SecretId=secret, RotateImmediately=False)
        assert seen == [("testSecret", ["AWSPENDING"]), "first"]
        assert rotation_service.labels(secret) == before
        assert names(rotation_service) == ["TestRotationStarted", "TestRotationSucceeded"]
        assert "LastRotatedDate" not in rotation_service.client.describe_secret(SecretId=secret)

    def test_a_function_may_make_its_calls_in_other_threads(
        self, rotation_service: RotationService, secret: str
    ) -> None:
        seen: list[Any] = []

        def look(event: Any, _: Any) -> None:
            version = {"SecretId": secret, "VersionId": event["ClientRequestToken"]}
            read = rotation_service.client.get_secret_value
            context = contextvars.copy_context()
            thread = threading.Thread(target=lambda: seen.append(context.run(read, **version)["SecretString"]))
            thread.start()
            thread.join(10.0)

        rotation_service.configure(secret, look)
        rotation_service.client.rotate_secret(SecretId=secret, RotateImmediately=False)
        assert seen == ["first"]
        assert rotation_service.calls[-1].step == "testSecret"

    def test_a_failure_is_an_event(self, rotation_service: RotationService, function: Function, secret: str) -> None:
        function.fail_at = "testSecret"
        rotation_service.client.rotate_secret(SecretId=secret, RotateImmediately=False)
        assert names(rotation_service) == ["TestRotationStarted", "TestRotationFailed"]


class TestTheSchedule:
    @pytest.fixture
    def service(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        with RotationService(clock=Clock(datetime(2026, 3, 1, 10, 30, tzinfo=UTC))) as service:
            yield service

    def configured(self, service: RotationService, function: Function, **rules: Any) -> str:
        function.client = service.client
        arn = service.client.create_secret(Name="app", SecretString="first")["ARN"]
        lambda_arn = service.register(function)
        service.client.rotate_secret(
            SecretId=arn, RotationLambdaARN=lambda_arn, RotationRules=rules, RotateImmediately=False
        )
        function.events.clear()
        return str(arn)

    def test_days_are_kept_and_fire(self, service: RotationService) -> None:
        function = Function()
        arn = self.configured(service, function, AutomaticallyAfterDays=30)
        described = service.client.describe_secret(SecretId=arn)
        assert described["RotationEnabled"] is True
        assert described["RotationRules"] == {"AutomaticallyAfterDays": 30}
        assert described["NextRotationDate"].astimezone(UTC) == datetime(2026, 4, 1, tzinfo=UTC)
        service.clock.advance(days=29)
        assert service.run() == []
        service.clock.advance(days=1)
        [rotation] = service.run()
        assert rotation.succeeded
        described = service.client.describe_secret(SecretId=arn)
        assert described["LastRotatedDate"].astimezone(UTC) == datetime(2026, 3, 31, 10, 30, tzinfo=UTC)
        assert described["NextRotationDate"].astimezone(UTC) == datetime(2026, 5, 1, tzinfo=UTC)

    def test_a_value_put_by_hand_counts_as_a_rotation(self, service: RotationService) -> None:
        arn = self.configured(service, Function(), AutomaticallyAfterDays=30)
        service.clock.advance(days=20)
        service.client.put_secret_value(SecretId=arn, SecretString="by hand")
        service.clock.advance(days=15)
        assert service.run() == []
        service.clock.advance(days=15)
        assert len(service.run()) == 1

    def test_an_expression_and_its_window_are_kept(self, service: RotationService) -> None:
        rules = {"ScheduleExpression": "cron(0 16 1,15 * ? *)", "Duration": "2h"}
        arn = self.configured(service, Function(), **rules)
        described = service.client.describe_secret(SecretId=arn)
        assert described["RotationRules"] == rules
        assert described["NextRotationDate"].astimezone(UTC) == datetime(2026, 3, 1, 18, tzinfo=UTC)

    @pytest.mark.parametrize(
        "rules",
        [
            {"AutomaticallyAfterDays": 30, "ScheduleExpression": "rate(30 days)"},
            {"ScheduleExpression": "rate(3 hours)"},
            {"ScheduleExpression": "often"},
            {"ScheduleExpression": "rate(4 hours)", "Duration": "5h"},
        ],
    )
    def test_rules_that_the_service_refuses(self, service: RotationService, rules: Any) -> None:
        arn = self.configured(service, Function(), AutomaticallyAfterDays=30)
        code, _ = error_of(service.client.rotate_secret, SecretId=arn, RotationRules=rules)
        assert code == "InvalidParameterException"
        assert service.client.describe_secret(SecretId=arn)["RotationRules"] == {"AutomaticallyAfterDays": 30}

    def test_a_cancelled_schedule_does_not_fire(self, service: RotationService) -> None:
        arn = self.configured(service, Function(), AutomaticallyAfterDays=1)
        service.client.cancel_rotate_secret(SecretId=arn)
        service.clock.advance(days=10)
        assert service.run() == []

    def test_a_list_of_secrets_shows_how_each_rotates(self, service: RotationService) -> None:
        arn = self.configured(service, Function(), AutomaticallyAfterDays=30)
        service.client.create_secret(Name="plain", SecretString="x")
        assert service.rotate(arn).succeeded
        described = service.client.describe_secret(SecretId=arn)
        [rotating, plain] = service.client.list_secrets()["SecretList"]
        for field in ("RotationEnabled", "RotationLambdaARN", "RotationRules", "LastRotatedDate", "NextRotationDate"):
            assert rotating[field] == described[field]
            assert field not in plain
        assert rotating["SecretVersionsToStages"] == described["VersionIdsToStages"]
        assert [one["Name"] for one in service.client.list_secrets(MaxResults=1)["SecretList"]] == ["app"]

    def test_every_date_is_by_the_services_clock(self, service: RotationService) -> None:
        arn = self.configured(service, Function(), AutomaticallyAfterDays=30)
        created = service.clock.now

        def dates() -> dict[str, Any]:
            described = service.client.describe_secret(SecretId=arn)
            return {key: value.astimezone(UTC) for key, value in described.items() if key.endswith("Date")}

        assert dates()["CreatedDate"] == dates()["LastChangedDate"] == created
        [version] = service.client.list_secret_version_ids(SecretId=arn)["Versions"]
        assert version["CreatedDate"].astimezone(UTC) == created
        service.clock.advance(days=3)
        assert service.rotate(arn).succeeded
        assert dates()["LastChangedDate"] == dates()["LastRotatedDate"] == service.clock.now
        assert service.client.get_secret_value(SecretId=arn)["CreatedDate"].astimezone(UTC) == service.clock.now
        service.clock.advance(days=3)
        service.client.update_secret(SecretId=arn, Description="an application's")
        assert dates()["LastChangedDate"] == service.clock.now
        assert dates()["CreatedDate"] == created
        deleted = service.client.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
        assert deleted["DeletionDate"].astimezone(UTC) == datetime(2026, 3, 14, 10, 30, tzinfo=UTC)

    def test_time_goes_forward_only(self) -> None:
        with pytest.raises(ValueError, match="forward"):
            Clock().advance(seconds=-1)


class TestVersions:
    def test_a_token_that_is_used_again_must_bring_the_same_value(
        self, rotation_service: RotationService, secret: str
    ) -> None:
        put = rotation_service.client.put_secret_value
        token = "0123456789abcdef0123456789abcdef"
        put(SecretId=secret, ClientRequestToken=token, SecretString="second")
        labels = rotation_service.labels(secret)
        put(SecretId=secret, ClientRequestToken=token, SecretString="second")
        assert rotation_service.labels(secret) == labels
        code, message = error_of(put, SecretId=secret, ClientRequestToken=token, SecretString="third")
        assert code == "ResourceExistsException"
        assert "third" not in message
        assert rotation_service.client.get_secret_value(SecretId=secret)["SecretString"] == "second"

    def test_moving_current_needs_the_version_it_is_on(self, rotation_service: RotationService, secret: str) -> None:
        client = rotation_service.client
        first = client.get_secret_value(SecretId=secret)["VersionId"]
        second = client.put_secret_value(SecretId=secret, SecretString="second")["VersionId"]
        move = {"SecretId": secret, "VersionStage": "AWSCURRENT", "MoveToVersionId": first}
        code, message = error_of(client.update_secret_version_stage, **move)
        assert code == "InvalidParameterException"
        assert f"currently attached to version {second}" in message
        assert error_of(client.update_secret_version_stage, **move, RemoveFromVersionId=first)[0] == (
            "InvalidParameterException"
        )
        client.update_secret_version_stage(**move, RemoveFromVersionId=second)
        assert rotation_service.labels(secret) == {first: ["AWSCURRENT"], second: ["AWSPREVIOUS"]}
        assert client.get_secret_value(SecretId=secret)["SecretString"] == "first"

    def test_a_label_of_ones_own_is_on_one_version_only(self, rotation_service: RotationService, secret: str) -> None:
        client = rotation_service.client
        first = client.get_secret_value(SecretId=secret)["VersionId"]
        second = client.put_secret_value(SecretId=secret, SecretString="second", VersionStages=["MINE"])["VersionId"]
        assert rotation_service.labels(secret) == {first: ["AWSCURRENT"], second: ["MINE"]}
        move = {"SecretId": secret, "VersionStage": "MINE", "MoveToVersionId": first}
        assert error_of(client.update_secret_version_stage, **move)[0] == "InvalidParameterException"
        client.update_secret_version_stage(**move, RemoveFromVersionId=second)
        assert rotation_service.labels(secret) == {first: ["AWSCURRENT", "MINE"]}

    def test_a_version_without_labels_is_deprecated(self, rotation_service: RotationService, secret: str) -> None:
        client = rotation_service.client
        first = client.get_secret_value(SecretId=secret)["VersionId"]
        for value in ("second", "third"):
            client.put_secret_value(SecretId=secret, SecretString=value)
        assert first not in client.describe_secret(SecretId=secret)["VersionIdsToStages"]
        shown = client.list_secret_version_ids(SecretId=secret)
        assert shown["ARN"] == secret
        assert first not in [version["VersionId"] for version in shown["Versions"]]
        all_of_them = client.list_secret_version_ids(SecretId=secret, IncludeDeprecated=True)["Versions"]
        assert first in [version["VersionId"] for version in all_of_them]
        assert client.get_secret_value(SecretId=secret, VersionId=first)["SecretString"] == "first"

    def test_current_can_be_moved_but_not_removed(self, rotation_service: RotationService, secret: str) -> None:
        first = rotation_service.client.get_secret_value(SecretId=secret)["VersionId"]
        code, message = error_of(
            rotation_service.client.update_secret_version_stage,
            SecretId=secret,
            VersionStage="AWSCURRENT",
            RemoveFromVersionId=first,
        )
        assert code == "InvalidParameterException"
        assert "can't be completely removed" in message

    def test_what_a_read_asks_for_must_be_there(self, rotation_service: RotationService, secret: str) -> None:
        get = rotation_service.client.get_secret_value
        first = get(SecretId=secret)["VersionId"]
        assert error_of(get, SecretId=secret, VersionStage="AWSPENDING") == (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret value for staging label: AWSPENDING",
        )
        assert error_of(get, SecretId=secret, VersionId="0" * 36)[0] == "ResourceNotFoundException"
        assert error_of(get, SecretId=secret, VersionId=first, VersionStage="AWSPREVIOUS")[0] == (
            "InvalidRequestException"
        )
        assert error_of(get, SecretId="nowhere") == (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        )

    def test_a_secret_may_be_binary(self, rotation_service: RotationService, secret: str) -> None:
        rotation_service.client.put_secret_value(SecretId=secret, SecretBinary=b"\x00\xff")
        reply = rotation_service.client.get_secret_value(SecretId=secret)
        assert reply["SecretBinary"] == b"\x00\xff"
        assert "SecretString" not in reply

    @pytest.mark.parametrize("operation", ["create_secret", "put_secret_value", "update_secret"])
    @pytest.mark.parametrize(
        ("fits", "too_large"),
        [
            ({"SecretString": "x" * 65_536}, {"SecretString": "x" * 65_537}),
            ({"SecretString": "ü" * 32_768}, {"SecretString": "ü" * 32_769}),
            ({"SecretBinary": b"x" * 65_536}, {"SecretBinary": b"x" * 65_537}),
        ],
        ids=["ascii", "two bytes each", "binary"],
    )
    def test_a_value_has_65536_bytes_at_most(
        self, rotation_service: RotationService, secret: str, *, operation: str, fits: Any, too_large: Any
    ) -> None:
        call = getattr(rotation_service.client, operation)
        which = {"Name": "large"} if operation == "create_secret" else {"SecretId": secret}
        before = rotation_service.labels(secret)
        code, message = error_of(call, **which, **too_large)
        assert code == "ValidationException"
        assert message.endswith("Member must have length less than or equal to 65536")
        assert rotation_service.labels(secret) == before
        call(**which, **fits)

    def test_a_deleted_secret_is_refused(self, rotation_service: RotationService, secret: str) -> None:
        rotation_service.client.delete_secret(SecretId=secret)
        for call in (rotation_service.client.get_secret_value, rotation_service.client.rotate_secret):
            assert error_of(call, SecretId=secret)[0] == "InvalidRequestException"

    def test_a_wrong_rotation_token_is_refused_and_a_missing_one_where_it_is_needed(
        self, rotation_service: RotationService, function: Function, secret: str
    ) -> None:
        rotation = rotation_service.stage(secret)
        put = {"SecretId": secret, "ClientRequestToken": rotation.token, "SecretString": "x"}
        assert error_of(rotation_service.client.put_secret_value, **put, RotationToken="0" * 40)[0] == (
            "InvalidParameterException"
        )
        rotation_service.require_rotation_token = True

        def forgetful(event: Any, _: Any) -> None:
            function.client.put_secret_value(
                SecretId=event["SecretId"], ClientRequestToken=event["ClientRequestToken"], SecretString="x"
            )

        rotation_service.configure(secret, forgetful)
        rotation_service.client.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSPENDING", RemoveFromVersionId=rotation.token
        )
        assert "AccessDeniedException" in str(rotation_service.rotate(secret).error)


class TestWhatCanGoWrong:
    def test_reads_lag_by_as_many_calls_as_asked(self, rotation_service: RotationService, secret: str) -> None:
        rotation_service.consistency_lag = 2
        rotation_service.client.put_secret_value(SecretId=secret, SecretString="second")
        seen = [rotation_service.client.get_secret_value(SecretId=secret)["SecretString"] for _ in range(4)]
        assert seen == ["first", "first", "second", "second"]

    def test_quotas_are_kept_by_the_clock(self, rotation_service: RotationService, secret: str) -> None:
        rotation_service.throttle = True
        for _ in range(50):
            rotation_service.client.tag_resource(SecretId=secret, Tags=[{"Key": "a", "Value": "b"}])
        code, message = error_of(rotation_service.client.put_secret_value, SecretId=secret, SecretString="second")
        assert (code, message) == ("ThrottlingException", "Rate exceeded")
        rotation_service.clock.advance(seconds=1)
        rotation_service.client.put_secret_value(SecretId=secret, SecretString="second")

    @pytest.mark.parametrize(("when", "value"), [("before", "first"), ("after", "second")])
    @pytest.mark.parametrize(
        ("kind", "error"), [("network", HTTPClientError), ("crash", Crash), (THROTTLED, ClientError)]
    )
    def test_a_fault_is_before_the_call_or_after_it(
        self, rotation_service: RotationService, secret: str, *, when: Any, value: str, kind: Any, error: Any
    ) -> None:
        fault = rotation_service.faults.fail("PutSecretValue", when=when, kind=kind)
        with pytest.raises(error):
            rotation_service.client.put_secret_value(SecretId=secret, SecretString="second")
        assert fault.fired
        assert rotation_service.client.get_secret_value(SecretId=secret)["SecretString"] == value
        rotation_service.client.put_secret_value(SecretId=secret, SecretString="third")

    def test_a_fault_outlasts_botocores_own_repetitions(self, rotation_service: RotationService, secret: str) -> None:
        fault = rotation_service.faults.fail("GetSecretValue", kind=THROTTLED)
        patient = boto3.client("secretsmanager", region_name="eu-west-1")
        with pytest.raises(ClientError, match="reached max retries"):
            patient.get_secret_value(SecretId=secret)
        assert fault.fired
        assert [call.error for call in rotation_service.calls[-3:]] == ["ThrottlingException"] * 3
        patient.get_secret_value(SecretId=secret)

    def test_a_fault_can_wait_for_its_turn(self, rotation_service: RotationService, secret: str) -> None:
        rotation_service.faults.fail("GetSecretValue", nth=3)
        get = rotation_service.client.get_secret_value
        get(SecretId=secret)
        rotation_service.client.describe_secret(SecretId=secret)
        get(SecretId=secret)
        with pytest.raises(HTTPClientError):
            get(SecretId=secret)

    def test_calls_are_recorded_without_their_secrets(self, rotation_service: RotationService, secret: str) -> None:
        rotation = rotation_service.rotate(secret)
        put = next(call for call in rotation_service.calls if call.operation == "PutSecretValue")
        assert put.step == "createSecret"
        assert put.parameters["SecretString"] == "***"
        assert put.parameters["RotationToken"] == "***"
        assert rotation.rotation_token not in repr(rotation_service.calls)
        assert rotation.rotation_token not in repr(rotation)
        assert rotation_service.calls[-1].error is None

    def test_hooks_see_each_call(self, rotation_service: RotationService, secret: str) -> None:
        seen: list[Any] = []
        rotation_service.faults.hooks.append(lambda operation, when: seen.append((operation, when)))
        rotation_service.client.get_secret_value(SecretId=secret)
        assert seen == [("GetSecretValue", "before"), ("GetSecretValue", "after")]


class TestTheContext:
    def test_clients_made_before_are_served_too(self) -> None:
        early = boto3.client("secretsmanager", region_name="eu-west-1")
        with RotationService() as service:
            service.client.create_secret(Name="app", SecretString="first")
            assert early.get_secret_value(SecretId="app")["SecretString"] == "first"
            assert service.calls[-1].operation == "GetSecretValue"

    def test_only_one_at_a_time(self) -> None:
        with RotationService(), pytest.raises(RuntimeError, match="another RotationService is active"):
            RotationService().__enter__()

    def test_it_must_be_entered(self) -> None:
        with pytest.raises(RuntimeError, match="enter the RotationService first"):
            _ = RotationService().client

    def test_a_handler_can_be_named(self, rotation_service: RotationService) -> None:
        arn = rotation_service.create_secret("app", {"a": "b"}, "json:dumps")
        failed = rotation_service.rotate(arn)
        assert failed.failed_step == "createSecret"
        assert isinstance(failed.error, TypeError)


class Labels(RuleBasedStateMachine):
    """Whatever is put and moved: one version is current, and the one before it is previous."""

    @initialize()
    def begin(self) -> None:
        self.service = RotationService()
        self.service.__enter__()
        self.service.client.create_secret(Name="app", SecretString="0")
        self.put = 0
        self.history: list[str] = []

    def _holder(self, stage: str) -> str | None:
        found = [token for token, stages in self.service.labels("app").items() if stage in stages]
        assert len(found) <= 1
        return found[0] if found else None

    @rule(pending=st.booleans())
    def put_a_value(self, pending: bool) -> None:
        self.put += 1
        before = self._holder("AWSCURRENT")
        stages = {"VersionStages": ["AWSPENDING"]} if pending else {}
        token = self.service.client.put_secret_value(SecretId="app", SecretString=str(self.put), **stages)["VersionId"]
        assert self._holder("AWSPENDING" if pending else "AWSCURRENT") == token
        if not pending:
            assert self._holder("AWSPREVIOUS") == before

    @rule(data=st.data(), stage=st.sampled_from(["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS", "MINE"]))
    def move_a_label(self, data: st.DataObject, stage: str) -> None:
        versions = [
            version["VersionId"]
            for version in self.service.client.list_secret_version_ids(SecretId="app", IncludeDeprecated=True)[
                "Versions"
            ]
        ]
        target = data.draw(st.sampled_from(versions))
        before = self._holder(stage)
        current = self._holder("AWSCURRENT")
        remove = {"RemoveFromVersionId": before} if before else {}
        self.service.client.update_secret_version_stage(
            SecretId="app", VersionStage=stage, MoveToVersionId=target, **remove
        )
        assert self._holder(stage) == target
        if stage == "AWSCURRENT" and target != current:
            assert self._holder("AWSPREVIOUS") == current

    @invariant()
    def there_is_a_current_value(self) -> None:
        current = self._holder("AWSCURRENT")
        assert current is not None
        assert self.service.client.get_secret_value(SecretId="app")["VersionId"] == current

    def teardown(self) -> None:
        """Leave the account."""
        self.service.__exit__(None, None, None)


class TestLabels(Labels.TestCase):  # type: ignore[name-defined,misc]
    """Run by hypothesis."""

    settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_a_value_is_read_past_faults_and_without_a_record(
    rotation_service: RotationService, function: Function
) -> None:
    arn = rotation_service.create_secret("app", {"a": 1}, function)
    rotation_service.faults.fail("GetSecretValue")
    calls = len(rotation_service.calls)
    assert rotation_service.value(arn) == json.loads('{"a": 1}')
    assert len(rotation_service.calls) == calls
    with pytest.raises(KeyError):
        rotation_service.value(arn, "AWSPREVIOUS")


def test_a_call_that_is_repeated_with_its_token_starts_no_second_rotation(
    rotation_service: RotationService, function: Function
) -> None:
    arn = rotation_service.create_secret("app", {"password": "first"}, function)
    token = "11111111-2222-3333-4444-555555555555"
    for _ in range(2):
        assert rotation_service.client.rotate_secret(SecretId=arn, ClientRequestToken=token)["VersionId"] == token
    assert rotation_service.retry(arn).succeeded
    value = rotation_service.client.get_secret_value(SecretId=arn)["SecretString"]
    rotation_service.client.rotate_secret(SecretId=arn, ClientRequestToken=token)
    assert rotation_service.run() == []
    assert rotation_service.client.get_secret_value(SecretId=arn)["SecretString"] == value


def test_a_secret_is_found_by_its_name_its_arn_and_its_partial_arn(rotation_service: RotationService) -> None:
    arns = {name: rotation_service.create_secret(name, name, lambda *_: None) for name in ("app", "app-abcdef", "a/b")}
    for name, arn in arns.items():
        for secret_id in (name, arn, arn[:-7]):
            assert rotation_service.client.get_secret_value(SecretId=secret_id)["SecretString"] == name
    for secret_id in ("ap", arns["app"][:-1], arns["app"] + "x", arns["app"][:-7] + "-uvwxyz"):
        code, _ = error_of(rotation_service.client.get_secret_value, SecretId=secret_id)
        assert code == "ResourceNotFoundException"


def test_a_rotation_among_thousands_does_not_look_at_all_the_others(
    rotation_service: RotationService, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("moto.secretsmanager.models.SecretsStore.get")
    monkeypatch.delattr("moto.secretsmanager.models.SecretsStore.__getitem__")
    assert rotation_service.rotate(secret).succeeded
