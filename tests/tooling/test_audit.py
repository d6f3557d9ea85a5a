"""`make audit`: what it asks, what it finds, and that it never takes no answer for a good one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "audit.py"
HASH = f"--hash=sha256:{'a' * 64}"
LOCK = f"""# made by uv
urllib3==2.0.0 \\
    {HASH} \\
    {HASH}
    # via botocore
Ruamel_Yaml[x]==0.18.6 ; sys_platform == 'win32' \\
    {HASH}
"""


class Osv:
    """OSV's API, with advisories of a test's own.

    Attributes:
        vulnerable: the ids of each name and version.
        withdrawn: ids that hold no more.
        answer: what is answered to everything instead.
    """

    def __init__(self) -> None:
        self.vulnerable: dict[tuple[str, str, str], list[str]] = {}
        self.withdrawn: set[str] = set()
        self.answer: tuple[int, bytes] | None = None
        self.asked: list[tuple[str, str, str]] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                queries = [
                    (one["package"]["ecosystem"], one["package"]["name"], one["version"]) for one in body["queries"]
                ]
                double.asked += queries
                found = [[{"id": one} for one in double.vulnerable.get(query, ())] for query in queries]
                self.say({"results": [{"vulns": one} if one else {} for one in found]})

            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                self.say({"id": name, "summary": "Reads\nbeyond"} | ({"withdrawn": "2026"} if name in double.withdrawn else {}))  # fmt: skip # noqa: E501

            def say(self, answer: Any) -> None:
                status, data = double.answer or (200, json.dumps(answer).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def osv() -> Iterator[Osv]:
    double = Osv()
    yield double
    double.close()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock.txt"
    path.write_text(LOCK)
    return path


def audit(service: str, *locks: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(TOOL), "--service", service, *map(str, locks)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_every_package_of_every_lock_is_asked_about(osv: Osv) -> None:
    code, printed = audit(osv.url)
    assert code == 0
    for path in ("requirements/dev.txt", "layers/postgres/requirements.txt", "requirements/cdk/package-lock.json"):
        assert f"{path}: " in printed
    assert printed.count(", 0 vulnerable\n") == len(printed.splitlines()) >= 12
    asked = {name for _, name, _ in osv.asked}
    assert {"boto3", "psycopg2-binary", "pymysql", "ruff", "aws-cdk"} <= asked
    assert {kind for kind, _, _ in osv.asked} == {"PyPI", "npm"}


def test_a_version_that_is_vulnerable_is_named_and_fails(osv: Osv, lock: Path) -> None:
    osv.vulnerable = {
        ("PyPI", "urllib3", "2.0.0"): ["PYSEC-1", "GHSA-2"],
        ("PyPI", "ruamel-yaml", "0.18.6"): ["GHSA-3"],
    }
    osv.withdrawn = {"GHSA-2", "GHSA-3"}
    code, printed = audit(osv.url, lock)
    assert code == 1
    assert f"{lock}: 2 packages, 1 vulnerable\n" in printed
    assert "  urllib3 2.0.0: PYSEC-1 Reads beyond (https://osv.dev/PYSEC-1)\n" in printed
    assert "GHSA" not in printed


@pytest.mark.parametrize(
    "answer",
    [(503, b"{}"), (200, b"<html>"), (200, b"[]"), (200, b"{}"), (200, b'{"results": []}'), (407, b"proxy")],
)
def test_what_is_no_answer_is_no_good_one(osv: Osv, lock: Path, answer: tuple[int, bytes]) -> None:
    osv.answer = answer
    code, printed = audit(osv.url, lock)
    assert code == 1
    assert printed.startswith("not audited: ")
    assert printed.count("\n") == 1


def test_a_service_that_can_not_be_reached_is_said_in_a_line(osv: Osv, lock: Path) -> None:
    url = osv.url
    osv.close()
    code, printed = audit(url, lock)
    assert code == 1
    assert printed.startswith(f"not audited: {url}/v1/querybatch can't be asked: ")
    assert printed.count("\n") == 1


@pytest.mark.parametrize("text", ["", "# nothing\n", "urllib3>=2\n", "-e .\n", "\x00"])
def test_what_is_no_lock_is_said(osv: Osv, lock: Path, text: str) -> None:
    lock.write_text(text)
    code, printed = audit(osv.url, lock)
    assert code == 1
    assert printed.startswith(f"not audited: {lock} ")
    assert not osv.asked


def test_what_has_no_hash_fails(osv: Osv, lock: Path) -> None:
    lock.write_text(LOCK + "idna==3.10\n")
    code, printed = audit(osv.url, lock)
    assert code == 1
    assert "without a hash: idna" in printed


def test_every_line_of_every_lock_has_a_hash(osv: Osv) -> None:
    assert "without a hash" not in audit(osv.url)[1]
