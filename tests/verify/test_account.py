"""A real account's part, on moto. CloudFormation, its deployment and Lambda are doubles: moto's take packages that
nothing else here needs, and Docker."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.verify import account as module
from infra.verify.account import AwsAccount
from infra.verify.offers import OFFERS
from rotators.checks.aws import AwsRefused
from rotators.cli.aws import Account
from rotators.errors import ConfigurationError, ServiceFailed

STACK = "rotators-verify-postgres"


class Formation:
    """A double of CloudFormation, with one stack at most: a secret and a log group, which go with it."""

    def __init__(self, aws: Account) -> None:
        self.status = ""
        self.deletions = 0
        self.undeletable = False
        self._call = aws.call

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        if service != "cloudformation":
            return self._call(service, operation, **parameters)
        assert parameters == {"StackName": STACK}
        return self._delete() if operation == "delete_stack" else self._describe()

    def deploy(self, folder: Path, seconds: float) -> None:
        """In the place of the CDK's command."""
        assert folder.is_dir()
        assert seconds > 0
        boto3.client("secretsmanager").create_secret(Name=f"{STACK}/admin", SecretString="x")
        boto3.client("logs").create_log_group(logGroupName=f"{STACK}-Log")
        self.status = "CREATE_COMPLETE"

    def _describe(self) -> Any:
        if not self.status:
            raise AwsRefused(f"Stack with id {STACK} does not exist", code="ValidationError")
        shown, outputs = self.status, [{"OutputKey": "VerifierName", "OutputValue": "the-verifier"}]
        if self.status == "DELETE_IN_PROGRESS":
            self.status = "DELETE_FAILED" if self.undeletable else ""
        return {"Stacks": [{"StackStatus": shown, "Outputs": outputs}]}

    def _delete(self) -> Any:
        self.deletions += 1
        if self.status and not self.undeletable:
            boto3.client("secretsmanager").delete_secret(SecretId=f"{STACK}/admin", ForceDeleteWithoutRecovery=True)
            boto3.client("logs").delete_log_group(logGroupName=f"{STACK}-Log")
        if self.status:
            self.status = "DELETE_IN_PROGRESS"
        return {}


@pytest.fixture
def aws() -> Iterator[Account]:
    with mock_aws():
        yield Account(region="eu-west-1")


@pytest.fixture
def formation(aws: Account, monkeypatch: pytest.MonkeyPatch) -> Formation:
    made = Formation(aws)
    monkeypatch.setattr(aws, "call", made.call)
    return made


@pytest.fixture
def account(aws: Account, formation: Formation, monkeypatch: pytest.MonkeyPatch) -> AwsAccount:
    monkeypatch.setattr(module, "synthesize", lambda *_, **__: None)
    return AwsAccount(
        OFFERS["postgres"],
        aws,
        certificates=None,
        options=" --region eu-west-1",
        deployer=formation.deploy,
        pause=lambda _: None,
    )


def names() -> list[str]:
    secrets = boto3.client("secretsmanager").list_secrets(IncludePlannedDeletion=True)["SecretList"]
    logs = boto3.client("logs").describe_log_groups()["logGroups"]
    return sorted([one["Name"] for one in secrets] + [one["logGroupName"] for one in logs])


def test_the_stack_is_deployed_and_removed_with_all_that_it_may_have_left(
    account: AwsAccount, formation: Formation
) -> None:
    manager, logs = boto3.client("secretsmanager"), boto3.client("logs")
    account.deploy()
    assert names() == [f"{STACK}-Log", f"{STACK}/admin"]
    # What an invocation that was killed leaves, and a secret that CloudFormation could not delete.
    left = manager.create_secret(Name=f"{STACK}/fact-1", SecretString="x")["ARN"]
    manager.delete_secret(SecretId=left, RecoveryWindowInDays=7)
    logs.create_log_group(logGroupName=f"{STACK}-VerifierLog-1")
    # Somebody else's.
    manager.create_secret(Name="orders/app", SecretString="x")
    logs.create_log_group(logGroupName="/aws/lambda/orders")
    assert account.remove() == []
    assert names() == ["/aws/lambda/orders", "orders/app"]
    assert formation.status == ""
    assert account.remove() == [], "again is no error"


