"""Lambda's Runtime API on loopback, for AWS's runtime client in a function's process.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import queue
import re
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rotators.engines.sessions import Closing

_RUNTIME = "/2018-06-01/runtime"
_ANSWER = re.compile(rf"{_RUNTIME}/invocation/([^/]+)/(response|error)")
# Lambda serves the credentials of a function with SnapStart here, so that the snapshot holds none:
# https://docs.aws.amazon.com/lambda/latest/dg/snapstart-activate.html
CREDENTIALS_PATH = "/2021-04-23/credentials"
_VALID_FOR = timedelta(hours=6)


@dataclass(frozen=True)
class Answer:
    """A message that the runtime client posted.

    Args:
        kind: ``response``, ``error``, ``init/error`` or ``restore/error``; ``ended`` if the process is gone.
        body: its JSON.
        headers: the request's headers, with lower-case names.
    """

    kind: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class RuntimeApi(Closing):
    """Passes invocations to one runtime client, and takes its answers.

    Attributes:
        answers: the posted messages, in order.
        snapshot: set when the client has run the hooks before a snapshot, and asks to be restored.
        restore: set it to let the client continue from there.
        credentials_given: the access keys that were served, in order.
    """

    def __init__(self) -> None:
        self.answers: queue.Queue[Answer] = queue.Queue()
        self.snapshot = threading.Event()
        self.restore = threading.Event()
        self.credentials_given: list[str] = []
        self._invocations: queue.Queue[tuple[bytes, dict[str, str]] | None] = queue.Queue()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """For AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    def invoke(self, event: Any, milliseconds: int, function_arn: str, trace_id: str | None = None) -> str:
        """Pass an event to the function.

        Args:
            event: the event, which must be writable as JSON.
            milliseconds: the time until the deadline.
            function_arn: the function's ARN.
            trace_id: the X-Ray header of the invocation.

        Returns:
            The request's id.
        """
        request_id = str(uuid.uuid4())
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + milliseconds),
            "Lambda-Runtime-Invoked-Function-Arn": function_arn,
            "Content-Type": "application/json",
        }
        if trace_id is not None:
            headers["Lambda-Runtime-Trace-Id"] = trace_id
        self._invocations.put((json.dumps(event).encode(), headers))
        return request_id

    def next(self) -> tuple[bytes, dict[str, str]] | None:
        """Wait for the next invocation. Returns None if the API was closed."""
        return self._invocations.get()

    def credentials(self) -> dict[str, str]:
        """The function's credentials. The access key shows whether they were served before or after the restore."""
        key = f"AKIA{'RESTORED' if self.restore.is_set() else 'SNAPSHOT'}{len(self.credentials_given):04}"
        self.credentials_given.append(key)
        expires = datetime.now(UTC) + _VALID_FOR
        return {
            "AccessKeyId": key,
            "SecretAccessKey": "testing",
            "Token": "testing",
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def close(self) -> None:
        """Stop the API. Requests that still wait end."""
        self.restore.set()
        self._invocations.put(None)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    # The client waits in `next` as long as it lives, so its thread must not be joined.
    daemon_threads = True
    block_on_close = False

    def __init__(self, api: RuntimeApi) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: Any) -> None:
        """Log nothing about a client that was ended."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes. With Nagle's algorithm, the second waits 40 ms for the first's acknowledgement.
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:  # http.server's name
        """Serve the next invocation, the end of a snapshot, or credentials."""
        api = self.server.api
        if self.path == f"{_RUNTIME}/invocation/next":
            invocation = api.next()
            if invocation is None:
                self.close_connection = True
                return
            body, headers = invocation
            self._reply(200, body, headers)
        elif self.path == f"{_RUNTIME}/restore/next":
            api.snapshot.set()
            api.restore.wait()
            self._reply(200)
        elif self.path == CREDENTIALS_PATH:
            self._reply(200, json.dumps(api.credentials()).encode())
        else:
            self._reply(404)

    def do_POST(self) -> None:  # http.server's name
        """Take an answer or an error."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
        answer = _ANSWER.fullmatch(self.path)
        kind = answer[2] if answer else self.path.removeprefix(f"{_RUNTIME}/")
        if answer is None and kind not in {"init/error", "restore/error"}:
            self._reply(404)
            return
        self._reply(202)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.api.answers.put(Answer(kind, body, headers))

    def log_message(self, *_: Any) -> None:
        """Log nothing: a request may hold a function's output."""

    def _reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
