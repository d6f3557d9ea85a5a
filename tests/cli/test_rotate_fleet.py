"""``rotators rotate`` on real servers, through a real kill, and its report in a real browser."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from rotate_parts import ServiceTime, deploy, make, outcomes, run, successes, tokens
from targets import ALTERNATING, DUAL, SINGLE, PostgresTarget, rotated

from rotators.cli import rotate
from rotators.cli.quiet import silence_logs
from rotators.cli.rotate_html import page
from rotators.cli.rotate_outcome import Evidence, Outcome, Result, Turn
from rotators.cli.rotate_pace import ROTATIONS_A_SECOND
from rotators.testing import RotationService
from rotators.testing.endpoint import listening, served
from rotators.testing.servers.postgres import available

LABELS = ("AWSCURRENT", "AWSPREVIOUS")
NEWEST = available()[-1:] or [None]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the journals are written."""
    monkeypatch.chdir(tmp_path)
    silence_logs()
    return tmp_path


def revoke(target: Any, service: RotationService, strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotate a secret, leak both of its values, and revoke them."""
    subject = rotated(target, service, strategy)
    assert service.rotate(subject.arn).error is None
    leaked = [service.value(subject.arn, label) for label in LABELS]
    target.work(leaked[0])
    described = service.client.describe_secret(SecretId=subject.arn)
    deploy(described["RotationLambdaARN"].rsplit(":")[-1], Environment={"Variables": {"ROTATION_STRATEGY": strategy}})
    monkeypatch.setattr(rotate, "clock", ServiceTime(service))
    row = outcomes(subject.arn, "--yes", "--revoke-old")[described["Name"]]
    assert row["result"] == "rotated"
    assert len(row["rotations"]) == (1 if strategy == SINGLE else 2)
    for value in leaked:
        with pytest.raises(target.refusals):
            target.log_in(value)
    target.work(subject.value)


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
def test_no_password_of_before_a_leak_is_valid_after_revoking(
    oracle: Any, rotation_service: RotationService, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rotation with a single user, two with two users or two passwords."""
    revoke(oracle, rotation_service, strategy, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
def test_no_password_of_before_a_leak_is_valid_on_any_server(
    target: Any, rotation_service: RotationService, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoke(target, rotation_service, strategy, monkeypatch)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.long)])
def test_a_fleet_on_one_server_rotates_at_the_quotas_rate_and_none_is_throttled(
    postgres: PostgresTarget, rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    rotator = postgres.rotator(rotation_service, ROTATION_STRATEGY=SINGLE)
    arns = {}
    for number in range(count):
        application = postgres.make_bare(f"fleet{os.getpid()}_{count}_{number}")
        arn = rotation_service.create_secret(f"fleet/{number}", postgres.secret(application), rotator)
        arns[arn] = application
    rotation_service.throttle = True
    monkeypatch.setattr(rotate, "clock", ServiceTime(rotation_service))
    begun = rotation_service.clock.now
    found = outcomes("--name-prefix", "fleet/", "--yes", "--stagger-by", "host", "--per-database", "100")
    ended = rotation_service.clock.now
    assert {row["result"] for row in found.values()} == {"rotated"}
    assert len(found) == count
    assert successes(rotation_service) == dict.fromkeys(arns, 1)
    # Neither our calls nor the functions' were throttled, by the clock that counts a second's calls.
    assert {call.error for call in rotation_service.calls} <= {None, "ResourceNotFoundException"}
    starts = sorted(datetime.fromisoformat(row["rotations"][0]["started"]) for row in found.values())
    assert (count - 1) / (starts[-1] - starts[0]).total_seconds() >= 0.8 * ROTATIONS_A_SECOND
    if count == 1000:
        assert count / (ended - begun).total_seconds() >= 0.8 * ROTATIONS_A_SECOND
    for arn in list(arns)[:: max(1, count // 20)]:
        postgres.log_in(rotation_service.value(arn))


class Elsewhere(BaseHTTPRequestHandler):
    """Knows of nothing: what the other services of AWS say in an account without functions and logs."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b'{"__type": "ResourceNotFoundException", "message": "there is none"}'
        self.send_response(404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Killed:
    """A service in this process, and the command in others: at one of its calls the first of them is killed.

    Args:
        service: the service.
        at: at which RotateSecret.
    """

    def __init__(self, service: RotationService, at: int) -> None:
        self.service = service
        self._left = at
        self._heard: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.process: subprocess.Popen[str] | None = None
        service.faults.hooks.append(self._hear)

    def run(self, *arguments: str, endpoint: str, others: str) -> tuple[int, str, str]:
        """Run the command to its end, and let the service work meanwhile."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_ENDPOINT_URL": others,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint,
        }
        command = [sys.executable, "-c", "from rotators.cli.main import main; main()", "rotate", *arguments]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process:
            self.process = process
            reader = threading.Thread(target=lambda: told.extend(process.communicate()))
            told: list[str] = []
            reader.start()
            while reader.is_alive():
                with contextlib.suppress(queue.Empty):
                    self._heard.get(timeout=0.2)
                self.work()
            reader.join()
        self.work()
        return process.returncode, told[0], told[1]

    def work(self) -> None:
        """Do what the service has accepted."""
        for arn, configuration in self.service._configured.items():
            if configuration.rotation is not None:
                self.service.retry(arn)

    def _hear(self, operation: str, when: str) -> None:
        if (operation, when) != ("RotateSecret", "after"):
            return
        self._left -= 1
        if self._left == 0 and self.process is not None:
            # The rotation is accepted, and its answer reaches nobody.
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._heard.put(None)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("postgres_server", NEWEST, indirect=True)
@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.long)])
def test_a_run_that_is_killed_half_way_goes_on_and_rotates_none_twice(
    postgres: PostgresTarget, rotation_service: RotationService, folder: Path, count: int
) -> None:
    rotator = postgres.rotator(rotation_service, ROTATION_STRATEGY=SINGLE)
    first = {}
    for number in range(count):
        application = postgres.make_bare(f"killed{os.getpid()}_{count}_{number}")
        arn = rotation_service.create_secret(f"app{number:04}", postgres.secret(application), rotator)
        first[arn] = rotation_service.client.get_secret_value(SecretId=arn)["VersionId"]
    killed = Killed(rotation_service, at=count // 2)
    at_once = ("--per-database", "100")
    with served(rotation_service) as endpoint, listening(Elsewhere) as others:
        where = {"endpoint": endpoint, "others": others}
        code, _, stderr = killed.run("--all", "--yes", "--journal", "journal", *at_once, **where)
        assert code == -signal.SIGKILL, stderr
        assert count // 2 <= len(tokens(rotation_service)) < count
        code, stdout, stderr = killed.run("--resume", "journal", "--output", "json", *at_once, **where)
        assert code == 0, stdout + stderr
    assert {row["result"] for row in json.loads(stdout)["secrets"]} == {"rotated"}
    # Each was asked to rotate with one token, did so once, and has two versions: the first and that token's.
    made = tokens(rotation_service)
    assert {arn: len(sent) for arn, sent in made.items()} == dict.fromkeys(first, 1)
    assert successes(rotation_service) == dict.fromkeys(first, 1)
    for arn, version in first.items():
        versions = rotation_service.client.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True)["Versions"]
        [token] = made[arn]
        assert {one["VersionId"] for one in versions} == {version, token}
        assert rotation_service.labels(arn) == {version: ["AWSPREVIOUS"], token: ["AWSCURRENT"]}
        postgres.log_in(rotation_service.value(arn))
    told = (folder / "journal").read_text() + stdout + stderr
    assert not any(rotation_service.value(arn, label)["password"] in told for arn in first for label in LABELS)