def test_what_can_not_be_removed_is_told_with_the_command_that_removes_it(
    account: AwsAccount, aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.deploy()
    call = aws.call

    def refusing(service: str, operation: str, **parameters: Any) -> Any:
        if operation in {"delete_stack", "delete_log_group"}:
            raise AwsRefused(f"{operation} was refused", code="AccessDenied")
        return call(service, operation, **parameters)

    monkeypatch.setattr(aws, "call", refusing)
    stack, logs = account.remove()
    assert stack.startswith(f"the stack {STACK} (delete_stack was refused")
    assert stack.endswith(f"aws cloudformation delete-stack --stack-name {STACK}")
    assert logs.endswith("python -m infra.verify --engine postgres --remove --region eu-west-1")
    assert names() == [f"{STACK}-Log"], "the secrets are removed though the stack is not"


def test_a_deletion_that_fails_is_tried_again(account: AwsAccount, formation: Formation) -> None:
    """The functions' network interfaces are given back some time after they are gone."""
    account.deploy()
    formation.undeletable = True
    [left] = account.remove()
    assert "its deletion ended with DELETE_FAILED" in left
    assert formation.deletions == 2


def invoked(aws: Account, monkeypatch: pytest.MonkeyPatch, payload: Any, **reply: Any) -> list[Any]:
    """moto runs a function in Docker alone: this is a double of Lambda's call."""
    call, sent = aws.call, []

    def answering(service: str, operation: str, **parameters: Any) -> Any:
        if operation != "invoke":
            return call(service, operation, **parameters)
        sent.append((parameters["FunctionName"], json.loads(parameters["Payload"])))
        return {"Payload": io.BytesIO(json.dumps(payload).encode()), **reply}

    monkeypatch.setattr(aws, "call", answering)
    return sent


def test_the_function_that_the_stack_names_is_asked(
    account: AwsAccount, aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.deploy()
    sent = invoked(aws, monkeypatch, {"rows": [], "left": []})
    assert account.invoke({"task": "service"}) == {"rows": [], "left": []}
    assert sent == [("the-verifier", {"task": "service"})]


def test_what_a_function_says_when_it_fails_stays_in_its_log(
    account: AwsAccount, aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.deploy()
    failed = {"errorType": "KeyError", "errorMessage": "'a-password'"}
    invoked(aws, monkeypatch, failed, FunctionError="Unhandled")
    with pytest.raises(ServiceFailed) as caught:
        account.invoke({"task": "rotations"})
    assert str(caught.value).startswith("the function failed at 'rotations': KeyError")
    assert "a-password" not in str(caught.value)


def test_the_cdks_own_command_is_needed(account: AwsAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_CDK", tmp_path / "cdk")
    with pytest.raises(ConfigurationError, match="make verify-aws sets it up"):
        account._cdk(tmp_path, 1.0)


@pytest.mark.parametrize(
    ("script", "said"), [("exit 3", "cdk deploy ended with 3"), ("sleep 600", "did not end within")]
)
def test_a_deployment_that_fails_or_never_ends_is_told(
    account: AwsAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, script: str, said: str
) -> None:
    command = tmp_path / "cdk"
    command.write_text(f"#!/bin/sh\nexec {script}\n" if script.startswith("sleep") else f"#!/bin/sh\n{script}\n")
    command.chmod(0o700)
    monkeypatch.setattr(module, "_CDK", command)
    with pytest.raises(ServiceFailed, match=said):
        account._cdk(tmp_path, 0.5 if script.startswith("sleep") else 60.0)
