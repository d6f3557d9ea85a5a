"""ARNs and principals of the stack's own account and Region."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_iam as iam


def arn(service: str, what: str) -> str:
    """The ARN, or a pattern of ARNs, of a service's resources in this account and Region."""
    return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{what}"


def principal(service: str, what: str) -> iam.ServicePrincipal:
    """A service principal that may assume a role only for its resources in this account and Region.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    return iam.ServicePrincipal(
        f"{service}.amazonaws.com",
        conditions={
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
            "ArnLike": {"aws:SourceArn": arn(service, what)},
        },
    )
