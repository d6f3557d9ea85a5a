"""Ours and another four-step handler side by side: each in Lambda's folders, under AWS's own runtime client.

What the scripts of this folder share. The other one is a folder with its module, and with the libraries that it needs
beside it or in ``lib`` next to that folder (``pip install --target``). It is copied; in the copy AWS's place of CA
certificates becomes the test server's.
"""

from __future__ import annotations

import compileall
import itertools
import os
import platform
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rotators.packaging.bundles import HANDLER, Bundles
from rotators.packaging.platforms import of_this_machine
from rotators.packaging.trust import read
from rotators.testing import RotationService
from rotators.testing.endpoint import served
from rotators.testing.lambda_process import LambdaProcess, add_runtime, lay_out, protect, remove
from rotators.testing.servers import mysql
from rotators.testing.servers.postgres import PostgresServer

OURS, OTHER = "rotators", "the other"
SERVERS = ("postgresql", "mariadb", "mysql")
ENGINES = {"postgresql": "postgres", "mariadb": "mariadb", "mysql": "mysql"}
# Where AWS's templates look for CA certificates, as on Amazon Linux.
_AWS_CA_FILE = "/etc/pki/tls/cert.pem"
_WITH_CLIENT = "with_client"
_numbers = itertools.count(1)


def start_server(kind: str) -> Any:
    """The newest server of a kind on this machine.

    Raises:
        SystemExit: there is none.
    """
    if kind == "postgresql":
        return PostgresServer()
    found = [installation for installation in mysql.available() if installation.kind == kind]
    if not found:
        raise SystemExit(f"{kind} is not installed here: see tools/databases")
    return mysql.MysqlServer(found[0])


@dataclass(frozen=True)
class Stage:
    """Where contenders rotate.

    Args:
        server: the database.
        service: the simulated Secrets Manager.
        endpoint: its URL.
        root: a temporary folder, for what Lambda unpacks.
        stack: closes with it.
    """

    server: Any
    service: RotationService
    endpoint: str
    root: Path
    stack: ExitStack


@contextmanager
def stage(kind: str, timeout: float = 30.0) -> Iterator[Stage]:
    """A server, the simulated Secrets Manager over HTTP, and a folder.

    Args:
        kind: of the server.
        timeout: seconds that an invocation may take.

    Raises:
        SystemExit: there is no such server.
    """
    with (
        ExitStack() as stack,
        start_server(kind) as server,
        RotationService(timeout=timeout) as service,
        served(service) as endpoint,
    ):
        root = Path(tempfile.mkdtemp(prefix="bench-"))
        stack.callback(remove, root)
        yield Stage(server, service, endpoint, root, stack)


