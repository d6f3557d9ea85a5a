"""What a function that somebody has taken over could reach, by its role: asked of every role that is synthesized."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reach import ACCOUNT, REGION, Account
from synthesis import NETWORK, as_list, synth

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs/explanation/security.md"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
PARTNERS = "arn:aws:secretsmanager:eu-west-1:444455556666:secret:partner/app-MnOpQr"
SHARED, THEIRS = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/shared", "arn:aws:kms:eu-west-1:444455556666:key/theirs"
FILE = (
    NETWORK
    + f"""
account: "{ACCOUNT}"
region: {REGION}
keys: {{made: {{create: ours}}}}
defaults: {{every: 30 days, network: main}}
function: {{tracing: true}}
fleet: {{}}
alarms: {{}}
secrets:
  - {{name: orders/app, engine: postgres}}
  - arn: "{SECRET}shop/app-AbCdEf"
    engine: mysql
    strategy: alternating-users
    admin: shop/admin
    kms_key: "{SHARED}"
    admin_kms_key: "{SHARED}"
  - {{name: second/app, engine: mariadb, kms_key: "{SHARED}"}}
  - create: {{name: made, values: {{username: app, host: db}}}}
    engine: mongo
    kms_key: made
  - name: erp/app
    engine: sqlserver
    strategy: alternating-users
    admin: rds!db-1
    admin_host: "arn:aws:rds:{REGION}:{ACCOUNT}:db:erp"
  - {{arn: "{PARTNERS}", engine: oracle, strategy: dual-password, admin: partner/admin, kms_key: "{THEIRS}"}}
  - {{name: billing/key, engine: custom, function: billing}}
functions:
  billing:
    code: own/src
    handler: billing.handler
    requirements: own/requirements.txt
    ports: [8443]
    permissions:
      - {{actions: [iam:CreateAccessKey], resources: ["arn:aws:iam::{ACCOUNT}:user/billing"]}}
"""
)
# Each secret of the file: its ARN in the account, its admin's, and its key. The handler's engine names its function.
SECRETS = {
    "postgres": (f"{SECRET}orders/app-aBcDeF", None, None),
    "mysql": (f"{SECRET}shop/app-AbCdEf", f"{SECRET}shop/admin-123456", SHARED),
    "mariadb": (f"{SECRET}second/app-aBcDeF", None, SHARED),
    "mongo": ("", None, ""),
    "sqlserver": (f"{SECRET}erp/app-aBcDeF", f"{SECRET}rds!db-1-123456", None),
    "oracle": (PARTNERS, f"{SECRET}partner/admin-123456", THEIRS),
    "billing": (f"{SECRET}billing/key-aBcDeF", None, None),
}
READ = ["DescribeSecret", "GetSecretValue"]
LOOK = ["ListSecretVersionIds"]
WRITE = ["PutSecretValue", "UpdateSecretVersionStage"]
OTHERS = [
    "BatchGetSecretValue", "CancelRotateSecret", "CreateSecret", "DeleteResourcePolicy", "DeleteSecret",
    "GetRandomPassword", "GetResourcePolicy", "ListSecrets", "PutResourcePolicy",
    "RemoveRegionsFromReplication", "ReplicateSecretToRegions", "RestoreSecret", "RotateSecret", "TagResource",
    "UntagResource", "UpdateSecret",
]  # fmt: skip
SECRETS_MANAGER = [f"secretsmanager:{one}" for one in (*READ, *LOOK, *WRITE, *OTHERS)]
KMS = [
    f"kms:{one}"
    for one in ("Decrypt", "GenerateDataKey", "Encrypt", "ReEncryptFrom", "CreateGrant", "PutKeyPolicy", "DescribeKey")
]
LOGS = [
    f"logs:{one}" for one in ("CreateLogStream", "PutLogEvents", "GetLogEvents", "FilterLogEvents", "DeleteLogGroup")
]
LAMBDA = [
    f"lambda:{one}"
    for one in ("InvokeFunction", "UpdateFunctionCode", "UpdateFunctionConfiguration", "AddPermission", "GetFunction")
]
ELSEWHERE = [
    "cloudformation:UpdateStack", "dynamodb:GetItem", "ec2:RunInstances", "events:PutEvents", "iam:AttachRolePolicy",
    "iam:CreateAccessKey", "iam:PassRole", "iam:PutRolePolicy", "rds-db:connect", "rds:DescribeDBInstances",
    "rds:ModifyDBInstance", "redshift:GetClusterCredentials", "s3:GetObject", "s3:PutObject", "sns:Publish",
    "sqs:SendMessage", "ssm:GetParameter", "states:StartExecution", "sts:AssumeRole",
]  # fmt: skip
INTERFACES = [
    "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
]  # fmt: skip
TRACES = ["xray:PutTelemetryRecords", "xray:PutTraceSegments", "xray:GetTraceSummaries"]

OWN, ADMIN = "its own secrets", "its admins' secrets"
KEY = "the key of these, through Secrets Manager and for them alone"
LOG, TRACING = "its own log", "X-Ray, with `tracing: true`"
DATABASE, NAMED = "the database that `admin_host` names by its ARN", "what `permissions` names, with `engine: custom`"
# What there is to reach, and all of it: what has no place here is out of reach. docs/explanation/security.md shows it.
EXPECTED: dict[str, list[str]] = {
    OWN: [f"secretsmanager:{one}" for one in (*READ, *LOOK, *WRITE)],
    ADMIN: ["secretsmanager:GetSecretValue"],
    KEY: ["kms:Decrypt", "kms:GenerateDataKey"],
    LOG: LOGS[:2],
    TRACING: TRACES[:2],
    DATABASE: ["rds:DescribeDBInstances"],
    NAMED: ["iam:CreateAccessKey"],
}
MANAGED = {ADMIN: ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]}
VIA = {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """The roles of the file, synthesized once: nothing changes them."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("reach")
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr("rotators.packaging.wheels.install", lambda *arguments: arguments[-1].mkdir())
        return Account(synth(folder, FILE))


