"""Secrets Manager's own events of rotations that failed or were abandoned."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct


class FailureEvents(Construct):
    """A rule that sends every failed rotation of this account and Region to a topic.

    AWS does not document how such an event names its secret, so events are not filtered by secret: one too many is
    better than none. The account needs a CloudTrail trail of management events.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html

    Args:
        topic: the topic.
        publisher: the role with which the rule publishes; None: the topic's policy must allow EventBridge.
    """

    def __init__(self, scope: Construct, id_: str, *, topic: sns.ITopic, publisher: iam.IRole | None = None) -> None:
        super().__init__(scope, id_)
        self.rule = events.Rule(
            self,
            "Rule",
            description="Rotations of secrets that failed or were given up",
            event_pattern=events.EventPattern(
                source=["aws.secretsmanager"],
                detail_type=["AWS Service Event via CloudTrail"],
                detail={
                    "eventSource": ["secretsmanager.amazonaws.com"],
                    "eventName": ["RotationFailed", "RotationAbandoned", "TestRotationFailed"],
                },
            ),
        )
        name = events.EventField.from_path("$.detail.eventName")
        secret = events.EventField.from_path("$.detail.additionalEventData.SecretId")
        message = (
            f"{name}: {secret} in {events.EventField.account}, {events.EventField.region}, at {events.EventField.time}"
        )
        self.rule.add_target(targets.SnsTopic(topic, message=events.RuleTargetInput.from_text(message), role=publisher))
