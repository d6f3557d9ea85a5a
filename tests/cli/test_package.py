"""``rotators package``, on layers that are made here."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rotators.cli.main import app
from rotators.errors import PackagingFailed
from rotators.testing.servers.certificates import CertificateAuthority


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Layers without wheels: what they hold is tests/packaging's business."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("rotators.packaging.wheels.install", lambda *arguments: arguments[-1].mkdir())


def test_the_manifest_has_the_hash_of_each_file(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path).ca_file
    output = tmp_path / "new" / "dist"
    arguments = ["package", "--engine", "postgres", "--arch", "arm64", "-o", str(output), "--ca-bundle", str(authority)]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    manifest = json.loads((output / "manifest.json").read_text())
    assert (manifest["runtime"], manifest["architecture"], manifest["handler"]) == (
        "python3.14",
        "arm64",
        "function.handler",
    )
    assert set(manifest["files"]) == {"function.zip", "layer-base.zip", "layer-driver.zip", "layer-ca.zip"}
    for name, described in manifest["files"].items():
        content = (output / name).read_bytes()
        assert described["sha256"] == hashlib.sha256(content).hexdigest()
        assert base64.b64decode(described["code_sha256"]) == hashlib.sha256(content).digest()
        assert described["size"] == len(content)
        assert name in ran.stdout


def test_a_rotator_of_ones_own_is_packaged_with_our_layer(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / "billing.py").write_text("handler = print\n")
    output = tmp_path / "dist"
    arguments = ["package", "--source", str(source), "--handler", "billing.handler", "-o", str(output)]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    manifest = json.loads((output / "manifest.json").read_text())
    assert (manifest["engine"], manifest["handler"], manifest["architecture"]) == ("custom", "billing.handler", "arm64")
    assert set(manifest["files"]) == {"function.zip", "layer-base.zip"} == {file.name for file in output.glob("*.zip")}
    with zipfile.ZipFile(output / "function.zip") as archive:
        assert archive.read("billing.py") == b"handler = print\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name an engine (--engine), or the folder"),
        (["-e", "mysql", "-s", "src"], "name an engine (--engine), or the folder"),
        (["-s", "src"], "--source needs --handler"),
        (["-e", "mysql", "--handler", "billing.handler"], "go with --source"),
    ],
)
def test_what_is_neither_an_engine_nor_a_rotator_of_ones_own_exits_with_2(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    ran = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["package", *arguments, "-o", str(tmp_path)])
    assert ran.exit_code == 2
    assert says in " ".join(ran.output.replace("│", " ").split())


@pytest.mark.parametrize("output", [".", "dist"])
def test_zip_files_that_would_become_a_part_of_the_function_exit_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    (tmp_path / "billing.py").write_text("handler = print\n")
    monkeypatch.chdir(tmp_path)
    arguments = ["package", "-s", ".", "--handler", "billing.handler", "-o", output]
    ran = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    assert ran.exit_code == 2
    assert "--output is inside --source" in ran.output
    assert list(tmp_path.glob("**/*.zip")) == []


def test_db2_takes_the_one_architecture_that_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotators.packaging.platforms.engines", lambda: ["db2"])
    ran = CliRunner().invoke(app, ["package", "-e", "db2", "-o", str(tmp_path)])
    assert ran.exit_code == 0
    assert json.loads((tmp_path / "manifest.json").read_text())["architecture"] == "x86_64"
    refused = CliRunner().invoke(app, ["package", "-e", "db2", "--arch", "arm64", "-o", str(tmp_path)])
    assert isinstance(refused.exception, PackagingFailed)


@pytest.mark.parametrize("arguments", [["-e", "access"], ["-e", "mysql", "--arch", "sparc"], []])
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["package", *arguments, "-o", str(tmp_path)]).exit_code == 2


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = CliRunner().invoke(app, ["package", "-e", "mysql", "-o", str(tmp_path / "file" / "dist")])
    assert isinstance(ran.exception, PackagingFailed)
    assert "could not be written" in str(ran.exception)
