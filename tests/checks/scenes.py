"""A secret, its function and its database as they should be, for tests that break one thing of it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

from rotators.checks.aws import AwsRefused
from rotators.cli.aws import Account
from rotators.testing import RotationService

ROLE = "rotation-role"
_ALLOWED = ["secretsmanager:*", "kms:*"]


class SimulatedAccount(Account):
    """An account whose IAM tells what a role may do, which moto's does not: by the actions of its inline policies."""

    def call(self, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        if operation != "simulate_principal_policy":
            return super().call(service, operation, **parameters)
        role = parameters["PolicySourceArn"].rsplit("/", 1)[-1]
        iam = self.client("iam")
        allowed: list[str] = []
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            allowed += document["Statement"][0]["Action"]
        results = [
            {"EvalActionName": action, "EvalDecision": "allowed" if _matches(action, allowed) else "implicitDeny"}
            for action in parameters["ActionNames"]
        ]
        return {"EvaluationResults": results}


class ForbiddenAccount(Account):
    """An account in which the caller may do nothing but look at secrets."""

    def call(self, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        if operation != "describe_secret":
            raise AwsRefused(f"{service}:{operation} was refused", code="AccessDeniedException")
        return super().call(service, operation, **parameters)


def _matches(action: str, allowed: list[str]) -> bool:
    return any(action == one or (one.endswith("*") and action.startswith(one[:-1])) for one in allowed)


def deploy(account: Account, service: RotationService, secret_id: str, **changes: Any) -> str:
    """Make the function of a secret, as the stack would.

    Args:
        account: where.
        service: the simulated service, which knows its handler.
        secret_id: the secret's ARN.
        changes: other values of its configuration.

    Returns:
        its name.
    """
    arn = service.client.describe_secret(SecretId=secret_id)["RotationLambdaARN"]
    name = arn.rsplit(":", 1)[-1]
    iam = account.client("iam")
    try:
        role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        allow(account, _ALLOWED)
    except iam.exceptions.EntityAlreadyExistsException:
        role = iam.get_role(RoleName=ROLE)["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", "")
    settings = {"Runtime": "python3.13", "Handler": "handler.handler", "Timeout": 60} | changes
    client = account.client("lambda")
    client.create_function(FunctionName=name, Role=role, Code={"ZipFile": code.getvalue()}, **settings)
    permit(account, name)
    return name


def allow(account: Account, actions: list[str]) -> None:
    """Let the function's role do these, and nothing else."""
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    account.client("iam").put_role_policy(
        RoleName=ROLE,
        PolicyName="rotation",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


def permit(account: Account, name: str, **more: str) -> None:
    """Let Secrets Manager invoke a function."""
    account.client("lambda").add_permission(
        FunctionName=name,
        StatementId="SecretsManager",
        Action="lambda:InvokeFunction",
        Principal="secretsmanager.amazonaws.com",
        **(more or {"SourceAccount": "123456789012"}),
    )


_VARYING = (
    (r"(arn:aws:secretsmanager:[\w-]+:\d+:secret:)[\w/-]+", r"\1NAME"),
    (r"(arn:aws:kms:[\w-]+:\d+:key/)[\w-]+", r"\1KEY"),
    (r"(arn:aws:lambda:[\w-]+:\d+:function:)[\w-]+", r"\1FUNCTION"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "VERSION"),
    (r"rotate-causes-\d+", "FUNCTION"),
    (r"causes-\d+", "NAME"),
    (r"(\w\.invalid)(:\d+)", r"\1:PORT"),
    (r"(localhost|127\.0\.0\.1|127\.0\.0\.\d+)(:\d+)", r"\1:PORT"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE TIME"),
    (r"(?<!\")\b\d{4}-\d\d-\d\d\b", "DATE"),
    (r"postgres started [^;,|]*", "postgres started …"),
    (r"(?:/[\w.-]+)+\.pem", "FILE.pem"),
    (r"\bcause\d+\b", "app"),
    (r"\bcause\d+_", "app_"),
    (r"admin\d+\b", "admin"),
)


def plain(line: str) -> str:
    """A printed line without what differs from run to run."""
    for pattern, instead in _VARYING:
        line = re.sub(pattern, instead, line)
    return line
