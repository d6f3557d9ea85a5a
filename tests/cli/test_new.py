"""``rotators new``: what it writes. That its test passes, tests/docs shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.config import load
from rotators.cli.main import app
from rotators.errors import PackagingFailed
from rotators.packaging.custom import CustomRotator


def test_the_files_have_the_services_names_and_can_be_packaged(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["new", "billing-api", "-o", str(tmp_path)])
    assert ran.exit_code == 0, ran.output
    folder = tmp_path / "billing-api"
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert files == {
        "README.md",
        "conftest.py",
        "pyproject.toml",
        "requirements.in",
        "requirements.txt",
        "rotations.yaml",
        "src/billing_api.py",
        "tests/test_billing_api.py",
    }
    assert all(str(folder / file) in ran.output.replace("\n", "") for file in files)
    for file in files:
        text = (folder / file).read_text()
        assert "my-service" not in text
        assert "my_service" not in text
        assert "MyService" not in text
        assert "my-label" not in text
    CustomRotator(folder / "src", "billing_api.handler", folder / "requirements.txt").check()


@pytest.mark.parametrize(
    "name", ["billing", "billing_api", "a-very-long-name-of-a-service-that-nobody-would-ever-choose"]
)
def test_its_schedule_is_a_file_that_the_cdk_app_takes(tmp_path: Path, name: str) -> None:
    assert CliRunner().invoke(app, ["new", name, "-o", str(tmp_path)]).exit_code == 0
    rotations = load(tmp_path / name / "rotations.yaml")
    assert [secret.label for secret in rotations.secrets] == [name]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "billing").mkdir()
    ran = CliRunner().invoke(app, ["new", "billing", "-o", str(tmp_path)])
    assert isinstance(ran.exception, PackagingFailed)
    assert "exists already, and nothing is overwritten. use another name" in str(ran.exception)
    assert list((tmp_path / "billing").iterdir()) == []


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = CliRunner().invoke(app, ["new", "billing", "-o", str(tmp_path / "file")])
    assert isinstance(ran.exception, PackagingFailed)
    assert "could not be written" in str(ran.exception)


@pytest.mark.parametrize("name", ["Billing", "1st", "../up", "a b", "a--b", "json", "class", "rotators", "boto3", ""])
def test_a_name_that_is_no_module_or_hides_one_exits_with_2(tmp_path: Path, name: str) -> None:
    assert CliRunner().invoke(app, ["new", name, "-o", str(tmp_path)]).exit_code == 2
    assert list(tmp_path.iterdir()) == []
