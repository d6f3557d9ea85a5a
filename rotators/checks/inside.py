"""The inside part of a check, asked of the function."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rotators.checks.aws import Aws, AwsRefused
from rotators.checks.finding import Finding, failure, unknown
from rotators.errors import RotationError


class FunctionFailed(RotationError):
    """The function gave no answer, or refused the question."""


def ask(aws: Aws, function_arn: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Invoke a function with a question.

    Args:
        aws: its account and Region.
        function_arn: the function.
        event: the question.

    Raises:
        AwsRefused: it could not be invoked.
        FunctionFailed: it failed.
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
                "deploy the present version; or look from here, with --local",
            )
        raise FunctionFailed(f"{function_arn}: {message}", "see the function's log")
    return answer


def findings(answer: Mapping[str, Any]) -> list[Finding]:
    """The findings in a function's answer.

    Raises:
        FunctionFailed: they are none of ours.
    """
    try:
        return [Finding.from_json(one) for one in answer.get("findings", ())]
    except (AttributeError, TypeError, ValueError):
        raise FunctionFailed("the function's answer has another form", "deploy the present version") from None


def check(aws: Aws, function_arn: str, event: Mapping[str, Any]) -> Iterator[Finding]:
    """The function's own check, as findings whatever happens."""
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
