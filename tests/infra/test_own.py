"""The user's own rotator has what one of ours has: a schedule, alarms, a check, a dashboard, and no right too many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from cdk_nag import AwsSolutionsChecks
from synthesis import as_list, bundles, of_type, read, rendered, statements, synth, text

from infra.stack import RotationStack

pytestmark = pytest.mark.slow

QUEUE = "arn:aws:sqs:eu-west-1:111122223333:keys"
FILE = f"""
account: "111122223333"
region: eu-west-1
defaults: {{every: 30 days, network: main}}
networks:
  main:
    vpc: vpc-00000001
    subnets: [subnet-00000001]
    kind: isolated
    secrets_manager: create-endpoint
    database_cidr: 10.1.0.0/16
functions:
  billing:
    code: own/src
    handler: billing.handler
    requirements: own/requirements.txt
    environment: {{BILLING_REALM: orders}}
    ports: [8443, 9443]
    permissions:
      - actions: [sqs:SendMessage]
        resources: ["{QUEUE}"]
        conditions: {{Bool: {{"aws:SecureTransport": "true"}}}}
      - actions: ["sqs:List*"]
        resources: ["*"]
        because: Queues are found by their names, and lists take no resource.
secrets:
  - {{name: billing, engine: custom, function: billing, admin: boss}}
  - {{name: other, engine: custom, function: billing, port: 443, database_cidr: 10.2.3.4/32, admin: boss}}
  - {{name: app, engine: postgres}}
  - arn: arn:aws:secretsmanager:eu-west-1:444455556666:secret:theirs-AbCdEf
    engine: custom
    function: billing
    admin: boss
    kms_key: arn:aws:kms:eu-west-1:444455556666:key/1a
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The template of the file, made once: nothing changes it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("own")
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr("rotators.packaging.wheels.install", lambda *arguments: arguments[-1].mkdir())
        return synth(folder, FILE)


