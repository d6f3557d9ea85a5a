"""A function that checks every hour whether a rotation is overdue, and its alarm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from rotators.cdk import permissions
from rotators.cdk.bundled_function import BundledFunction, FunctionOptions
from rotators.cdk.grants import Grants
from rotators.cdk.secret_reference import SecretReference
from rotators.overdue import METRIC, rotation_rules
from rotators.packaging.archive import Archive

NAMESPACE = "Rotators"
# An event's input may have 8,192 characters. A secret's name has up to 512, and a secret on demand is named twice.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
_ROOM = 7000
_BESIDE_ITS_NAME = 250
_SECRETS_A_CALL = 12


@dataclass(frozen=True)
class WatchedSecret:
    """A secret to check, and how it should rotate.

    Args:
        secret: the secret.
        function_arn: its rotation function.
        expression: its schedule; None: on demand only.
        duration: its window's length; None: the service's default.
    """

    secret: SecretReference
    function_arn: str
    expression: str | None
    duration: str | None


class OverdueWatch(Construct):
    """A function that checks the secrets' dates, and alarms on its count and on missing counts.

    Args:
        archive: the function's code.
        layers: its layers.
        options: its settings.
        secrets: the secrets to check.
        topic: the topic for the alarms.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        archive: Archive,
        layers: Sequence[lambda_.ILayerVersion],
        options: FunctionOptions,
        secrets: Sequence[WatchedSecret],
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, id_)
        self.function = BundledFunction(
            self,
            "Check",
            archive=archive,
            layers=layers,
            options=options,
            environment={"POWERTOOLS_METRICS_NAMESPACE": NAMESPACE},
            description="Looks for secrets whose rotation is overdue",
        )
        policy = Grants(self, "Looks", role=self.function.role)
        for one in secrets:
            policy.allow_each(permissions.look_at(), one.secret.arn)
        self.overdue: list[cloudwatch.IMetric] = []
        for number, chunk in enumerate(_chunks(secrets), start=1):
            part = f"{Aws.STACK_NAME}-{number}"
            rule = events.Rule(
                self,
                f"Hourly{number}",
                description="Looks for secrets whose rotation is overdue",
                schedule=events.Schedule.rate(Duration.hours(1)),
            )
            rule.add_target(
                targets.LambdaFunction(
                    self.function.function,
                    event=events.RuleTargetInput.from_object(_event(part, chunk)),
                    retry_attempts=2,
                )
            )
            rule.node.add_dependency(policy)
            metric = cloudwatch.Metric(
                namespace=NAMESPACE,
                metric_name=METRIC,
                dimensions_map={"stack": part},
                statistic="Maximum",
                period=Duration.hours(1),
            )
            self.overdue.append(metric)
            alarm = cloudwatch.Alarm(
                self,
                f"Overdue{number}",
                metric=metric,
                threshold=1,
                evaluation_periods=3,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                # Alarm too if the function no longer runs.
                treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
                alarm_description="A secret's rotation is overdue, or nobody looks: see this function's log",
            )
            alarm.add_alarm_action(actions.SnsAction(topic))


def _event(part: str, chunk: Sequence[WatchedSecret]) -> dict[str, Any]:
    """The function's event: how each secret should rotate, so that it can name the command that restores it."""
    functions = list(dict.fromkeys(one.function_arn for one in chunk))
    return {
        "stack": part,
        "secrets": [one.secret.secret_id for one in chunk],
        "on_demand": [one.secret.secret_id for one in chunk if one.expression is None],
        "functions": functions,
        "rotated_by": [functions.index(one.function_arn) for one in chunk],
        "rules": [rotation_rules(one.expression, one.duration) for one in chunk],
    }


def _chunks(secrets: Sequence[WatchedSecret]) -> Iterator[Sequence[WatchedSecret]]:
    chunk: list[WatchedSecret] = []
    room = 0
    for one in secrets:
        room += len(one.secret.label) * (2 if one.expression is None else 1) + _BESIDE_ITS_NAME
        if chunk and (room > _ROOM or len(chunk) == _SECRETS_A_CALL):
            yield chunk
            chunk, room = [], len(one.secret.label) * 2 + _BESIDE_ITS_NAME
        chunk.append(one)
    yield chunk
