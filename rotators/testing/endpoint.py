"""The simulated Secrets Manager over HTTP, for a function in another process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from rotators.testing.service import RotationService

# Seconds after which it notices, at the latest, that it must end.
_POLL = 0.02


@contextmanager
def served(service: RotationService, keys: list[str] | None = None) -> Iterator[str]:
    """Serve the simulated service on loopback.

    Args:
        service: the simulated service.
        keys: gets the access key that signed each call.

    Yields:
        The endpoint's URL, for SECRETS_MANAGER_ENDPOINT.
    """

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            """Answer a caller. It may be gone: a function's process may be killed at any moment."""
            with suppress(ConnectionError):
                super().handle()

        def do_POST(self) -> None:  # http.server's name
            """Answer one call. If a fault leaves it without an answer, close the connection."""
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if keys is not None:
                keys.append(self.headers["Authorization"].partition("Credential=")[2].partition("/")[0])
            operation = self.headers["X-Amz-Target"].partition(".")[2]
            try:
                reply = getattr(service.client, xform_name(operation))(**body)
                status, answer = 200, {key: value for key, value in reply.items() if key != "ResponseMetadata"}
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                answer = {"__type": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}
            except (BotoConnectionError, HTTPClientError):
                self.close_connection = True
                return
            content = json.dumps(answer, default=_timestamp).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Log nothing: a request holds secret values."""

    with listening(Handler) as url:
        yield url


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve HTTP on loopback, on a free port.

    Args:
        handler: answers each request.

    Yields:
        The URL.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _timestamp(value: datetime) -> float:
    return value.timestamp()
