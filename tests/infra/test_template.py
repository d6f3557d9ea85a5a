"""What is deployed, and that nothing may do more than it needs."""

from __future__ import annotations

import io
import json
import re
import string
import tarfile
from importlib import import_module
from pathlib import Path
from typing import Any

import aws_cdk
import pytest
from aws_cdk.aws_lambda import LayerVersion
from synthesis import NETWORK, as_list, of_type, rendered, statements, synth, synth_all, text

from rotators.cdk.flags import FLAGS, SERVICES
from rotators.cdk.naming import construct_id
from rotators.cdk.rotation_dashboard import FAILED, ROTATED
from rotators.credentials import SecretValue
from rotators.errors import Unreachable
from rotators.packaging.platforms import engines
from rotators.passwords import UNRESERVED_PUNCTUATION
from rotators.rotator import Rotation, Rotator
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.versions import SecretVersions

pytestmark = pytest.mark.slow

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"
KEY = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d"
RDS = "arn:aws:rds:eu-west-1:111122223333:"
# Admins whose secrets AWS manages, and whose servers it tells.
MANAGED = f"""
secrets:
  - {{name: instance, engine: postgres, every: 1 day, admin: rds!db-1, admin_host: "{RDS}db:orders"}}
  - name: cluster
    engine: mysql
    every: 1 day
    admin: "{ARN}rds!cluster-1-AbCdEf"
    admin_host: "{RDS}cluster:shop"
  - name: provisioned
    engine: redshift
    every: 1 day
    admin: redshift!dw-admin
    admin_host: "arn:aws:redshift:eu-west-1:111122223333:cluster:dw"
  - name: serverless
    engine: redshift
    every: 1 day
    admin: redshift!analytics-admin
    admin_host: "arn:aws:redshift-serverless:eu-west-1:111122223333:namespace/0a1b2c3d"
    function: of-serverless
"""
ONE = "secrets: [{name: app, engine: postgres, every: 30 days}]\n"
ALL = (
    NETWORK
    + f"""
account: "111122223333"
keys: {{made: {{create: ours}}}}
defaults: {{every: 30 days, network: main}}
secrets:
  - {{name: named, engine: postgres}}
  - {{arn: "{ARN}known-AbCdEf", engine: postgres, kms_key: "{KEY}"}}
  - create: {{name: made, values: {{username: app, host: db}}, replicas: [eu-central-1]}}
    engine: mysql
    kms_key: made
    strategy: alternating-users
    admin: boss
    admin_kms_key: "{KEY}"
"""
)


def functions(template: dict[str, Any]) -> list[dict[str, str]]:
    """The variables of the functions that rotate."""
    found = [one["Environment"]["Variables"] for one in of_type(template, "AWS::Lambda::Function")]
    return [variables for variables in found if "ROTATION_STRATEGY" in variables]


@pytest.fixture
def everything(tmp_path: Path) -> dict[str, Any]:
    return synth(tmp_path, ALL)


