"""Fleet: a state machine that rotates many secrets, for any CDK app."""

from __future__ import annotations

import json
from collections.abc import Sequence

from aws_cdk import Acknowledgment, Aws, CfnElement, Duration, RemovalPolicy, Stack, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct, IConstruct

from rotators.cdk import this_account
from rotators.cdk.bundled_function import BundledFunction
from rotators.cdk.flags import set_flags
from rotators.cdk.fleet_definition import MAP_LABEL, definition
from rotators.errors import ConfigurationError

_RUNS = "runs/*"
_HISTORY = (
    "Step Functions keeps each execution's events for 90 days, the bucket has a result for each secret, and the "
    "functions log their steps; a log of its own would need permissions on every log of the account"
)
_ACCESS = "CloudTrail records who reads the results where its data events are on; a log of accesses would be a bucket"
_WILDCARDS = (
    "Secrets are those that its functions rotate, by a condition; a list takes no resource; children of a Map Run and "
    "objects have names that nobody knows before"
)


class Fleet(Construct):
    """A state machine that rotates the secrets of some functions, and a bucket for the results.

    docs/how-to/rotate-a-fleet.md says what its input may hold and what it writes.

    Args:
        functions: the functions whose secrets it may rotate.
        keep: how long lists and results are kept, in whole days.
        name: the name of the state machine and its role; None: CloudFormation names them.

    Raises:
        ConfigurationError: there is no function, or ``keep`` is not a number of whole days.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        functions: Sequence[BundledFunction],
        keep: Duration | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(scope, id_)
        set_flags(self)
        if not functions:
            raise ConfigurationError("a fleet of no function rotates nothing", "name the functions of its secrets")
        kept = keep or Duration.days(90)
        if kept.to_seconds() < Duration.days(1).to_seconds() or kept.to_days(integral=False) % 1:
            raise ConfigurationError("S3 keeps objects for whole days", "write Duration.days(90)")
        arns = [one.rotation_arn for one in functions]
        self.results = s3.Bucket(
            self,
            "Results",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            lifecycle_rules=[
                s3.LifecycleRule(id="Expire", expiration=kept, abort_incomplete_multipart_upload_after=Duration.days(1))
            ],
            # It holds evidence, and CloudFormation can't delete a bucket that is not empty.
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        self.role = iam.Role(
            self,
            "Role",
            role_name=name,
            description="Rotates a fleet of secrets",
            # https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html
            assumed_by=this_account.principal("states", "stateMachine:*"),
        )
        self.machine = sfn.CfnStateMachine(
            self,
            "Machine",
            state_machine_name=name,
            state_machine_type="STANDARD",
            role_arn=self.role.role_arn,
            # Serialized here: aws-cdk-lib's to_json_string drops nulls, and so does a template.
            definition_string=json.dumps(
                definition(partition=Aws.PARTITION, bucket=self.results.bucket_name, functions=arns)
            ),
        )
        # Made after the machine, because it names it.
        policy = iam.Policy(self, "Rotates", statements=self._statements(arns), roles=[self.role])
        _acknowledge(self.results, "S1", _ACCESS)
        for rule in ("SF1", "SF2"):
            _acknowledge(self.machine, rule, _HISTORY)
        here = "<AWS::Region>:<AWS::AccountId>"
        bucket, machine = (_logical_id(one) for one in (self.results.node.default_child, self.machine))
        for wildcard in (
            "*",
            f"arn:<AWS::Partition>:secretsmanager:{here}:secret:*",
            f"arn:<AWS::Partition>:states:{here}:execution:<{machine}.Name>/{MAP_LABEL}:*",
            f"<{bucket}.Arn>/{_RUNS}",
        ):
            _acknowledge(policy, f"IAM5[Resource::{wildcard}]", _WILDCARDS)

    def _statements(self, functions: Sequence[str]) -> list[iam.PolicyStatement]:
        """The role's statements. docs/how-to/rotate-a-fleet.md has the reason for each."""
        secrets = this_account.arn("secretsmanager", "secret:*")
        children = [this_account.arn("states", f"execution:{self.machine.attr_name}/{MAP_LABEL}:*")]
        return [
            iam.PolicyStatement(sid="ListSecrets", actions=["secretsmanager:ListSecrets"], resources=["*"]),
            iam.PolicyStatement(
                sid="RotateWhatItsFunctionsRotate",
                actions=["secretsmanager:DescribeSecret", "secretsmanager:RotateSecret"],
                resources=[secrets],
                conditions={
                    "StringEquals": {"secretsmanager:resource/AllowRotationLambdaArn": list(functions)},
                    # Not with a function other than the secret's own.
                    "Null": {"secretsmanager:RotationLambdaARN": "true"},
                },
            ),
            # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
            iam.PolicyStatement(
                sid="HaveItsFunctionsInvoked", actions=["lambda:InvokeFunction"], resources=list(functions)
            ),
            iam.PolicyStatement(
                sid="WriteItsResults",
                actions=["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
                resources=[self.results.arn_for_objects(_RUNS)],
            ),
            iam.PolicyStatement(
                sid="ListItsRuns",
                actions=["s3:ListBucket"],
                resources=[self.results.bucket_arn],
                conditions={"StringLike": {"s3:prefix": _RUNS}},
            ),
            # https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
            iam.PolicyStatement(sid="StartEachSecret", actions=["states:StartExecution"], resources=[self.machine.ref]),
            iam.PolicyStatement(
                sid="FollowEachSecret",
                actions=["states:DescribeExecution", "states:StopExecution"],
                resources=children,
            ),
        ]


def _logical_id(resource: IConstruct | None) -> str:
    """A resource's id in the template, and in cdk-nag's findings."""
    if not isinstance(resource, CfnElement):
        raise TypeError
    return str(Stack.of(resource).resolve(resource.logical_id))


def _acknowledge(construct: Construct, rule: str, reason: str) -> None:
    Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason))
