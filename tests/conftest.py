"""What every test has: the test kit's plugins, an AWS account that is none, and an eye on every log."""

import contextlib
import io
import logging
import os
import re
import ssl
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import moto.core.models
import pytest
from doubles.listener import Listener
from targets import (
    ALTERNATING,
    DUAL,
    KINDS,
    SINGLE,
    MongoTarget,
    MysqlTarget,
    PostgresTarget,
)
from targets.postgres import ROLE_SETTING_IGNORED
from targets.shares import is_left_out

from rotators.logs import logger, redactor
from rotators.passwords import PasswordPolicy
from rotators.testing.servers import mysql
from rotators.testing.servers.accounts import SystemAccount
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.testing.servers.postgres import PostgresServer

# What moto does at each start for tests of other services takes a fifth of the fast tests' time: the images that EC2
# offers (for each database instance), and answers for clients that are not botocore's.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
moto.core.models.RESPONSES_METHODS.clear()

# A run's verdict depends on the code alone: other examples are looked for with --hypothesis-profile=explore.
hypothesis.settings.register_profile("settled", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None, print_blob=True)
# For mutants (`make mutate`), of which there are thousands: a find need not be made small.
hypothesis.settings.register_profile(
    "few",
    derandomize=True,
    deadline=None,
    max_examples=30,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
hypothesis.settings.load_profile("settled")

pytest_plugins = ["rotators.testing.plugin", "rotators.testing.servers.fixtures"]

FAULTS = "faults"
EQUALITY = "equality"
CONFORMANCE = "conformance"
SUITES = ("conformance", "faults")
# Suites whose tests run on every server and break a share of the points there.
SHARED_OUT = {"test_every_packet.py", "test_every_statement.py"}
TABLE_HEAD = """# Conformance

`make conformance` makes this page from a test run. It counts the tests that passed, of the suites that all engines
share, for each server and strategy. Each test of faults breaks complete rotations, at a share of the calls to Secrets
Manager or of the packets to the database (if the driver has one connection at a time), or at random. `make test-long`
breaks all.

What a user may do after a rotation is tested on PostgreSQL, MySQL, MariaDB, SecantusDB and, as far as PostgreSQL has
it, Redshift, with [random sets of privileges](testing.md#what-both-users-can-do). A double of SQL Server, Oracle or Db2
can't [answer that](../explanation/decisions.md#no-double-is-asked-what-a-user-may-do).

| server | strategy | conformance | faults |
|---|---|---|---|
"""
ALL_STRATEGIES = {SINGLE, ALTERNATING, DUAL}
# What generated passwords are made of, by default.
_PLAIN = re.compile(r"[A-Za-z0-9._~-]{16,}")
_MARKED_AS_A_WHOLE = re.compile(r"^pytestmark = (\[.*?^\]$|.*$)", re.MULTILINE | re.DOTALL)
_generated: set[str] = set()
_written = io.StringIO()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave a file unread whose tests are all left out: half of the time to collect goes into what it imports."""
    left_out = re.fullmatch(r"not \w+(?: and not \w+)*", config.option.markexpr)
    if not left_out or collection_path.suffix != ".py":
        return None
    whole = _MARKED_AS_A_WHOLE.search(collection_path.read_text())
    marks = re.findall(r"pytest\.mark\.(\w+)", whole[1]) if whole else []
    return True if set(marks) & set(left_out[0].split()) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests that use a server, and leave out strategies that their engine does not have."""
    absent = [item for item in items if _is_none(item)]
    absent += _of_other_servers([item for item in items if item not in absent])
    config.hook.pytest_deselected(items=absent)
    items[:] = [item for item in items if item not in absent]
    for item in items:
        _note_conformance(item)
        if {
            "postgres_server",
            "postgres",
            "mysql_family",
            "mongo",
            "sqlserver",
            "oracle",
            "db2",
            "redshift",
            "target",
        } & set(getattr(item, "fixturenames", ())):
            item.add_marker("server")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    """Half a character that a test has logged must not break the way of its report from worker to master."""
    report = yield
    report.sections = [
        tuple(text.encode(errors="backslashreplace").decode() for text in section) for section in report.sections
    ]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each suite of faults: how many points were broken, and that all recovered."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == FAULTS:
                suite, points = value
                counts[suite] += points
    _equality(terminalreporter)
    rows = _conformance(terminalreporter)
    if rows:
        terminalreporter.section("conformance")
        for row in rows:
            terminalreporter.line(row)
        if os.environ.get("CONFORMANCE_TABLE"):
            Path(os.environ["CONFORMANCE_TABLE"]).write_text(TABLE_HEAD + "\n".join(rows) + "\n")
    if counts:
        terminalreporter.section("faults")
        for suite, points in sorted(counts.items()):
            terminalreporter.line(f"{suite}: {points} points broken, every one recovered by itself")


def _equality(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each engine: how many sets of rights were rotated, or refused and why, and what was compared."""
    rotated: Counter[str] = Counter()
    probes: Counter[str] = Counter()
    refused: dict[str, Counter[str]] = defaultdict(Counter)
    for report in terminalreporter.getreports("passed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == EQUALITY:
                engine, sets, reasons, compared = value
                rotated[engine] += sets
                probes[engine] += compared
                refused[engine].update(reasons)
    if rotated:
        terminalreporter.section("equality")
    for engine in sorted(rotated):
        reasons = ", ".join(f"{count} ({reason})" for reason, count in sorted(refused[engine].items())) or "none"
        line = (
            f"{engine}: {rotated[engine]} sets rotated, {probes[engine]} outcomes compared; refused before: {reasons}"
        )
        terminalreporter.line(line)


def _note_conformance(item: Any) -> None:
    """Let a report tell of which server and strategy it is."""
    suite = item.path.parent.name if item.path.name != "test_conformance.py" else "conformance"
    values = [one for one in getattr(getattr(item, "callspec", None), "params", {}).values() if one]
    servers = [one for one in values if isinstance(one, tuple) and one[0] in KINDS]
    if suite in SUITES and servers:
        kind, server = servers[0]
        strategy = next((one for one in values if isinstance(one, str) and one in ALL_STRATEGIES), "")
        item.user_properties.append((CONFORMANCE, (getattr(server, "name", kind), strategy, suite)))


def _conformance(terminalreporter: pytest.TerminalReporter) -> list[str]:
    """A row for each server and strategy: how many tests of each suite passed, of how many."""
    passed: Counter[tuple[str, str, str]] = Counter()
    ran: Counter[tuple[str, str, str]] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            for name, value in getattr(report, "user_properties", ()):
                if name == CONFORMANCE and (report.when == "call" or outcome == "error"):
                    ran[tuple(value)] += 1
                    passed[tuple(value)] += outcome == "passed"
    rows = []
    for server, strategy in sorted({key[:2] for key in ran if key[1]}):
        # What is the same for every strategy counts for each.
        cells = []
        for suite in SUITES:
            keys = [(server, one, suite) for one in (strategy, "")]
            cells.append(f"{sum(passed[key] for key in keys)} of {sum(ran[key] for key in keys)}")
        rows.append(f"| {server} | {strategy} | {' | '.join(cells)} |")
    return rows


def _of_other_servers(items: list[pytest.Item]) -> list[pytest.Item]:
    """What a server that the environment names leaves to others: all whole tests of faults but its share."""
    whole: dict[Any, list[Any]] = defaultdict(list)
    for item in items:
        server = _installation(item)
        if item.path.parent.name == FAULTS and item.path.name not in SHARED_OUT and getattr(server, "named", False):
            whole[server].append(item)
    return [
        item
        for server, found in whole.items()
        # Told apart by their names: the order may be a random one.
        for number, item in enumerate(sorted(found, key=lambda one: one.name))
        if is_left_out(server, number)
    ]


def _installation(item: Any) -> Any:
    """The server that a test is for, as its parameters say."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    kind, server = next((one for one in params.values() if isinstance(one, tuple) and one[0] in KINDS), ("", None))
    return server if kind else params.get("postgres_server")


def _is_none(item: Any) -> bool:
    """Whether a test is of something that its engine does not have."""
    callspec = getattr(item, "callspec", None)
    values = [one for one in callspec.params.values() if isinstance(one, str | tuple)] if callspec is not None else []
    kinds = [KINDS[value[0]] for value in values if isinstance(value, tuple) and value and value[0] in KINDS]
    if "proxy" in item.fixturenames and not all(kind.one_connection for kind in kinds):
        return True
    password = callspec.params.get("password") if callspec is not None else None
    if isinstance(password, str) and any(set(password) & set(kind.impossible) for kind in kinds):
        return True
    # Where the engine refuses second users, there is that to see: tests/engines/test_postgres_versions.py.
    ignoring = getattr(_installation(item), "full_version", "") in ROLE_SETTING_IGNORED
    if ignoring and (ALTERNATING in values or "pair" in item.fixturenames):
        return True
    if "ignoring" in item.fixturenames and not ignoring:
        return True
    if any(value in ALL_STRATEGIES and value not in kind.strategies for kind in kinds for value in values):
        return True
    situation = callspec.params.get("situation") if callspec is not None else None
    return situation is not None and not all(
        situation().suits(kind.name, callspec.params["strategy"]) for kind in kinds
    )


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a developer's credentials nor a function's settings may leak into a test."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "SECRETS_MANAGER_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture(autouse=True)
def _no_silence() -> Iterator[None]:
    """A command that ran in this process has silenced the log and the metrics: not for the tests after it."""
    rotators, metrics = logging.getLogger(logger.name), "POWERTOOLS_METRICS_DISABLED"
    level, disabled = rotators.level, os.environ.get(metrics)
    yield
    rotators.setLevel(level)
    if disabled is None:
        os.environ.pop(metrics, None)
    else:
        os.environ[metrics] = disabled


@pytest.fixture(autouse=True)
def _no_memory() -> None:
    """A secret that one test made must not be redacted out of the messages of the next."""
    redactor.forget()


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
    seen = _seen(_written.getvalue(), _generated)
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


def _scan(log: str, known: set[str]) -> None:
    """No password that there ever was for it stands in a server's log."""
    seen = _seen(log, known)
    assert not seen, f"{len(seen)} of {len(known)} passwords stand in the server's log"


def _seen(log: str, known: set[str]) -> set[str]:
    """The passwords that are in a log."""
    plain = {password for password in known if _PLAIN.fullmatch(password)}
    seen = {password for password in known - plain if password in log}
    # One pass over the log for the many that were generated, whatever stands right before or behind them.
    lengths = {len(password) for password in plain}
    for token in set(_PLAIN.findall(log)):
        for length in lengths:
            seen |= plain & {token[start : start + length] for start in range(len(token) - length + 1)}
    return seen


@pytest.fixture(scope="session")
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresTarget]:
    """PostgreSQL for the suites; at the end its log is scanned for every password there ever was."""
    target = PostgresTarget(postgres_server)
    before = set(_generated)
    yield target
    statements = postgres_server.log_text()
    assert statements.count("PASSWORD") > 0 or not _generated
    _scan(statements, target.passwords | (_generated - before))


def _servers(*kinds: str) -> list[Any]:
    """A parameter for each server of these kinds; with CI=true one that is missing fails, else it is skipped."""
    found: list[Any] = []
    for kind in kinds:
        servers = KINDS[kind].servers() or [("", None)]
        found += [pytest.param((kind, server), id=f"{kind}{version}") for version, server in servers]
    return found


@contextlib.contextmanager
def _target(kind: str, server: Any) -> Iterator[Any]:
    if server is None:
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(KINDS[kind].missing)
    # Quadratic otherwise: what was made for other servers is looked for in their logs.
    before = set(_generated)
    with KINDS[kind].start(server) as made:
        yield made
        _scan(made.log_text(), made.passwords | (_generated - before))


@pytest.fixture(scope="session", params=_servers(*KINDS))
def target(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Every server of every engine, for the suites that all of them must pass."""
    with _target(*request.param) as made:
        yield made


@pytest.fixture(scope="session", params=_servers("mariadb", "mysql"))
def mysql_family(request: pytest.FixtureRequest) -> Iterator[MysqlTarget]:
    """MariaDB and MySQL, for what is theirs."""
    with _target(*request.param) as made:
        yield made


@pytest.fixture(scope="session", params=_servers("mongo"))
def mongo(request: pytest.FixtureRequest) -> Iterator[MongoTarget]:
    """What speaks MongoDB's protocol, for what is its own."""
    with _target(*request.param) as made:
        yield made


def _stand_in(kind: str) -> Any:
    """A fixture with what takes the place of a server that can't be installed; never one of somebody's own."""

    @pytest.fixture(scope="session", name=kind)
    def stand_in() -> Iterator[Any]:
        with _target(*_servers(kind)[0].values[0]) as made:
            yield made

    return stand_in


sqlserver, oracle, db2, redshift = map(_stand_in, ("sqlserver", "oracle", "db2", "redshift"))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """Who signs the listeners' certificates."""
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def listen(authority: CertificateAuthority, tmp_path: Path) -> Iterator[Any]:
    """Start listeners, with a certificate for these names or none; they end with the test."""
    started: list[Listener] = []

    def start(*names: str, hangs_up: bool = True) -> Listener:
        context = None
        if names:
            account = SystemAccount(os.geteuid(), os.getegid())
            issued = authority.issue(names, common_name="localhost", folder=tmp_path, account=account)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(issued.certificate_file, issued.key_file)
        started.append(Listener(context, hangs_up=hangs_up))
        return started[-1]

    yield start
    for listener in started:
        listener.close()


def pytest_report_header() -> str:
    """Name the servers that were found."""
    return f"servers: {', '.join(one.name for one in mysql.available()) or 'neither MariaDB nor MySQL'}"
