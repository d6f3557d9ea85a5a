"""Lambda's Runtime API on loopback, for AWS's own runtime client in a function's process.

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
# Where Lambda serves the credentials of a function with SnapStart, so that none is kept in the snapshot:
# https://docs.aws.amazon.com/lambda/latest/dg/snapstart-activate.html
CREDENTIALS_PATH = "/2021-04-23/credentials"
_VALID_FOR = timedelta(hours=6)


@dataclass(frozen=True)
class Answer:
    """What the runtime client posted.

    Args:
        kind: ``response``, ``error``, ``init/error`` or ``restore/error``; ``ended`` where the process is gone.
        body: the JSON of it.
        headers: the request's, their names in small letters.
    """

    kind: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class RuntimeApi(Closing):
    """Hands invocations to one runtime client, and takes its answers.

    Attributes:
        answers: what was posted, in its order.
        snapshot: set when the client has run the hooks before a snapshot, and asks to be restored.
        restore: to be set to let it go on from there.
        credentials_given: the access keys that were handed out, in their order.
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
        """Hand an event to the function.

        Args:
            event: what its handler gets, fit for JSON.
            milliseconds: what is left until the deadline.
            function_arn: how it is called.
            trace_id: the X-Ray header of the invocation.

        Returns:
            the request's id.
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
        """The next invocation, when there is one; None where there will be none."""
        return self._invocations.get()

    def credentials(self) -> dict[str, str]:
        """The function's credentials; the access key tells whether it was handed out before or after the restore."""
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
        """Stop it. What still waits is let go."""
        self.restore.set()
        self._invocations.put(None)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    # The client waits in `next` for as long as it lives: its thread must not be waited for.
    daemon_threads = True
    block_on_close = False

    def __init__(self, api: RuntimeApi) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that was ended."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: else the second one waits 40 ms for the client's acknowledgement of the first.
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:  # http.server's name
        """The next invocation, the end of a snapshot, or credentials."""
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
        """An answer or an error."""
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
        """Say nothing: a request may hold what a function says."""

    def _reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
