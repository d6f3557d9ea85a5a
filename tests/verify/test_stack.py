"""The stack of a verification: closed, small, and gone with all that is in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template
from synthesis import as_list, bundles, of_type, text

from infra.verify.databases import ADMIN, Licence
from infra.verify.kit import Kit
from infra.verify.offers import OFFERS, Offer
from infra.verify.stack import TAG, VerificationStack, strategies
from rotators.errors import ConfigurationError
from rotators.packaging.platforms import Platform

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# In `make test` the one that is least like what rotates elsewhere.
SHARE = "documentdb"
ENGINES = [SHARE, *(pytest.param(name, marks=pytest.mark.long, id=f"{name}-linted") for name in OFFERS)]
# What an account is told to make a server of, and what says that it is open to the world.
SERVERS = {
    "AWS::RDS::DBInstance": "PubliclyAccessible",
    "AWS::RedshiftServerless::Workgroup": "PubliclyAccessible",
}
ENCRYPTED = ("AWS::RDS::DBInstance", "AWS::RDS::DBCluster", "AWS::DocDB::DBCluster")
TLS = {
    "postgres": {"rds.force_ssl": "1"},
    "mysql": {"require_secure_transport": "1"},
    "mariadb": {"require_secure_transport": "1"},
    "sqlserver": {"rds.force_ssl": "1"},
    "db2": {"DB2COMM": "SSL", "SSL_SVCENAME": "50443"},
    "aurora-postgresql": {"rds.force_ssl": "1"},
    "aurora-mysql": {"require_secure_transport": "ON"},
    "documentdb": {"tls": "enabled"},
}
PORTS = {"oracle": 2484, "db2": 50443, "documentdb": 27017, "redshift": 5439, "sqlserver": 1433}
PARAMETERS = ("AWS::RDS::DBParameterGroup", "AWS::RDS::DBClusterParameterGroup", "AWS::DocDB::DBClusterParameterGroup")


@pytest.fixture(autouse=True)
def _no_wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Layers that hold no wheels, in a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("rotators.packaging.wheels.install", lambda *arguments: arguments[-1].mkdir())


def quiet(target: Platform) -> Kit:
    return Kit(target, lambda _: None)


def synth(offer: Offer, folder: Path) -> tuple[dict[str, Any], Path]:
    app = cdk.App(outdir=str(folder / "cdk.out"))
    licence = Licence("1234567890", "0012345678") if offer.licensed else None
    stack = VerificationStack(app, offer, certificates="PEM", licence=licence, bundles=bundles, kits=quiet)
    template: dict[str, Any] = dict(Template.from_stack(stack).to_json())
    file = folder / "verify.template.json"
    file.write_text(json.dumps(template))
    return template, file


@pytest.mark.parametrize("name", ENGINES)
def test_it_is_closed_encrypted_least_privileged_and_leaves_nothing(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    offer = OFFERS[name]
    template, file = synth(offer, tmp_path)
    _has_no_way_to_the_internet(template)
    _is_closed_and_encrypted(template, offer)
    _speaks_tls_alone(template, offer)
    _leaves_nothing(template)
    _has_a_secret_and_a_function_for_each_strategy(template, offer)
    _allows_what_is_needed(template, offer)
    if not request.node.get_closest_marker("long"):
        # Seconds of work, and the longer run has it for each.
        return
    lint = Path(sys.executable).with_name("cfn-lint")
    ran = subprocess.run([lint, file], check=False, capture_output=True, text=True, cwd=ROOT)
    assert (ran.returncode, ran.stdout) == (0, "")


def _has_no_way_to_the_internet(template: dict[str, Any]) -> None:
    kinds = {one["Type"] for one in template["Resources"].values()}
    assert not {kind for kind in kinds if "Gateway" in kind or kind in {"AWS::EC2::Route", "AWS::EC2::EIP"}}
    assert not any(one.get("MapPublicIpOnLaunch") for one in of_type(template, "AWS::EC2::Subnet"))
    for function in of_type(template, "AWS::Lambda::Function"):
        assert function["VpcConfig"]["SubnetIds"]
    for group in of_type(template, "AWS::EC2::SecurityGroup"):
        # aws-cdk-lib's own for "nowhere": https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_ec2-readme.html
        to = {rule.get("CidrIp") for rule in group.get("SecurityGroupEgress", [])}
        assert to <= {"255.255.255.255/32", None}
        assert not [rule for rule in group.get("SecurityGroupIngress", []) if rule.get("CidrIp") == "0.0.0.0/0"]


def _is_closed_and_encrypted(template: dict[str, Any], offer: Offer) -> None:
    for kind, public in SERVERS.items():
        assert all(one[public] is False for one in of_type(template, kind))
    for kind in ENCRYPTED:
        for one in of_type(template, kind):
            # The writer of a cluster has the cluster's storage; RDS does not encrypt SQL Server Express.
            assert one.get("StorageEncrypted") is (offer.name != "sqlserver") or "DBClusterIdentifier" in one
    # The password is a reference that CloudFormation resolves.
    [admin] = [one for one in of_type(template, "AWS::SecretsManager::Secret") if one["Name"].endswith("/admin")]
    assert json.loads(admin["GenerateSecretString"]["SecretStringTemplate"]) == {"username": ADMIN}
    for one in template["Resources"].values():
        properties = one.get("Properties", {})
        for key in ("MasterUserPassword", "AdminUserPassword"):
            if key in properties:
                assert text(properties[key]).startswith("{{resolve:secretsmanager:")


def _speaks_tls_alone(template: dict[str, Any], offer: Offer) -> None:
    parameters = [one["Parameters"] for kind in PARAMETERS for one in of_type(template, kind)]
    for name, value in TLS.get(offer.name, {}).items():
        assert any(one.get(name) == value for one in parameters)
    if offer.name == "oracle":
        [options] = of_type(template, "AWS::RDS::OptionGroup")
        assert options["OptionConfigurations"][0]["OptionName"] == "SSL"
    if offer.name == "redshift":
        [workgroup] = of_type(template, "AWS::RedshiftServerless::Workgroup")
        assert {"ParameterKey": "require_ssl", "ParameterValue": "true"} in workgroup["ConfigParameters"]
    # The port without TLS lets nobody in.
    usual = {"postgres": 5432, "mysql": 3306, "mariadb": 3306}.get(offer.engine, PORTS.get(offer.name, 0))
    into = {one["FromPort"] for one in of_type(template, "AWS::EC2::SecurityGroupIngress") if one["FromPort"] != 443}
    assert len(into) <= 1
    assert all(port == PORTS.get(offer.name, usual) or isinstance(port, dict) for port in into)


def _leaves_nothing(template: dict[str, Any]) -> None:
    for one in template["Resources"].values():
        assert one.get("DeletionPolicy", "Delete") == "Delete", one["Type"]
        properties = one.get("Properties", {})
        assert properties.get("DeletionProtection", False) is False
        assert "FinalSnapshotName" not in properties
        tags = properties.get("Tags")
        if isinstance(tags, list):
            assert TAG in {tag["Key"] for tag in tags}
    instances = of_type(template, "AWS::RDS::DBInstance")
    assert all(one.get("BackupRetentionPeriod") == 0 for one in instances if "DBClusterIdentifier" not in one)
    for log in of_type(template, "AWS::Logs::LogGroup"):
        assert log["RetentionInDays"] == 1


def _has_a_secret_and_a_function_for_each_strategy(template: dict[str, Any], offer: Offer) -> None:
    names = {one["Name"] for one in of_type(template, "AWS::SecretsManager::Secret")}
    assert names == {f"rotators-verify-{offer.name}/{one}" for one in ("admin", *strategies(offer.engine))}
    told = {
        one.get("Environment", {}).get("Variables", {}).get("ROTATION_STRATEGY")
        for one in of_type(template, "AWS::Lambda::Function")
    }
    assert told - {None} == set(strategies(offer.engine))
    assert len(of_type(template, "AWS::SecretsManager::RotationSchedule")) == len(strategies(offer.engine))


def _allows_what_is_needed(template: dict[str, Any], offer: Offer) -> None:
    """Nothing is allowed of a secret that is not this verification's own."""
    own = f":secret:rotators-verify-{offer.name}/"
    seen = 0
    for policy in of_type(template, "AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = as_list(statement["Action"])
            if statement["Effect"] == "Deny":
                continue
            assert not [action for action in actions if action == "*" or action.startswith("iam:")]
            for resource in as_list(statement["Resource"]):
                where = text(resource)
                if any(action.startswith("secretsmanager:") for action in actions):
                    seen += 1
                    mine = own in where or where.startswith(("{Secret", "{Admin"))
                    assert mine or actions == ["secretsmanager:GetRandomPassword"], where
                if any(action.startswith("lambda:Invoke") for action in actions):
                    assert where.startswith("{") or where.endswith(":function:rotators-no-such-function")
    assert seen > len(strategies(offer.engine))


def test_db2_takes_a_licence_of_ones_own(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path / "cdk.out"))
    with pytest.raises(ConfigurationError, match="--ibm-site-id and --ibm-customer-id"):
        VerificationStack(app, OFFERS["db2"], certificates=None, bundles=bundles, kits=quiet)
