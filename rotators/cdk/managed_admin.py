"""An admin whose secret RDS or Redshift manages, and its database, which gives the server's address."""

from __future__ import annotations

from dataclasses import dataclass

from rotators.cdk.secret_reference import SecretReference


@dataclass(frozen=True)
class ManagedAdmin:
    """An admin whose server's address the function asks RDS or Redshift for.

    Args:
        secret: the admin's secret, which holds no address.
        database_arn: the admin's DB instance, DB cluster, or Redshift cluster or namespace.
    """

    secret: SecretReference
    database_arn: str
