from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rotators.testing.servers.fixtures import require_postgres
from rotators.testing.servers.postgres import PostgresServer

ROTATORS = Path(sys.executable).with_name("rotators")
HANDLER = """
from pathlib import Path
from rotators.credentials import SecretValue
from rotators.errors import ServiceFailed
from rotators.rotator import Rotator

class Key(Rotator[SecretValue]):
    def propose(self, rotation):
        return rotation.current.replace(key="canary-second")

    def apply(self, rotation):
        Path("accepted").write_text(rotation.pending["key"])

    def verify(self, rotation):
        if Path("refuse").exists():
            raise ServiceFailed("the service refuses", "try again")

handler = Key()
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parents[2]}"}
    return subprocess.run(
        [ROTATORS, "local", *arguments], check=False, capture_output=True, text=True, cwd=folder, env=environment
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(HANDLER)
    (tmp_path / "key.json").write_text(json.dumps({"key": "canary-first", "note": 1}))
    return tmp_path


def value(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_a_rotator_of_ones_own_rotates_once_and_the_file_has_the_new_value(folder: Path) -> None:
    done = run(folder, "mine:handler", "key.json")
    assert done.returncode == 0, done.stderr
    assert value(folder / "key.json") == {"key": "canary-second", "note": 1}
    assert (folder / "key.json").stat().st_mode & 0o077 == 0
    assert not (folder / "key.json.pending").exists()
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "before",
        "createSecret",
        "setSecret",
        "testSecret",
        "finishSecret",
        "done",
    ]
    assert "canary" not in done.stdout + done.stderr


def test_what_a_failed_rotation_has_set_is_not_lost(folder: Path) -> None:
    (folder / "refuse").touch()
    done = run(folder, "mine:handler", "key.json")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "testSecret failed; key.json holds AWSCURRENT, and key.json.pending the value" in done.stderr
    assert value(folder / "key.json")["key"] == "canary-first"
    assert value(folder / "key.json.pending")["key"] == (folder / "accepted").read_text() == "canary-second"
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["mine:nothing", "key.json"], 1, "it has no such name"),
        (["no_such_module:handler", "key.json"], 1, "there is no module no_such_module"),
        (["mine", "key.json"], 1, "is not a handler"),
        (["mine:handler", "nothing.json"], 1, "can't be read"),
        (["mine:handler", "mine.py"], 1, "is not a JSON object"),
        (["mine:handler", "key.json", "--set", "nonsense"], 2, "is not NAME=VALUE"),
    ],
)
def test_mistakes_are_one_line(folder: Path, arguments: list[str], code: int, words: str) -> None:
    done = run(folder, *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert code == 2 or len(done.stderr.splitlines()) == 1


@pytest.mark.server
def test_our_own_handler_rotates_a_user_of_a_real_server(tmp_path: Path) -> None:
    with PostgresServer(require_postgres()) as server:
        user = server.create_app_user("app")
        (tmp_path / "app.json").write_text(json.dumps(server.secret(user.username, user.password)))
        (tmp_path / "admin.json").write_text(json.dumps(server.admin_secret()))
        ca = f"ROTATION_CA_BUNDLE={server.ca_file}"
        done = run(tmp_path, "postgres", "app.json", "--admin", "admin.json", "--set", ca)
        assert done.returncode == 0, done.stderr
        new = value(tmp_path / "app.json")
        assert new["username"] == "app_clone"
        assert "masterarn" not in new
        server.connect(new["username"], new["password"]).close()
        assert not [one for one in (new["password"], user.password, server.admin.password) if one in done.stdout]
