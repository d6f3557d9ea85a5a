"""The topic on which whoever is on call hears of rotations that fail."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from rotators.cdk import this_account
from rotators.cdk.naming import construct_id


class Notifications(Construct):
    """A topic that is there, or one that is made.

    Args:
        topic_arn: of one that is there. Its policy must let CloudWatch and EventBridge publish.
        emails: who gets mail from one that is made, after a click in the first one.
        role_name: the name of the role that EventBridge publishes with; None: CloudFormation makes one.
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
        # A policy of our own takes the place of the topic's first one, which let alarms in.
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
        """What EventBridge's rules publish with: in a topic's policy it takes no condition, in a role's it does.

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
        # The rule's target would add a second policy that says the same.
        return role.without_policy_updates()
