"""What is deployed is what was tested: the synthesized files, in a folder, in an interpreter that has nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template
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
    app = cdk.App(outdir=str(tmp_path / "cdk.out"))

    def bundles(target: Platform) -> Bundles:
        # The layers of the runtime's own version would not run on this Python.
        return Bundles(Platform(target.architecture, HERE.python), lambda _: None)

    try:
        stack = RotationStack(app, load(file), certificates=read(tmp_path / "ca.pem"), bundles=bundles)
    except PackagingFailed as missing:
        reason = f"the layers for this machine are not made yet (make layers): {missing}"
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(reason)
    template = dict(Template.from_stack(stack).to_json())
    variables = next(
        one["Environment"]["Variables"]
        for one in of_type(template, "AWS::Lambda::Function")
        if "ROTATION_STRATEGY" in one["Environment"]["Variables"]
    )
    lay_out(*deployed(template, tmp_path / "cdk.out"), tmp_path / "lambda")
    opt = str(tmp_path / "lambda" / "opt" / "python")
    with served(rotation_service) as endpoint, LambdaProcess(tmp_path / "lambda", endpoint, variables) as function:
        for package in ("rotators", "aws_lambda_powertools", "psycopg2"):
            assert function.files[package].startswith(opt)
        assert not {"cryptography", "rotators.testing", "moto", "pydantic"} & function.files.keys()
        application = postgres.make_application()
        if strategy == ALTERNATING:
            rotation_service.create_secret("the-admin", postgres.admin_secret(), function)
        arn = rotation_service.create_secret("app", postgres.secret(application), function)
        for _ in range(2):
            assert rotation_service.rotate(arn).error is None
            postgres.work(rotation_service.value(arn))


def deployed(template: dict[str, Any], assembly: Path) -> tuple[Path, list[Path]]:
    """The zip files of the function and of its layers."""
    (function,) = (
        one for one in of_type(template, "AWS::Lambda::Function") if "ROTATION_STRATEGY" in str(one["Environment"])
    )
    layers = [template["Resources"][one["Ref"]]["Properties"]["Content"]["S3Key"] for one in function["Layers"]]
    return assembly / f"asset.{function['Code']['S3Key']}", [assembly / f"asset.{key}" for key in layers]
