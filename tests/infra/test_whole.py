"""The template of the example, checked by those who did not write it, and compared with what it was."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
import pytest
from cdk_nag import AwsSolutionsChecks
from synthesis import bundles, read

from infra.app import ca_certificates, needs_certificates
from infra.config import load
from infra.stack import RotationStack
from rotators.errors import ConfigurationError
from rotators.testing.servers.certificates import CertificateAuthority

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("snapshot.json")


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """The example's template, with nothing that cdk-nag finds and nobody explained."""
    app = cdk.App(outdir=str(tmp_path / "cdk.out"))
    RotationStack(app, load(ROOT / "rotations.yaml"), certificates=None, bundles=bundles)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
    return tmp_path / "cdk.out" / "Rotations.template.json"


def test_cfn_lint_is_content(template: Path) -> None:
    lint = Path(sys.executable).with_name("cfn-lint")
    ran = subprocess.run([lint, template], check=False, capture_output=True, text=True, cwd=ROOT)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_cdk_nag_is_a_check_that_can_fail(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path / "cdk.out"))
    stack = RotationStack(app, load(ROOT / "rotations.yaml"), certificates=None, bundles=bundles)
    cdk.aws_sns.Topic(stack, "Unprotected")
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="The SNS Topic does not require publishers to use SSL"):
        app.synth()


def test_cdk_nag_is_content_with_what_a_function_may_ask_of_redshift_serverless(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path / "cdk.out"))
    namespace = "arn:aws:redshift-serverless:eu-west-1:111122223333:namespace/0a1b2c3d"
    secret = f"{{name: a, engine: redshift, every: 1 day, admin: redshift!a-admin, admin_host: '{namespace}'}}"
    RotationStack(app, read(tmp_path, f"secrets: [{secret}]"), certificates=None, bundles=bundles)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


def test_the_template_is_what_it_was(template: Path) -> None:
    """A change that is meant: UPDATE_SNAPSHOT=1 python -m pytest tests/infra/test_whole.py"""
    text = json.dumps(json.loads(template.read_text()), indent=1, sort_keys=True)
    # Whatever holds the hash of bytes that change with every commit.
    masked = re.sub(r"\b[0-9a-f]{64}\b", "HASH", text)
    masked = re.sub(r"(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}", r"\1HASH", masked)
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(masked + "\n")
    assert json.loads(masked) == json.loads(SNAPSHOT.read_text())


def test_without_a_ca_bundle_it_stops_with_the_way_out(tmp_path: Path) -> None:
    rotations = load(ROOT / "rotations.yaml")
    with pytest.raises(ConfigurationError, match=r"ca_bundle is missing.*-c without-ca-bundle=true"):
        ca_certificates(rotations, tmp_path, without=False)
    assert ca_certificates(rotations, tmp_path, without=True) is None
    own = CertificateAuthority(tmp_path).ca_file
    file = tmp_path / "rotations.yaml"
    file.write_text(f"ca_bundle: {{file: {own.name}}}\nsecrets: [{{name: a, engine: mysql, every: 1 day}}]\n")
    assert ca_certificates(load(file), tmp_path, without=False) == own.read_text()


@pytest.mark.parametrize("secret", ["engine: redshift", "engine: custom, function: billing"])
def test_without_a_database_of_rds_no_ca_bundle_is_asked_for(tmp_path: Path, secret: str) -> None:
    own = "functions: {billing: {code: own/src, handler: billing.handler}}\n" if "custom" in secret else ""
    rotations = read(tmp_path, f"{own}secrets: [{{name: a, {secret}, every: 1 day}}]\n")
    assert not needs_certificates(rotations)
    assert ca_certificates(rotations, tmp_path, without=False) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("secrets: [{name: a, engine: x, every: 1 day}]\n", "wrong.yaml:1: secrets[0].engine is"),
        ("secrets: [{name: a, engine: mysql, every: 1 day}]\n", "ca_bundle is missing"),
    ],
)
def test_the_app_ends_with_1_and_a_line_and_no_traceback(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    variables = {**os.environ, "ROTATIONS": str(file), "CDK_OUTDIR": str(tmp_path / "out")}
    ran = subprocess.run(
        [sys.executable, "-m", "infra.app"], check=False, capture_output=True, text=True, cwd=ROOT, env=variables
    )
    assert ran.returncode == 1
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
