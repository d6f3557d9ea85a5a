"""What the tests want of Debian is installed where that can be done, and named where it can't."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
INSTALL = "install -qy --no-install-recommends chromium\n"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with nothing in it but what the scripts call."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("dirname", "mktemp", "rm", "tail"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def fake(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!{shutil.which('sh')}\n{script}\n")
    (folder / name).chmod(0o755)


def browser(programs: Path) -> str:
    """Run tools/browser, and give what it says."""
    command = [str(shutil.which("sh")), str(TOOLS / "browser")]
    fake(programs, "sh", f'exec {shutil.which("sh")} "$@"')
    ran = subprocess.run(command, env={"PATH": str(programs)}, check=True, capture_output=True, text=True)
    return ran.stderr


def asked(programs: Path) -> str:
    log = programs.parent / "log"
    return log.read_text() if log.exists() else ""


def with_apt(programs: Path, user: int, code: int = 0) -> None:
    fake(programs, "apt-get", f'echo "$@" >>{programs.parent / "log"}; echo why; exit {code}')
    fake(programs, "id", f"echo {user}")


def test_root_installs_the_browser_and_is_asked_nothing(programs: Path) -> None:
    with_apt(programs, user=0)
    assert browser(programs) == "Installing chromium …\n"
    assert asked(programs) == INSTALL


def test_a_user_who_is_not_root_is_told(programs: Path) -> None:
    with_apt(programs, user=1000)
    assert browser(programs) == "Not root: the tests run without what is not installed (chromium).\n"
    assert asked(programs) == ""


def test_a_system_without_debian_packages_does_without(programs: Path) -> None:
    assert browser(programs) == "No Debian packages here: the tests run without chromium.\n"


def test_what_can_not_be_installed_fails_nothing(programs: Path) -> None:
    with_apt(programs, user=0, code=100)
    assert browser(programs).endswith("why\nIt could not be installed: the tests run without it.\n")
    assert asked(programs) == f"{INSTALL}update -q\n"


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_a_browser_that_is_there_is_taken(programs: Path, name: str) -> None:
    with_apt(programs, user=0)
    fake(programs, name, "exit 1")
    assert browser(programs) == ""
    assert asked(programs) == ""
