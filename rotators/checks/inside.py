"""The inside part of a check: invokes the function to answer it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rotators.checks.aws import Aws, AwsRefused
from rotators.checks.finding import Finding, failure, unknown
from rotators.errors import RotationError


class FunctionFailed(RotationError):
    """The function did not answer, or refused the event."""


def ask(aws: Aws, function_arn: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Invoke a function with the event ``check`` or ``plan``.

    Args:
        aws: the function's account and Region.
        function_arn: the function.
        event: the event.

    Returns:
        The function's answer.

    Raises:
        AwsRefused: the function could not be invoked.
        FunctionFailed: the function failed.
    """
    reply = aws.call("lambda", "invoke", FunctionName=function_arn, Payload=json.dumps(dict(event)).encode())
    payload = reply["Payload"]
    text = payload.read() if hasattr(payload, "read") else payload
    try:
        answer = json.loads(text or b"null")
    except ValueError:
        answer = None
    if reply.get("FunctionError") or not isinstance(answer, dict):
        said = answer if isinstance(answer, dict) else {}
        kind, message = str(said.get("errorType", "")), str(said.get("errorMessage", "no answer"))
        if kind.endswith(("UnknownStep", "MalformedEvent", "KeyError", "ValueError")) or answer is None:
            raise FunctionFailed(
                f"{function_arn} does not know the question ({kind or 'no answer'}): it is not one of rotators, or an "
                "older one",
                "deploy the current version; or check from here, with --local",
            )
        raise FunctionFailed(f"{function_arn}: {message}", "see the function's log")
    return answer


def findings(answer: Mapping[str, Any]) -> list[Finding]:
    """The findings in a function's answer.

    Raises:
        FunctionFailed: the answer holds no findings of this version's form.
    """
    try:
        return [Finding.from_json(one) for one in answer.get("findings", ())]
    except (AttributeError, TypeError, ValueError):
        raise FunctionFailed("the function's answer has another form", "deploy the current version") from None


def check(aws: Aws, function_arn: str, event: Mapping[str, Any]) -> Iterator[Finding]:
    """The findings of the function's own check. A failure to invoke it is a finding too."""
    name = function_arn.rsplit(":function:", maxsplit=1)[-1]
    try:
        yield from findings(ask(aws, function_arn, event))
    except AwsRefused as error:
        if error.denied:
            statement = json.dumps({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function_arn})
            yield unknown("inside check", f"you may not invoke {name}", f"allow yourself: {statement}; or use --local")
        elif error.code in {"TooManyRequestsException", "ThrottlingException"}:
            yield failure(
                "inside check",
                f"{name} is throttled",
                f"aws lambda delete-function-concurrency --function-name {name}",
            )
        else:
            yield Finding.of("inside check", error)
    except FunctionFailed as error:
        yield Finding.of("inside check", error)
