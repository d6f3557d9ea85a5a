"""What looks every hour whether a secret is overdue, and the alarm that tells."""

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
# An event's input may have 8,192 characters, and a secret's name 512 of them; a secret on demand is named twice.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
_ROOM = 7000
_BESIDE_ITS_NAME = 250
_SECRETS_A_CALL = 12


@dataclass(frozen=True)
class WatchedSecret:
    """A secret to look at, and how it should rotate.

    Args:
        secret: the secret.
        function_arn: what rotates it.
        expression: its schedule; None: on demand only.
        duration: its window's length; None: the service's own.
    """

    secret: SecretReference
    function_arn: str
    expression: str | None
    duration: str | None


class OverdueWatch(Construct):
    """A function that looks at the secrets' dates, and alarms on what it counts, or on its silence.

    Args:
        archive: the function's code.
        layers: what it needs.
        options: what it is made of.
        secrets: those to look at.
        topic: who is told.
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
                # That nobody looks any more is a reason for alarm as well.
                treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
                alarm_description="A secret's rotation is overdue, or nobody looks: see this function's log",
            )
            alarm.add_alarm_action(actions.SnsAction(topic))


def _event(part: str, chunk: Sequence[WatchedSecret]) -> dict[str, Any]:
    """What the function is told: how each secret should rotate, so that it can say how to have that again."""
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
