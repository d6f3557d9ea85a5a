"""A secret that is made here: it outlives the stack, and by its policy nobody deletes it."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.constructs.password_generator import Generator
from infra.constructs.secret_reference import SecretReference
from rotators.passwords import UNRESERVED_PUNCTUATION

_DEFAULT_EXCLUSION = "".join(c for c in string.punctuation if c not in UNRESERVED_PUNCTUATION) + " "


class CreatedSecret(Construct):
    """A secret with a generated password.

    Args:
        name: its name.
        values: its JSON but for the password.
        generator: how the password looks.
        description: what it is for.
        key_arn: the KMS key; None: the account's own for Secrets Manager.
        replicas: Regions to copy it to.
        protect: nobody may delete it.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        values: Mapping[str, Any],
        generator: Generator,
        description: str | None = None,
        key_arn: str | None = None,
        replicas: Sequence[str] = (),
        protect: bool = True,
    ) -> None:
        super().__init__(scope, id_)
        excluded = generator.exclude_characters
        secret = secretsmanager.CfnSecret(
            self,
            "Secret",
            name=name,
            description=description,
            kms_key_id=key_arn,
            generate_secret_string=secretsmanager.CfnSecret.GenerateSecretStringProperty(
                secret_string_template=json.dumps(dict(values)),
                generate_string_key="password",
                password_length=generator.length,
                exclude_characters=_DEFAULT_EXCLUSION if excluded is None else excluded,
                exclude_numbers="numbers" in generator.exclude,
                exclude_punctuation="punctuation" in generator.exclude,
                exclude_uppercase="uppercase" in generator.exclude,
                exclude_lowercase="lowercase" in generator.exclude,
                require_each_included_type=generator.require_each_included_type,
            ),
            replica_regions=[secretsmanager.CfnSecret.ReplicaRegionProperty(region=region) for region in replicas]
            or None,
        )
        secret.apply_removal_policy(RemovalPolicy.RETAIN)
        if protect:
            self._protect(secret)
        self.reference = SecretReference(name, secret.ref, secret.ref, key_arn)

    def _protect(self, secret: secretsmanager.CfnSecret) -> None:
        root = f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:root"
        secretsmanager.CfnResourcePolicy(
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
