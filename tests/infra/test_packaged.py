"""What is deployed is what was tested: the synthesized files, in a folder, in an interpreter that has nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template
from doubles.key_api import KeyApi
from synthesis import of_type
from targets import ALTERNATING, SINGLE, PostgresTarget

from infra.config import load
from infra.stack import RotationStack
from rotators.errors import PackagingFailed
from rotators.packaging.bundles import Bundles
from rotators.packaging.platforms import Platform, of_this_machine
from rotators.packaging.trust import read
from rotators.testing import RotationService
from rotators.testing.endpoint import served
from rotators.testing.lambda_process import LambdaProcess, lay_out

HERE = of_this_machine()
PAGE = Path(__file__).parents[2] / "docs/how-to/write-a-rotator.md"


@pytest.mark.server
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING])
def test_the_deployed_function_rotates_a_real_secret(
    postgres: PostgresTarget,
    rotation_service: RotationService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    strategy: str,
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    file = tmp_path / "rotations.yaml"
    (tmp_path / "ca.pem").write_bytes(postgres.server.ca_file.read_bytes())
    admin = ", admin: the-admin" if strategy == ALTERNATING else ""
    file.write_text(
        f"ca_bundle: {{file: ca.pem}}\nfunction: {{architecture: {HERE.architecture}}}\n"
        f"secrets: [{{name: app, engine: postgres, every: 30 days, strategy: {strategy}{admin}}}]\n"
    )
    template, function = synthesized(file, certificates=read(tmp_path / "ca.pem"))
    variables = function["Environment"]["Variables"]
    lay_out(*deployed(template, function, tmp_path / "cdk.out"), tmp_path / "lambda")
    opt = str(tmp_path / "lambda" / "opt" / "python")
    with served(rotation_service) as endpoint, LambdaProcess(tmp_path / "lambda", endpoint, variables) as process:
        for package in ("rotators", "aws_lambda_powertools", "psycopg2"):
            assert process.files[package].startswith(opt)
        assert not {"cryptography", "rotators.testing", "moto", "pydantic"} & process.files.keys()
        application = postgres.make_application()
        if strategy == ALTERNATING:
            rotation_service.create_secret("the-admin", postgres.admin_secret(), process)
        arn = rotation_service.create_secret("app", postgres.secret(application), process)
        for _ in range(2):
            assert rotation_service.rotate(arn).error is None
            postgres.work(rotation_service.value(arn))


@pytest.mark.server
def test_the_deployed_rotator_of_ones_own_rotates_a_secret_of_its_service(
    rotation_service: RotationService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "reports.py").write_text(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[-1])
    (tmp_path / "requirements.txt").write_text("# Nothing: urllib is Python's own.\n")
    file = tmp_path / "rotations.yaml"
    file.write_text(
        "functions:\n  reports:\n    code: src\n    handler: reports.handler\n    requirements: requirements.txt\n"
        f"    architecture: {HERE.architecture}\n"
        "secrets: [{name: reports, engine: custom, function: reports, every: 30 days}]\n"
    )
    template, function = synthesized(file, certificates=None)
    variables, handler = function["Environment"]["Variables"], function["Handler"]
    lay_out(*deployed(template, function, tmp_path / "cdk.out"), tmp_path / "lambda")
    with (
        KeyApi() as api,
        served(rotation_service) as endpoint,
        LambdaProcess(tmp_path / "lambda", endpoint, variables, handler) as process,
    ):
        assert process.files["reports"].startswith(str(tmp_path / "lambda" / "task"))
        assert process.files["rotators"].startswith(str(tmp_path / "lambda" / "opt"))
        assert not {"psycopg2", "rotators.testing", "moto", "pydantic"} & process.files.keys()
        first = {**api.create(), "url": api.url}
        arn = rotation_service.create_secret("reports", first, process)
        for _ in range(2):
            assert rotation_service.rotate(arn).error is None
        assert api.deleted == [first["id"]]
        assert rotation_service.value(arn)["key"] in api.keys.values()


def synthesized(file: Path, *, certificates: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The template of a file, with layers for this very machine, and the function that rotates."""

    def bundles(target: Platform) -> Bundles:
        # The layers of the runtime's own version would not run on this Python.
        return Bundles(Platform(target.architecture, HERE.python), lambda _: None)

    app = cdk.App(outdir=str(file.parent / "cdk.out"))
    try:
        stack = RotationStack(app, load(file), certificates=certificates, bundles=bundles, folder=file.parent)
    except PackagingFailed as missing:
        reason = f"the layers for this machine are not made yet (make layers): {missing}"
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(reason)
    template = dict(Template.from_stack(stack).to_json())
    (function,) = (
        one for one in of_type(template, "AWS::Lambda::Function") if "ROTATION_STRATEGY" in str(one["Environment"])
    )
    return template, function


def deployed(template: dict[str, Any], function: dict[str, Any], assembly: Path) -> tuple[Path, list[Path]]:
    """The zip files of the function and of its layers."""
    layers = [template["Resources"][one["Ref"]]["Properties"]["Content"]["S3Key"] for one in function["Layers"]]
    return assembly / f"asset.{function['Code']['S3Key']}", [assembly / f"asset.{key}" for key in layers]
