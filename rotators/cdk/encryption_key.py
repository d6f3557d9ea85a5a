"""A KMS key for secrets. It outlives the stack, because secrets can't be decrypted without it."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct


class EncryptionKey(Construct):
    """A key that is rotated each year.

    Args:
        description: its description.
        alias: a name for it, without ``alias/``.
        pending_window: how long its deletion can be cancelled; None: the service's default.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        description: str,
        alias: str | None = None,
        pending_window: Duration | None = None,
    ) -> None:
        super().__init__(scope, id_)
        self.key = kms.Key(
            self,
            "Key",
            description=description,
            enable_key_rotation=True,
            pending_window=pending_window,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        if alias is not None:
            # Not by the key's own argument: the alias can be added and removed without the key.
            kms.Alias(self, "Alias", alias_name=f"alias/{alias}", target_key=self.key)
