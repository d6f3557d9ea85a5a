"""The constructs in anybody's app: the how-to's apps before and after, and what add_rotation does beyond them."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import Aspects, Duration, Stack, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Template
from synthesis import as_list, bundles, of_type, statements, text

from rotators.cdk import CaBundle, CustomRotator, OverdueCheck, RotationFunction, SecretsManagerEndpoint
from rotators.errors import ConfigurationError
from rotators.testing.servers.certificates import CertificateAuthority

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs/how-to/use-in-a-cdk-app.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SCHEDULE = "AWS::SecretsManager::RotationSchedule"
# What must be what it was when aws-cdk-lib's rotation is replaced by ours.
STAYS = {
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::RDS::DBSubnetGroup",
    "AWS::SecretsManager::ResourcePolicy",
    "AWS::SecretsManager::Secret",
    "AWS::SecretsManager::SecretTargetAttachment",
}
APPS = re.findall(r"^def (\w+)_before", "\n".join(BLOCKS), re.MULTILINE)


@pytest.mark.parametrize("app", APPS)
def test_the_ids_of_secret_database_and_schedule_do_not_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: str
) -> None:
    monkeypatch.chdir(tmp_path)
    CertificateAuthority(tmp_path).ca_file.rename(tmp_path / "rds.pem")
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(block, names)  # noqa: S102  # the page says it
    before, after = (resources(names[f"{app}_{when}"]) for when in ("before", "after"))
    schedules = {id_: one for id_, one in before.items() if one["Type"] == SCHEDULE}
    assert schedules
    for id_, one in schedules.items():
        assert after[id_]["Properties"]["SecretId"] == one["Properties"]["SecretId"]
        assert "HostedRotationLambda" not in after[id_]["Properties"]
        assert "RotationLambdaARN" in after[id_]["Properties"]
    assert {id_ for id_, one in after.items() if one["Type"] == SCHEDULE} == schedules.keys()
    kept = {id_ for id_, one in before.items() if one["Type"] in STAYS}
    assert kept == {id_ for id_, one in after.items() if one["Type"] in STAYS}
    assert {id_: before[id_] for id_ in kept} == {id_: after[id_] for id_ in kept}
    ins = [one for one in after.values() if one["Type"] == "AWS::EC2::SecurityGroupIngress"]
    assert {text(one["Properties"]["SourceSecurityGroupId"]) for one in ins}


def resources(build: Any) -> dict[str, Any]:
    stack = Stack(cdk.App(), "Orders")
    build(stack)
    return dict(Template.from_stack(stack).to_json()["Resources"])


def rotation(scope: Any, **chosen: Any) -> RotationFunction:
    given: dict[str, Any] = {"engine": "postgres", "ca_bundle": CaBundle.operating_system(), "bundles": bundles}
    return RotationFunction(scope, "Rotation", **given | chosen)


def test_the_policy_grows_with_each_rotation_and_names_nothing_else(tmp_path: Path) -> None:
    stack = Stack(cdk.App(outdir=str(tmp_path)), "Orders")
    key = kms.Key(stack, "Key")
    made = secretsmanager.Secret(stack, "Made", encryption_key=key)
    named = secretsmanager.Secret.from_secret_name_v2(stack, "Named", "orders/app")
    boss = secretsmanager.Secret.from_secret_complete_arn(
        stack, "Boss", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:boss-AbCdEf"
    )
    function = rotation(stack, strategy="alternating-users", environment={"ROTATION_CONNECT_TIMEOUT": "3"})
    function.add_rotation(made, admin=boss, user="app", allow_admin_reset=True)
    function.add_rotation(named, admin=boss, schedule=events.Schedule.cron(minute="0", hour="8"))
    template = dict(Template.from_stack(stack).to_json())
    (rotates,) = statements(template, "RotateItsSecrets")
    (made_id,) = [id_ for id_, one in template["Resources"].items() if one["Type"] == "AWS::SecretsManager::Secret"]
    assert [text(one).rpartition(":")[2] for one in rotates["Resource"]] == [f"{{{made_id}}}", "orders/app-??????"]
    (reads,) = statements(template, "ReadItsAdmins")
    assert as_list(reads["Resource"]) == ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:boss-AbCdEf"]
    (uses,) = [one for one in statements(template) if one["Sid"].startswith("UseKey")]
    assert text(next(iter(uses["Condition"]["StringLike"].values()))) == f"{{{made_id}}}"
    (variables,) = [
        one["Environment"]["Variables"] for one in of_type(template, "AWS::Lambda::Function") if "Environment" in one
    ]
    assert variables["ROTATION_ADMIN_SECRET"].endswith("boss-AbCdEf")
    assert made_id in json.dumps(variables["ROTATION_USERS"])
    assert (variables["ALLOW_ADMIN_RESET"], variables["ROTATION_CONNECT_TIMEOUT"]) == ("true", "3")
    for one in template["Resources"].values():
        if one["Type"] == SCHEDULE:
            kinds = {template["Resources"][name]["Type"] for name in one["DependsOn"]}
            assert {"AWS::Lambda::Permission", "AWS::IAM::Policy", "AWS::Lambda::Function"} <= kinds


def test_a_rotator_of_ones_own_is_deployed_with_its_code_and_without_a_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/billing.py").write_text("handler = None\n")
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(block, names)  # noqa: S102  # the page says it
    names["RotationFunction"] = functools.partial(RotationFunction, bundles=bundles)
    stack = Stack(cdk.App(outdir=str(tmp_path / "out")), "Orders")
    names["own_rotator"](stack)
    template = dict(Template.from_stack(stack).to_json())
    (made,) = of_type(template, "AWS::Lambda::Function")
    assert made["Handler"] == "billing.handler"
    assert made["Architectures"] == ["arm64"]
    assert len(made["Layers"]) == 1
    assert "ROTATION_STRATEGY" not in made.get("Environment", {}).get("Variables", {})
    (schedule,) = of_type(template, SCHEDULE)
    assert schedule["RotationRules"] == {"ScheduleExpression": "rate(30 days)"}


@pytest.mark.parametrize("given", [{"engine": "custom"}, {"rotator": CustomRotator(Path(), "billing.handler")}])
def test_a_rotator_of_ones_own_and_its_engine_go_together(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="both of them"):
        rotation(Stack(cdk.App(outdir=str(tmp_path)), "Orders"), **given)


def test_many_secrets_share_a_permission_and_none_lacks_one(tmp_path: Path) -> None:
    stack = Stack(cdk.App(outdir=str(tmp_path)), "Orders")
    function = rotation(stack)
    for number in range(23):
        secret = secretsmanager.Secret.from_secret_name_v2(stack, f"S{number}", f"s{number}")
        function.add_rotation(secret, schedule=events.Schedule.rate(Duration.days(30)))
    found = of_type(dict(Template.from_stack(stack).to_json()), "AWS::Lambda::Permission")
    assert len(found) == 21
    assert len([one for one in found if "SourceArn" not in one]) == 1
    assert all(one["SourceAccount"] == {"Ref": "AWS::AccountId"} for one in found)


def test_aspects_tags_boundaries_stages_and_other_stacks(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path))
    stage = cdk.Stage(app, "Production", env=cdk.Environment(account="111122223333", region="eu-west-1"))
    data, rotating = Stack(stage, "Data"), Stack(stage, "Rotating")
    secret = secretsmanager.Secret(data, "Secret")
    vpc = ec2.Vpc(data, "Vpc", max_azs=1)
    function = rotation(rotating, vpc=vpc)
    function.add_rotation(secret, schedule=events.Schedule.rate(Duration.days(7)))
    Tags.of(stage).add("team", "orders")
    iam.PermissionsBoundary.of(stage).apply(
        iam.ManagedPolicy.from_managed_policy_arn(rotating, "Boundary", "arn:aws:iam::111122223333:policy/boundary")
    )
    Aspects.of(stage).add(cdk.Tag("cost", "42"))
    assembly = app.synth().get_nested_assembly("assembly-Production")
    templates = {one.stack_name: one.template for one in assembly.stacks}
    assert not of_type(templates["Production-Data"], SCHEDULE)
    template = templates["Production-Rotating"]
    assert len(of_type(template, SCHEDULE)) == 1
    (role,) = of_type(template, "AWS::IAM::Role")
    assert role["PermissionsBoundary"].endswith(":policy/boundary")
    assert {"Key": "team", "Value": "orders"} in role["Tags"]
    assert {"Key": "cost", "Value": "42"} in role["Tags"]


def test_an_endpoint_role_group_and_log_of_ones_own(tmp_path: Path) -> None:
    stack = Stack(cdk.App(outdir=str(tmp_path)), "Orders")
    vpc = ec2.Vpc(
        stack,
        "Vpc",
        max_azs=1,
        nat_gateways=0,
        subnet_configuration=[ec2.SubnetConfiguration(name="isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)],
    )
    endpoint = SecretsManagerEndpoint(stack, "Endpoint", vpc=vpc, subnets=vpc.isolated_subnets)
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    log = cdk.aws_logs.LogGroup(stack, "Log")
    function = rotation(
        stack,
        vpc=vpc,
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        endpoint=endpoint,
        role=role,
        log_group=log,
    )
    function.add_rotation(secretsmanager.Secret.from_secret_name_v2(stack, "App", "app"))
    template = dict(Template.from_stack(stack).to_json())
    assert len(of_type(template, "AWS::IAM::Role")) == len(of_type(template, "AWS::Logs::LogGroup")) == 1
    (made,) = of_type(template, "AWS::Lambda::Function")
    assert "SECRETS_MANAGER_ENDPOINT" in made["Environment"]["Variables"]
    assert {"RotateItsSecrets", "WriteItsLog", "AttachToItsNetwork"} <= {one["Sid"] for one in statements(template)}
    (schedule,) = of_type(template, SCHEDULE)
    assert "RotationRules" not in schedule
    outs = [
        rule
        for group in of_type(template, "AWS::EC2::SecurityGroup")
        for rule in group.get("SecurityGroupEgress", ())
        if rule.get("CidrIp") == "0.0.0.0/0"
    ]
    assert outs == []


@pytest.mark.parametrize(
    ("chosen", "asked", "said"),
    [
        ({"ca_bundle": None}, {}, "ca_bundle is missing"),
        ({}, {"window": Duration.minutes(90)}, "a window is a number of whole hours"),
        ({}, {"schedule": events.Schedule.rate(Duration.hours(3))}, "is out of range"),
        ({}, {"allow_admin_reset": True}, "allow_admin_reset needs a user, and none is named"),
    ],
)
def test_what_the_service_would_refuse_is_refused(
    tmp_path: Path, chosen: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    stack = Stack(cdk.App(outdir=str(tmp_path)), "Orders")
    secret = secretsmanager.Secret.from_secret_name_v2(stack, "App", "app")
    with pytest.raises(ConfigurationError, match=said):
        rotation(stack, **chosen).add_rotation(secret, **asked)


def test_what_one_function_can_not_do_is_refused(tmp_path: Path) -> None:
    stack = Stack(cdk.App(outdir=str(tmp_path)), "Orders")
    one, two, three = (secretsmanager.Secret.from_secret_name_v2(stack, name, name) for name in ("One", "Two", "Three"))
    function = rotation(stack)
    function.add_rotation(one, admin=two)
    with pytest.raises(ConfigurationError, match="a function can have only one admin's secret"):
        function.add_rotation(two, admin=three)
    topic = cdk.aws_sns.Topic(stack, "Topic")
    OverdueCheck(stack, "Overdue", rotations=[function], topic=topic, bundles=bundles)
    with pytest.raises(ConfigurationError, match="added after the OverdueCheck"):
        function.add_rotation(three)
