"""The fleet's state machine as it is deployed: what it may do, where it writes, and that its definition is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import Duration, Stack
from cfnlint.api import lint_all
from fleets import FILE, definition_of, template
from synthesis import as_list, of_type, statements, synth_all, text

from rotators.cdk import Fleet
from rotators.cdk.fleet_definition import MAP_LABEL
from rotators.errors import ConfigurationError

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs/how-to/rotate-a-fleet.md"
SIDS = {
    "ListSecrets",
    "RotateWhatItsFunctionsRotate",
    "HaveItsFunctionsInvoked",
    "WriteItsResults",
    "ListItsRuns",
    "StartEachSecret",
    "FollowEachSecret",
}


def allowed() -> dict[str, dict[str, Any]]:
    return {one["Sid"]: one for one in statements(template()) if one["Sid"] in SIDS}


def of_machine() -> str:
    (id_,) = [id_ for id_, one in template()["Resources"].items() if one["Type"] == "AWS::StepFunctions::StateMachine"]
    return str(id_)


class TestPermissions:
    def test_it_rotates_what_its_functions_rotate_and_gives_no_secret_another_function(self) -> None:
        found = allowed()["RotateWhatItsFunctionsRotate"]
        assert found["Action"] == ["secretsmanager:DescribeSecret", "secretsmanager:RotateSecret"]
        here = "arn:{AWS::Partition}:secretsmanager:{AWS::Region}:{AWS::AccountId}:secret:*"
        assert text(found["Resource"]) == here
        functions = {
            text(one["Properties"]["RotationLambdaARN"])
            for one in template()["Resources"].values()
            if one["Type"] == "AWS::SecretsManager::RotationSchedule"
        }
        assert len(functions) == 2
        named = found["Condition"]["StringEquals"]["secretsmanager:resource/AllowRotationLambdaArn"]
        assert {text(one) for one in named} == functions
        assert found["Condition"]["Null"] == {"secretsmanager:RotationLambdaARN": "true"}
        assert {text(one) for one in as_list(allowed()["HaveItsFunctionsInvoked"]["Resource"])} == functions

    def test_it_reads_no_value_and_no_action_is_a_wildcard(self) -> None:
        actions = {sid: as_list(one["Action"]) for sid, one in allowed().items()}
        assert {action for ones in actions.values() for action in ones} == {
            "secretsmanager:ListSecrets",
            "secretsmanager:DescribeSecret",
            "secretsmanager:RotateSecret",
            "lambda:InvokeFunction",
            "s3:AbortMultipartUpload",
            "s3:GetObject",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
            "s3:ListBucket",
            "states:StartExecution",
            "states:DescribeExecution",
            "states:StopExecution",
        }

    def test_only_a_list_of_secrets_takes_everything(self) -> None:
        everything = {sid for sid, one in allowed().items() if "*" in as_list(one["Resource"])}
        assert everything == {"ListSecrets"}
        assert allowed()["ListSecrets"]["Action"] == "secretsmanager:ListSecrets"

    def test_it_writes_and_lists_in_its_bucket_below_runs(self) -> None:
        bucket, key = text(allowed()["WriteItsResults"]["Resource"]).split("/", 1)
        assert key == "runs/*"
        assert text(allowed()["ListItsRuns"]["Resource"]) == bucket
        assert allowed()["ListItsRuns"]["Condition"] == {"StringLike": {"s3:prefix": "runs/*"}}

    def test_it_starts_itself_and_follows_the_children_of_its_own_map(self) -> None:
        assert text(allowed()["StartEachSecret"]["Resource"]) == f"{{{of_machine()}}}"
        children = text(allowed()["FollowEachSecret"]["Resource"])
        assert children.endswith(f":execution:{{{of_machine()}.Name}}/{MAP_LABEL}:*")

    def test_only_step_functions_of_this_account_may_be_it(self) -> None:
        roles = [
            one["AssumeRolePolicyDocument"]["Statement"][0]
            for one in of_type(template(), "AWS::IAM::Role")
            if one["Description"] == "Rotates a fleet of secrets"
        ]
        (trusted,) = roles
        assert trusted["Principal"] == {"Service": "states.amazonaws.com"}
        assert trusted["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert text(trusted["Condition"]["ArnLike"]["aws:SourceArn"]).endswith(":stateMachine:*")

    def test_each_statement_is_explained_on_the_page(self) -> None:
        assert set(allowed()) == SIDS
        page = PAGE.read_text()
        assert not [sid for sid in SIDS if f"| `{sid}` |" not in page]


class TestBucket:
    def test_it_is_encrypted_private_and_forgets(self) -> None:
        (bucket,) = of_type(template(), "AWS::S3::Bucket")
        (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert encryption == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        (rule,) = bucket["LifecycleConfiguration"]["Rules"]
        assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 30)
        assert "Prefix" not in rule

    def test_it_answers_over_tls_alone(self) -> None:
        (policy,) = of_type(template(), "AWS::S3::BucketPolicy")
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Principal"]) == ("Deny", {"AWS": "*"})
        assert statement["Action"] == "s3:*"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert len(statement["Resource"]) == 2

    def test_it_outlives_the_stack(self) -> None:
        (bucket,) = [one for one in template()["Resources"].values() if one["Type"] == "AWS::S3::Bucket"]
        assert bucket["UpdateReplacePolicy"] == "Retain"
        assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"


class TestDefinition:
    def test_cfn_lint_knows_every_state(self) -> None:
        assert mistakes(definition_of(template())) == []

    def test_cfn_lint_is_a_check_that_can_fail(self) -> None:
        broken = definition_of(template())
        del broken["States"]["EachSecret"]["ItemProcessor"]["States"]["Wait"]["Next"]
        broken["States"]["ListFirst"]["Retries"] = []
        assert len(mistakes(broken)) == 2

    def test_every_state_is_reached_and_every_next_is_there(self) -> None:
        whole = definition_of(template())
        processor = whole["States"]["EachSecret"]["ItemProcessor"]
        for machine in (whole, processor):
            found = {machine["StartAt"]}
            for state in machine["States"].values():
                found |= {
                    one["Next"] for one in (state, *state.get("Choices", ()), *state.get("Catch", ())) if "Next" in one
                }
                found |= {state["Default"]} if "Default" in state else set()
            assert found == set(machine["States"])

    def test_it_invokes_no_function_and_calls_five_apis(self) -> None:
        whole = definition_of(template())
        states = [*whole["States"].values(), *whole["States"]["EachSecret"]["ItemProcessor"]["States"].values()]
        assert {one["Resource"] for one in states if one["Type"] == "Task"} == {
            "arn:aws:states:::aws-sdk:secretsmanager:listSecrets",
            "arn:aws:states:::aws-sdk:secretsmanager:describeSecret",
            "arn:aws:states:::aws-sdk:secretsmanager:rotateSecret",
            "arn:aws:states:::aws-sdk:s3:putObject",
        }

    def test_every_call_is_tried_again_where_it_was_throttled(self) -> None:
        whole = definition_of(template())
        states = [*whole["States"].values(), *whole["States"]["EachSecret"]["ItemProcessor"]["States"].values()]
        for task in (one for one in states if one["Type"] == "Task"):
            (retry,) = task["Retry"]
            service = "S3" if ":s3:" in task["Resource"] else "SecretsManager"
            assert {f"{service}.{service}Exception", f"{service}.SdkClientException"} <= set(retry["ErrorEquals"])
            assert (retry["JitterStrategy"], retry["MaxDelaySeconds"]) == ("FULL", 60)
            assert retry["MaxAttempts"] >= 8

    def test_its_items_are_the_entries_of_the_lists_and_its_failures_are_counted_by_the_map(self) -> None:
        each = definition_of(template())["States"]["EachSecret"]
        assert each["ItemReader"]["ReaderConfig"] == {"InputType": "JSON", "Transformation": "LOAD_AND_FLATTEN"}
        assert each["ToleratedFailureCountPath"] == "$.settings.max_failures"
        assert each["MaxConcurrencyPath"] == "$.settings.concurrency"
        assert each["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}


def test_without_the_key_there_is_none(tmp_path: Path) -> None:
    (found,) = synth_all(tmp_path / "without", FILE.replace("fleet: {keep_days: 30}\n", "")).values()
    assert not of_type(found, "AWS::StepFunctions::StateMachine")
    assert not of_type(found, "AWS::S3::Bucket")


def test_each_stack_has_one_for_its_own_secrets(tmp_path: Path) -> None:
    secrets = ", ".join(f"{{name: s{number}, engine: postgres, every: 1 day}}" for number in range(8))
    found = synth_all(tmp_path / "several", f"fleet: {{}}\nprefix: p-\nstacks: 2\nsecrets: [{secrets}]\n")
    machines = {name: of_type(one, "AWS::StepFunctions::StateMachine") for name, one in found.items()}
    assert {name: [one["StateMachineName"] for one in ones] for name, ones in machines.items()} == {
        "Rotations": ["p-fleet"],
        "Rotations-2": ["p-fleet-2"],
    }
    for one in found.values():
        assert {"The state machine of the fleet", "The results of the fleet"} <= {
            output.get("Description") for output in one["Outputs"].values()
        }


def test_what_can_not_be_is_refused(tmp_path: Path) -> None:
    stack = Stack(cdk.App(outdir=str(tmp_path)), "Orders")
    with pytest.raises(ConfigurationError, match="a fleet of no function rotates nothing"):
        Fleet(stack, "None", functions=[])
    with pytest.raises(ConfigurationError, match="S3 keeps objects for whole days"):
        Fleet(stack, "Hours", functions=[object()], keep=Duration.hours(36))  # type: ignore[list-item]


def mistakes(machine: dict[str, Any]) -> list[str]:
    """What cfn-lint finds in a state machine (E3601: its structure)."""
    properties = {"RoleArn": "arn:aws:iam::111122223333:role/fleet", "DefinitionString": json.dumps(machine)}
    resource = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    found = lint_all(json.dumps({"Resources": {"Machine": resource}}))
    return [str(one) for one in found if one.rule.id == "E3601"]
