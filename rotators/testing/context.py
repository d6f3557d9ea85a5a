"""Lambda's context object, with the parts that a rotator uses."""

from __future__ import annotations

import time
import uuid


class FakeLambdaContext:
    """The context of an invocation with a time-out.

    Args:
        timeout: seconds from now, in real time.
        function_arn: the function's ARN.
    """

    memory_limit_in_mb = 128

    def __init__(
        self, timeout: float = 30.0, function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:rotate"
    ) -> None:
        self._end = time.monotonic() + timeout
        self.invoked_function_arn = function_arn
        self.function_name = function_arn.rsplit(":", 1)[-1]
        self.aws_request_id = str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end it."""
        return max(0, int((self._end - time.monotonic()) * 1000))
