"""What is committed: no machine's path, no registry's name, locks that fit."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Put together, or this file would find itself.
REGISTRIES = [
    ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("debian", "org"))
]
PATHS = ["/".join(parts) for parts in (("", "root", ""), ("", "work", ""), ("", "home", ""))]


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S607
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_registry_and_no_path_of_a_machine_is_committed() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in tracked()
        for text in (*REGISTRIES, *PATHS)
        if text in path.read_text(errors="ignore")
    ]
    assert found == []


def test_there_is_no_lock_that_names_registries() -> None:
    assert not [path for path in tracked() if path.name in {"uv.lock", "poetry.lock", "Pipfile.lock"}]


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("lock", ["demo", "dev"])
def test_a_lock_pins_every_dependency_with_its_hashes(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    blocks = re.split(r"\n(?=\S)", text)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)
    wanted = [*project["project"]["dependencies"]]
    extras = project["project"]["optional-dependencies"]
    wanted += [entry for extra in ("cli", "testing", "postgres", "demo") for entry in extras[extra]]
    if lock == "dev":
        wanted += [entry for extra in ("mysql", "mongo", "sqlserver", "oracle", "infra") for entry in extras[extra]]
        wanted += project["dependency-groups"]["dev"]
    names = {re.split(r"[\[<>= ]", entry)[0].lower() for entry in wanted} - {"rotators"}
    assert names <= pins(text).keys()


def test_the_sites_lock_pins_what_the_site_needs_and_nothing_of_ours() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = (ROOT / "requirements/docs.txt").read_text()
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", text) if "==" in block)
    pinned = pins(text).keys()
    assert set(project["dependency-groups"]["docs"]) <= pinned
    assert not {"boto3", "moto", "aws-cdk-lib"} & pinned


def test_the_two_locks_agree() -> None:
    demo, dev = (pins((ROOT / f"requirements/{lock}.txt").read_text()) for lock in ("demo", "dev"))
    assert {name: version for name, version in dev.items() if name in demo} == demo


# What each brings, and the rest of a function must do without.
DRIVERS = {
    "postgres": {"psycopg2"},
    "redshift": {"psycopg2"},
    "mysql": {"pymysql"},
    "mariadb": {"pymysql"},
    "mongo": {"pymongo"},
    "sqlserver": {"pytds"},
    "oracle": {"oracledb", "cryptography"},
    # 136 MB: not before it is needed.
    "db2": set(),
}


@pytest.mark.slow
@pytest.mark.parametrize("engine", sorted(DRIVERS))
def test_a_cold_start_imports_nothing_that_it_does_not_need(engine: str) -> None:
    drivers = {name for names in DRIVERS.values() for name in names} | {"ibm_db"}
    heavy = {"moto", "rich", "typer", "pydantic", "aws_xray_sdk", "rotators.testing", "rotators.cli"}
    unneeded = sorted((drivers | heavy) - DRIVERS[engine])
    # botocore and PyMySQL take these where they are installed, as they are here: in another layer they are not.
    absent = sorted({"OpenSSL", "cryptography"} - DRIVERS[engine])
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); "
    code += f"import rotators.handlers.{engine}; "
    code += f"print([name for name in {unneeded} if sys.modules.get(name)])"
    environment = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert ran.stdout.strip() == "[]"
    assert ran.stderr == ""


def test_the_handler_takes_event_and_context() -> None:
    code = "from rotators.handlers.postgres import handler; handler({}, None)"
    environment = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    assert "rotators.errors.MalformedEvent: the event has no Step" in ran.stderr
