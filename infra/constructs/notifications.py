"""The topic on which whoever is on call hears of rotations that fail."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

_PUBLISHERS = ("cloudwatch.amazonaws.com", "events.amazonaws.com")


class Notifications(Construct):
    """A topic that is there, or one that is made.

    Args:
        topic_arn: of one that is there. Its policy must let CloudWatch and EventBridge publish.
    """

    def __init__(self, scope: Construct, id_: str, *, topic_arn: str | None = None) -> None:
        super().__init__(scope, id_)
        if topic_arn is not None:
            self.topic: sns.ITopic = sns.Topic.from_topic_arn(self, "Topic", topic_arn)
            return
        made = sns.Topic(self, "Topic", display_name="Secret rotations", enforce_ssl=True)
        # A policy of our own takes the place of the topic's first one, which let alarms in.
        for service in _PUBLISHERS:
            made.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=f"From{service.partition('.')[0].capitalize()}",
                    principals=[iam.ServicePrincipal(service)],
                    actions=["sns:Publish"],
                    resources=[made.topic_arn],
                    conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
                )
            )
        self.topic = made
