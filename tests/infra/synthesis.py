"""Templates made without wheels: what layers hold is tests/packaging's business."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk.assertions import Template

from infra.config import load
from infra.config.model import Rotations
from infra.stack import RotationStack, make_stacks
from rotators.packaging.bundles import Bundles
from rotators.packaging.platforms import Platform

# The user's own rotator, which lies beside every file.
OWN = Path(__file__).with_name("corpus") / "own"
NETWORK = """
networks:
  main:
    vpc: vpc-00000001
    subnets: [subnet-00000001, subnet-00000002]
    kind: private
    secrets_manager: nat
    database_security_group: sg-00000001
"""


def bundles(target: Platform) -> Bundles:
    """Bundles that say nothing and compile nothing."""
    return Bundles(target, lambda _: None, compiled=False)


def read(folder: Path, text: str) -> Rotations:
    """What ``rotations.yaml`` with this text says."""
    file = folder / "rotations.yaml"
    file.write_text(textwrap.dedent(text))
    if not (folder / OWN.name).exists():
        (folder / OWN.name).symlink_to(OWN)
    return load(file)


def synth(folder: Path, text: str, certificates: str | None = None) -> dict[str, Any]:
    """The template of a file with this text."""
    app = cdk.App(outdir=str(folder / "cdk.out"))
    stack = RotationStack(app, read(folder, text), certificates=certificates, bundles=bundles, folder=folder)
    template: dict[str, Any] = dict(Template.from_stack(stack).to_json())
    return template


def of_type(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The properties of every resource of a type."""
    return [one.get("Properties", {}) for one in template["Resources"].values() if one["Type"] == kind]


def synth_all(folder: Path, text: str) -> dict[str, dict[str, Any]]:
    """The templates of all stacks of a file with this text, by the stacks' names."""
    folder.mkdir(exist_ok=True)
    app = cdk.App(outdir=str(folder / "cdk.out"))
    made = make_stacks(app, read(folder, text), certificates=None, bundles=bundles, folder=folder)
    assembly = app.synth()
    templates = {one.stack_name: dict(assembly.get_stack_by_name(one.stack_name).template) for one in made}
    # What a secret leaves is deployed before what it comes to.
    for former, later in pairwise(made):
        needed = {one.id for one in assembly.get_stack_by_name(later.stack_name).dependencies}
        assert former.stack_name in needed
    return templates


def rendered(document: Any) -> int:
    """How many characters a policy has for IAM, which counts no white space, with the longest account and Region."""
    known = {"AWS::Partition": "aws-us-gov", "AWS::Region": "ap-southeast-1", "AWS::AccountId": "1" * 12}

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "Ref" in value or "Fn::GetAtt" in value:
            return known.get(str(value.get("Ref")), "x" * 120)
        if "Fn::Join" in value:
            return str(value["Fn::Join"][0]).join(fill(part) for part in value["Fn::Join"][1])
        return {key: fill(one) for key, one in value.items()}

    return len(json.dumps(fill(document), separators=(",", ":")))


def statements(
    template: dict[str, Any], sid: str | None = None, *, kind: str = "AWS::IAM::Policy"
) -> Iterator[dict[str, Any]]:
    """Every statement of a role's policies, or those of one name."""
    for policy in of_type(template, kind):
        for statement in policy["PolicyDocument"]["Statement"]:
            if sid is None or statement.get("Sid") == sid:
                yield statement


def as_list(value: Any) -> list[Any]:
    """What CloudFormation writes as one value or as several."""
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """A value with its references, as one text: ``arn:{AWS::Partition}:…``."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "Ref" in value:
        return f"{{{value['Ref']}}}"
    if isinstance(value, dict) and "Fn::GetAtt" in value:
        return f"{{{'.'.join(value['Fn::GetAtt'])}}}"
    if isinstance(value, dict) and "Fn::Join" in value:
        return str(value["Fn::Join"][0]).join(text(part) for part in value["Fn::Join"][1])
    return str(value)
