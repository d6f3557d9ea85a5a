"""A packaged function in a process of its own, with Lambda's folders and nothing else on its path."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rotators.engines.sessions import Closing
from rotators.errors import ServiceFailed

# What Lambda's runtime brings along.
_RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six")
_MAIN = """
import importlib, json, sys, time
sys.path[:0] = json.loads(sys.argv[1])
module, _, name = sys.argv[2].replace("/", ".").rpartition(".")
begun = time.perf_counter()
handler = getattr(importlib.import_module(module), name)
seconds = time.perf_counter() - begun
files = {name: module.__file__ for name, module in sys.modules.items() if getattr(module, "__file__", None)}
print(json.dumps({"seconds": seconds, "files": files}), flush=True)
class Context:
    def get_remaining_time_in_millis(self):
        return 30000
for line in sys.stdin:
    try:
        handler(json.loads(line), Context())
        answer = ""
    except Exception as error:
        answer = str(error)
    print("answer " + json.dumps(answer), flush=True)
"""


def lay_out(function: Path, layers: Iterable[Path], folder: Path) -> None:
    """Unpack a function and its layers as Lambda does, where nothing can be written.

    Args:
        function: its zip file.
        layers: theirs.
        folder: gets ``task``, ``opt``, and ``runtime`` with the packages of Lambda's own runtime.
    """
    for archive, place in ((function, "task"), *((layer, "opt") for layer in layers)):
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder / place)
    (folder / "runtime").mkdir()
    for package in _RUNTIME:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(package)
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / "runtime" / source.name).symlink_to(source)
    for path in (folder / "task", *(folder / "task").rglob("*"), folder / "opt", *(folder / "opt").rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


class LambdaProcess(Closing):
    """A function that stays warm from one event to the next: a handler for the simulated service.

    Args:
        folder: what ``lay_out`` made.
        endpoint: where Secrets Manager answers (:mod:`rotators.testing.endpoint`).
        variables: the function's environment.
        handler: what Lambda calls.

    Attributes:
        import_seconds: how long its import took.
        files: the file of each module that was imported.
    """

    def __init__(
        self, folder: Path, endpoint: str, variables: Mapping[str, str], handler: str = "function.handler"
    ) -> None:
        path = [str(folder / place) for place in ("task", "opt/python", "runtime")]
        bundle = folder / "opt" / "rotators" / "ca-bundle.pem"
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", _MAIN, json.dumps(path), handler],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={
                "PATH": "",
                "SECRETS_MANAGER_ENDPOINT": endpoint,
                "AWS_DEFAULT_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                **({"ROTATION_CA_BUNDLE": str(bundle)} if bundle.is_file() else {}),
                **variables,
            },
        )
        started = json.loads(self._line())
        self.import_seconds: float = started["seconds"]
        self.files: dict[str, str] = started["files"]

    def __call__(self, event: Any, context: object) -> None:
        """Handle an event.

        Raises:
            ServiceFailed: the function ended with an error, whose text it has.
        """
        del context
        if self._process.stdin is None:
            raise ServiceFailed("the function's process has no input")
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()
        # Between its answers stand its log and metrics.
        while not (line := self._line()).startswith("answer "):
            pass
        answer = json.loads(line.removeprefix("answer "))
        if answer:
            raise ServiceFailed(answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _line(self) -> str:
        line = "" if self._process.stdout is None else self._process.stdout.readline()
        if not line:
            raise ServiceFailed("the function's process has ended", "run its import by hand")
        return line
