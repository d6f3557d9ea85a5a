"""What looks every hour whether a secret is overdue, and the alarm that tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs import permissions
from infra.constructs.rotation_function import FunctionOptions, RotationFunction
from infra.constructs.secret_reference import SecretReference
from rotators.overdue import METRIC
from rotators.packaging.archive import Archive

NAMESPACE = "Rotators"
# An event's input may have 8,192 characters, and a secret's ARN some 600; a rule has up to five targets.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
_SECRETS_A_CALL = 12


class OverdueWatch(Construct):
    """A function that looks at the secrets' dates, and alarms on what it counts, or on its silence.

    Args:
        archive: the function's code.
        layers: what it needs.
        options: what it is made of.
        secrets: those to look at.
        on_demand: those of them that have no schedule on purpose.
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
        secrets: Sequence[SecretReference],
        on_demand: Sequence[SecretReference],
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, id_)
        self.function = RotationFunction(
            self,
            "Check",
            archive=archive,
            layers=layers,
            options=options,
            environment={"POWERTOOLS_METRICS_NAMESPACE": NAMESPACE},
            description="Looks for secrets whose rotation is overdue",
        )
        policy = iam.Policy(self, "Looks", statements=[permissions.look_at(secrets)], roles=[self.function.role])
        unscheduled = {secret.label for secret in on_demand}
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
                    event=events.RuleTargetInput.from_object(
                        {
                            "stack": part,
                            "secrets": [one.secret_id for one in chunk],
                            "on_demand": [one.secret_id for one in chunk if one.label in unscheduled],
                        }
                    ),
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


def _chunks(secrets: Sequence[SecretReference]) -> Iterator[Sequence[SecretReference]]:
    for start in range(0, len(secrets), _SECRETS_A_CALL):
        yield secrets[start : start + _SECRETS_A_CALL]
