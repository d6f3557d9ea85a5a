"""The CDK's own command on what is written here: ls, synth and diff, by cdk.json and by what `make synth` says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from edits import BASE, edited
from synthesis import OWN

from rotators.testing.servers.certificates import CertificateAuthority

# A machine that is loaded takes ten minutes for what takes one.
pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
CDK = ROOT / "build" / "cdk" / "node_modules" / ".bin" / "cdk"
# What Python does first, in every process of these tests: layers hold no wheels.
WITHOUT_WHEELS = """
from rotators.packaging import wheels

wheels.install = lambda *arguments: arguments[-1].mkdir()
"""


class Clone:
    """A folder with what the CDK's command needs of a clone, and a file of secrets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(WITHOUT_WHEELS)
        (folder / "home").mkdir()
        # Notices and new versions would be asked for over the network.
        (folder / "home" / ".cdk.json").write_text(json.dumps({"notices": False, "versionReporting": False}))
        self.path = folder / "clone"
        self.path.mkdir()
        (self.path / ".venv").symlink_to(sys.prefix)
        (self.path / "own").symlink_to(OWN)
        shutil.copyfile(ROOT / "cdk.json", self.path / "cdk.json")
        CertificateAuthority(self.path, "ca")
        self.write(BASE)

    def write(self, text: str) -> None:
        """Write the file of secrets."""
        (self.path / "rotations.yaml").write_text(f"ca_bundle: {{file: ca.pem}}\n{text}")

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command there; it must work."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
        variables |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{self._folder / 'site'}{os.pathsep}{ROOT}",
            "XDG_CACHE_HOME": str(self._folder / "cache"),
            "HOME": str(self._folder / "home"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CI": "true",
            "NO_COLOR": "1",
        }
        ran = subprocess.run(
            [str(one) for one in command],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.path,
            env=variables,
            stdin=subprocess.DEVNULL,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """The folder, where the command is there."""
    missing = "node" if shutil.which("node") is None and not Path(sys.prefix, "bin/node").exists() else ""
    if missing or not CDK.exists():
        pytest.skip(f"there is no {missing or 'command of the CDK: make test-long fetches it'}")
    return Clone(tmp_path)


def test_the_real_command_lists_synthesizes_and_compares(clone: Clone) -> None:
    last = clone.run(sys.executable, "-m", "infra.app").stderr.strip().splitlines()[-1]
    found = re.fullmatch(r"cdk\.out is ready\. In this folder: npx aws-cdk@2 deploy --all (--app cdk\.out)", last)
    assert found is not None, last
    app = found[1].split()
    assert clone.run(CDK, "ls", *app).stdout.split() == ["Rotations"]
    assert "AWS::SecretsManager::RotationSchedule" in clone.run(CDK, "synth", *app).stdout
    # Without --app, cdk.json says what is run. The command alone has metadata written, with paths of this machine.
    clone.write(edited("a value of a secret to make"))
    former = clone.path / "cdk.out" / "Rotations.template.json"
    plain = ["--no-path-metadata", "--no-asset-metadata"]
    ran = clone.run(CDK, "diff", *plain, "--output", "after", "--template", former)
    said = ran.stdout + ran.stderr
    assert re.findall(r"^\[([-+~])\] (AWS::\w+::\w+)", said, re.MULTILINE) == [("~", "AWS::Lambda::Function")]
    assert "ROTATION_VALUES" in said
