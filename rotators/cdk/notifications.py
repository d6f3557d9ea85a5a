"""The topic for notifications of failed rotations."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from rotators.cdk import this_account
from rotators.cdk.naming import construct_id


class Notifications(Construct):
    """An existing topic, or a new one.

    Args:
        topic_arn: an existing topic. Its policy must allow CloudWatch and EventBridge to publish.
        emails: addresses that a new topic sends mail to, once each has confirmed its subscription.
        role_name: the name of the role with which EventBridge publishes; None: CloudFormation names it.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        topic_arn: str | None = None,
        emails: Sequence[str] = (),
        role_name: str | None = None,
    ) -> None:
        super().__init__(scope, id_)
        self.publisher: iam.IRole | None = None
        if topic_arn is not None:
            self.topic: sns.ITopic = sns.Topic.from_topic_arn(self, "Topic", topic_arn)
            return
        made = sns.Topic(self, "Topic", display_name="Secret rotations", enforce_ssl=True)
        # This policy replaces the topic's default policy, which allowed alarms to publish.
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
        made.add_to_resource_policy(
            iam.PolicyStatement(
                sid="FromAlarms",
                principals=[this_account.principal("cloudwatch", "alarm:*")],
                actions=["sns:Publish"],
                resources=[made.topic_arn],
            )
        )
        self.topic = made
        for email in emails:
            sns.Subscription(
                self, construct_id(email), topic=made, protocol=sns.SubscriptionProtocol.EMAIL, endpoint=email
            )
        self.publisher = self._role(made, role_name)

    def _role(self, topic: sns.Topic, name: str | None) -> iam.IRole:
        """The role with which EventBridge's rules publish: it takes conditions, which a topic's policy can't have here.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
        https://docs.aws.amazon.com/eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html
        """
        role = iam.Role(
            self,
            "Publisher",
            role_name=name,
            description="Lets rules of EventBridge tell of rotations that failed",
            assumed_by=this_account.principal("events", "rule/*"),
        )
        statement = iam.PolicyStatement(sid="TellOfFailures", actions=["sns:Publish"], resources=[topic.topic_arn])
        iam.Policy(self, "Publishes", statements=[statement], roles=[role])
        # Otherwise the rule's target adds a second policy with the same permission.
        return role.without_policy_updates()
