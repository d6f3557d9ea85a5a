"""Failed requests of an application while its secret rotates, with each library that reads the password.

    python benchmarks/client.py
    python benchmarks/client.py --server mysql --latency 20

Each contender logs in for every request, from eight threads, with one user and a cache of a minute, while the secret
rotates on a real server. The rotations are ours for all. Secrets Manager is simulated; --latency gives each of its
calls the time it takes in a Region. A login more is one that the server refused; the latency is compared with a login
by the bare driver and a constant password, in the same run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import mysql.connector
import psycopg
import typer
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_secretsmanager_caching import SecretCache, SecretCacheConfig
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rotators.client import Secret
from rotators.client.dbapi import connect as connect_by_secret
from rotators.database import DatabaseRotator
from rotators.engines.mysql import MariadbEngine, MysqlEngine
from rotators.engines.postgres import PostgresEngine
from rotators.environment import Environment
from rotators.logs import logger
from rotators.testing import RotationService
from rotators.testing.servers import mysql as mysql_servers
from rotators.testing.servers.postgres import PostgresServer
from rotators.versions import SecretVersions

REGION = "eu-west-1"
MINUTE = 60
Login = Callable[[], Any]


@dataclass
class Count:
    """The results of eight threads.

    Args:
        seconds: how long each request took that worked.
        failed: requests that ended with an error.
        errors: their classes.
    """

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    errors: set[str] = field(default_factory=set)


class Server:
    """A database with a driver that all contenders can use."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.engine: Any
        if kind == "postgresql":
            self.server: Any = PostgresServer()
            self.engine, self.driver = PostgresEngine(), psycopg.connect
            self.options: dict[str, Any] = {"sslmode": "verify-full", "sslrootcert": str(self.server.ca_file)}
            self.database = {"dbname": "postgres"}
        else:
            found = [one for one in mysql_servers.available() if one.kind == kind]
            if not found:
                raise SystemExit(f"{kind} is not installed here: see tools/databases")
            self.server = mysql_servers.MysqlServer(found[-1])
            self.engine = MariadbEngine() if kind == "mariadb" else MysqlEngine()
            self.driver = mysql.connector.connect
            # The driver loads the system's certificates twice for each connection; use few, for all contenders.
            os.environ["SSL_CERT_FILE"] = str(self.server.ca_file)
            self.options = {
                "ssl_ca": str(self.server.ca_file), "ssl_verify_cert": True, "ssl_verify_identity": True,
                "use_pure": True,
            }  # fmt: skip
            self.database = {}

    def user(self, name: str) -> dict[str, Any]:
        """A new user's secret."""
        if self.kind == "postgresql":
            login = self.server.create_app_user(name)
            return dict(self.server.secret(login.username, login.password))
        password = f"first-{os.urandom(12).hex()}"
        self.server.query(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'")
        return dict(self.server.secret(name, password))

    def log_in(self, value: Any) -> Any:
        """Log in with the bare driver."""
        return self.driver(
            host=value["host"], port=int(value["port"]), user=value["username"], password=value["password"],
            **self.database, **self.options,
        )  # fmt: skip

    def refused(self) -> int:
        """How many logins were refused so far, from the server's log."""
        words = "password authentication failed for user" if self.kind == "postgresql" else "Access denied for user"
        text = self.server.log_text() if self.kind == "postgresql" else self.server.general_log()
        return int(text.count(words))


def ours(at_once: int) -> Callable[[Server, RotationService, str], Login]:
    """rotators.client."""

    def contender(server: Server, service: RotationService, arn: str) -> Login:
        secret = Secret(arn, service.client, max_age=MINUTE, logins_at_once=at_once, refusals=max(3, 2 * at_once))
        return lambda: connect_by_secret(secret, server.driver, **server.options)

    return contender


def reads_each_time(server: Server, service: RotationService, arn: str) -> Login:
    """GetSecretValue before every login."""
    return lambda: server.log_in(json.loads(service.client.get_secret_value(SecretId=arn)["SecretString"]))


def aws_caching(server: Server, service: RotationService, arn: str) -> Login:
    """AWS's caching library."""
    cache = SecretCache(config=SecretCacheConfig(secret_refresh_interval=MINUTE), client=service.client)
    return lambda: server.log_in(json.loads(cache.get_secret_string(arn)))


def powertools(server: Server, service: RotationService, arn: str) -> Login:
    """Powertools Parameters."""
    provider = SecretsProvider(boto3_client=service.client)
    return lambda: server.log_in(json.loads(provider.get(arn, max_age=MINUTE)))  # type: ignore[arg-type]


def aws_wrapper(server: Server, service: RotationService, arn: str) -> Login:
    """AWS's advanced Python wrapper, with its plugin for Secrets Manager."""
    from aws_advanced_python_wrapper import AwsWrapperConnection  # noqa: PLC0415  # it starts threads

    value = service.value(arn)
    target = psycopg.Connection.connect if server.kind == "postgresql" else mysql.connector.connect
    options = {
        "plugins": "aws_secrets_manager", "secrets_manager_secret_id": arn, "secrets_manager_region": REGION,
        "secrets_manager_expiration": MINUTE, "host": value["host"], "port": int(value["port"]),
        "wrapper_dialect": "pg" if server.kind == "postgresql" else "mysql",
        **server.database, **server.options,
    }  # fmt: skip
    return lambda: AwsWrapperConnection.connect(target, **options)


CONTENDERS = {
    "rotators.client": ours(1),
    "rotators.client, 3 at once": ours(3),
    "AWS advanced wrapper": aws_wrapper,
    "reads before each login": reads_each_time,
    "AWS caching library": aws_caching,
    "Powertools Parameters": powertools,
}


def wait_for(count: Count, more: int) -> None:
    """Wait until this number of requests has ended, or half a minute is over, so that requests meet the rotation."""
    goal, deadline = len(count.seconds) + count.failed + more, time.monotonic() + 30
    while len(count.seconds) + count.failed < goal and time.monotonic() < deadline:
        time.sleep(0.05)


@contextlib.contextmanager
def application(log_in: Login, threads: int) -> Iterator[Count]:
    """Log in again and again."""
    count, stop, lock = Count(), threading.Event(), threading.Lock()

    def work() -> None:
        while not stop.is_set():
            started = time.perf_counter()
            try:
                log_in().close()
            except Exception as error:  # noqa: BLE001  # whatever it is, the request failed
                with lock:
                    count.failed += 1
                    count.errors.add(type(error).__name__)
            else:
                with lock:
                    count.seconds.append(time.perf_counter() - started)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield count
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def quantiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    if len(seconds) < 2:  # noqa: PLR2004  # nothing to tell
        return float("nan"), float("nan")
    return statistics.median(seconds) * 1000, statistics.quantiles(seconds, n=100)[98] * 1000


def main(
    server_kind: Annotated[str, typer.Option("--server", help="postgresql, mysql or mariadb.")] = "postgresql",
    rotations: Annotated[int, typer.Option(min=1, help="Rotations of each contender.")] = 15,
    threads: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 8,
    pause: Annotated[float, typer.Option(min=0, help="Seconds between two rotations.")] = 1.0,
    latency: Annotated[float, typer.Option(min=0, help="Milliseconds that a call to Secrets Manager takes.")] = 0,
) -> None:
    """Count failed requests, refused logins and calls during rotations."""
    os.environ.update(
        POWERTOOLS_METRICS_DISABLED="true", AWS_DEFAULT_REGION=REGION, AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",  # noqa: S106
    )  # fmt: skip
    for name in (logger.name, "rotators.client", "aws_advanced_python_wrapper"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger().setLevel(logging.CRITICAL)
    console = Console(width=120)
    made = Server(server_kind)
    with made.server, RotationService() as service:
        console.print(
            f"{made.server.installation.name}, single user, {threads} threads, {rotations} rotations each, "
            f"{latency:g} ms a call, {os.cpu_count()} cores"
        )
        if latency:
            service.faults.hooks.append(lambda _operation, _when: time.sleep(latency / 2000))
        constant = made.user("constant")
        with application(lambda: made.log_in(constant), threads) as bare:
            time.sleep(max(3.0, rotations * pause / 3))
        median, slowest = quantiles(bare.seconds)
        console.print(f"a login by the bare driver: median {median:.1f} ms, p99 {slowest:.1f} ms")
        table = Table("library", "requests", "failed", "more logins", "a rotation", "calls", "median", "p99", "errors")
        variables = {"ROTATION_CA_BUNDLE": str(made.server.ca_file), "ROTATION_STRATEGY": "single-user"}
        handler = DatabaseRotator(made.engine, SecretVersions(service.client), Environment(variables))
        for number, (name, contender) in enumerate(CONTENDERS.items()):
            arn = service.create_secret(f"secret-{number}", made.user(f"app{number}"), handler)
            log_in = contender(made, service, arn)
            refused, calls = made.refused(), len(service.calls)
            with application(log_in, threads) as count:
                for _ in track(range(rotations), name, console=console, transient=True):
                    time.sleep(pause)
                    wait_for(count, 2 * threads)
                    rotation = service.rotate(arn, attempts=2)
                    if not rotation.succeeded:
                        raise SystemExit(f"{name}: {rotation.error}")
                wait_for(count, 2 * threads)
            reads = sum(
                call.operation in {"GetSecretValue", "DescribeSecret"} and call.step is None
                for call in service.calls[calls:]
            )
            more = made.refused() - refused
            added = [
                f"{mine - base:+.1f} ms" for mine, base in zip(quantiles(count.seconds), (median, slowest), strict=True)
            ]
            table.add_row(
                name, str(len(count.seconds) + count.failed), str(count.failed), str(more), f"{more / rotations:.1f}",
                str(reads), *added, ", ".join(sorted(count.errors)) or "none",
            )  # fmt: skip
        console.print(table)
    # The wrapper's threads would keep the process alive.
    os._exit(0)


if __name__ == "__main__":
    typer.run(main)
