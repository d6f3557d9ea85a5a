"""The templates of the pages: whole, without an error that a linter finds, with no more permissions than the app's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = {
    "deploy-with-other-tools": ROOT / "docs/how-to/deploy-with-other-tools.md",
    "write-a-rotator": ROOT / "docs/how-to/write-a-rotator.md",
}
ROTATE = {
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page].read_text(), re.DOTALL)


def template(page: str) -> str:
    (found,) = [block for block in blocks(page, "yaml") if block.startswith("AWSTemplateFormatVersion")]
    return found


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as what they are short for."""


def _function(loader: yaml.Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_cfn_lint_finds_nothing(page: str, tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(template(page))
    ran = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", str(file)], check=False, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.parametrize("page", PAGES)
def test_a_template_permits_what_the_app_permits_and_no_more(page: str) -> None:
    resources = yaml.load(template(page), _Loader)["Resources"]  # noqa: S506  # a SafeLoader
    (policy,) = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::IAM::Policy"]
    statements = [statement.get("Fn::If", [None, statement])[1] for statement in policy["PolicyDocument"]["Statement"]]
    by_sid = {statement["Sid"]: statement for statement in statements}
    rotate = by_sid.pop("RotateItsSecrets")
    assert set(rotate["Action"]) == ROTATE
    assert rotate["Resource"] == {"Ref": "SecretArn"}
    assert rotate["Condition"] == {
        "StringEquals": {"secretsmanager:resource/AllowRotationLambdaArn": {"Fn::GetAtt": "Rotation.Arn"}}
    }
    key = by_sid.pop("UseKey")
    assert set(key["Condition"]["StringEquals"]) == {"kms:ViaService", "kms:EncryptionContext:SecretARN"}
    assert all(statement["Action"] == "secretsmanager:GetSecretValue" for statement in by_sid.values())
    assert "*" not in json.dumps([statement["Resource"] for statement in statements])
    (permission,) = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::Lambda::Permission"]
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    schedule = resources["Schedule"]
    assert {"Permission", "Rotates"} <= set(schedule["DependsOn"])
    assert schedule["Properties"]["RotateImmediatelyOnUpdate"] is False


def test_the_terraform_block_declares_all_that_it_names() -> None:
    (code,) = blocks("deploy-with-other-tools", "hcl")
    declared = {f"{kind}.{name}" for kind, name in re.findall(r'^resource "(\w+)" "(\w+)"', code, re.MULTILINE)}
    declared |= {f"data.{kind}.{name}" for kind, name in re.findall(r'^data "(\w+)" "(\w+)"', code, re.MULTILINE)}
    declared |= {f"var.{name}" for name in re.findall(r'^variable "(\w+)"', code, re.MULTILINE)}
    declared |= {f"local.{name}" for name in re.findall(r"^  (\w+)\s+= ", code, re.MULTILINE)}
    named = set(re.findall(r"(?<![\w.])(?:data\.)?aws_\w+\.\w+|(?<![\w.])(?:var|local)\.\w+", code))
    assert len(named) > 20
    assert named <= declared
    assert {name for name in declared if name.startswith("var.")} <= named
    assert code.count("{") == code.count("}")
    assert set(re.findall(r'"(secretsmanager:\w+)"', code)) == ROTATE
    assert "rotate_immediately  = false" in code


def test_terraform_itself_reads_the_block(tmp_path: Path) -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("there is no terraform here")
    (code,) = blocks("deploy-with-other-tools", "hcl")
    (tmp_path / "main.tf").write_text(code)
    ran = subprocess.run(
        [terraform, "fmt", "-check", "-diff", "main.tf"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "CHECKPOINT_DISABLE": "1", "HOME": str(tmp_path)},
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr


def test_the_command_of_the_page_writes_the_files_that_the_templates_name() -> None:
    text = PAGES["deploy-with-other-tools"].read_text()
    named = set(re.findall(r"(?:layer-\w+|function)\.zip", template("deploy-with-other-tools")))
    assert named == {"function.zip", "layer-base.zip", "layer-driver.zip", "layer-ca.zip"}
    assert "rotators package --engine postgres --arch arm64 --ca-bundle global-bundle.pem -o dist\n" in text
