"""Runs a packaged function in a process with only Lambda's folders and AWS's runtime client on its path."""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import uuid
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rotators.engines.sessions import Closing
from rotators.errors import ServiceFailed
from rotators.testing.runtime_api import CREDENTIALS_PATH, Answer, RuntimeApi

# Packages of Lambda's runtime.
_RUNTIME = (
    *("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six"),
    *("awslambdaric", "runtime_client", "snapshot_restore_py", "simplejson"),
)
# AWS's own main, which also reports on a pipe how long importing the handler took, and what was imported.
_MAIN = """
import json, os, sys, time
path, handler, pipe = json.loads(sys.argv[1])
sys.path[:0] = path
from awslambdaric import __main__, bootstrap
find = bootstrap._get_handler
def timed(name):
    begun = time.perf_counter(), time.process_time()
    found = find(name)
    seconds = time.perf_counter() - begun[0], time.process_time() - begun[1]
    files = {name: module.__file__ for name, module in sys.modules.items() if getattr(module, "__file__", None)}
    with os.fdopen(pipe, "w") as report:
        json.dump({"seconds": seconds, "files": files}, report)
    return found
bootstrap._get_handler = timed
__main__.main(["", handler])
"""
_PATIENCE = 60.0


def lay_out(function: Path, layers: Iterable[Path], folder: Path) -> None:
    """Unpack a function and its layers like Lambda, into read-only folders.

    Args:
        function: the function's zip file.
        layers: the layers' zip files.
        folder: gets ``task``, ``opt``, and ``runtime`` with the packages of Lambda's runtime.
    """
    for archive, place in ((function, "task"), *((layer, "opt") for layer in layers)):
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder / place)
    add_runtime(folder)
    protect(folder)


def add_runtime(folder: Path) -> None:
    """Copy the packages of Lambda's runtime into the folder ``runtime``.

    Args:
        folder: the folder for :class:`LambdaProcess`.
    """
    (folder / "runtime").mkdir()
    for package in _RUNTIME:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{package} is not installed, and Lambda's runtime has it", name=package)
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / "runtime" / source.name).symlink_to(source)


def protect(folder: Path) -> None:
    """Make the function's folders read-only.

    Args:
        folder: the folder with ``task`` and ``opt``.
    """
    for place in ("task", "opt"):
        (folder / place).mkdir(exist_ok=True)
        for path in (folder / place, *(folder / place).rglob("*")):
            if path.is_symlink():
                continue
            path.chmod(0o555 if path.is_dir() else 0o444)


def remove(folder: Path) -> None:
    """Remove a laid-out function, including read-only folders.

    Args:
        folder: the folder from :func:`lay_out`.
    """
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)


class LambdaProcess(Closing):
    """A function that stays warm between events. Use it as a handler for the simulated service.

    Its process runs AWS's runtime client (``awslambdaric``) against a Runtime API on loopback.

    Args:
        folder: the folder from :func:`lay_out`.
        endpoint: the URL of Secrets Manager (:mod:`rotators.testing.endpoint`).
        variables: the function's environment variables.
        handler: the handler that Lambda calls.
        snap_start: whether to take a snapshot after the import, and restore from it.

    Attributes:
        import_seconds: how many seconds its import took; None if it failed.
        import_cpu: the import's CPU seconds.
        files: the file of each imported module.
        api: its Runtime API.
        answer: its last answer.
        output: its output: log lines and metrics.
        pid: its process id.
    """

    def __init__(
        self,
        folder: Path,
        endpoint: str,
        variables: Mapping[str, str],
        handler: str = "function.handler",
        *,
        snap_start: bool = False,
    ) -> None:
        self.api = RuntimeApi()
        self.answer = Answer("none")
        self.output: list[str] = []
        path = [str(folder / place) for place in ("task", "opt/python", "runtime")]
        bundle = folder / "opt" / "rotators" / "ca-bundle.pem"
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", "-c", _MAIN, json.dumps([path, handler, writing])],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                cwd=folder / "task",
                pass_fds=[writing],
                env={
                    **_lambda_variables(self.api, snap_start=snap_start),
                    "SECRETS_MANAGER_ENDPOINT": endpoint,
                    **({"ROTATION_CA_BUNDLE": str(bundle)} if bundle.is_file() else {}),
                    **variables,
                },
            )
        finally:
            os.close(writing)
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        with os.fdopen(reading) as report:
            # The pipe ends when the client has reported, or is gone.
            text = report.read()
        started: dict[str, Any] = json.loads(text) if text else {}
        self.import_seconds: float | None
        self.import_cpu: float | None
        self.import_seconds, self.import_cpu = started.get("seconds", (None, None))
        self.files: dict[str, str] = started.get("files", {})
        if not text:
            self.answer = self.api.answers.get(timeout=_PATIENCE)

    def __call__(self, event: Any, context: Any) -> Any:
        """Handle an event. Returns the function's answer.

        Raises:
            ServiceFailed: the function ended with an error, whose text it has; or its time ran out.
        """
        if self.import_seconds is None:
            raise ServiceFailed(_failure(self.answer), "see its output")
        milliseconds = int(context.get_remaining_time_in_millis())
        trace = f"Root=1-{uuid.uuid4().hex[:8]}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=1"
        self.api.invoke(event, milliseconds, context.invoked_function_arn, trace)
        try:
            self.answer = self.api.answers.get(timeout=milliseconds / 1000)
        except queue.Empty:
            # As Lambda does, with Lambda's text.
            self._process.kill()
            self._process.wait()
            raise ServiceFailed(f"Task timed out after {milliseconds / 1000:.2f} seconds") from None
        if self.answer.kind != "response":
            raise ServiceFailed(_failure(self.answer))
        return self.answer.body

    @property
    def resident_bytes(self) -> int:
        """Its resident memory in bytes (VmRSS)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024

    @property
    def cpu_seconds(self) -> float:
        """The CPU seconds that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the process like Lambda, and wait until it is gone."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self.api.close()

    @property
    def exit_code(self) -> int | None:
        """The process's exit code; None while it runs."""
        return self._process.poll()

    def _read(self) -> None:
        if self._process.stdout is not None:
            self.output.extend(self._process.stdout)
        self.api.answers.put(Answer("ended"))


def _failure(answer: Answer) -> str:
    if answer.kind == "ended":
        return "the function's process has ended"
    return str(answer.body.get("errorMessage"))


def _lambda_variables(api: RuntimeApi, *, snap_start: bool) -> dict[str, str]:
    """The variables that Lambda sets: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html."""
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_SESSION_TOKEN": "testing"}
    served = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{api.address}{CREDENTIALS_PATH}",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "testing",
    }
    return {
        "PATH": "",
        "TZ": ":UTC",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_NAME": "rotate",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if snap_start else "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/rotate",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0",
        "AWS_LAMBDA_RUNTIME_API": api.address,
        **(served if snap_start else keys),
    }
