"""An admin whose secret RDS or Redshift manages, and the database that tells where it is."""

from __future__ import annotations

from dataclasses import dataclass

from rotators.cdk.secret_reference import SecretReference


@dataclass(frozen=True)
class ManagedAdmin:
    """An admin whose server's address the function asks of RDS or Redshift.

    Args:
        secret: the admin's secret, which holds no address.
        database_arn: the DB instance, the DB cluster, or Redshift's cluster or namespace whose admin it is.
    """

    secret: SecretReference
    database_arn: str