def make_user(server: Any, name: str | None = None) -> tuple[str, str]:
    """An application's user: its name and password."""
    name = name or f"app{next(_numbers)}"
    if isinstance(server, PostgresServer):
        login = server.create_app_user(name)
        return login.username, login.password
    password = secrets.token_urlsafe(18)
    server.query(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'")
    return name, password


@dataclass(frozen=True)
class Pairing:
    """The two contenders.

    Args:
        server: the database.
        strategy: ours; the other one gets an admin secret where ours does.
        path: the other one's folder; None for ours alone.
        handler: the other one's ``module:function``.
    """

    server: str
    strategy: str
    path: Path | None
    handler: str

    @property
    def alternating(self) -> bool:
        """Whether there is an admin."""
        return self.strategy != "single-user"

    def __str__(self) -> str:
        return f"{self.server}, {self.strategy}"


@dataclass
class Contender:
    """A handler, laid out as Lambda has it.

    Args:
        name: for the table.
        folder: with ``task``, ``opt`` and ``runtime``.
        handler: what Lambda calls.
        variables: its environment.
    """

    name: str
    folder: Path
    handler: str
    variables: dict[str, str] = field(default_factory=dict)

    def start(self, endpoint: str) -> LambdaProcess:
        """A new process of it."""
        return LambdaProcess(self.folder, endpoint, self.variables, self.handler)


def ours(folder: Path, server: Any, strategy: str, *, compiled: bool = True) -> Contender:
    """The packaged function of the server's engine.

    Args:
        folder: gets the files that Lambda unpacks.
        server: the server whose certificates it trusts.
        strategy: ROTATION_STRATEGY.
        compiled: with compiled modules.
    """
    kind = "postgresql" if isinstance(server, PostgresServer) else server.installation.kind
    bundles = Bundles(of_this_machine(), compiled=compiled)
    engine = ENGINES[kind]
    layers = [bundles.base(), bundles.driver(engine), bundles.trust(read(server.ca_file))]
    lay_out(bundles.function(engine).path, [layer.path for layer in layers], folder)
    return Contender(OURS, folder, HANDLER, {"ROTATION_STRATEGY": strategy})


def another(
    folder: Path, server: Any, path: Path, handler: str, *, compiled: bool = False, with_client: bool = False
) -> Contender:
    """A copy of any four-step handler.

    Args:
        folder: gets the files that Lambda unpacks.
        server: the server whose certificates it trusts.
        path: its folder.
        handler: ``module:function``.
        compiled: with compiled modules.
        with_client: have its import make a client for Secrets Manager, as ours does; else its handler makes one.
    """
    task = folder / "task"
    ignored = shutil.ignore_patterns("__pycache__", ".git")
    for source in (path, path.parent / "lib"):
        if source.is_dir():
            shutil.copytree(source, task, ignore=ignored, dirs_exist_ok=True)
    for file in task.glob("*.py"):
        text = file.read_text()
        if _AWS_CA_FILE in text:
            file.write_text(text.replace(_AWS_CA_FILE, str(server.ca_file)))
    module, _, function = handler.partition(":")
    name = f"{module}.{function}"
    if with_client:
        (task / f"{_WITH_CLIENT}.py").write_text(
            f"import os, boto3\nfrom {module} import {function} as handler\n"
            "boto3.client('secretsmanager', endpoint_url=os.environ['SECRETS_MANAGER_ENDPOINT'])\n"
        )
        name = f"{_WITH_CLIENT}.handler"
    if compiled:
        compileall.compile_dir(task, quiet=1, workers=1)
    add_runtime(folder)
    protect(folder)
    return Contender(OTHER, folder, name)


@dataclass
class Taken:
    """The measurements of one rotation.

    Args:
        wall: seconds inside the function.
        cpu: CPU seconds of the function's process.
        calls: to Secrets Manager.
    """

    wall: float
    cpu: float
    calls: int


class Timed:
    """A handler that times its invocations."""

    def __init__(self, function: LambdaProcess) -> None:
        self.function = function
        self.wall = 0.0

    def __call__(self, event: Any, context: Any) -> Any:
        """Invoke it."""
        begun = time.perf_counter()
        try:
            return self.function(event, context)
        finally:
            self.wall += time.perf_counter() - begun


class Secret:
    """A secret with its own user, which a contender rotates.

    Args:
        service: the simulated Secrets Manager.
        server: the database.
        function: the contender's process.
        alternating: with an admin secret.
        user: the user and its password; by default a new one's.
        extra: further keys of the secret, and of the admin's.
    """

    def __init__(
        self,
        service: RotationService,
        server: Any,
        function: LambdaProcess,
        *,
        alternating: bool = False,
        user: tuple[str, str] | None = None,
        **extra: Any,
    ) -> None:
        self._service, self._timed = service, Timed(function)
        name, password = user or make_user(server)
        if alternating:
            admin = server.admin_secret(**extra)
            extra["masterarn"] = service.create_secret(f"admin-{name}", admin, self._timed)
        self.arn = service.create_secret(name, server.secret(name, password, **extra), self._timed)

    def rotate(self, rotations: int = 1) -> Taken:
        """Rotate it, and return the average measurements of a rotation.

        Raises:
            SystemExit: it failed.
        """
        function, calls = self._timed.function, len(self._service.calls)
        self._timed.wall, cpu = 0.0, function.cpu_seconds
        for _ in range(rotations):
            rotation = self._service.rotate(self.arn)
            if rotation.error is not None:
                raise SystemExit(f"{rotation.error}\n{''.join(function.output[-20:])}")
        made = sum(one.operation != "RotateSecret" for one in self._service.calls[calls:])
        return Taken(self._timed.wall / rotations, (function.cpu_seconds - cpu) / rotations, made // rotations)


def processes(stack: ExitStack, contenders: Iterable[Contender], endpoint: str) -> dict[str, LambdaProcess]:
    """A process for each, until the stack ends."""
    return {one.name: stack.enter_context(one.start(endpoint)) for one in contenders}


def spread(values: list[float], factor: float = 1000, digits: int = 1) -> str:
    """The median, and the range of the middle half."""
    low, median, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{median * factor:.{digits}f} ({low * factor:.{digits}f}-{high * factor:.{digits}f})"


def ratio(mine: list[float], others: list[float]) -> str:
    """Ours divided by the other's, for each turn, because the machine's load changes from one turn to the next."""
    return spread([one / other for one, other in zip(mine, others, strict=True)], factor=1, digits=2)


def where() -> str:
    """The date and the machine, for a table's title."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    today, load = f"{datetime.now(UTC):%Y-%m-%d}", os.getloadavg()[0]
    return f"{today}, {model}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}"


def quiet() -> None:
    """Print only the tables."""
    os.environ.update(POWERTOOLS_METRICS_DISABLED="true", AWS_DEFAULT_REGION="eu-west-1")
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "testing")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testing")
