"""A secret as policies, schedules and events refer to it, whether the stack makes it or it exists already."""

from __future__ import annotations

from dataclasses import dataclass

from rotators.cdk import this_account


@dataclass(frozen=True)
class SecretReference:
    """A secret.

    Args:
        label: its name, for ids and texts.
        secret_id: its name or ARN, for calls.
        arn: its ARN. If only the name is known, it has ``??????`` in place of the six characters that Secrets Manager
            adds to a name (https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html).
        key_arn: the KMS key that encrypts it; None: the account's AWS managed key, which needs no permission.
        account: its account, if it is another one.
    """

    label: str
    secret_id: str
    arn: str
    key_arn: str | None = None
    account: str | None = None

    @classmethod
    def by_name(cls, name: str, key_arn: str | None = None) -> SecretReference:
        """An existing secret of this account and Region."""
        arn = this_account.arn("secretsmanager", f"secret:{name}-??????")
        return cls(name, name, arn, key_arn)
