"""What the documentation shows is run as it stands."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from doubles.key_api import KeyApi
from typer.testing import CliRunner

from infra.config import load
from rotators.cli.main import app
from rotators.testing import RotationService, assert_survives_faults
from rotators.testing.servers.fixtures import require_postgres

ROOT = Path(__file__).parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def code_of(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def run_line_by_line(code: str, names: dict[str, Any]) -> None:
    """Run statements; a comment ``# True`` is checked, and one that names an exception is awaited."""
    lines = code.splitlines()
    for statement in ast.parse(code).body:
        source = "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
        comment = lines[(statement.end_lineno or 0) - 1].partition("  # ")[2]
        if "OperationalError" in comment:
            with pytest.raises(psycopg2.OperationalError):
                exec(source, names)  # noqa: S102  # our own documentation
        elif comment == "True":
            assert eval(source.partition("  #")[0], names) is True  # noqa: S307
        else:
            exec(source, names)  # noqa: S102


@pytest.mark.server
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_tutorial(monkeypatch: pytest.MonkeyPatch) -> None:
    require_postgres()
    for name in ("ROTATION_CA_BUNDLE", "POWERTOOLS_METRICS_DISABLED", "POWERTOOLS_LOG_LEVEL"):
        monkeypatch.setenv(name, "")
    names: dict[str, Any] = {}
    for code in code_of("tutorial/first-rotation.md"):
        run_line_by_line(code, names)
    assert not names["server"].process.running


@pytest.mark.slow
def test_the_first_test_of_the_test_kits_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    plugin, module = code_of("reference/testing.md")
    assert plugin == 'pytest_plugins = ["rotators.testing.plugin"]\n'
    names: dict[str, Any] = {}
    exec(module, names)  # noqa: S102  # our own documentation
    tests = [run for name, run in names.items() if name.startswith("test_")]
    assert len(tests) == 3
    for run in tests:
        with RotationService() as service:
            run(service)


def test_the_test_kits_page_names_what_there_is() -> None:
    page = (ROOT / "docs/reference/testing.md").read_text()
    service = page.partition("## `RotationService`")[2].partition("\n## ")[0]
    shown = set(re.findall(r"`\.(\w+)", service)) - {"now", "advance"}
    there = {name for name in vars(RotationService) if not name.startswith("_")} | set(vars(RotationService()))
    assert shown <= there
    assert {name for name in there if not name.startswith("_")} - shown == {"region", "timeout"}
    survives = page.partition("## `assert_survives_faults`")[2].partition("\n## ")[0]
    arguments = set(inspect.signature(assert_survives_faults).parameters)
    assert set(re.findall(r"^\| `(\w+)` \|", survives, re.MULTILINE)) == arguments


