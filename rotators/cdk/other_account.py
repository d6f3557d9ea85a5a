"""Outputs that say what another account must allow so that its secret can be rotated from this one."""

from __future__ import annotations

from aws_cdk import Aws, CfnOutput, Stack
from constructs import Construct

from rotators.cdk import permissions
from rotators.cdk.bundled_function import BundledFunction
from rotators.cdk.secret_reference import SecretReference
from rotators.overdue import rotation_command, rotation_rules


class OtherAccount(Construct):
    """The policies and the command for the account that owns a secret.

    Its rotation can't be enabled from here: that account must call RotateSecret. Both accounts must allow the access
    (https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples_cross.html).

    Args:
        secret: the other account's secret; its key must be named.
        function: the function that rotates it.
        expression: the schedule; None: on demand only.
        duration: the window's length; None: the service's default.
        watcher: the role that reads the secret's dates.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        secret: SecretReference,
        function: BundledFunction,
        expression: str | None,
        duration: str | None,
        watcher: str | None = None,
    ) -> None:
        super().__init__(scope, id_)
        role = function.role.role_arn
        secret_policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "RotatedFromElsewhere",
                    "Effect": "Allow",
                    "Principal": {"AWS": role},
                    "Action": permissions.ROTATE,
                    "Resource": "*",
                    "Condition": {
                        "StringEquals": {"secretsmanager:resource/AllowRotationLambdaArn": function.rotation_arn}
                    },
                },
                *(
                    []
                    if watcher is None
                    else [
                        {
                            "Sid": "WatchedFromElsewhere",
                            "Effect": "Allow",
                            "Principal": {"AWS": watcher},
                            "Action": "secretsmanager:DescribeSecret",
                            "Resource": "*",
                        }
                    ]
                ),
            ],
        }
        key_statement = {
            "Sid": "RotatedFromElsewhere",
            "Effect": "Allow",
            "Principal": {"AWS": role},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": "*",
            "Condition": {
                "StringEquals": {
                    "kms:ViaService": f"secretsmanager.{Aws.REGION}.{Aws.URL_SUFFIX}",
                    "kms:EncryptionContext:SecretARN": secret.arn,
                }
            },
        }
        command = rotation_command(secret.arn, function.rotation_arn, rotation_rules(expression, duration))
        owner = f"account {secret.account}"
        stack = Stack.of(self)
        for name, value, description in (
            (
                "SecretPolicy",
                stack.to_json_string(secret_policy),
                f"For {owner}: the policy of its secret {secret.label}",
            ),
            ("KeyStatement", stack.to_json_string(key_statement), f"For {owner}: to add to the policy of its key"),
            ("Command", command, f"For {owner}: what switches the rotation on, once both are in place"),
        ):
            CfnOutput(self, name, value=value, description=description)