def own(template: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The function that runs the rotator, and its id."""
    ((id_, found),) = [
        (id_, one["Properties"])
        for id_, one in template["Resources"].items()
        if one["Type"] == "AWS::Lambda::Function" and one["Properties"]["Handler"] == "billing.handler"
    ]
    return id_, found


def test_the_function_is_its_code_with_our_base_and_no_driver(template: dict[str, Any]) -> None:
    _, function = own(template)
    assert len(function["Layers"]) == 1
    variables = function["Environment"]["Variables"]
    assert variables["BILLING_REALM"] == "orders"
    assert variables["POWERTOOLS_SERVICE_NAME"] == "billing"
    assert variables["ROTATION_ADMIN_SECRET"] == "boss"
    assert function["Architectures"] == ["arm64"]


def test_its_role_may_do_what_the_file_says_and_nothing_else(template: dict[str, Any]) -> None:
    role = own(template)[1]["Role"]["Fn::GetAtt"][0]
    may = [
        statement
        for policy in of_type(template, "AWS::IAM::Policy")
        if {"Ref": role} in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    by_sid = {one["Sid"]: one for one in may}
    assert by_sid.keys() == {
        "AttachToItsNetwork",
        "ButNotByItsOwnCode",
        "OfItsOwn1",
        "OfItsOwn2",
        "ReadItsAdmins",
        "RotateItsSecrets",
        "UseKey1",
        "WriteItsLog",
    }
    assert by_sid["OfItsOwn1"] == {
        "Sid": "OfItsOwn1",
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": QUEUE,
        "Condition": {"Bool": {"aws:SecureTransport": "true"}},
    }
    assert (by_sid["OfItsOwn2"]["Action"], by_sid["OfItsOwn2"]["Resource"]) == ("sqs:List*", "*")
    assert {text(one).rpartition(":secret:")[2] for one in by_sid["RotateItsSecrets"]["Resource"]} == {
        "billing-??????",
        "other-??????",
        "theirs-AbCdEf",
    }
    # Nobody else has what it asked for.
    assert len([one for one in statements(template) if one["Sid"].startswith("OfItsOwn")]) == 2


def test_it_has_schedules_alarms_a_check_and_a_place_on_the_dashboard(template: dict[str, Any]) -> None:
    id_, function = own(template)
    schedules = {
        one["Properties"]["SecretId"]: one
        for one in template["Resources"].values()
        if one["Type"] == "AWS::SecretsManager::RotationSchedule"
    }
    assert schedules.keys() == {"billing", "other", "app"}
    for name in ("billing", "other"):
        assert schedules[name]["Properties"]["RotationLambdaARN"] == {"Fn::GetAtt": [id_, "Arn"]}
        needed = {template["Resources"][one]["Type"] for one in schedules[name]["DependsOn"]}
        assert {"AWS::IAM::Policy", "AWS::Lambda::Permission", "AWS::EC2::VPCEndpoint"} <= needed
    alarms = [one for one in of_type(template, "AWS::CloudWatch::Alarm") if {"Ref": id_} in _values(one)]
    assert len(alarms) == 3
    (check,) = [one for one in of_type(template, "AWS::Events::Rule") if "ScheduleExpression" in one]
    asked = text(check["Targets"][0]["Input"])
    assert all(f'"{name}"' in asked for name in ("billing", "other"))
    (dashboard,) = of_type(template, "AWS::CloudWatch::Dashboard")
    log = function["LoggingConfig"]["LogGroup"]["Ref"]
    assert log in text(dashboard["DashboardBody"])


def test_it_reaches_its_ports_and_secrets_manager_and_nothing_else(template: dict[str, Any]) -> None:
    (group,) = own(template)[1]["VpcConfig"]["SecurityGroupIds"]
    rules = template["Resources"][group["Fn::GetAtt"][0]]["Properties"]["SecurityGroupEgress"]
    assert sorted((one["CidrIp"], one["FromPort"]) for one in rules if "CidrIp" in one) == [
        ("10.1.0.0/16", 8443),
        ("10.1.0.0/16", 9443),
        ("10.2.3.4/32", 443),
    ]
    ((port, towards),) = [
        (one["FromPort"], text(one["DestinationSecurityGroupId"])) for one in rules if "CidrIp" not in one
    ]
    assert port == 443
    assert "Endpoint" in towards


def test_another_account_is_told_what_to_allow(template: dict[str, Any]) -> None:
    outputs = {name: text(one["Value"]) for name, one in template["Outputs"].items() if "444455556666" in name}
    assert len(outputs) == 3
    (policy,) = [one for name, one in outputs.items() if "SecretPolicy" in name]
    assert own(template)[0] in policy


def test_without_ports_it_reaches_secrets_manager_alone(tmp_path: Path) -> None:
    file = FILE.replace("    ports: [8443, 9443]\n", "").replace(", port: 443, database_cidr: 10.2.3.4/32", "")
    template = synth(
        tmp_path,
        file.replace("    database_cidr: 10.1.0.0/16\n", "").replace(
            "engine: postgres", "engine: custom, function: billing, admin: boss"
        ),
    )
    (group,) = own(template)[1]["VpcConfig"]["SecurityGroupIds"]
    (rule,) = template["Resources"][group["Fn::GetAtt"][0]]["Properties"]["SecurityGroupEgress"]
    assert "Endpoint" in text(rule["DestinationSecurityGroupId"])


def test_many_statements_go_into_managed_policies(tmp_path: Path) -> None:
    arns = [f"arn:aws:sqs:eu-west-1:111122223333:team/orders/queue-{number:04}" for number in range(300)]
    asked = "".join(
        f"      - {{actions: [sqs:SendMessage], resources: {json.dumps(arns[begin : begin + 50])}}}\n"
        for begin in range(0, 300, 50)
    )
    file = (
        f"functions:\n  billing:\n    code: own/src\n    handler: billing.handler\n    permissions:\n{asked}"
        "secrets: [{name: billing, engine: custom, every: 1 day, function: billing}]\n"
    )
    template = synth(tmp_path, file)
    managed = of_type(template, "AWS::IAM::ManagedPolicy")
    assert managed
    assert all(rendered(one["PolicyDocument"]) <= 6_144 for one in managed)
    inline: dict[str, int] = {}
    for policy in of_type(template, "AWS::IAM::Policy"):
        inline[text(policy["Roles"][0])] = inline.get(text(policy["Roles"][0]), 0) + rendered(policy["PolicyDocument"])
    assert max(inline.values()) <= 10_240
    found = [*statements(template), *statements(template, kind="AWS::IAM::ManagedPolicy")]
    named = [arn for one in found if one["Sid"].startswith("OfItsOwn") for arn in as_list(one["Resource"])]
    assert sorted(named) == arns


def test_cdk_nag_takes_the_reason_that_the_file_gives(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path / "cdk.out"))
    rotations = read(tmp_path, FILE)
    RotationStack(app, rotations, certificates=None, bundles=bundles, folder=tmp_path)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


def _values(found: Any) -> list[Any]:
    """Every value inside of a resource's properties."""
    if isinstance(found, dict):
        return [found, *(inner for one in found.values() for inner in _values(one))]
    if isinstance(found, list):
        return [inner for one in found for inner in _values(one)]
    return [found]
