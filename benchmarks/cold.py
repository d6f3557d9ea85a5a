"""A cold start of the packaged PostgreSQL function, with compiled modules beside the same without.

    python benchmarks/cold_start.py --starts 10

Both are the zip files that `rotators package` makes, for this machine's Python, unpacked where nothing can be
written, as on Lambda. Each start is a process of its own, which imports the handler and rotates a secret for the
first time, on a real PostgreSQL and a simulated Secrets Manager behind HTTP. The two take turns.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rotators.logs import logger
from rotators.packaging.bundles import Bundles
from rotators.packaging.platforms import of_this_machine
from rotators.packaging.trust import read
from rotators.testing import RotationService
from rotators.testing.endpoint import served
from rotators.testing.lambda_process import LambdaProcess, lay_out
from rotators.testing.servers.postgres import PostgresServer

KINDS = {"with .pyc": True, "without .pyc": False}


def lay_out_both(folder: Path, ca_file: Path) -> None:
    """Package the function in both ways."""
    for name, compiled in KINDS.items():
        bundles = Bundles(of_this_machine(), compiled=compiled)
        layers = [bundles.base(), bundles.driver("postgres"), bundles.trust(read(ca_file))]
        lay_out(bundles.function("postgres").path, [layer.path for layer in layers], folder / name)


def start(folder: Path, service: RotationService, server: PostgresServer, name: str) -> tuple[float, float]:
    """Seconds for the import and for the first rotation."""
    login = server.create_app_user(name)
    with served(service) as endpoint, LambdaProcess(folder, endpoint, {}) as function:
        arn = service.create_secret(name, server.secret(login.username, login.password), function)
        begun = time.perf_counter()
        rotation = service.rotate(arn)
        if rotation.error is not None:
            raise SystemExit(str(rotation.error))
        return function.import_seconds, time.perf_counter() - begun


def main(starts: Annotated[int, typer.Option(min=2, help="Cold starts of each kind.")] = 10) -> None:
    """Print the medians, and the ratio."""
    logging.getLogger(logger.name).setLevel(logging.CRITICAL)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in KINDS}
    with (
        PostgresServer() as server,
        RotationService() as service,
        tempfile.TemporaryDirectory(prefix="cold-") as folder,
    ):
        lay_out_both(Path(folder), server.ca_file)
        for number in track(range(starts), description="cold starts", transient=True):
            for name in KINDS if number % 2 else reversed(KINDS):
                kind = name.partition(" ")[0]
                found[name].append(start(Path(folder) / name, service, server, f"app_{kind}_{number}"))
        for path in Path(folder).rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
    table = Table("", "import (ms)", "first rotation (ms)", title=f"PostgreSQL, {starts} cold starts, medians")
    medians = {}
    for name, seconds in found.items():
        medians[name] = [statistics.median(column) * 1000 for column in zip(*seconds, strict=True)]
        table.add_row(name, *(f"{value:.0f}" for value in medians[name]))
    compiled, plain = medians.values()
    table.add_row("ratio", *(f"{two / one:.2f}" for one, two in zip(compiled, plain, strict=True)))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