@pytest.mark.slow
def test_the_engine_of_the_how_to_passes_the_conformance_suite(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/add-an-engine.md").read_text()
    for folder in ("rotators", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    files = re.findall(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)```", page, re.DOTALL | re.MULTILINE)
    assert [file for file, _ in files] == ["rotators/engines/sqlite.py", "tests/targets/sqlite.py"]
    for file, code in files:
        (tmp_path / file).write_text(code)
    entry = re.search(r"In `(tests/targets/__init__\.py)`.*?```python\n(.*?)```", page, re.DOTALL)
    assert entry is not None
    with (tmp_path / entry[1]).open("a") as kinds:
        kinds.write(entry[2])
    command = re.search(r"^    python (-m pytest .*)$", page, re.MULTILINE)
    assert command is not None
    ran = subprocess.run(
        [sys.executable, *command[1].split(), "-q", "-p", "no:xdist"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        # The outer run writes the table.
        env={key: value for key, value in os.environ.items() if key != "CONFORMANCE_TABLE"},
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) > 60
    assert "skipped" not in ran.stdout


def commands_of(page: str) -> list[str]:
    """The commands of a page, in order: what is indented outside of the blocks of code, and begins with a program."""
    text = re.sub(r"```.*?```", "", (ROOT / "docs" / page).read_text(), flags=re.DOTALL)
    lines = re.sub(r"\\\n\s+", "", text).splitlines()
    return [line.strip() for line in lines if re.match(r"    (aws|cd|npx|python|rotators|uv|[A-Z]+=\S+) ", line)]


@pytest.mark.slow
def test_the_rotator_of_the_how_to_from_nothing_to_its_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = "how-to/write-a-rotator.md"
    text = (ROOT / "docs" / page).read_text()
    install, new, cd, test, lock, secret, synth, to_clone, deploy, package, *by_hand = commands_of(page)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert install == "python -m pip install '.[cli,testing]'"
    assert {"cli", "testing"} <= extras.keys()
    assert any(one.startswith("pytest") for one in extras["testing"])
    monkeypatch.chdir(tmp_path)
    assert new.startswith("rotators ")
    assert CliRunner().invoke(app, shlex.split(new)[1:]).exit_code == 0
    monkeypatch.chdir(tmp_path / cd.removeprefix("cd "))

    shown = dict(re.findall(r"^`(src/\w+\.py|tests/\w+\.py)`:\n\n```python\n(.*?)```", text, re.DOTALL | re.MULTILINE))
    assert set(shown) == {"src/billing.py", "tests/test_billing.py"}
    assert {place: Path(place).read_text() for place in shown} == shown
    assert Path("conftest.py").read_text() in code_of(page)
    written, more, _ = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert Path("rotations.yaml").read_text() == written

    # As somebody has it who has set no Region.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    assert test == "python -m pytest"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:randomly", "-p", "no:xdist"],
        check=False,
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": str(ROOT), "AWS_CONFIG_FILE": "/nowhere"},
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert "3 passed" in ran.stdout

    assert re.search(r"^# " + re.escape(lock[:60]), Path("requirements.txt").read_text(), re.MULTILINE)
    # What the layer of ours holds is tests/packaging's business.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("rotators.packaging.wheels.install", lambda *arguments: arguments[-1].mkdir())
    said = synthesized(synth, tmp_path / "clone")
    assert to_clone == "cd CLONE"
    assert said.strip().splitlines()[-1] == f"cdk.out is ready. In this folder: {deploy}"
    resources = json.loads((tmp_path / "clone/cdk.out/Rotate-billing.template.json").read_text())["Resources"]
    (schedule,) = [one for one in resources.values() if one["Type"] == "AWS::SecretsManager::RotationSchedule"]
    assert schedule["Properties"]["RotationRules"] == {"ScheduleExpression": "rate(30 days)"}
    assert secret.split()[:5] == [
        "aws",
        "secretsmanager",
        "create-secret",
        "--name",
        schedule["Properties"]["SecretId"],
    ]
    function = resources[schedule["Properties"]["RotationLambdaARN"]["Fn::GetAtt"][0]]["Properties"]
    assert function["Handler"] == "billing.handler"
    with zipfile.ZipFile(tmp_path / "clone/cdk.out" / f"asset.{function['Code']['S3Key']}") as archive:
        assert archive.read("billing.py").decode() == shown["src/billing.py"]
    # What may stand there beside is what the page says, too.
    kept = written.partition("functions:")[0]
    Path("rotations.yaml").write_text(kept + more)
    assert load(Path("rotations.yaml")).functions["billing"]["permissions"][1]["because"]

    packaged = CliRunner().invoke(app, shlex.split(package)[1:])
    assert packaged.exit_code == 0, packaged.output
    named = set(re.findall(r"[a-z-]+\.zip", text))
    assert {file.name for file in Path("dist").glob("*.zip")} == named
    manifest = json.loads(Path("dist/manifest.json").read_text())
    for key, value in (("Handler", manifest["handler"]), ("Runtime", manifest["runtime"])):
        assert f"      {key}: {value}\n" in text
    assert f"Architectures: [{manifest['architecture']}]" in text
    assert [command.split()[:3] for command in by_hand] == [
        ["aws", "s3", "cp"],
        ["aws", "cloudformation", "deploy"],
    ]


# What `make synth` runs, with layers that hold no wheels.
SYNTH = """
from rotators.packaging import wheels
wheels.install = lambda *arguments: arguments[-1].mkdir()
from infra.app import main
main()
"""


def synthesized(command: str, clone: Path) -> str:
    """What the app says in a clone of which there is nothing else."""
    variable, make = command.split(maxsplit=1)
    assert make == "make -C CLONE synth"
    name, _, value = variable.partition("=")
    environment = {key: text for key, text in os.environ.items() if not key.startswith("CDK_")}
    environment |= {"PYTHONPATH": str(ROOT), "WITHOUT_CA_BUNDLE": "true", name: value.replace("$PWD", str(Path.cwd()))}
    clone.mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", SYNTH], check=False, capture_output=True, text=True, cwd=clone, env=environment
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stderr


def test_the_two_keys_of_the_how_to(rotation_service: RotationService) -> None:
    names: dict[str, Any] = {"__name__": "reports"}
    exec(code_of("how-to/write-a-rotator.md")[-1], names)  # noqa: S102
    with KeyApi() as api:
        first = {**api.create(), "url": api.url}
        arn = rotation_service.create_secret("reports", first, names["handler"])
        for _ in range(2):
            assert rotation_service.rotate(arn).error is None
        assert api.deleted == [first["id"]]
        assert len(api.keys) == 2


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub and MyST give to a page's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", shown).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_leads_nowhere(page: Path) -> None:
    text = page.read_text()
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", without_code(text)):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text()), f"{target}#{anchor}"


def test_every_variable_is_in_the_reference_and_nothing_else() -> None:
    reference = (ROOT / "docs/reference/settings.md").read_text()
    documented = set(re.findall(r"`([A-Z][A-Z_]{5,})`", reference))
    read = set()
    for path in (ROOT / "rotators").rglob("*.py"):
        if not {"testing", "cli", "packaging"} & set(path.parts):
            read |= set(
                re.findall(
                    r"""(?:text|flag|whole_number|seconds|choice|get)\(\s*"([A-Z][A-Z_]{5,})""", path.read_text()
                )
            )
            read |= set(re.findall(r'"(EXCLUDE_[A-Z]+)"', path.read_text()))
    assert read == documented - {"AWS_ENDPOINT_URL", "POWERTOOLS_LOG_LEVEL"}


def test_every_line_of_the_security_model_names_a_test_that_is_there() -> None:
    page = (ROOT / "docs/explanation/security.md").read_text()
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    defined = set(re.findall(r"^ *(?:def|class) (\w+)", "\n".join(path.read_text() for path in files), re.MULTILINE))
    tokens = set(re.findall(r"`([\w/*]*(?:test_|Test)[\w*]+(?:\.py)?)`", page))
    assert len(tokens) > 45
    for token in tokens:
        if token.endswith(".py"):
            assert list(ROOT.glob(token if "/" in token else f"tests/security/{token}")), token
        else:
            assert token in defined, token
    promises = re.findall(r"^\| (?!promise|---|who|engine)(.*) \|$", page.partition("## Passwords")[2], re.MULTILINE)
    assert len(promises) > 15
    assert [line for line in promises if "test_" not in line] == []


def test_the_errors_page_draws_the_tree() -> None:
    from rotators import errors  # noqa: PLC0415

    page = (ROOT / "docs/reference/errors.md").read_text()
    tree = re.search(r"::\n\n(.*?)\n\nEvery text", errors.__doc__ or "", re.DOTALL)
    assert tree is not None
    assert tree[1] in page


def test_the_rotator_of_the_readme_rotates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    (block,) = [
        one for one in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL) if "class" in one
    ]
    names: dict[str, Any] = {"__name__": "billing"}
    exec(block, names)  # noqa: S102  # our own documentation
    assert len(names["accepted"]) == 2


def test_the_readme_logs_in_as_the_page_of_applications_does() -> None:
    page = (ROOT / "docs/how-to/prepare-your-application.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    assert f"```python\n{blocks[0]}```" in page


def test_the_readme_counts_causes_and_extras_rightly() -> None:
    text = (ROOT / "README.md").read_text()
    causes = re.findall(r"^\| (?!cause|---)", (ROOT / "docs/reference/causes.md").read_text(), re.MULTILINE)
    assert len(causes) > 50
    assert "[more than 50 causes]" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    rows = re.findall(
        r"^\| (`.*`) \| (?:the command|applications|constructs|the test kit|a database)", text, re.MULTILINE
    )
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) == 11
    assert named <= project.keys()


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_json_is_json(page: Path) -> None:
    for block in re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL):
        json.loads(block)


def test_the_parts_of_the_template_are_those_that_the_page_of_permissions_names() -> None:
    page = (ROOT / "docs/reference/permissions.md").read_text().partition("## What deploying needs")[2]
    template = json.loads((ROOT / "tests/infra/snapshot.json").read_text())
    services = {one["Type"].split("::")[1] for one in template["Resources"].values()} - {"CDK"}
    words = {
        "Lambda": "Lambda", "IAM": "IAM", "EC2": "security", "Logs": "log groups", "CloudWatch": "alarms", "SNS": "SNS",
        "Events": "EventBridge", "KMS": "KMS", "SecretsManager": "secrets", "S3": "S3",
        "StepFunctions": "Step Functions",
    }  # fmt: skip
    assert services <= words.keys()
    assert all(words[service] in page for service in services)