class TestPermissions:
    def test_a_function_reads_and_writes_its_secrets_as_long_as_it_is_the_one_that_rotates_them(
        self, everything: dict[str, Any]
    ) -> None:
        found = list(statements(everything, "RotateItsSecrets"))
        assert len(found) == 2
        postgres = found[0]
        assert sorted(postgres["Action"]) == [
            "secretsmanager:DescribeSecret",
            "secretsmanager:GetSecretValue",
            "secretsmanager:ListSecretVersionIds",
            "secretsmanager:PutSecretValue",
            "secretsmanager:UpdateSecretVersionStage",
        ]
        assert {text(one) for one in postgres["Resource"]} == {
            "arn:{AWS::Partition}:secretsmanager:{AWS::Region}:{AWS::AccountId}:secret:named-??????",
            f"{ARN}known-AbCdEf",
        }
        condition = postgres["Condition"]["StringEquals"]
        assert list(condition) == ["secretsmanager:resource/AllowRotationLambdaArn"]
        assert "Function" in text(condition["secretsmanager:resource/AllowRotationLambdaArn"])

    def test_it_reads_only_its_admins(self, everything: dict[str, Any]) -> None:
        (found,) = statements(everything, "ReadItsAdmins")
        assert found["Action"] == "secretsmanager:GetSecretValue"
        assert text(found["Resource"]).endswith(":secret:boss-??????")

    def test_it_uses_keys_through_secrets_manager_and_for_its_secrets_only(self, everything: dict[str, Any]) -> None:
        found = [one for one in statements(everything) if str(one.get("Sid", "")).startswith("UseKey")]
        assert [sorted(as_list(one["Action"])) for one in found] == [
            ["kms:Decrypt", "kms:GenerateDataKey"],
            ["kms:Decrypt", "kms:GenerateDataKey"],
            ["kms:Decrypt"],
        ]
        assert [one["Sid"] for one in found] == ["UseKey1", "UseKey1", "UseKey2"]
        known, made, admin = found
        for one in found:
            via = one["Condition"]["StringEquals"]["kms:ViaService"]
            assert text(via) == "secretsmanager.{AWS::Region}.{AWS::URLSuffix}"
        assert known["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"] == f"{ARN}known-AbCdEf"
        assert known["Resource"] == admin["Resource"] == KEY
        assert "Ref" in made["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"]
        # Of a secret that is known by name, the end of the ARN is not.
        assert text(admin["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"]).endswith("boss-??????")

    def test_one_statement_stands_for_all_secrets_of_a_key(self, tmp_path: Path) -> None:
        many = "\n".join(f"  - {{name: s{n}, engine: mysql, every: 1 day, kms_key: '{KEY}'}}" for n in range(25))
        template = synth(tmp_path, f"secrets:\n{many}\n")
        (found,) = [one for one in statements(template) if one["Sid"].startswith("UseKey")]
        assert found["Resource"] == KEY
        listed = [text(one) for one in found["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"]]
        assert [one.rpartition(":")[2] for one in listed] == [f"s{n}-??????" for n in range(25)]

    def test_what_has_no_room_in_a_roles_own_policies_is_in_managed_ones(self, tmp_path: Path) -> None:
        names = [f"team/orders/postgres/application-{n:03}" for n in range(200)]
        many = "\n".join(f"  - {{name: {name}, engine: mysql, every: 1 day, kms_key: '{KEY}'}}" for name in names)
        template = synth(tmp_path, f"region: eu-west-1\nsecrets:\n{many}\n")
        named: dict[str, list[str]] = {}
        for one in [*statements(template), *statements(template, kind="AWS::IAM::ManagedPolicy")]:
            sid = re.sub(r"\d+$", "", one["Sid"])
            listed = one["Resource"] if sid != "UseKey" else next(iter(one["Condition"]["StringLike"].values()))
            named.setdefault(sid, []).extend(text(arn).rpartition(":secret:")[2] for arn in as_list(listed))
        for sid in ("RotateItsSecrets", "UseKey", "LookAtItsSecrets"):
            assert sorted(named[sid]) == [f"{name}-??????" for name in names]
        inline: dict[str, int] = {}
        for policy in of_type(template, "AWS::IAM::Policy"):
            role = text(policy["Roles"][0])
            inline[role] = inline.get(role, 0) + rendered(policy["PolicyDocument"])
        assert max(inline.values()) <= 10_240
        managed = of_type(template, "AWS::IAM::ManagedPolicy")
        assert 2 <= len(managed) <= 20
        assert all(rendered(one["PolicyDocument"]) <= 6_144 for one in managed)
        # A schedule waits for every one of them.
        names_of = {name for name, one in template["Resources"].items() if one["Type"] == "AWS::IAM::ManagedPolicy"}
        schedule = next(
            one for one in template["Resources"].values() if one["Type"] == "AWS::SecretsManager::RotationSchedule"
        )
        assert {name for name in names_of if "Overdue" not in name} <= set(schedule["DependsOn"])

    def test_only_what_has_no_name_is_allowed_on_everything_and_no_action_is_a_wildcard(
        self, everything: dict[str, Any]
    ) -> None:
        for statement in statements(everything):
            assert not [action for action in as_list(statement["Action"]) if "*" in action]
            if "*" in as_list(statement["Resource"]) and statement["Effect"] == "Allow":
                assert statement["Sid"] == "AttachToItsNetwork"

    def test_its_own_code_may_not_touch_the_network(self, everything: dict[str, Any]) -> None:
        allowed, denied = (next(statements(everything, sid)) for sid in ("AttachToItsNetwork", "ButNotByItsOwnCode"))
        assert denied["Effect"] == "Deny"
        assert denied["Action"] == allowed["Action"]
        assert list(denied["Condition"]) == ["ArnEquals"]

    def test_it_asks_for_the_endpoints_of_the_databases_that_are_named(self, tmp_path: Path) -> None:
        template = synth(tmp_path, MANAGED)
        asked = {
            one["Sid"]: (as_list(one["Action"]), [text(arn) for arn in as_list(one["Resource"])])
            for one in statements(template)
            if one["Sid"].startswith("AskFor")
        }
        assert asked == {
            "AskForInstances": (["rds:DescribeDBInstances"], [f"{RDS}db:orders"]),
            "AskForClusters": (["rds:DescribeDBClusters"], [f"{RDS}cluster:shop"]),
            "AskForRedshift": (["redshift:DescribeClusters"], ["arn:aws:redshift:eu-west-1:111122223333:cluster:dw"]),
            "AskForServerless": (["redshift-serverless:ListNamespaces", "redshift-serverless:ListWorkgroups"], ["*"]),
        }
        looked = list(statements(template, "LookAtItsAdmins"))
        assert {one["Action"] for one in looked} == {"secretsmanager:DescribeSecret"}
        here = "arn:{AWS::Partition}:secretsmanager:{AWS::Region}:{AWS::AccountId}:secret:"
        assert sorted(text(one["Resource"]) for one in looked) == sorted(
            [
                f"{here}rds!db-1-??????",
                f"{ARN}rds!cluster-1-AbCdEf",
                f"{here}redshift!dw-admin-??????",
                f"{here}redshift!analytics-admin-??????",
            ]
        )
        told = [one["Environment"]["Variables"] for one in of_type(template, "AWS::Lambda::Function")]
        assert not [one for one in told if "ROTATION_ADMIN_HOST" in one]

    def test_it_asks_nothing_where_the_admins_address_is_named(self, tmp_path: Path) -> None:
        named = MANAGED.split("  - name: cluster", maxsplit=1)[0].replace(f"{RDS}db:orders", "orders.example.com:5433")
        template = synth(tmp_path, named)
        assert not [one for one in statements(template) if one["Sid"] in {"LookAtItsAdmins"} | {"AskForInstances"}]
        (variables,) = functions(template)
        assert variables["ROTATION_ADMIN_HOST"] == "orders.example.com:5433"

    def test_there_is_no_managed_policy_and_no_statement_that_nobody_explained(
        self, everything: dict[str, Any], tmp_path: Path
    ) -> None:
        for role in of_type(everything, "AWS::IAM::Role"):
            assert "ManagedPolicyArns" not in role
            assert "Policies" not in role
        page = (Path(__file__).parents[2] / "docs/reference/permissions.md").read_text()
        (tmp_path / "managed").mkdir()
        every = [*statements(everything), *statements(synth(tmp_path / "managed", MANAGED))]
        names = {re.sub(r"\d+$", "", statement["Sid"]) for statement in every} | {"OfItsOwn", "SendTraces"}
        assert names == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))

    def test_the_service_may_call_it_for_its_account_and_secret(self, everything: dict[str, Any]) -> None:
        found = [
            one
            for one in of_type(everything, "AWS::Lambda::Permission")
            if one["Principal"] == "secretsmanager.amazonaws.com"
        ]
        assert len(found) == 3
        assert all(one["SourceAccount"] == {"Ref": "AWS::AccountId"} for one in found)
        assert all("SourceArn" in one for one in found)
        assert all(one["Action"] == "lambda:InvokeFunction" for one in found)

    def test_where_a_function_serves_many_one_permission_stands_for_all(self, tmp_path: Path) -> None:
        many = "\n".join(f"  - {{name: s{n}, engine: mysql, every: 1 day}}" for n in range(25))
        template = synth(tmp_path, f"secrets:\n{many}\n")
        found = [
            one
            for one in of_type(template, "AWS::Lambda::Permission")
            if one["Principal"] == "secretsmanager.amazonaws.com"
        ]
        assert [list(one) for one in found] == [["Action", "FunctionName", "Principal", "SourceAccount"]]

    def test_a_role_of_ones_own_gets_the_same_permissions_and_every_role_is_an_output(self, tmp_path: Path) -> None:
        own = "function: {role: 'arn:aws:iam::111122223333:role/rotation'}\n"
        template = synth(tmp_path, own + ONE)
        policies = [one for one in of_type(template, "AWS::IAM::Policy") if one["Roles"] == ["rotation"]]
        assert {s["Sid"] for one in policies for s in one["PolicyDocument"]["Statement"]} == {
            "RotateItsSecrets",
            "WriteItsLog",
        }
        assert "arn:aws:iam::111122223333:role/rotation" in [one["Value"] for one in template["Outputs"].values()]

    def test_nothing_names_a_partition_or_a_region(self, everything: dict[str, Any]) -> None:
        said = json.dumps(everything).replace(ARN, "").replace(KEY, "")
        assert not re.findall(r"arn:aws[a-z-]*:", said)
        assert "amazonaws.com.cn" not in said


class TestSecrets:
    def test_the_schedule_comes_after_the_permission_and_the_policy(self, everything: dict[str, Any]) -> None:
        schedules = [
            one for one in everything["Resources"].values() if one["Type"] == "AWS::SecretsManager::RotationSchedule"
        ]
        assert len(schedules) == 3
        for schedule in schedules:
            kinds = {everything["Resources"][name]["Type"] for name in schedule["DependsOn"]}
            assert {"AWS::Lambda::Permission", "AWS::IAM::Policy", "AWS::Lambda::Function"} <= kinds

    @pytest.mark.parametrize(("written", "expected"), [("", False), (", rotate_immediately: true", True)])
    def test_nothing_rotates_on_deployment_unless_asked(self, tmp_path: Path, written: str, *, expected: bool) -> None:
        template = synth(tmp_path, f"secrets: [{{name: app, engine: postgres, every: 30 days{written}}}]")
        (schedule,) = of_type(template, "AWS::SecretsManager::RotationSchedule")
        assert schedule["RotateImmediatelyOnUpdate"] is expected

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("every: 4 hours", {"ScheduleExpression": "rate(4 hours)"}),
            ("every: 1 day, window: 2h", {"ScheduleExpression": "rate(1 day)", "Duration": "2h"}),
            ("schedule: 'cron(0 8 1 * ? *)'", {"ScheduleExpression": "cron(0 8 1 * ? *)"}),
            ("every: never", None),
        ],
    )
    def test_schedules_are_as_the_service_takes_them(self, tmp_path: Path, written: str, expected: Any) -> None:
        template = synth(tmp_path, f"secrets: [{{name: app, engine: postgres, {written}}}]")
        (schedule,) = of_type(template, "AWS::SecretsManager::RotationSchedule")
        assert schedule.get("RotationRules") == expected

    def test_one_that_is_made_outlives_the_stack_has_copies_and_nobody_deletes_it(
        self, everything: dict[str, Any]
    ) -> None:
        (made,) = [one for one in everything["Resources"].values() if one["Type"] == "AWS::SecretsManager::Secret"]
        assert (made["DeletionPolicy"], made["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
        assert made["Properties"]["ReplicaRegions"] == [{"Region": "eu-central-1"}]
        (policy,) = of_type(everything, "AWS::SecretsManager::ResourcePolicy")
        assert policy["BlockPublicPolicy"] is True
        (statement,) = policy["ResourcePolicy"]["Statement"]
        assert (statement["Effect"], statement["Action"]) == ("Deny", "secretsmanager:DeleteSecret")
        assert statement["Principal"] != "*"
        assert text(statement["Principal"]["AWS"]).endswith(":root")

    def test_the_first_password_hangs_on_nothing_and_every_engine_takes_it(self, everything: dict[str, Any]) -> None:
        """CloudFormation makes a new one, which the database does not know, when a property of it changes."""
        (secret,) = of_type(everything, "AWS::SecretsManager::Secret")
        generator = secret["GenerateSecretString"]
        # Literally: a release that changes any of it locks the users out of every secret that is there.
        assert generator == {
            "ExcludeCharacters": "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}",
            "GenerateStringKey": "password",
            "IncludeSpace": False,
            "PasswordLength": 30,
            "RequireEachIncludedType": True,
            "SecretStringTemplate": "{}",
        }
        assert set(string.punctuation) - set(generator["ExcludeCharacters"]) == set(UNRESERVED_PUNCTUATION)
        for engine in engines():
            limits = import_module(f"rotators.handlers.{engine}").handler._engine.password_limits
            assert limits.longest >= 30
            assert not set(UNRESERVED_PUNCTUATION) & set(limits.never)
        assert json.loads(
            next(one for one in functions(everything) if "ROTATION_VALUES" in one)["ROTATION_VALUES"]
        ) == {"made": {"engine": "mysql", "username": "app", "host": "db"}}

    def test_ids_stay_what_they_are_when_the_file_is_put_in_another_order(self, tmp_path: Path) -> None:
        lines = ["{name: a, engine: mysql, every: 1 day}", "{name: b/c, engine: postgres, every: 1 day}"]
        first, second = (
            {
                name
                for name, one in synth(tmp_path / str(number), f"secrets: [{', '.join(order)}]")["Resources"].items()
                if one["Type"] in {"AWS::SecretsManager::RotationSchedule", "AWS::Lambda::Function"}
            }
            for number, order in enumerate((lines, lines[::-1]))
            if (tmp_path / str(number)).mkdir() is None
        )
        assert first == second
        assert construct_id("b/c") != construct_id("b-c")

    @pytest.mark.parametrize(
        "edited",
        [
            "strategy: alternating-users, admin: boss",
            "function: of-its-own",
            "network: main",
            "schedule: 'cron(0 8 * * ? *)'",
            "admin: boss, allow_admin_reset: true, user: app",
        ],
    )
    @pytest.mark.parametrize("known", ["name: app", "create: {name: app, values: {username: app}}"])
    def test_an_edit_changes_a_secrets_schedule_in_place(self, tmp_path: Path, known: str, edited: str) -> None:
        """A schedule of another id would come first, and then the former one's deletion switches the rotation off."""
        kinds = {
            "AWS::SecretsManager::RotationSchedule",
            "AWS::SecretsManager::Secret",
            "AWS::SecretsManager::ResourcePolicy",
            "AWS::Lambda::Permission",
        }
        every = "" if "schedule" in edited else ", every: 1 day"
        first, second = (
            synth(tmp_path / str(number), f"{NETWORK}\nsecrets: [{{{known}, engine: mysql{keys}}}]")["Resources"]
            for number, keys in enumerate((", every: 1 day", f"{every}, {edited}"))
            if (tmp_path / str(number)).mkdir() is None
        )
        ids = [{name for name, one in template.items() if one["Type"] in kinds} for template in (first, second)]
        assert ids[0] == ids[1]
        for name in ids[0]:
            if first[name]["Type"] == "AWS::SecretsManager::RotationSchedule":
                was, is_now = (one[name]["Properties"]["SecretId"] for one in (first, second))
                # A change of it would be a replacement.
                assert was == is_now

    def test_a_namesake_of_another_account_has_ids_of_its_own(self, tmp_path: Path) -> None:
        arns = [ARN.replace("111122223333", account) for account in ("444455556666", "777788889999")]
        keys = [KEY.replace("111122223333", arn.split(":")[4]) for arn in arns]
        others = "\n".join(
            f"  - {{arn: '{arn}app-AbCdEf', engine: mysql, every: 1 day, kms_key: '{key}'}}"
            for arn, key in zip(arns, keys, strict=True)
        )
        template = synth(
            tmp_path, f"account: '111122223333'\nsecrets:\n  - {{name: app, engine: mysql, every: 1 day}}\n{others}\n"
        )
        permissions = [
            one
            for one in of_type(template, "AWS::Lambda::Permission")
            if one["Principal"] == "secretsmanager.amazonaws.com"
        ]
        assert len(permissions) == 3
        assert len([name for name in template["Outputs"] if "SecretPolicy" in name]) == 2

    def test_one_of_another_account_is_told_what_to_allow(self, tmp_path: Path) -> None:
        arn, key = ARN.replace("111122223333", "444455556666"), KEY.replace("111122223333", "444455556666")
        template = synth(
            tmp_path,
            f"account: '111122223333'\nsecrets: [{{arn: '{arn}x-AbCdEf', engine: mysql, every: 30 days, "
            f"kms_key: '{key}'}}]",
        )
        assert of_type(template, "AWS::SecretsManager::RotationSchedule") == []
        (permission,) = [one for one in of_type(template, "AWS::Lambda::Permission") if "secretsm" in one["Principal"]]
        assert (permission["SourceAccount"], permission["SourceArn"]) == ("444455556666", f"{arn}x-AbCdEf")
        said = {name: text(one["Value"]) for name, one in template["Outputs"].items()}
        policy = next(value for name, value in said.items() if "SecretPolicy" in name)
        assert "secretsmanager:PutSecretValue" in policy
        # It is watched from here, too.
        assert "WatchedFromElsewhere" in policy
        (looks,) = statements(template, "LookAtItsSecrets")
        assert looks["Resource"] == f"{arn}x-AbCdEf"
        assert "Role" in policy
        statement = next(value for name, value in said.items() if "KeyStatement" in name)
        assert f"{arn}x-AbCdEf" in statement
        assert "kms:ViaService" in statement
        command = next(value for name, value in said.items() if "Command" in name)
        assert command.startswith(f"aws secretsmanager rotate-secret --secret-id {arn}x-AbCdEf")
        assert '{"ScheduleExpression": "rate(30 days)"}' in command


class TestFunctions:
    def test_arm64_on_the_newest_runtime_with_base_and_driver(self, everything: dict[str, Any]) -> None:
        found = [one for one in of_type(everything, "AWS::Lambda::Function") if "VpcConfig" in one]
        assert len(found) == 2
        for one in found:
            assert one["Architectures"] == ["arm64"]
            assert one["Runtime"] == "python3.14"
            assert len(one["Layers"]) == 2
            assert one["RecursiveLoop"] == "Terminate"
            assert "TracingConfig" not in one
            assert one["Handler"] == "function.handler"
        assert all(one["RetentionInDays"] == 90 for one in of_type(everything, "AWS::Logs::LogGroup"))

    def test_what_is_chosen_is_there(self, tmp_path: Path) -> None:
        signing = "arn:aws:lambda:eu-west-1:111122223333:code-signing-config:csc-0a1b2c3d4e5f60718"
        chosen = f"""
        logs: {{retention_days: 7, kms_key: "{KEY}"}}
        functions:
          postgres:
            memory: 512
            timeout: 120
            reserved_concurrency: 10
            tracing: true
            snap_start: true
            code_signing_config: {signing}
        """
        template = synth(tmp_path, chosen + ONE)
        one = next(f for f in of_type(template, "AWS::Lambda::Function") if f["MemorySize"] == 512)
        assert (one["Timeout"], one["ReservedConcurrentExecutions"]) == (120, 10)
        assert one["TracingConfig"] == {"Mode": "Active"}
        assert one["SnapStart"] == {"ApplyOn": "PublishedVersions"}
        assert one["CodeSigningConfigArn"] == signing
        assert list(statements(template, "SendTraces"))
        (log, _) = of_type(template, "AWS::Logs::LogGroup")
        assert (log["RetentionInDays"], log["KmsKeyId"]) == (7, KEY)
        # Everything that names the function names the alias then, or the condition would never hold.
        (alias,) = [name for name, one in template["Resources"].items() if one["Type"] == "AWS::Lambda::Alias"]
        (schedule,) = of_type(template, "AWS::SecretsManager::RotationSchedule")
        (rotates,) = statements(template, "RotateItsSecrets")
        assert schedule["RotationLambdaARN"] == {"Ref": alias}
        assert rotates["Condition"]["StringEquals"]["secretsmanager:resource/AllowRotationLambdaArn"] == {"Ref": alias}

    @pytest.mark.parametrize("changed", ["BaseLayer", "Driver-postgres-arm64", "TrustLayer"])
    def test_a_new_layer_is_a_new_version_of_a_function_with_snap_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
    ) -> None:
        """All code is in layers: an alias that stays at a version of the old ones would never run the new code."""
        versions = []
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            made = LayerVersion.__init__

            def init(self: Any, scope: Any, id_: str, number: int = number, made: Any = made, **given: Any) -> None:
                if id_ == changed:
                    given["description"] += f", release {number}"
                made(self, scope, id_, **given)

            with monkeypatch.context() as patch:
                patch.setattr(LayerVersion, "__init__", init)
                template = synth(folder, "function: {snap_start: true}\n" + ONE, certificates="a certificate")
            (version,) = [name for name, one in template["Resources"].items() if one["Type"] == "AWS::Lambda::Version"]
            versions.append(version)
        assert versions[0] != versions[1]

    def test_the_flags_are_those_that_aws_cdk_lib_recommends(self) -> None:
        (package,) = (Path(str(aws_cdk.__file__)).parent / "_jsii").glob("aws-cdk-lib@*.tgz")
        with tarfile.open(package) as archive:
            file = archive.extractfile("package/recommended-feature-flags.json")
            assert file is not None
            recommended = json.load(file)
        assert {flag: value for flag, value in recommended.items() if flag.partition(":")[0] in SERVICES} == FLAGS

    def test_the_settings_reach_the_function(self, tmp_path: Path) -> None:
        template = synth(
            tmp_path,
            "secrets: [{name: shop/app, engine: mysql, every: 1 day, strategy: alternating-users, admin: boss, "
            "admin_host: db, user: app, twin: adopt, allow_admin_reset: true, test_query: SELECT 1}]",
        )
        (variables,) = functions(template)
        assert variables == {
            "ROTATION_STRATEGY": "alternating-users",
            "ROTATION_ADMIN_SECRET": "boss",
            "ROTATION_ADMIN_HOST": "db",
            "ROTATION_USERS": '{"shop/app":"app"}',
            "ROTATION_TWIN": "adopt",
            "ROTATION_TEST_QUERY": "SELECT 1",
            "ALLOW_ADMIN_RESET": "true",
            "POWERTOOLS_SERVICE_NAME": "mysql-alternating-users",
        }

    def test_the_cas_are_a_layer_of_their_own(self, tmp_path: Path) -> None:
        template = synth(tmp_path, ONE, certificates="-----BEGIN CERTIFICATE-----")
        function = next(
            one
            for one in of_type(template, "AWS::Lambda::Function")
            if "ROTATION_STRATEGY" in one["Environment"]["Variables"]
        )
        assert len(function["Layers"]) == 3

    @pytest.mark.parametrize(("pinned", "layers"), [("{sha256: " + "a" * 64 + "}", 2), ("{file: mine.pem}", 3)])
    def test_rdss_cas_are_not_those_of_redshift(self, tmp_path: Path, pinned: str, layers: int) -> None:
        CertificateAuthority(tmp_path, "mine")
        text = f"ca_bundle: {pinned}\nsecrets: [{{name: app, engine: redshift, every: 30 days}}]"
        template = synth(tmp_path, text, certificates="-----BEGIN CERTIFICATE-----")
        function = next(
            one
            for one in of_type(template, "AWS::Lambda::Function")
            if "ROTATION_STRATEGY" in one["Environment"]["Variables"]
        )
        assert len(function["Layers"]) == layers


class TestNetwork:
    def test_a_function_reaches_its_database_and_secrets_manager_and_nothing_else(
        self, everything: dict[str, Any]
    ) -> None:
        outs = [
            (rule.get("DestinationSecurityGroupId", rule.get("CidrIp")), rule["FromPort"], rule["ToPort"])
            for group in of_type(everything, "AWS::EC2::SecurityGroup")
            for rule in group["SecurityGroupEgress"]
        ]
        assert sorted(outs) == [
            ("0.0.0.0/0", 443, 443),  # Secrets Manager, through the NAT gateway
            ("0.0.0.0/0", 443, 443),
            ("sg-00000001", 3306, 3306),
            ("sg-00000001", 5432, 5432),
        ]
        ins = of_type(everything, "AWS::EC2::SecurityGroupIngress")
        assert sorted((one["GroupId"], one["FromPort"]) for one in ins) == [
            ("sg-00000001", 3306),
            ("sg-00000001", 5432),
        ]

    def test_a_function_reaches_the_admins_port_too(self, tmp_path: Path) -> None:
        one = "{name: a, engine: mysql, every: 1 day, network: main, admin: boss, admin_host: 'db:3307'}"
        template = synth(tmp_path, f"{NETWORK}\nsecrets: [{one}]")
        outs = [
            rule["FromPort"]
            for group in of_type(template, "AWS::EC2::SecurityGroup")
            for rule in group["SecurityGroupEgress"]
        ]
        assert sorted(outs) == [443, 3306, 3307]

    def test_an_endpoint_is_made_once_for_a_vpc_and_is_nobody_elses(self, tmp_path: Path) -> None:
        """With private DNS it would be everybody's in the VPC, and its group and policy let the functions in alone."""
        network = NETWORK.replace("private", "isolated").replace("nat", "create-endpoint")
        second = network.replace("networks:", "").replace("main:", "other:").replace("subnet-0000000", "subnet-1000000")
        secrets = "\n".join(
            f"  - {{name: a{n}, engine: mysql, every: 1 day, network: {where}}}"
            for n, where in enumerate(("main", "other"))
        )
        template = synth(tmp_path, f"{network}{second}\nsecrets:\n{secrets}\n")
        (endpoint,) = of_type(template, "AWS::EC2::VPCEndpoint")
        assert endpoint["PrivateDnsEnabled"] is False
        assert endpoint["SubnetIds"] == ["subnet-00000001", "subnet-00000002"]
        (id_,) = [name for name, one in template["Resources"].items() if one["Type"] == "AWS::EC2::VPCEndpoint"]
        for variables in functions(template):
            assert f"{id_}.DnsEntries" in json.dumps(variables["SECRETS_MANAGER_ENDPOINT"]).replace('", "', ".")
        schedules = [
            one for one in template["Resources"].values() if one["Type"] == "AWS::SecretsManager::RotationSchedule"
        ]
        assert len(schedules) == 2
        assert all(id_ in one["DependsOn"] for one in schedules)
        for statement in endpoint["PolicyDocument"]["Statement"]:
            assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}
        assert "0.0.0.0/0" not in json.dumps(
            [one for one in of_type(template, "AWS::EC2::SecurityGroup") if "endpoint" not in one["GroupDescription"]]
        )
        ins = [one for one in of_type(template, "AWS::EC2::SecurityGroupIngress") if one["FromPort"] == 443]
        assert len(ins) == 2

    def test_an_endpoint_with_private_dns_lets_the_whole_vpc_in_and_through(self, tmp_path: Path) -> None:
        network = NETWORK.replace("private", "isolated").replace("nat", "create-endpoint")
        asked = "    private_dns_for: [10.0.0.0/16]\n    endpoint_subnets: [subnet-00000002]\n"
        one = "secrets: [{name: a, engine: mysql, every: 1 day, network: main}]"
        template = synth(tmp_path, f"{network}{asked}{one}")
        (endpoint,) = of_type(template, "AWS::EC2::VPCEndpoint")
        assert endpoint["PrivateDnsEnabled"] is True
        assert endpoint["SubnetIds"] == ["subnet-00000002"]
        assert "PolicyDocument" not in endpoint
        (group,) = [
            one for one in of_type(template, "AWS::EC2::SecurityGroup") if "endpoint" in one["GroupDescription"]
        ]
        assert [(rule["CidrIp"], rule["FromPort"]) for rule in group["SecurityGroupIngress"]] == [("10.0.0.0/16", 443)]
        (variables,) = functions(template)
        assert "SECRETS_MANAGER_ENDPOINT" not in variables

    def test_a_group_of_ones_own_and_a_database_without_a_group(self, tmp_path: Path) -> None:
        own = NETWORK.replace("database_security_group", "database_cidr").replace("sg-00000001", "10.1.2.0/24")
        one = "secrets: [{name: a, engine: mysql, every: 1 day, network: main}]"
        template = synth(tmp_path, own + one)
        (group,) = of_type(template, "AWS::EC2::SecurityGroup")
        assert ("10.1.2.0/24", 3306) in [(rule["CidrIp"], rule["FromPort"]) for rule in group["SecurityGroupEgress"]]
        assert of_type(template, "AWS::EC2::SecurityGroupIngress") == []
        (tmp_path / "given").mkdir()
        template = synth(tmp_path / "given", f"{NETWORK}    security_group: sg-00000007\n{one}")
        assert of_type(template, "AWS::EC2::SecurityGroup") == []
        (function,) = [one for one in of_type(template, "AWS::Lambda::Function") if "VpcConfig" in one]
        assert function["VpcConfig"]["SecurityGroupIds"] == ["sg-00000007"]

    def test_an_endpoint_lets_through_what_the_functions_in_its_network_need(self, tmp_path: Path) -> None:
        """Issue 11, fault 16."""
        isolated = NETWORK.replace("private", "isolated").replace("nat", "create-endpoint")
        template = synth(
            tmp_path,
            f"""{isolated}
secrets:
  - {{name: elsewhere, engine: mysql, every: 1 day}}
  - {{name: here, engine: mysql, every: 1 day, network: main, admin: boss}}
  - {{arn: "{ARN}known-AbCdEf", engine: postgres, every: 1 day, network: main}}
""",
        )
        (endpoint,) = of_type(template, "AWS::EC2::VPCEndpoint")
        through = [
            (as_list(one["Action"]), {text(arn).rpartition(":secret:")[2] for arn in as_list(one["Resource"])})
            for one in endpoint["PolicyDocument"]["Statement"]
        ]
        (rotates, *_) = statements(template, "RotateItsSecrets")
        assert through == [
            (rotates["Action"], {"here-??????", "known-AbCdEf"}),
            (["secretsmanager:GetSecretValue"], {"boss-??????"}),
        ]

    def test_an_endpoints_policy_has_room_for_many_secrets(self, tmp_path: Path) -> None:
        isolated = NETWORK.replace("private", "isolated").replace("nat", "create-endpoint")
        many = "\n".join(
            f"  - {{name: application-{n}, engine: mysql, every: 1 day, network: main}}" for n in range(150)
        )
        template = synth(tmp_path, f"{isolated}\nsecrets:\n{many}\n")
        (endpoint,) = of_type(template, "AWS::EC2::VPCEndpoint")
        (statement,) = endpoint["PolicyDocument"]["Statement"]
        assert statement["Resource"] == "*"
        assert not [action for action in statement["Action"] if "*" in action]

    def test_an_endpoint_that_is_there_lets_the_function_in(self, tmp_path: Path) -> None:
        network = NETWORK.replace("private", "isolated").replace("nat", "sg-00000009")
        template = synth(
            tmp_path, f"{network}\nsecrets: [{{name: a, engine: mysql, every: 1 day, network: main, port: 3307}}]"
        )
        assert of_type(template, "AWS::EC2::VPCEndpoint") == []
        ins = of_type(template, "AWS::EC2::SecurityGroupIngress")
        assert {(one["GroupId"], one["FromPort"]) for one in ins} == {("sg-00000009", 443), ("sg-00000001", 3307)}


