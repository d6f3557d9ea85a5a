"""Synthesis of files with 10 to 2,000 secrets: time, memory, stacks, resources, and each size beside its limit.

    python benchmarks/cdk_scale.py --secrets 10 --secrets 100

Each file is synthesized in its own process, with layers without wheels.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import aws_cdk as cdk
import typer
from rich.console import Console
from rich.table import Table

from infra.config import load
from infra.config.load import MistakesFound
from infra.stack import make_stacks
from rotators.packaging import wheels
from rotators.packaging.bundles import Bundles

_KEY = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
# The limits of CloudFormation, IAM, Lambda and EventBridge.
LIMITS = {"resources": 500, "outputs": 200, "template": 1_000_000, "inline": 10_240, "managed": 6_144, "input": 8_192}
_PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "1" * 12}


def text_of(secrets: int, stacks: int) -> str:
    """A file with this number of secrets, four functions and a key, with realistic names."""
    engines = ("postgres", "mysql", "mariadb", "sqlserver")
    lines = [
        f"  - {{name: team-{number % 40:02}/orders/{engines[number % 4]}/application-{number:04}, "
        f"engine: {engines[number % 4]}, kms_key: '{_KEY}'}}"
        for number in range(secrets)
    ]
    head = f'account: "111122223333"\nregion: eu-west-1\nstacks: {stacks}\ndefaults: {{every: 30 days}}\nsecrets:\n'
    return head + "\n".join(lines) + "\n"


def filled(value: Any) -> Any:
    """A value with its references resolved to texts of the real length."""
    if isinstance(value, list):
        return [filled(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value or "Fn::GetAtt" in value:
        return _PSEUDO.get(str(value.get("Ref")), "x" * 120)
    if "Fn::Join" in value:
        return str(value["Fn::Join"][0]).join(str(filled(part)) for part in value["Fn::Join"][1])
    return {key: filled(one) for key, one in value.items()}


def of_type(template: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """The properties of every resource of a type."""
    return (one["Properties"] for one in template["Resources"].values() if one["Type"] == kind)


def sizes(template: dict[str, Any]) -> dict[str, int]:
    """The largest size of each kind in a template."""
    inline: dict[str, int] = {}
    for policy in of_type(template, "AWS::IAM::Policy"):
        for role in policy["Roles"]:
            taken = len(json.dumps(filled(policy["PolicyDocument"]), separators=(",", ":")))
            inline[json.dumps(role)] = inline.get(json.dumps(role), 0) + taken
    managed = [
        len(json.dumps(filled(policy["PolicyDocument"]), separators=(",", ":")))
        for policy in of_type(template, "AWS::IAM::ManagedPolicy")
    ]
    inputs = [
        len(str(filled(target.get("Input", ""))))
        for rule in of_type(template, "AWS::Events::Rule")
        for target in rule["Targets"]
    ]
    return {
        "resources": len(template["Resources"]),
        "outputs": len(template.get("Outputs", {})),
        "template": len(json.dumps(template)),
        "inline": max(inline.values()),
        "managed": max(managed, default=0),
        "input": max(inputs, default=0),
    }


def measure(secrets: int) -> dict[str, float]:
    """Synthesize a file, with as many stacks as it needs."""
    wheels.install = lambda *arguments: arguments[-1].mkdir()
    with tempfile.TemporaryDirectory() as folder:
        file, stacks = Path(folder) / "rotations.yaml", 1
        while True:
            file.write_text(text_of(secrets, stacks))
            try:
                begun = time.perf_counter()
                rotations = load(file)
                break
            except MistakesFound as found:
                stacks = int(str(found).rpartition("stacks: ")[2])
        app = cdk.App(outdir=f"{folder}/out")
        make_stacks(
            app, rotations, certificates=None, bundles=lambda target: Bundles(target, lambda _: None, compiled=False)
        )
        app.synth()
        seconds = time.perf_counter() - begun
        found = [sizes(json.loads(one.read_text())) for one in Path(f"{folder}/out").glob("*.template.json")]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    node = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    largest = {key: max(one[key] for one in found) for key in LIMITS}
    return {"stacks": stacks, "seconds": seconds, "python MB": memory, "node MB": node, **largest}


def main(
    secrets: Annotated[list[int] | None, typer.Option(help="How many secrets; may be given several times.")] = None,
) -> None:
    """Print a row for each file; a size beyond its limit ends it with 1."""
    table = Table(
        "secrets", "stacks", "seconds", "MB (Python)", *(f"{name} ≤ {most:,}" for name, most in LIMITS.items())
    )
    beyond = False
    for count in secrets or [10, 100, 500, 2000]:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(measure, (count,))
        beyond = beyond or any(found[name] > most for name, most in LIMITS.items())
        table.add_row(
            f"{count:,}",
            str(found["stacks"]),
            f"{found['seconds']:.1f}",
            f"{found['python MB']:.0f}",
            *(f"{found[name]:,}" for name in LIMITS),
        )
    Console(width=160).print(table)
    raise SystemExit(int(beyond))


if __name__ == "__main__":
    typer.run(main)
