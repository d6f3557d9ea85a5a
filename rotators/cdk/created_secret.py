"""A secret that a stack makes. It outlives the stack, and its policy lets no one delete it."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from aws_cdk import Acknowledgment, Aws, CfnResource, RemovalPolicy, Validations
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from rotators.cdk.secret_reference import SecretReference
from rotators.passwords import UNRESERVED_PUNCTUATION

# Never change these properties: CloudFormation would make a new password, which the database does not know. So nothing
# from rotations.yaml is in it, and no default: the function adds the rest (ROTATION_VALUES). Every engine accepts
# thirty characters.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-secretsmanager-secret-generatesecretstring.html
FIRST_VALUE = secretsmanager.CfnSecret.GenerateSecretStringProperty(
    secret_string_template="{}",  # noqa: S106  # it holds nothing
    generate_string_key="password",
    password_length=30,
    exclude_characters="".join(c for c in string.punctuation if c not in UNRESERVED_PUNCTUATION),
    include_space=False,
    require_each_included_type=True,
)


_BY_NAME = Acknowledgment(
    id="AwsSolutions::AwsSolutions-SMG4",
    reason="Its schedule names it by its name, which a check of references does not see: so the schedule stays what it "
    "is when the secret leaves the stack",
)


class CreatedSecret(Construct):
    """A secret with only a generated password. The function's first rotation adds the keys in its settings.

    Args:
        name: its name.
        description: its description.
        key_arn: the KMS key; None: the account's AWS managed key.
        replicas: Regions to replicate it to, and the KMS key of each replica; None: that Region's AWS managed key.
        protect: whether its policy denies deleting it.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        description: str | None = None,
        key_arn: str | None = None,
        replicas: Sequence[str] | Mapping[str, str | None] = (),
        protect: bool = True,
    ) -> None:
        super().__init__(scope, id_)
        keys = replicas if isinstance(replicas, Mapping) else dict.fromkeys(replicas)
        secret = secretsmanager.CfnSecret(
            self,
            "Secret",
            name=name,
            description=description,
            kms_key_id=key_arn,
            generate_secret_string=FIRST_VALUE,
            replica_regions=[
                secretsmanager.CfnSecret.ReplicaRegionProperty(region=region, kms_key_id=key)
                for region, key in keys.items()
            ]
            or None,
        )
        _keep(secret)
        Validations.of(secret).acknowledge(_BY_NAME)
        if protect:
            self._protect(secret)
        self.reference = SecretReference(name, name, secret.ref, key_arn)

    def _protect(self, secret: secretsmanager.CfnSecret) -> None:
        root = f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:root"
        policy = secretsmanager.CfnResourcePolicy(
            self,
            "Policy",
            secret_id=secret.ref,
            block_public_policy=True,
            resource_policy={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "NobodyDeletesIt",
                        "Effect": "Deny",
                        "Principal": {"AWS": root},
                        "Action": "secretsmanager:DeleteSecret",
                        "Resource": "*",
                    }
                ],
            },
        )
        # The secret stays when the stack is deleted, and so does the policy that protects it.
        _keep(policy)


def _keep(resource: CfnResource) -> None:
    """Retain a resource, unless a failed first deployment made it: its name would be taken at the next one."""
    resource.apply_removal_policy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
