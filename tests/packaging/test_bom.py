"""The bill of materials, by CycloneDX's own schema and by the wheels that a lock installs."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rotators.packaging.archive import Archive
from rotators.packaging.bom import bill

METADATA = "Metadata-Version: 2.4\nName: {}\nVersion: {}\n{}\nA text.\n"


def archive(path: Path, **members: str) -> Archive:
    with zipfile.ZipFile(path, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    return Archive.read(path)


def layers(folder: Path) -> dict[str, Archive]:
    return {
        "layer-driver.zip": archive(
            folder / "driver",
            **{
                "python/psycopg2_binary-2.9.12.dist-info/METADATA": METADATA.format(
                    "psycopg2-binary", "2.9.12", "License: LGPL"
                ),
                "python/psycopg2_binary-2.9.12.dist-info/licenses/METADATA": "no metadata at all",
            },
        ),
        "function.zip": archive(folder / "function", **{"function.py": ""}),
        "layer-base.zip": archive(
            folder / "base",
            **{
                "python/A_b-1.dist-info/METADATA": METADATA.format(
                    "A_b", "1", "License-Expression: MIT OR BSD-3-Clause\n"
                )
            },
        ),
    }


def test_it_names_each_file_by_its_hash_and_each_library_by_its_version(tmp_path: Path) -> None:
    files = layers(tmp_path)
    made = bill(files)
    by_name: dict[str, Any] = {component["name"]: component for component in made["components"]}
    assert set(by_name) == {*files, "psycopg2-binary", "A_b"}
    assert by_name["A_b"]["purl"] == "pkg:pypi/a-b@1"
    assert by_name["A_b"]["licenses"] == [{"license": {"name": "MIT OR BSD-3-Clause"}}]
    assert by_name["psycopg2-binary"]["version"] == "2.9.12"
    for name, file in files.items():
        assert by_name[name]["hashes"] == [{"alg": "SHA-256", "content": file.sha256}]
    assert {one["ref"]: one["dependsOn"] for one in made["dependencies"]} == {
        "rotators": ["function.zip", "layer-base.zip", "layer-driver.zip"],
        "function.zip": [],
        "layer-base.zip": ["pkg:pypi/a-b@1"],
        "layer-driver.zip": ["pkg:pypi/psycopg2-binary@2.9.12"],
    }
    assert bill(layers(tmp_path)) == made


@pytest.mark.slow
def test_cyclonedxs_own_schema_takes_it(tmp_path: Path) -> None:
    # Takes seconds, which each process that collects tests would need: jsonschema builds a grammar for every format.
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    made = bill(layers(tmp_path))
    assert validator.validate_str(json.dumps(made)) is None
    assert validator.validate_str(json.dumps({**made, "components": [{"name": "of no type"}]})) is not None
