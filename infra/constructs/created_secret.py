"""A secret that is made here: it outlives the stack, and by its policy nobody deletes it."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.constructs.secret_reference import SecretReference
from rotators.passwords import UNRESERVED_PUNCTUATION

_DEFAULT_EXCLUSION = "".join(c for c in string.punctuation if c not in UNRESERVED_PUNCTUATION) + " "


@dataclass(frozen=True)
class Generator:
    """How passwords look: the first one, which the service makes, and each that the function makes.

    Args:
        length: characters.
        exclude_characters: those that never occur; None: all punctuation but ``-._~``.
        exclude: of ``numbers``, ``punctuation``, ``uppercase`` and ``lowercase``, the kinds that never occur.
        require_each_included_type: at least one of each kind.
    """

    length: int = 32
    exclude_characters: str | None = None
    exclude: frozenset[str] = frozenset()
    require_each_included_type: bool = True

    def environment(self) -> dict[str, str]:
        """The function's variables, by which it makes the same as the service did."""
        variables = {"PASSWORD_LENGTH": str(self.length)}
        if self.exclude_characters is not None:
            variables["EXCLUDE_CHARACTERS"] = self.exclude_characters
        variables |= {f"EXCLUDE_{kind.upper()}": "true" for kind in sorted(self.exclude)}
        if not self.require_each_included_type:
            variables["REQUIRE_EACH_INCLUDED_TYPE"] = "false"
        return variables


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
