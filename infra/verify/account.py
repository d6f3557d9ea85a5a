"""A real account: deploys the stack, calls its function, and removes everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.verify.offers import Offer
from rotators.checks.aws import AwsRefused
from rotators.cli.aws import Account as Aws
from rotators.errors import ConfigurationError, RotationError, ServiceFailed

if TYPE_CHECKING:
    from infra.verify.databases import Licence

_CDK = Path(__file__).parents[2] / "build" / "cdk" / "node_modules" / ".bin" / "cdk"
# Seconds. Lambda removes the functions' network interfaces some time after the functions.
_PAUSE, _LONGEST_REMOVAL = 15.0, 90 * 60.0
_GONE, _FAILED = "DELETE_COMPLETE", "DELETE_FAILED"
_TRIES = 2
_TIMES_AS_LONG = 3


class AwsAccount:
    """An account and Region: see :class:`infra.verify.runner.Account`.

    Args:
        offer: what is created there.
        aws: the account.
        certificates: RDS's CA certificates, as PEM; None: those of the functions' operating system.
        licence: of one's own.
        options: the options that name this account, to show in commands.
        profile: of the AWS CLI's configuration, for the CDK's command.
        deployer: deploys the cloud assembly in a folder, within so many seconds; by default the CDK's command.
        pause: waits so many seconds.
    """

    def __init__(
        self,
        offer: Offer,
        aws: Aws,
        *,
        certificates: str | None,
        licence: Licence | None = None,
        options: str = "",
        profile: str | None = None,
        deployer: Callable[[Path, float], None] | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.where = f"{offer.title} in account {aws.call('sts', 'get_caller_identity')['Account']}, {aws.region}"
        self._offer, self._aws, self._options = offer, aws, options
        self._certificates, self._licence = certificates, licence
        self._profile = {} if profile is None else {"AWS_PROFILE": profile}
        self._deployer, self._pause = deployer or self._cdk, pause
        self._stack = f"rotators-verify-{offer.name}"

    def deploy(self) -> None:
        """Synthesize the stack, and deploy it with the CDK's own command.

        Raises:
            RotationError: it could not be created.
        """
        with tempfile.TemporaryDirectory(prefix="rotators-verify-") as folder:
            synthesize(self._offer, Path(folder), certificates=self._certificates, licence=self._licence)
            self._deployer(Path(folder), self._offer.minutes * 60.0 * _TIMES_AS_LONG)

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """Call the function, and wait for its answer.

        Raises:
            RotationError: it failed; its answer may hold secrets, so it stays in the function's log.
        """
        reply = self._aws.call("lambda", "invoke", FunctionName=self._function(), Payload=json.dumps(event))
        payload = json.loads(reply["Payload"].read())
        if reply.get("FunctionError"):
            raise ServiceFailed(
                f"the function failed at '{event['task']}': {payload.get('errorType', 'no type')}",
                f"run again with --keep, and see the log groups that begin with {self._stack}",
            )
        answer: dict[str, Any] = payload
        return answer

    def remove(self) -> list[str]:
        """Delete the stack, and what it may have left behind.

        Returns:
            what is left behind, each with the command that removes it.
        """
        left = []
        for what, remove, command in (
            (
                f"the stack {self._stack}",
                self._delete_stack,
                f"aws cloudformation delete-stack --stack-name {self._stack}",
            ),
            (f"secrets {self._stack}/…", self._delete_secrets, self._again),
            (f"log groups {self._stack}…", self._delete_logs, self._again),
        ):
            try:
                remove()
            except RotationError as error:
                left.append(f"{what} ({error}). Remove it: {command}")
        return left

    @property
    def _again(self) -> str:
        return f"python -m infra.verify --engine {self._offer.name} --remove{self._options}"

    def _function(self) -> str:
        described = self._aws.call("cloudformation", "describe_stacks", StackName=self._stack)["Stacks"][0]
        outputs = {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", [])}
        return str(outputs["VerifierName"])

    def _delete_stack(self) -> None:
        for _ in range(_TRIES):
            self._aws.call("cloudformation", "delete_stack", StackName=self._stack)
            status = self._until_deleted()
            if status == _GONE:
                return
        raise ServiceFailed(f"its deletion ended with {status}", "see its events in CloudFormation")

    def _until_deleted(self) -> str:
        for _ in range(round(_LONGEST_REMOVAL / _PAUSE)):
            try:
                found = self._aws.call("cloudformation", "describe_stacks", StackName=self._stack)["Stacks"]
            except AwsRefused as error:
                if error.code == "ValidationError":
                    return _GONE
                raise
            status = str(found[0]["StackStatus"]) if found else _GONE
            if status in {_GONE, _FAILED}:
                return status
            self._pause(_PAUSE)
        return "no end in time"

    def _delete_secrets(self) -> None:
        filters = [{"Key": "name", "Values": [f"{self._stack}/"]}]
        found = self._aws.pages("secretsmanager", "list_secrets", Filters=filters, IncludePlannedDeletion=True)
        for arn in [secret["ARN"] for page in found for secret in page["SecretList"]]:
            # The policy that denies the deletion was part of the stack.
            self._aws.call("secretsmanager", "delete_resource_policy", SecretId=arn)
            self._aws.call("secretsmanager", "delete_secret", SecretId=arn, ForceDeleteWithoutRecovery=True)

    def _delete_logs(self) -> None:
        found = self._aws.pages("logs", "describe_log_groups", logGroupNamePrefix=self._stack)
        for name in [group["logGroupName"] for page in found for group in page["logGroups"]]:
            self._aws.call("logs", "delete_log_group", logGroupName=name)

    def _cdk(self, folder: Path, seconds: float) -> None:
        """Deploy with the CDK's command.

        Raises:
            RotationError: the command is missing, failed, or did not end in time.
        """
        if not _CDK.is_file():
            raise ConfigurationError("the CDK's command is not set up", "make verify-aws sets it up")
        command = [str(_CDK), "deploy", "--app", str(folder), "--require-approval", "never", "--progress", "events"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        variables = {**os.environ, "PATH": path, "AWS_REGION": self._aws.region, **self._profile}
        try:
            ran = subprocess.run(command, check=False, env=variables, stdin=subprocess.DEVNULL, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ServiceFailed(f"cdk deploy did not end within {seconds / 60:.0f} minutes", "see its events") from None
        if ran.returncode != 0:
            raise ServiceFailed(
                f"cdk deploy ended with {ran.returncode}: it says why above",
                "an account that never had the CDK takes this once: npx aws-cdk@2 bootstrap",
            )


def synthesize(offer: Offer, folder: Path, *, certificates: str | None, licence: Licence | None) -> None:
    """Write the cloud assembly of an offer's stack.

    Args:
        offer: what is created.
        folder: where to write it.
        certificates: RDS's CA certificates, as PEM; None: those of the functions' operating system.
        licence: of one's own.

    Raises:
        RotationError: it can't be synthesized.
    """
    # These imports start Node, which a plan, a rehearsal or a removal does not need.
    import aws_cdk as cdk  # noqa: PLC0415

    from infra.verify.stack import VerificationStack  # noqa: PLC0415

    app = cdk.App(outdir=str(folder))
    VerificationStack(app, offer, certificates=certificates, licence=licence)
    app.synth()
