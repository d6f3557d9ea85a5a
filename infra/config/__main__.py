"""Writes what is made from the model: the JSON Schema for editors, and the reference page (``make reference``)."""

import json
from pathlib import Path

from infra.config.load import schema
from infra.config.reference import page

_ROOT = Path(__file__).parents[2]

(_ROOT / "infra" / "rotations.schema.json").write_text(json.dumps(schema(), indent=2) + "\n")
(_ROOT / "docs" / "reference" / "rotations.md").write_text(page())