def functions(account: Account) -> dict[str, tuple[str, str]]:
    """The id and the role of each function that rotates, by its engine, or its own name."""
    found = {}
    for id_, properties in account.of_type("AWS::Lambda::Function"):
        name = next((one for one in sorted(SECRETS, key=len, reverse=True) if id_.startswith(one)), None)
        if name is not None:
            found[name] = (id_, str(properties["Role"]["Fn::GetAtt"][0]))
    assert found.keys() == SECRETS.keys()
    return found


def facts(account: Account) -> dict[str, tuple[str, str | None, str | None]]:
    """SECRETS, with what the template makes."""
    ((made, _),) = account.of_type("AWS::SecretsManager::Secret")
    keys = [id_ for id_, _ in account.of_type("AWS::KMS::Key") if "made" in id_]
    return {**SECRETS, "mongo": (account.arn(made), None, account.arn(keys[0]))}


def reached(  # noqa: C901, PLR0912  # one list of all that there is to try
    account: Account, who: str
) -> dict[str, list[str]]:
    """All that a function's own code may do, of everything that is tried; raises for what has no place in EXPECTED."""
    id_, role = functions(account)[who]
    arn = account.arn(id_)
    own, admin, key = facts(account)[who]
    found: dict[str, set[str]] = {}

    def attempt(label: str, actions: list[str], resource: str, **context: str) -> None:
        given = {"lambda:SourceFunctionArn": arn, **{name.replace("__", ":"): value for name, value in context.items()}}
        for action in actions:
            if account.allows(role, action, resource, given):
                found.setdefault(label, set()).add(action)

    allowed_by = "secretsmanager:resource/AllowRotationLambdaArn"

    def ask_for_secret(label: str, secret: str, rotated_by: str | None) -> None:
        attempt(label, SECRETS_MANAGER, secret, **({allowed_by: rotated_by} if rotated_by else {}))

    ask_for_secret(OWN, own, arn)
    ask_for_secret("its own secret, which another function rotates now", own, f"{arn}-other")
    ask_for_secret("its own secret, which nothing rotates", own, None)
    if admin is not None:
        ask_for_secret(ADMIN, admin, None)
    for name, (secret, its_admin, its_key) in facts(account).items():
        if name != who:
            ask_for_secret(f"the secret of {name}", secret, account.arn(functions(account)[name][0]))
            if its_admin is not None:
                ask_for_secret(f"the admin of {name}", its_admin, None)
        for used in {its_key, key} - {None}:
            for context in ({}, VIA, {"kms:EncryptionContext:SecretARN": own}):
                attempt(f"the key {used} by {sorted(context)}", KMS, str(used), **context)
            if name != who:
                attempt(
                    f"the key {used} for {name}", KMS, str(used), **VIA, **{"kms:EncryptionContext:SecretARN": secret}
                )
    # By its name, that of another may begin as this one's does; and one may be written to be taken for it.
    stem = own.rpartition("-")[0]
    for alike in (
        f"{stem}-backup-AbCdEf",
        f"{stem}2-AbCdEf",
        f"{stem}/AbCdEf",
        f"{stem}-AbCdE",
        f"{SECRET}x{stem[-5:]}-AbCdEf",
    ):
        ask_for_secret(f"a secret of nobody's, {alike}", alike, arn)
    ask_for_secret("all secrets", "*", arn)
    if key is not None:
        for secret in filter(None, (own, admin)):
            attempt(KEY, KMS, key, **VIA, **{"kms:EncryptionContext:SecretARN": secret})
    for log, _ in account.of_type("AWS::Logs::LogGroup"):
        attempt(LOG if log.startswith(id_.partition("RotationFunction")[0]) else f"the log {log}", LOGS, account.arn(log).removesuffix("*") + "log-stream:x")  # fmt: skip # noqa: E501
    for function, _ in account.of_type("AWS::Lambda::Function"):
        attempt(f"the function {function}", LAMBDA, account.arn(function))
    attempt("network interfaces", INTERFACES, "*")
    attempt(TRACING, TRACES, "*")
    attempt(DATABASE, ELSEWHERE, f"arn:aws:rds:{REGION}:{ACCOUNT}:db:erp")
    attempt(NAMED, ELSEWHERE, f"arn:aws:iam::{ACCOUNT}:user/billing")
    for resource in (
        "*",
        f"arn:aws:rds:{REGION}:{ACCOUNT}:db:other",
        f"arn:aws:iam::{ACCOUNT}:role/admin",
        "arn:aws:s3:::x/y",
    ):
        attempt(f"elsewhere: {resource}", [*ELSEWHERE, *KMS, *LOGS, *LAMBDA], resource)
    return {label: sorted(actions) for label, actions in found.items()}