class Rows(HTMLParser):
    """The cells of each table's rows, and the names of all elements, as the browser has made them."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.elements: set[str] = set()
        self._rows: list[list[str]] = []
        self._cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        if tag == "table":
            self._rows = self.tables.setdefault(str(dict(attrs)["id"]), [])
        elif tag == "tr":
            self._rows.append([])
        elif tag == "td":
            self._rows[-1].append("")
        self._cell = tag == "td" or (self._cell and tag != "tr")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._cell:
            self._rows[-1][-1] += data


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e&amp;\x1b[31m"


def evidence() -> Evidence:
    """A run with an outcome of each kind, and hostile texts in every place."""
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    turns = [Turn(HOSTILE, None, at, at + timedelta(seconds=8), rotated=True)]
    made = [
        Outcome(
            *(HOSTILE, HOSTILE, f"{number}{HOSTILE}", result),
            arn=HOSTILE,
            function=HOSTILE,
            turns=turns,
            step=HOSTILE,
            cause=HOSTILE,
            remedy=HOSTILE,
            note=HOSTILE,
            overdue_before=HOSTILE,
            overdue_after=HOSTILE,
        )
        for number, result in enumerate(Result)
    ]
    return Evidence(HOSTILE, HOSTILE, [HOSTILE], at, at + timedelta(seconds=9), made, HOSTILE)


def test_the_page_has_no_element_that_a_text_has_made() -> None:
    html = page(evidence())
    rows = Rows()
    rows.feed(html)
    assert not {"script", "img", "link", "iframe", "object"} & rows.elements
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert "http:" not in html
    assert "https:" not in html


@pytest.mark.long
def test_a_browser_shows_every_row_of_the_report(tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium is installed: as root on Debian, make test-long installs it")
    file = tmp_path / "report.html"
    file.write_text(page(evidence()), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += ["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout
    rows = Rows()
    rows.feed(shown)
    body = [cells for cells in rows.tables["secrets"] if cells]
    assert [cells[2] for cells in body] == [str(result) for result in Result]
    seen = HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
    assert [cells[1] for cells in body] == [f"{number}{seen}{seen}" for number in range(len(Result))]
    assert next(cells[0] for cells in rows.tables["problems"] if cells) == f"2{seen}"
    assert not {"script", "img"} & rows.elements


def test_a_report_that_can_not_be_written_is_an_error_of_one_line(
    rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(rotation_service, "app")
    monkeypatch.setattr(rotate, "clock", ServiceTime(rotation_service))
    code, _, stderr = run("--all", "--dry-run", "--report", "no/such/folder.html")
    assert code == 1
    assert "can't be written" in stderr
