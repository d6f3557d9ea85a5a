"""The library from its wheel alone: an app in an empty folder synthesizes each example of the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rotators.testing.servers.certificates import CertificateAuthority

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/use-in-a-cdk-app.md"
# Layers hold no wheels: what pip would fetch is another test's business.
APP = """
import sys
import rotators
from rotators.packaging import wheels
wheels.install = lambda *arguments: arguments[-1].mkdir()
assert rotators.__file__.startswith(sys.argv[1])
{blocks}
from aws_cdk import App
app = App(outdir="cdk.out")
{calls}
app.synth()
"""


def run(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    """What a command prints; it must work."""
    variables = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "JSII_NODE"}}
    # As an environment that was activated has it: Node came with the extra.
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    variables |= {"PIP_NO_INDEX": "1", "XDG_CACHE_HOME": str(cwd / "cache")}
    variables |= {} if path is None else {"PYTHONPATH": str(path)}
    ran = subprocess.run(
        [str(one) for one in command], check=False, capture_output=True, text=True, cwd=cwd, env=variables
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_an_app_made_of_the_wheel_alone_synthesizes_each_example(tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("rotators-*.whl")
    site = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel, cwd=tmp_path)
    assert not (site / "infra").exists()
    folder = tmp_path / "app"
    folder.mkdir()
    CertificateAuthority(folder, "rds")
    blocks = "".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    names = re.findall(r"^def (\w+_(?:before|after))", blocks, re.MULTILINE)
    calls = "".join(f"{name}(Stack(app, '{name.replace('_', '-')}'))\n" for name in names)
    app = tmp_path / "app.py"
    app.write_text(APP.format(blocks=blocks, calls=calls))
    run(sys.executable, app, site, cwd=folder, path=site)
    made = {file.name.removesuffix(".template.json") for file in (folder / "cdk.out").glob("*.template.json")}
    assert made == {name.replace("_", "-") for name in names}
    assert len(made) == 6
