"""Invokes the simulated service's functions through the Lambda API, for which moto would need containers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.handlers import BUILTIN_HANDLERS

from rotators.testing.context import FakeLambdaContext

_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
Handler = Callable[[Any, Any], Any]


class Functions:
    """The functions that can be invoked, by their ARNs."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.timeout = 30.0

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        """Answer an invocation of one of the functions. Ignore every other call."""
        match = _INVOKE.fullmatch(urlsplit(request.url).path)
        name = unquote(match[1]) if match else None
        arn = next((arn for arn in self.handlers if name in {arn, arn.rsplit(":", 1)[-1]}), None)
        if arn is None:
            return None
        body = request.body if isinstance(request.body, str | bytes) else "{}"
        headers = {"Content-Type": "application/json"}
        try:
            answer = self.handlers[arn](json.loads(body), FakeLambdaContext(self.timeout, arn))
        except Exception as error:  # noqa: BLE001  # Lambda reports any exception of a function
            headers["X-Amz-Function-Error"] = "Unhandled"
            answer = {"errorMessage": str(error), "errorType": type(error).__name__}
        # botocore asks every handler, and moto's would look for a container.
        request.url = "https://answered.invalid/"
        return AWSResponse(request.url, 200, HTTPHeaders.from_dict(headers), _Raw(json.dumps(answer).encode()))


class _Raw(BytesIO):
    """A body as urllib3 would give it."""

    def stream(self, **_: Any) -> Any:
        """The whole body at once."""
        yield self.read()


functions = Functions()
BUILTIN_HANDLERS.insert(0, ("before-send.lambda", functions))
