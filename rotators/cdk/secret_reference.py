"""A secret as policies, schedules and events refer to it, whether it is made here or known by name or ARN."""

from __future__ import annotations

from dataclasses import dataclass

from rotators.cdk import this_account


@dataclass(frozen=True)
class SecretReference:
    """A secret.

    Args:
        label: its name, for ids and texts.
        secret_id: its name or ARN, as calls take it.
        arn: its ARN; with ``??????`` in place of the six characters that Secrets Manager adds to a name, where only
            the name is known (https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html).
        key_arn: the KMS key that encrypts it; None: the account's own for Secrets Manager, which needs no permission.
        account: the account it is in, where it is not this one.
    """

    label: str
    secret_id: str
    arn: str
    key_arn: str | None = None
    account: str | None = None

    @classmethod
    def by_name(cls, name: str, key_arn: str | None = None) -> SecretReference:
        """A secret of this account and Region that is there."""
        arn = this_account.arn("secretsmanager", f"secret:{name}-??????")
        return cls(name, name, arn, key_arn)
