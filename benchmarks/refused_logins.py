"""Logins that an application is refused while its secret rotates, side by side in one run.

    python benchmarks/refused_logins.py
    python benchmarks/refused_logins.py --server mariadb
    python benchmarks/refused_logins.py --path DIR --handler module:function --ca-copy /etc/pki/tls/cert.pem

Each contender rotates a secret of its own on the same real server, one after the other, under two applications:
one reads the secret before every login, one keeps what it read for a second. Secrets Manager is simulated; --latency
gives each of its calls the time it takes in a Region.

A contender is one of our strategies or any other Lambda handler that takes AWS's event.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import psycopg2
import pymysql
import typer
from contenders import make_user, start_server
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rotators.database import DatabaseRotator
from rotators.engines.libpq.connection import LibpqConnection
from rotators.engines.mysql import MariadbEngine, MysqlEngine
from rotators.engines.postgres import PostgresEngine
from rotators.environment import Environment
from rotators.logs import logger
from rotators.testing import Application, RotationService
from rotators.versions import SecretVersions

MARKED = {
    "postgresql": ("single-user", "alternating-users"),
    "mariadb": ("single-user", "dual-password", "alternating-users"),
    "mysql": ("single-user", "dual-password", "alternating-users"),
}
REFUSALS = (psycopg2.OperationalError, pymysql.err.OperationalError)


class Spans:
    """How long AWSCURRENT does not log in: from the move of the label to the commit that makes its password valid."""

    def __init__(self, service: RotationService) -> None:
        self.seconds: list[float] = []
        self._moved: float | None = None
        self._service = service
        service.faults.hooks.append(self._after_call)
        execute = LibpqConnection.execute

        def timed(connection: LibpqConnection, statement: Any, *arguments: Any, **options: Any) -> Any:
            result = execute(connection, statement, *arguments, **options)
            if self._moved is not None and "COMMIT" in str(statement):
                self.seconds.append(time.perf_counter() - self._moved)
                self._moved = None
            return result

        LibpqConnection.execute = timed  # type: ignore[method-assign]

    def _after_call(self, operation: str, when: str) -> None:
        # If the label does not move in setSecret, the password is valid long before that.
        in_set = self._service.calls[-1].step == "setSecret"
        if operation == "UpdateSecretVersionStage" and when == "after" and in_set:
            self._moved = time.perf_counter()


def contender(name: str, path: str | None, kind: str, service: RotationService, server: Any) -> Any:
    """A handler to rotate with."""
    if path is not None:
        module, _, attribute = path.partition(":")
        return getattr(importlib.import_module(module), attribute)
    variables = {"ROTATION_CA_BUNDLE": str(server.ca_file), "ROTATION_STRATEGY": name}
    engines = {"postgresql": PostgresEngine, "mariadb": MariadbEngine, "mysql": MysqlEngine}
    return DatabaseRotator(engines[kind](), SecretVersions(service.client), Environment(variables))


def main(  # noqa: PLR0917  # how typer declares options
    server_kind: Annotated[str, typer.Option("--server", help="postgresql, mariadb or mysql.")] = "postgresql",
    rotations: Annotated[int, typer.Option(min=1, help="Rotations of each contender.")] = 15,
    pause: Annotated[float, typer.Option(min=0, help="Seconds between two rotations.")] = 1.3,
    latency: Annotated[float, typer.Option(min=0, help="Milliseconds that a call to Secrets Manager takes.")] = 0,
    path: Annotated[Path | None, typer.Option(help="The folder of another handler, and of its libraries.")] = None,
    handler_name: Annotated[
        str, typer.Option("--handler", help="The other's module:function.")
    ] = "lambda_function:lambda_handler",
    ca_copy: Annotated[
        Path | None, typer.Option(help="Put the server's CA here too, for handlers that look nowhere else.")
    ] = None,
) -> None:
    """Count refused logins during rotations."""
    os.environ.update(POWERTOOLS_METRICS_DISABLED="true", AWS_DEFAULT_REGION="eu-west-1")
    os.environ.setdefault("SECRETS_MANAGER_ENDPOINT", "https://secretsmanager.eu-west-1.amazonaws.com")
    logging.getLogger(logger.name).setLevel(logging.CRITICAL)
    logging.getLogger().setLevel(logging.CRITICAL)
    paths: dict[str, str | None] = dict.fromkeys(MARKED[server_kind])
    if path is not None:
        sys.path[:0] = [str(path), str(path.parent / "lib")]
        paths["the other"] = handler_name
    console = Console(width=112)
    with start_server(server_kind) as server, RotationService() as service:
        console.print(
            f"{server.installation.name}, {rotations} rotations each, {latency:g} ms a call, {os.cpu_count()} cores"
        )
        if ca_copy is not None:
            ca_copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(server.ca_file, ca_copy)
        spans = Spans(service)
        if latency:
            service.faults.hooks.append(lambda _operation, _when: time.sleep(latency / 2000))
        table = Table("handler", "application", "logins", "refused", "of all", "a rotation", "longest refusal")
        for name, module in paths.items():
            handler = contender(name, module, server_kind, service, server)
            user, password = make_user(server, f"of-{name}"[:26])
            keys = {}
            if name in {"alternating-users", "dual-password"}:
                keys["masterarn"] = service.create_secret(f"admin-{name}", server.admin_secret(), handler)
            arn = service.create_secret(name, server.secret(user, password, **keys), handler)
            reads, keeps = (run_application(service, server, arn, cache) for cache in (0.0, 1.0))
            with reads, keeps:
                for _ in track(range(rotations), name, console=console, transient=True):
                    rotation = service.rotate(arn, attempts=2)
                    if not rotation.succeeded:
                        raise SystemExit(f"{name}: {rotation.error}")
                    time.sleep(pause)
            for label, counted in (("reads it each time", reads.count), ("keeps it for 1 s", keeps.count)):
                table.add_row(
                    name,
                    label,
                    str(counted.total),
                    str(counted.refused),
                    f"{counted.refused / counted.total:.1%}",
                    f"{counted.refused / rotations:.1f}",
                    f"{counted.longest_refusal * 1000:.0f} ms" if counted.refused else "none",
                )
        console.print(table)
        if spans.seconds:
            console.print(
                "single-user, from the label's move to the commit: "
                f"median {statistics.median(spans.seconds) * 1000:.1f} ms, longest {max(spans.seconds) * 1000:.1f} ms"
            )


def run_application(service: RotationService, server: Any, arn: str, cache: float) -> Application:
    """An application that logs in again and again."""

    def log_in(secret: Any) -> None:
        server.connect(secret["username"], secret["password"]).close()

    return Application(service.client, arn, log_in, REFUSALS, cache_seconds=cache)


if __name__ == "__main__":
    typer.run(main)