@pytest.mark.parametrize("who", SECRETS)
def test_a_function_that_was_taken_over_reaches_this_and_nothing_else(account: Account, who: str) -> None:
    _, admin, key = SECRETS[who]
    has = {OWN, LOG, TRACING, *([ADMIN] if admin else []), *([KEY] if key is not None else [])}
    has |= {DATABASE} if who == "sqlserver" else set()
    has |= {NAMED} if who == "billing" else set()
    expected = {
        label: sorted((MANAGED if who == "sqlserver" else EXPECTED).get(label, EXPECTED[label])) for label in has
    }
    assert reached(account, who) == expected


def test_lambda_itself_may_attach_each_function_to_its_network(account: Account) -> None:
    """What is denied to the code is what Lambda needs: without lambda:SourceFunctionArn in the request."""
    for _, role in functions(account).values():
        assert all(account.allows(role, one, "*", {}) for one in INTERFACES)


def test_the_overdue_check_reads_dates_and_no_value(account: Account) -> None:
    (role,) = [id_ for id_, _ in account.of_type("AWS::IAM::Role") if id_.startswith("Overdue")]
    for secret, admin, key in facts(account).values():
        reads = [one for one in SECRETS_MANAGER if account.allows(role, one, secret, {})]
        assert reads == ["secretsmanager:DescribeSecret"]
        assert not [one for one in SECRETS_MANAGER if admin and account.allows(role, one, admin, {})]
        assert not [one for one in KMS if key and account.allows(role, one, key, VIA)]
    assert not [one for one in ELSEWHERE if account.allows(role, one, "*", {})]


