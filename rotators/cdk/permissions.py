"""The permissions of a rotation function. docs/reference/permissions.md has the reason for each statement."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from rotators.cdk.grants import Listing
from rotators.cdk.managed_admin import ManagedAdmin

_INTERFACES = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]
ROTATE = [
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    # Where no labelled version logs in.
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
]
READ_ADMIN = ["secretsmanager:GetSecretValue"]
_VIA = f"secretsmanager.{Aws.REGION}.{Aws.URL_SUFFIX}"


def rotate(function_arn: str) -> Listing:
    """Read and write the secrets whose rotation function is this one.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets-required-permissions-function.html
    """
    return Listing(
        "RotateItsSecrets",
        ROTATE,
        conditions={"StringEquals": {"secretsmanager:resource/AllowRotationLambdaArn": function_arn}},
    )


def read_admins() -> Listing:
    """Read the admin secrets, and no others."""
    return Listing("ReadItsAdmins", READ_ADMIN)


def look_at_admins() -> Listing:
    """Read which database an admin secret belongs to, from its tags."""
    return Listing("LookAtItsAdmins", ["secretsmanager:DescribeSecret"])


def ask_for_endpoints(admins: Iterable[ManagedAdmin]) -> list[iam.PolicyStatement]:
    """Ask RDS or Redshift for the endpoints of the named databases, and of no others where IAM can restrict it.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonredshift.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonredshiftserverless.html
    """
    named: dict[str, list[str]] = {}
    for admin in admins:
        _, _, service, _, _, what = admin.database_arn.split(":", 5)
        named.setdefault(f"{service}:{re.split('[:/]', what)[0]}", []).append(admin.database_arn)
    return [
        iam.PolicyStatement(sid=sid, actions=actions, resources=list(dict.fromkeys(named[kind])) if nameable else ["*"])
        for kind, sid, actions, nameable in _ENDPOINTS
        if kind in named
    ]


# A namespace's endpoint is that of its workgroup, and list operations take no resource.
_ENDPOINTS = (
    ("rds:db", "AskForInstances", ["rds:DescribeDBInstances"], True),
    ("rds:cluster", "AskForClusters", ["rds:DescribeDBClusters"], True),
    ("redshift:cluster", "AskForRedshift", ["redshift:DescribeClusters"], True),
    (
        "redshift-serverless:namespace",
        "AskForServerless",
        ["redshift-serverless:ListNamespaces", "redshift-serverless:ListWorkgroups"],
        False,
    ),
)


def use_key(key_arn: str, *, write: bool) -> Listing:
    """Use a KMS key, only through Secrets Manager and only for these secrets.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html

    Args:
        key_arn: the key.
        write: whether to allow encryption too.
    """
    return Listing(
        "UseKey",
        ["kms:Decrypt", *(["kms:GenerateDataKey"] if write else [])],
        resource=key_arn,
        conditions={"StringEquals": {"kms:ViaService": _VIA}},
        # A pattern only if a secret is known by its name: ARNs contain no wildcard characters.
        listed=("StringLike", "kms:EncryptionContext:SecretARN"),
    )


def write_logs(log_group_arn: str) -> iam.PolicyStatement:
    """Write to the function's own log group, which exists already."""
    return iam.PolicyStatement(
        sid="WriteItsLog", actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group_arn]
    )


def attach_to_network() -> iam.PolicyStatement:
    """Let Lambda make the function's network interfaces. Their names are not known before, so no resource is named.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """
    return iam.PolicyStatement(sid="AttachToItsNetwork", actions=_INTERFACES, resources=["*"])


def leave_the_network_alone(function_arn: str) -> iam.PolicyStatement:
    """Deny the function's own code what only Lambda needs to do for it (the same page)."""
    return iam.PolicyStatement(
        sid="ButNotByItsOwnCode",
        effect=iam.Effect.DENY,
        actions=_INTERFACES,
        resources=["*"],
        conditions={"ArnEquals": {"lambda:SourceFunctionArn": function_arn}},
    )


def trace() -> iam.PolicyStatement:
    """Send traces: X-Ray has no resources to name."""
    return iam.PolicyStatement(
        sid="SendTraces", actions=["xray:PutTelemetryRecords", "xray:PutTraceSegments"], resources=["*"]
    )


def look_at() -> Listing:
    """Read the secrets' dates, never their values."""
    return Listing("LookAtItsSecrets", ["secretsmanager:DescribeSecret"])
