"""What AWS says about a secret's rotation: the secret, its schedule, its function and the function's permissions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rotators.checks import commands
from rotators.checks.answer import unqualified
from rotators.checks.aws import Aws, AwsRefused
from rotators.checks.finding import Finding, failure, ok, unknown, warning
from rotators.credentials import Credentials
from rotators.due import overdue
from rotators.errors import ConfigurationError, RotationError
from rotators.logs import redactor
from rotators.rotator import learn
from rotators.schedules import RotationRules

_PRINCIPAL = "secretsmanager.amazonaws.com"
# Seconds. With less, Lambda may end a rotation on a slow database before it reports an error.
_SHORTEST_TIMEOUT = 30
_SHORT_WINDOW = timedelta(hours=2)
_SECRET_ACTIONS = ("DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage")
_KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html: deprecated, or soon.
_OLD_RUNTIMES = frozenset({"python3.6", "python3.7", "python3.8", "python3.9"})
_RUNTIME = "python3.13"


class OutsideCheck:
    """A check of one secret, with the caller's permissions.

    Args:
        aws: the secret's account and Region.
        secret_id: its name or ARN.
        now: gives the current time.
    """

    def __init__(self, aws: Aws, secret_id: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._aws = aws
        self._now = now
        self.secret_id = secret_id
        """The whole ARN, once AWS has returned it."""
        self.function_arn: str | None = None
        """The rotation function, once AWS has returned it."""
        self.function: Mapping[str, Any] = {}
        """The function's configuration, if it may be read."""
        self.value: Credentials | None = None
        """The secret's current value, if it may be read."""

    def run(self) -> Iterator[Finding]:
        """All findings. Stops after one that makes further checks useless."""
        try:
            described = self._aws.call("secretsmanager", "describe_secret", SecretId=self.secret_id)
        except AwsRefused as error:
            if error.missing:
                yield failure(
                    "secret",
                    f"there is no secret {self.secret_id} in {self._aws.region}",
                    "correct its name, or name its Region and account with --region and --profile",
                )
            else:
                yield Finding.of("secret", error)
            return
        self.secret_id = str(described["ARN"])
        redactor.show([self.secret_id])
        if described.get("OwningService"):
            yield ok("secret", f"{described['OwningService']} manages it and rotates it itself", "managed")
            return
        if described.get("DeletedDate"):
            yield failure(
                "secret",
                f"it is scheduled for deletion since {described['DeletedDate']:%Y-%m-%d}",
                f"aws secretsmanager restore-secret --secret-id {self.secret_id}",
            )
            return
        yield ok("secret", f"{described.get('Name', self.secret_id)}, not deleted")
        yield from self._value()
        self.function_arn = described.get("RotationLambdaARN")
        if not described.get("RotationEnabled") or not self.function_arn:
            yield failure(
                "rotation",
                "it is switched off",
                commands.switch_on(self.secret_id, self.function_arn or "FUNCTION_ARN"),
            )
        else:
            yield ok("rotation", "it is switched on")
            yield from self._schedule(described)
        yield from self._replicas(described)
        yield from self._key(described.get("KmsKeyId"), "KMS key")
        if self.function_arn:
            redactor.show([self.function_arn])
            yield from self._function(self.function_arn)
            yield from self._admin()
            yield from self._role(described.get("KmsKeyId"))

    def _value(self) -> Iterator[Finding]:
        try:
            reply = self._aws.call("secretsmanager", "get_secret_value", SecretId=self.secret_id)
        except AwsRefused as error:
            if error.denied:
                # The function's own check reads it.
                yield unknown("secret's JSON", "you may not read the secret's value", "leave it to the inside check")
            elif error.missing:
                yield failure("secret's JSON", "it has no AWSCURRENT value", commands.put_value(self.secret_id))
            else:
                yield Finding.of("secret's JSON", error)
            return
        text = reply.get("SecretString")
        if text is None:
            yield failure("secret's JSON", "its value is binary, and must be text", commands.put_value(self.secret_id))
            return
        redactor.hide_unknown([text])
        try:
            value = Credentials.from_json(text, "AWSCURRENT")
        except RotationError as error:
            yield Finding.of("secret's JSON", error)
            return
        learn(value)
        self.value = value
        yield ok("secret's JSON", f"an object with {len(value)} keys")

    def _schedule(self, described: Mapping[str, Any]) -> Iterator[Finding]:
        shown = described.get("RotationRules") or {}
        try:
            rules = RotationRules.of(shown)
        except ConfigurationError as error:
            yield Finding.of("schedule", error)
            return
        if rules.schedule is None:
            yield warning(
                "schedule",
                "it has none: the secret rotates on demand only",
                f"{commands.switch_on(self.secret_id)} --rotation-rules '{{\"AutomaticallyAfterDays\": 30}}'",
            )
            return
        planned = described.get("NextRotationDate")
        spelled = shown.get("ScheduleExpression") or f"every {shown.get('AutomaticallyAfterDays')} days"
        late = overdue(planned, self._now())
        if late is not None:
            yield failure(
                "schedule",
                f"overdue: {late}",
                f"see the function's log; then: {commands.rotate(self.secret_id)}",
            )
            return
        until = "" if planned is None else f"; next by {planned.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        start = rules.schedule.next_window(self._now(), described.get("LastRotatedDate"))
        window = rules.window_end(start) - start
        hours = f"{window.total_seconds() / 3600:.0f} h"
        if window < _SHORT_WINDOW and not rules.schedule.in_hours:
            yield warning(
                "schedule",
                f"{spelled}, with a window of {hours}: too short for Secrets Manager to try again in it{until}",
                f"{commands.switch_on(self.secret_id)} --rotation-rules '{json.dumps({**shown, 'Duration': '4h'})}'",
            )
            return
        yield ok("schedule", f"{spelled}, window {hours}{until}")

    def _replicas(self, described: Mapping[str, Any]) -> Iterator[Finding]:
        replicas = described.get("ReplicationStatus") or ()
        primary = described.get("PrimaryRegion")
        if primary and primary != self._aws.region:
            yield failure(
                "replicas",
                "this is a replica, which does not rotate",
                f"rotators check {self.secret_id} --region {primary}",
            )
        failed = [str(one["Region"]) for one in replicas if one.get("Status") == "Failed"]
        if failed:
            yield warning(
                "replicas",
                f"the replicas in {', '.join(failed)} are out of date",
                f"aws secretsmanager replicate-secret-to-regions --secret-id {self.secret_id} "
                f"--force-overwrite-replica-secret --add-replica-regions "
                f"{' '.join(f'Region={one}' for one in failed)}",
            )
        elif replicas:
            yield ok("replicas", f"{len(replicas)}, up to date")

    def _key(self, key_id: str | None, subject: str) -> Iterator[Finding]:
        if not key_id:
            yield ok(subject, "aws/secretsmanager, the account's own")
            return
        redactor.show([key_id])
        try:
            key = self._aws.call("kms", "describe_key", KeyId=key_id)["KeyMetadata"]
        except AwsRefused as error:
            if error.denied:
                yield unknown(subject, f"you may not look at {key_id}", "allow kms:DescribeKey")
            else:
                yield Finding.of(subject, error)
            return
        state = str(key.get("KeyState"))
        cure = {
            "Disabled": f"aws kms enable-key --key-id {key_id}",
            "PendingDeletion": f"aws kms cancel-key-deletion --key-id {key_id} && aws kms enable-key --key-id {key_id}",
        }
        if state == "Enabled":
            yield ok(subject, f"{key_id} is enabled")
        else:
            yield failure(
                subject,
                f"{key_id} is {state}: no value can be read or stored",
                cure.get(state, f"aws kms describe-key --key-id {key_id}"),
            )

    def _function(self, arn: str) -> Iterator[Finding]:
        name = arn.rsplit(":function:", maxsplit=1)[-1]
        try:
            self.function = self._aws.call("lambda", "get_function", FunctionName=arn)["Configuration"]
        except AwsRefused as error:
            if error.missing:
                yield failure(
                    "function",
                    f"{name} does not exist",
                    f"deploy it again, or: {commands.switch_on(self.secret_id, 'FUNCTION_ARN')}",
                )
            elif error.denied:
                yield unknown("function", f"you may not look at {name}", "allow lambda:GetFunction")
            else:
                yield Finding.of("function", error)
            return
        yield from self._configuration(name)
        yield from self._concurrency(arn, name)
        yield from self._policy(arn, name)

    def _configuration(self, name: str) -> Iterator[Finding]:
        config = self.function
        state, update = config.get("State", "Active"), config.get("LastUpdateStatus", "Successful")
        runtime, timeout = str(config.get("Runtime", "")), int(config.get("Timeout", 3))
        update_call = f"aws lambda update-function-configuration --function-name {name}"
        if state not in {"Active", "Inactive"}:
            yield failure(
                "function",
                f"{name} is {state}: {config.get('StateReason', 'no reason given')}",
                f"aws lambda get-function --function-name {name}",
            )
        elif update == "Failed":
            yield warning(
                "function",
                f"the last update of {name} failed: {config.get('LastUpdateStatusReason', 'no reason given')}",
                "deploy it again",
            )
        else:
            yield ok("function", f"{name}, {runtime}, last changed {config.get('LastModified', 'at no known time')}")
        if timeout < _SHORTEST_TIMEOUT:
            yield warning(
                "function's time-out",
                f"{timeout} s: Lambda may end a step before it can say what was wrong",
                f"{update_call} --timeout 60",
            )
        if runtime in _OLD_RUNTIMES:
            yield warning(
                "function's runtime",
                f"{runtime} is no longer supported by Lambda",
                f"{update_call} --runtime {_RUNTIME}",
            )

    def _concurrency(self, arn: str, name: str) -> Iterator[Finding]:
        try:
            reserved = self._aws.call("lambda", "get_function_concurrency", FunctionName=unqualified(arn)).get(
                "ReservedConcurrentExecutions"
            )
        except AwsRefused as error:
            yield unknown("function's concurrency", error.what, "allow lambda:GetFunctionConcurrency")
            return
        if reserved == 0:
            yield failure(
                "function's concurrency",
                f"{name} is throttled: its reserved concurrency is 0",
                f"aws lambda delete-function-concurrency --function-name {name}",
            )
        elif reserved is not None:
            yield ok("function's concurrency", f"{reserved} reserved")

    def _policy(self, arn: str, name: str) -> Iterator[Finding]:
        account = self.secret_id.split(":")[4]
        add = (
            f"aws lambda add-permission --function-name {name} --statement-id SecretsManager --action "
            f"lambda:InvokeFunction --principal {_PRINCIPAL} --source-account {account}"
        )
        subject = "function's resource policy"
        try:
            policy = json.loads(self._aws.call("lambda", "get_policy", FunctionName=arn)["Policy"])
        except AwsRefused as error:
            if error.missing:
                yield failure(subject, f"{name} has none: Secrets Manager may not invoke it", add)
            else:
                yield unknown(subject, error.what, "allow lambda:GetPolicy")
            return
        allowing = [one for one in policy.get("Statement", ()) if _allows_the_service(one)]
        if not allowing:
            yield failure(subject, f"it does not let {_PRINCIPAL} invoke {name}", add)
        elif not any(_for_account(one, account) for one in allowing):
            sid = allowing[0].get("Sid", "SID")
            yield warning(
                subject,
                f"it names no SourceAccount: secrets of any account may have {name} invoked",
                f"aws lambda remove-permission --function-name {name} --statement-id {sid} && {add}",
            )
        else:
            yield ok(subject, f"{_PRINCIPAL} may invoke it, for account {account}")

    @property
    def admin_arn(self) -> str | None:
        """The admin's secret, from the secret or the function's settings; None if neither names one."""
        variables = (self.function.get("Environment") or {}).get("Variables") or {}
        try:
            named = None if self.value is None else self.value.admin_arn
        except RotationError:
            named = None
        return named or variables.get("ROTATION_ADMIN_SECRET")

    def _admin(self) -> Iterator[Finding]:
        arn = self.admin_arn
        if not arn:
            return
        redactor.show([arn])
        try:
            described = self._aws.call("secretsmanager", "describe_secret", SecretId=arn)
        except AwsRefused as error:
            if error.missing:
                yield failure(
                    "admin secret",
                    f"{arn} does not exist",
                    "correct 'masterarn' in the secret, or ROTATION_ADMIN_SECRET of the function",
                )
            else:
                yield unknown("admin secret", error.what, "allow secretsmanager:DescribeSecret on it")
            return
        if described.get("DeletedDate"):
            yield failure(
                "admin secret",
                f"{arn} is scheduled for deletion",
                f"aws secretsmanager restore-secret --secret-id {arn}",
            )
            return
        yield ok("admin secret", f"{described.get('Name', arn)} is there")
        if described.get("KmsKeyId"):
            yield from self._key(described["KmsKeyId"], "admin secret's KMS key")

    def _role(self, key_id: str | None) -> Iterator[Finding]:
        """What the function's role may do, according to IAM's policy simulator."""
        role = self.function.get("Role")
        if not role:
            return
        redactor.show([role])
        wanted = [(f"secretsmanager:{action}", self.secret_id) for action in _SECRET_ACTIONS]
        if self.admin_arn:
            wanted.append(("secretsmanager:GetSecretValue", self.admin_arn))
        if key_id and key_id.startswith("arn:"):
            wanted += [(action, key_id) for action in _KEY_ACTIONS]
        try:
            denied = [one for one in wanted if not self._allowed(str(role), *one)]
        except AwsRefused as error:
            yield unknown(
                "function's role",
                f"what {role} may do can't be simulated: {error.what}",
                "allow iam:SimulatePrincipalPolicy",
            )
            return
        if not denied:
            yield ok("function's role", f"{role.rsplit('/', 1)[-1]} may do all that a rotation needs")
        for resource in dict.fromkeys(resource for _, resource in denied):
            actions = [action for action, on in denied if on == resource]
            statement = json.dumps({"Effect": "Allow", "Action": actions, "Resource": resource})
            yield failure(
                "function's role",
                f"{role.rsplit('/', 1)[-1]} may not {', '.join(actions)} on {resource}",
                f"aws iam put-role-policy --role-name {role.rsplit('/', 1)[-1]} --policy-name rotators-remedy "
                f'--policy-document \'{{"Version": "2012-10-17", "Statement": [{statement}]}}\'',
            )

    def _allowed(self, role: str, action: str, resource: str) -> bool:
        reply = self._aws.call(
            "iam", "simulate_principal_policy", PolicySourceArn=role, ActionNames=[action], ResourceArns=[resource]
        )
        return all(one.get("EvalDecision") == "allowed" for one in reply.get("EvaluationResults", ()))


def _allows_the_service(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    services = principal.get("Service", ()) if isinstance(principal, Mapping) else [principal]
    named = [services] if isinstance(services, str) else list(services)
    actions = statement.get("Action", ())
    acts = [actions] if isinstance(actions, str) else list(actions)
    return (
        statement.get("Effect") == "Allow"
        and bool({_PRINCIPAL, "*"} & set(named))
        and bool({"lambda:InvokeFunction", "lambda:*", "*"} & set(acts))
    )


def _for_account(statement: Mapping[str, Any], account: str) -> bool:
    for operator in (statement.get("Condition") or {}).values():
        for key, value in operator.items():
            values = [value] if isinstance(value, str) else list(value)
            if key.lower() in {"aws:sourceaccount", "aws:sourcearn"} and any(account in one for one in values):
                return True
    return False
