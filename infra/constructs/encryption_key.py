"""A KMS key for secrets, which outlives the stack: what it has encrypted could not be read without it."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct


class EncryptionKey(Construct):
    """A key that is rotated each year.

    Args:
        description: what it is for.
    """

    def __init__(self, scope: Construct, id_: str, *, description: str) -> None:
        super().__init__(scope, id_)
        self.key = kms.Key(
            self, "Key", description=description, enable_key_rotation=True, removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
        )
