from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rotators import __version__
from rotators.cli import start

ROTATORS = Path(sys.executable).with_name("rotators")


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [ROTATORS, *arguments], check=False, capture_output=True, text=True, **options
    )


def test_help_names_the_commands() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "demo" in done.stdout


def test_the_version() -> None:
    assert run("--version").stdout == f"rotators {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["demo", "--rotations", "0"], ["demo", "--rotations", "many"], ["demo", "x"]]
)
def test_wrong_usage_exits_with_2_and_no_traceback(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_failure_exits_with_1_and_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # moto cannot be imported: as where the extra is not installed.
    (tmp_path / "moto.py").write_text("raise ModuleNotFoundError(\"No module named 'moto'\", name='moto')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run("demo")
    assert done.returncode == 1
    assert done.stderr == "rotators: the demo needs moto, which is not installed. pip install 'rotators[demo]'.\n"


@pytest.mark.server
def test_the_demo_prints_plain_lines_where_there_is_no_terminal() -> None:
    done = run("demo", "--rotations", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    for line in (
        "setSecret: v1 AWSPREVIOUS, v2 AWSCURRENT+AWSPENDING. password and label change together",
        "rotation 2: v2 AWSPREVIOUS, v3 AWSCURRENT. user app\n",
        "4 statements set a password; 0 of 7 passwords can be read in the log.",
    ):
        assert line in done.stdout
    assert "alternating-users: rotations: 2, logins: " in done.stdout
    alternating = next(line for line in done.stdout.splitlines() if line.startswith("alternating-users: rotations"))
    assert "refused: 0, longest refusal: none" in alternating


@pytest.mark.server
def test_the_demo_at_a_terminal_has_tables() -> None:
    code = "import sys; from rich.console import Console; from rotators.cli import screen\n"
    code += "screen.Console = lambda **options: Console(force_terminal=True, width=110, **options)\n"
    code += "from rotators.cli.main import main; sys.argv = ['rotators', 'demo', '-n', '1']; main()"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "┏" in done.stdout
    assert "\x1b[" in done.stdout


def test_without_the_extra_the_command_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['typer'] = None; from rotators.cli.start import main; sys.argv = ['rotators']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "rotators: the command needs typer, which is not installed. "
        "In the clone of rotators, run: python -m pip install '.[cli]'.\n"
    )


def test_a_module_of_ours_that_is_missing_is_no_missing_extra() -> None:
    code = "import sys; sys.modules['rotators.cli.main'] = None; from rotators.cli.start import main; main()"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "ModuleNotFoundError" in done.stderr


def test_the_installed_command_starts_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"rotators": "rotators.cli.start:main"}
    monkeypatch.setattr(sys, "argv", ["rotators", "--version"])
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"rotators {__version__}\n"
