"""A rotation function that does what its secret's tags say, and writes the received events into tags.

Tags, since the function that reads them reaches nothing but Secrets Manager, and they are no version of the secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from rotators.steps import STEPS

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

FAIL = "fail"
SEEN = "seen-"


class AsTold(Exception):
    """The secret's tag says that this step must fail."""


def handler(event: dict[str, Any], _: Any) -> None:
    """Run a step in AWS; see :func:`rotate`."""
    rotate(boto3.client("secretsmanager"), event)


def rotate(client: SecretsManagerClient, event: dict[str, Any]) -> None:
    """Run a step.

    Args:
        client: Secrets Manager.
        event: the step's.

    Raises:
        AsTold: the secret's tag says so.
    """
    arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    described = client.describe_secret(SecretId=arn)
    stages = described["VersionIdsToStages"]
    told = {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}
    labels = "+".join(sorted(stages.get(token, []))) or "none"
    note = f"{step} {labels} {_readable(client, arn, token)} {'+'.join(sorted(event))}"
    number = sum(key.startswith(SEEN) for key in told) + 1
    client.tag_resource(SecretId=arn, Tags=[{"Key": f"{SEEN}{number:02}", "Value": note}])
    if told.get(FAIL) == step:
        raise AsTold(step)
    if step == STEPS[0]:
        client.put_secret_value(
            SecretId=arn,
            ClientRequestToken=token,
            SecretString="made by the probe",
            VersionStages=["AWSPENDING"],
            RotationToken=event["RotationToken"],
        )
    if step == STEPS[-1]:
        current = next(version for version, names in stages.items() if "AWSCURRENT" in names)
        client.update_secret_version_stage(
            SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current
        )


def _readable(client: SecretsManagerClient, arn: str, token: str) -> str:
    """Whether the version under rotation has a value already."""
    try:
        client.get_secret_value(SecretId=arn, VersionId=token)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "has-a-value"
