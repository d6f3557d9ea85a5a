"""A file with a fleet, its template, and the definition of its state machine as Step Functions gets it."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from interpreter import BUCKET, FUNCTION
from synthesis import of_type, synth, text

FILE = """
fleet: {keep_days: 30}
defaults: {every: 30 days}
secrets:
  - {name: orders/app, engine: postgres}
  - {name: shop/app, engine: mysql}
"""


@cache
def template() -> dict[str, Any]:
    """The template of the file; nobody may change it."""
    with tempfile.TemporaryDirectory() as folder:
        return synth(Path(folder), FILE)


def definition_of(made: dict[str, Any]) -> dict[str, Any]:
    """The state machine of a template, for a bucket and a function that are there."""
    (machine,) = of_type(made, "AWS::StepFunctions::StateMachine")
    (bucket,) = [id_ for id_, one in made["Resources"].items() if one["Type"] == "AWS::S3::Bucket"]
    functions = {
        text(one["RotationLambdaARN"]): FUNCTION if number == 0 else f"{FUNCTION}-{number}"
        for number, one in enumerate(of_type(made, "AWS::SecretsManager::RotationSchedule"))
    }
    whole = text(machine["DefinitionString"])
    for before, after in {"{AWS::Partition}": "aws", f"{{{bucket}}}": BUCKET, **functions}.items():
        whole = whole.replace(before, after)
    return dict(json.loads(whole))