def test_the_fleet_rotates_by_the_function_that_there_is_and_reads_no_value(account: Account) -> None:
    (role,) = [id_ for id_, _ in account.of_type("AWS::IAM::Role") if id_.startswith("FleetRole")]
    allowed_by = "secretsmanager:resource/AllowRotationLambdaArn"
    # ListSecrets is of no secret: the names of all are in its answer.
    tried = [one for one in SECRETS_MANAGER if one != "secretsmanager:ListSecrets"]
    for name, (secret, admin, _) in facts(account).items():
        function = account.arn(functions(account)[name][0])
        may = {one for one in tried if account.allows(role, one, secret, {allowed_by: function})}
        # A secret of another account is rotated by who is there.
        assert may == (
            set() if secret == PARTNERS else {"secretsmanager:DescribeSecret", "secretsmanager:RotateSecret"}
        )
        given = {allowed_by: function, "secretsmanager:RotationLambdaARN": f"{function}-of-an-attacker"}
        assert not account.allows(role, "secretsmanager:RotateSecret", secret, given)
        assert not account.allows(role, "secretsmanager:RotateSecret", secret, {allowed_by: f"{function}-other"})
        assert not [one for one in tried if admin and account.allows(role, one, admin, {})]
        assert [one for one in LAMBDA if account.allows(role, one, function, {})] == ["lambda:InvokeFunction"]
    assert not [one for one in (*ELSEWHERE, *KMS) if account.allows(role, one, "*", {})]


def test_no_resource_is_a_wildcard_but_where_aws_takes_no_other(account: Account) -> None:
    """Each with AWS's page of the service's actions: none of these has a resource type."""
    unnameable = {*INTERFACES, *TRACES, "secretsmanager:ListSecrets"}
    for role, _ in account.of_type("AWS::IAM::Role"):
        for statement in account.statements(role):
            actions = as_list(statement["Action"])
            assert not [one for one in actions if "*" in one]
            if statement["Effect"] == "Allow" and "*" in as_list(statement["Resource"]):
                assert set(actions) <= unnameable, statement


def table() -> list[str]:
    """The page's rows, as far as they are made from EXPECTED."""
    return [f"| {label} | {', '.join(f'`{one}`' for one in EXPECTED[label])} | " for label in EXPECTED]


def test_the_page_tells_all_that_can_be_reached() -> None:
    text = PAGE.read_text()
    for row in table():
        assert row in text, row


def test_the_evaluation_is_iams() -> None:
    """What it answers where the answer is known, and that it gives none where it is not."""
    allow: dict[str, Any] = {"Effect": "Allow", "Action": ["s3:Get*"], "Resource": "arn:aws:s3:::a?/*"}
    deny = {
        "Effect": "Deny",
        "Action": "s3:GetObject",
        "Resource": "*",
        "Condition": {"StringEquals": {"k": ["x", "y"]}},
    }

    def may(
        *statements: dict[str, Any], action: str = "s3:getobject", resource: str = "arn:aws:s3:::ab/c", **given: str
    ) -> bool:
        role = {"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"PolicyDocument": {"Statement": statements}}]}}
        return Account({"Resources": {"R": role}}).allows("R", action, resource, given)

    assert may(allow)
    assert may(allow, deny)
    assert not may(allow, deny, k="y")
    assert not may(deny)
    assert not may(allow, action="s3:PutObject")
    assert not may(allow, resource="arn:aws:s3:::abc/c")
    assert not may({**allow, "Condition": {"StringLike": {"k": "x*"}}})
    assert may({**allow, "Condition": {"StringLike": {"k": "x*"}}}, k="xy")
    assert may({**allow, "Condition": {"Null": {"k": "true"}}})
    assert not may({**allow, "Condition": {"Null": {"k": "true"}}}, k="x")
    with pytest.raises(AssertionError, match="not known here"):
        may({**allow, "Condition": {"DateLessThan": {"k": "x"}}}, k="x")
    with pytest.raises(AssertionError):
        may({**allow, "NotAction": "x"})
