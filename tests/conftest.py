"""What every test has: the test kit's plugins, an AWS account that is none, and an eye on every log."""

import io
import logging
from collections import Counter
from collections.abc import Iterator

import pytest
from targets import PostgresTarget

from rotators.logs import logger
from rotators.passwords import PasswordPolicy
from rotators.testing.servers.postgres import PostgresServer

pytest_plugins = ["rotators.testing.plugin", "rotators.testing.servers.fixtures"]

FAULTS = "faults"
_generated: set[str] = set()
_written = io.StringIO()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever takes a server is a test of the server."""
    for item in items:
        if {"postgres_server", "postgres"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("server")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each suite of faults: how many points were broken, and that all recovered."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == FAULTS:
                suite, points = value
                counts[suite] += points
    if counts:
        terminalreporter.section("faults")
        for suite, points in sorted(counts.items()):
            terminalreporter.line(f"{suite}: {points} points broken, every one recovered by itself")


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a developer's credentials nor a function's settings may leak into a test."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "SECRETS_MANAGER_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture(scope="session", autouse=True)
def _every_password_and_every_log() -> Iterator[None]:
    """Remember each password that is made and each line that is logged, for the scans at the end."""
    generate = PasswordPolicy.generate

    def remember(policy: PasswordPolicy) -> str:
        password = generate(policy)
        _generated.add(password)
        return password

    handler = logging.StreamHandler(_written)
    handler.setFormatter(logger.registered_handler.formatter)
    patch = pytest.MonkeyPatch()
    patch.setattr(PasswordPolicy, "generate", remember)
    logging.getLogger(logger.name).addHandler(handler)
    yield
    patch.undo()
    logging.getLogger(logger.name).removeHandler(handler)
    seen = [password for password in _generated if password in _written.getvalue()]
    assert not seen, f"{len(seen)} of {len(_generated)} generated passwords stand in our own log"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the function's logger writes, through its own formatter."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger.registered_handler.formatter)
    logging.getLogger(logger.name).addHandler(handler)
    yield stream
    logging.getLogger(logger.name).removeHandler(handler)


@pytest.fixture(scope="session")
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresTarget]:
    """PostgreSQL for the suites; at the end its log is scanned for every password there ever was."""
    target = PostgresTarget(postgres_server)
    yield target
    statements = postgres_server.log_text()
    known = target.passwords | _generated
    seen = [password for password in known if password in statements]
    assert statements.count("PASSWORD") > 0 or not _generated
    assert not seen, f"{len(seen)} of {len(known)} passwords stand in the server's log"
