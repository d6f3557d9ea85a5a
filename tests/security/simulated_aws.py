"""All services of a simulated account over HTTP, for a command line in a process of its own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from moto.core.models import botocore_stubber

from rotators.testing.endpoint import listening
from rotators.testing.functions import functions
from rotators.testing.gateway import door

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([\w-]+)/([\w-]+)/aws4_request")
# What must be read: nothing of it may hold a value.
KEY = "AKIACANARYCANARY"


def _answer(service: str, request: AWSPreparedRequest) -> tuple[int, Any, bytes]:
    reply: AWSResponse | None = None
    if service == "secretsmanager":
        reply = door(request)
    elif service == "lambda":
        reply = functions(request)
    if reply is not None:
        return reply.status_code, reply.headers, reply.content
    try:
        found = botocore_stubber.process_request(request)
    except NotImplementedError:
        found = None
    status, headers, body = found or (501, {}, b"")
    return status, headers, body.encode() if isinstance(body, str) else body


@contextlib.contextmanager
def account() -> Iterator[dict[str, str]]:
    """Serve the account of the RotationService that is active.

    Yields:
        the environment of a process that calls it.
    """

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            """Hand a call on to what simulates its service."""
            scope = _SCOPE.search(self.headers.get("Authorization", ""))
            region, service = scope.groups() if scope else ("eu-west-1", "unknown")
            length = int(self.headers.get("Content-Length", 0))
            request = AWSPreparedRequest(
                self.command,
                f"https://{service}.{region}.amazonaws.com{self.path}",
                HTTPHeaders.from_dict(dict(self.headers)),
                self.rfile.read(length),
                stream_output=False,
            )
            status, headers, content = _answer(service, request)
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {"content-length", "connection", "date", "server", "transfer-encoding"}:
                    self.send_header(name, str(value))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = answer  # noqa: N815  # http.server's names

        def log_message(self, *_: Any) -> None:
            """Say nothing: a request holds secret values."""

    with listening(Handler) as url:
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }
