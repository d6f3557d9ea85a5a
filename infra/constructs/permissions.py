"""What a rotation function may do: each statement with the reason it is there (docs/reference/permissions.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from infra.constructs.managed_admin import ManagedAdmin
from infra.constructs.secret_reference import SecretReference

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
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
]
_VIA = f"secretsmanager.{Aws.REGION}.{Aws.URL_SUFFIX}"


def rotate(secrets: Iterable[SecretReference], function_arn: str) -> iam.PolicyStatement:
    """Read and write the secrets, as long as it is this function that rotates them.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets-required-permissions-function.html
    """
    return iam.PolicyStatement(
        sid="RotateItsSecrets",
        actions=ROTATE,
        resources=[secret.arn for secret in secrets],
        conditions={"StringEquals": {"secretsmanager:resource/AllowRotationLambdaArn": function_arn}},
    )


def read_admins(admins: Iterable[SecretReference]) -> iam.PolicyStatement:
    """Read the admins' secrets, and no others."""
    return iam.PolicyStatement(
        sid="ReadItsAdmins", actions=["secretsmanager:GetSecretValue"], resources=[admin.arn for admin in admins]
    )


def look_at_admins(admins: Iterable[ManagedAdmin]) -> iam.PolicyStatement:
    """Look up which database an admin's secret is of; it says so in its tags."""
    return iam.PolicyStatement(
        sid="LookAtItsAdmins",
        actions=["secretsmanager:DescribeSecret"],
        resources=list(dict.fromkeys(admin.secret.arn for admin in admins)),
    )


def ask_for_endpoints(admins: Iterable[ManagedAdmin]) -> list[iam.PolicyStatement]:
    """Ask RDS or Redshift for the endpoints of the databases that are named, and of no others where that can be.

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


# A namespace's endpoint is its workgroup's, and lists take no resource.
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


def use_key(number: int, secret: SecretReference, *, write: bool) -> iam.PolicyStatement:
    """Use the key that encrypts a secret, through Secrets Manager and for that secret only.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html

    Args:
        number: makes the statement's id unique.
        secret: the secret; it has a key.
        write: encrypt as well.
    """
    like = "StringLike" if secret.is_pattern else "StringEquals"
    conditions: dict[str, dict[str, str]] = {"StringEquals": {"kms:ViaService": _VIA}}
    conditions.setdefault(like, {})["kms:EncryptionContext:SecretARN"] = secret.arn
    return iam.PolicyStatement(
        sid=f"UseKey{number}",
        actions=["kms:Decrypt", *(["kms:GenerateDataKey"] if write else [])],
        resources=[str(secret.key_arn)],
        conditions=conditions,
    )


def write_logs(log_group_arn: str) -> iam.PolicyStatement:
    """Write to its own log group, which is there already."""
    return iam.PolicyStatement(
        sid="WriteItsLog", actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group_arn]
    )


def attach_to_network() -> iam.PolicyStatement:
    """Let Lambda make the function's network interfaces: their names are not known before, so no resource is named.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """
    return iam.PolicyStatement(sid="AttachToItsNetwork", actions=_INTERFACES, resources=["*"])


def leave_the_network_alone(function_arn: str) -> iam.PolicyStatement:
    """Keep the function's own code from doing what only Lambda needs to do for it (the same page)."""
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


def look_at(secrets: Iterable[SecretReference]) -> iam.PolicyStatement:
    """Look at the secrets' dates, never at their values."""
    return iam.PolicyStatement(
        sid="LookAtItsSecrets",
        actions=["secretsmanager:DescribeSecret"],
        resources=[secret.arn for secret in secrets],
    )
