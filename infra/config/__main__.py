"""Prints the JSON Schema of ``rotations.yaml``, for editors: ``make synth`` writes it to infra/."""

import json

from infra.config.load import schema

print(json.dumps(schema(), indent=2))  # noqa: T201  # its one purpose
