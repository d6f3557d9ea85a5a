"""What the function that looks is made of."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.verify import kit
from rotators.errors import PackagingFailed
from rotators.packaging.archive import LIMIT, Archive
from rotators.packaging.platforms import Platform

pytestmark = pytest.mark.slow


def test_its_code_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handler, suites and targets come from the zip file; neither CDK nor command line is imported."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = kit.Kit(Platform(), lambda _: None).code()
    place = tmp_path / "task"
    with zipfile.ZipFile(archive.path) as file:
        file.extractall(place)
    program = f"""
import importlib, sys
modules = [importlib.import_module(name.rpartition('.')[0]) for name in {[kit.HANDLER, kit.PROBE]!r}]
sys.path.insert(0, {str(place / "tests")!r})
modules += [importlib.import_module(name) for name in ("targets.rds", "rotators", "rotators.testing")]
elsewhere = [one.__file__ for one in modules if not one.__file__.startswith({str(place)!r})]
unwanted = [name for name in ("aws_cdk", "typer", "rich", "hypothesis") if name in sys.modules]
assert not elsewhere + unwanted, elsewhere + unwanted
print((modules[0].__file__), (modules[0].conformance._INI).is_file())
"""
    variables = {**os.environ, "PYTHONPATH": str(place)}
    ran = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, cwd=place, env=variables
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.strip().endswith("True")


def test_its_lock_has_what_the_suites_import() -> None:
    """boto3 too: the runtime's may be without the metadata by which moto asks for botocore's version."""
    named = {line.partition("==")[0] for line in kit.LOCK.read_text().splitlines() if "==" in line}
    drivers = {"psycopg2-binary", "pymysql", "pymongo", "python-tds", "oracledb"}
    assert drivers | {"boto3", "botocore", "moto", "pytest", "cryptography"} <= named
    assert "ibm-db" not in named


def test_more_than_lambda_takes_is_refused() -> None:
    one = Archive(Path("a.zip"), "", 1, LIMIT)
    assert kit.check_size([one]) == LIMIT
    with pytest.raises(PackagingFailed, match="Lambda takes"):
        kit.check_size([one, Archive(Path("b.zip"), "", 1, 1)])