class TestWhatIsWanted:
    def test_tags_boundary_names_variables_and_mail(self, tmp_path: Path) -> None:
        template = synth(
            tmp_path,
            """
            account: "111122223333"
            region: eu-west-1
            tags: {team: orders}
            permissions_boundary: arn:aws:iam::111122223333:policy/boundary
            prefix: orders-
            alarms: {email: [on-call@example.com]}
            keys: {mine: {create: ours, alias: orders, pending_window_days: 7}}
            function: {log_level: DEBUG, environment: {ROTATION_CONNECT_TIMEOUT: "3"}}
            functions: {postgres: {environment: {ROTATION_TLS_SERVER_NAME: db}}}
            defaults: {engine: postgres, every: 1 day, admin: boss}
            secrets:
              - {name: app, kms_key: mine}
              - create:
                  name: made
                  values: {username: u}
                  replicas: [eu-central-1, {region: eu-north-1, kms_key: "arn:aws:kms:eu-north-1:111122223333:key/1a"}]
            """,
        )
        roles = of_type(template, "AWS::IAM::Role")
        assert {one["PermissionsBoundary"] for one in roles} == {"arn:aws:iam::111122223333:policy/boundary"}
        names = {"orders-postgres", "orders-overdue"}
        assert {one["RoleName"] for one in roles} == names | {"orders-failures"}
        made = of_type(template, "AWS::Lambda::Function")
        assert {one["FunctionName"] for one in made} == names
        assert all({"Key": "team", "Value": "orders"} in one["Tags"] for one in made + roles)
        (variables,) = functions(template)
        assert variables["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
        assert (variables["ROTATION_CONNECT_TIMEOUT"], variables["ROTATION_TLS_SERVER_NAME"]) == ("3", "db")
        assert variables["ROTATION_ADMIN_SECRET"] == "boss"
        (mail,) = of_type(template, "AWS::SNS::Subscription")
        assert (mail["Protocol"], mail["Endpoint"]) == ("email", "on-call@example.com")
        (alias,) = of_type(template, "AWS::KMS::Alias")
        assert alias["AliasName"] == "alias/orders"
        (key,) = of_type(template, "AWS::KMS::Key")
        assert key["PendingWindowInDays"] == 7
        (secret,) = of_type(template, "AWS::SecretsManager::Secret")
        assert secret["ReplicaRegions"] == [
            {"Region": "eu-central-1"},
            {"Region": "eu-north-1", "KmsKeyId": "arn:aws:kms:eu-north-1:111122223333:key/1a"},
        ]

    def test_what_outlives_the_stack_does_not_outlive_its_failed_beginning(self, everything: dict[str, Any]) -> None:
        kept = {
            one["Type"]: (one["DeletionPolicy"], one["UpdateReplacePolicy"])
            for one in everything["Resources"].values()
            if one.get("DeletionPolicy", "Delete") != "Delete"
        }
        assert kept == dict.fromkeys(
            (
                "AWS::KMS::Key",
                "AWS::Logs::LogGroup",
                "AWS::SecretsManager::ResourcePolicy",
                "AWS::SecretsManager::Secret",
            ),
            ("RetainExceptOnCreate", "Retain"),
        )

    def test_a_file_is_spread_over_stacks_that_share_what_they_can(self, tmp_path: Path) -> None:
        many = "\n".join(f"  - {{name: s{n}, engine: mysql, network: main, kms_key: mine}}" for n in range(12))
        network = NETWORK.replace("private", "isolated").replace("nat", "create-endpoint")
        made = "  - {create: {name: made, values: {username: u}}, engine: mysql, network: main}"
        file = f"keys: {{mine: {{create: x}}}}\ndefaults: {{every: 1 day}}\n{network}\nsecrets:\n{many}\n{made}\n"
        one = synth_all(tmp_path / "1", file)
        three = synth_all(tmp_path / "3", f"stacks: 3\n{file}")
        assert list(one) == ["Rotations"]
        assert list(three) == ["Rotations", "Rotations-2", "Rotations-3"]
        shared = {"AWS::EC2::VPCEndpoint", "AWS::KMS::Key", "AWS::SNS::Topic", "AWS::SecretsManager::Secret"}
        for kind in shared:
            assert [len(of_type(template, kind)) for template in three.values()] == [1, 0, 0]
        schedule = "AWS::SecretsManager::RotationSchedule"
        assert sum(len(of_type(template, schedule)) for template in three.values()) == 13
        assert all(of_type(template, schedule) for template in three.values())
        # Whatever stays, stays the same: only what moves is made again elsewhere.
        before, after = (one["Rotations"]["Resources"], three["Rotations"]["Resources"])
        stayed = [name for name, made in after.items() if made["Type"] == schedule]
        assert all(before[name]["Properties"] == after[name]["Properties"] for name in stayed)
        for kind in shared:
            assert of_type(one["Rotations"], kind)[0].keys() == of_type(three["Rotations"], kind)[0].keys()


class TestWatching:
    def test_failures_reach_the_topic_and_alarms_may_publish_to_it(self, everything: dict[str, Any]) -> None:
        pattern = next(one["EventPattern"] for one in of_type(everything, "AWS::Events::Rule") if "EventPattern" in one)
        assert pattern["source"] == ["aws.secretsmanager"]
        assert pattern["detail-type"] == ["AWS Service Event via CloudTrail"]
        assert {"RotationFailed", "RotationAbandoned"} <= set(pattern["detail"]["eventName"])

    def test_nobody_publishes_on_behalf_of_another_account(self, everything: dict[str, Any]) -> None:
        """Issue 11, fault 16: EventBridge heeds no condition in a topic's policy, so that a role has it."""
        account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
        (policy,) = of_type(everything, "AWS::SNS::TopicPolicy")
        allowed = [one for one in policy["PolicyDocument"]["Statement"] if one["Effect"] == "Allow"]
        assert [one["Principal"] for one in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]
        (role,) = [one for one in of_type(everything, "AWS::IAM::Role") if "events.amazonaws.com" in json.dumps(one)]
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        for statement, source in ((allowed[0], "cloudwatch:{}:alarm:*"), (trust, "events:{}:rule/*")):
            arn = text(statement["Condition"].pop("ArnLike")["aws:SourceArn"])
            assert arn == "arn:{AWS::Partition}:" + source.format("{AWS::Region}:{AWS::AccountId}")
            assert statement["Condition"] == account
        (tells,) = statements(everything, "TellOfFailures")
        assert (tells["Action"], tells["Resource"]) == ("sns:Publish", policy["Topics"][0])
        (target,) = [
            target
            for rule in of_type(everything, "AWS::Events::Rule")
            if "EventPattern" in rule
            for target in rule["Targets"]
        ]
        assert "Publisher" in text(target["RoleArn"])

    def test_a_topic_of_ones_own_is_used(self, tmp_path: Path) -> None:
        topic = "arn:aws:sns:eu-west-1:111122223333:on-call"
        template = synth(tmp_path, f"alarms: {{topic: '{topic}'}}\n{ONE}")
        assert of_type(template, "AWS::SNS::Topic") == []
        (rule,) = [one for one in of_type(template, "AWS::Events::Rule") if "EventPattern" in one]
        # Its own policy lets EventBridge in, and perhaps its key's.
        assert "RoleArn" not in rule["Targets"][0]
        assert all(one["AlarmActions"] == [topic] for one in of_type(template, "AWS::CloudWatch::Alarm"))

    def test_every_function_has_its_alarms_and_the_overdue_have_theirs(self, everything: dict[str, Any]) -> None:
        alarms = of_type(everything, "AWS::CloudWatch::Alarm")
        metrics = sorted(one["MetricName"] for one in alarms)
        assert metrics == sorted(["Errors", "Throttles", "Duration"] * 2 + ["OverdueSecrets"])
        assert all(len(one["AlarmActions"]) == 1 for one in alarms)
        duration = next(one for one in alarms if one["MetricName"] == "Duration")
        assert (duration["Threshold"], duration["Statistic"]) == (54000, "Maximum")
        overdue = next(one for one in alarms if one["MetricName"] == "OverdueSecrets")
        assert [one["Name"] for one in overdue["Dimensions"]] == ["stack"]
        assert overdue["TreatMissingData"] == "breaching"

    def test_the_overdue_check_looks_at_each_secret_and_at_no_value(self, tmp_path: Path) -> None:
        many = "\n".join(
            f"  - {{name: s{n}, engine: mysql, every: {'never' if n == 3 else '1 day'}}}" for n in range(30)
        )
        template = synth(tmp_path, f"secrets:\n{many}\n")
        inputs = [
            json.loads(text(target["Input"]).replace("{AWS::StackName}", "Rotations"))
            for rule in of_type(template, "AWS::Events::Rule")
            for target in rule["Targets"]
            if "Input" in target
        ]
        assert [name for one in inputs for name in one["secrets"]] == [f"s{n}" for n in range(30)]
        assert [name for one in inputs for name in one["on_demand"]] == ["s3"]
        schedules = of_type(template, "AWS::SecretsManager::RotationSchedule")
        assert [rules for one in inputs for rules in one["rules"]] == [
            one.get("RotationRules", {}) for one in schedules
        ]
        for one in inputs:
            assert one["functions"] == [text(schedules[0]["RotationLambdaARN"])]
            assert one["rotated_by"] == [0] * len(one["secrets"])
        assert len({one["stack"] for one in inputs}) == len(inputs) == 3
        watched = [
            text(one["Dimensions"][0]["Value"]).replace("{AWS::StackName}", "Rotations")
            for one in of_type(template, "AWS::CloudWatch::Alarm")
            if one["MetricName"] == "OverdueSecrets"
        ]
        assert watched == [one["stack"] for one in inputs]
        assert all(len(json.dumps(one)) < 8192 for one in inputs)
        (look,) = statements(template, "LookAtItsSecrets")
        assert look["Action"] == "secretsmanager:DescribeSecret"
        assert len(look["Resource"]) == 30

    def test_the_dashboard_asks_for_what_the_log_really_says(
        self, everything: dict[str, Any], rotation_service: Any, log: io.StringIO
    ) -> None:
        (dashboard,) = of_type(everything, "AWS::CloudWatch::Dashboard")
        body = text(dashboard["DashboardBody"])
        for title in ("What rotated", "What failed, and why", "How long a step takes", "Which are overdue"):
            assert title in body
        versions = SecretVersions(rotation_service.client, patience=0.1)
        works = rotation_service.create_secret("works", {"password": "first"}, Works(versions))
        fails = rotation_service.create_secret("fails", {"password": "first"}, Fails(versions))
        assert rotation_service.rotate(works).succeeded
        assert not rotation_service.rotate(fails).succeeded
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        for query, fields in ((ROTATED, {"secret", "version"}), (FAILED, {"secret", "step", "error", "reason"})):
            wanted = dict(re.findall(r'(\w+) = "([^"]+)"', query))
            (line,) = [one for one in lines if wanted.items() <= one.items()]
            assert fields <= line.keys()


class Works(Rotator[SecretValue]):
    """A rotator of nothing."""

    value_type = SecretValue

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        return rotation.current.replace(password="the-next-password")

    def apply(self, rotation: Rotation[SecretValue]) -> None: ...

    def verify(self, rotation: Rotation[SecretValue]) -> None: ...


class Fails(Works):
    """One that fails."""

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        del rotation
        raise Unreachable("nobody is there")
