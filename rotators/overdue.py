"""The function that reports secrets whose rotation is overdue. No event does: an event needs something to happen.

A rotation ends silently if its function was deleted, its schedule was lost, or Secrets Manager gave up after failures.
NextRotationDate, the end of the window in which a secret should rotate, is then in the past
(https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from rotators.due import overdue
from rotators.errors import MalformedEvent, RotationError
from rotators.logs import logger, metrics
from rotators.versions import SecretDescription, SecretVersions

METRIC = "OverdueSecrets"


class OverdueCheck:
    """A Lambda handler that takes ``{"stack": …, "secrets": […], …}`` and writes a metric.

    Args:
        versions: the secrets' versions; by default those of the function's own account and Region.
        now: gives the current time.
    """

    def __init__(
        self, versions: SecretVersions | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._versions = versions or SecretVersions()
        self._now = now

    def __call__(self, event: Any, context: object) -> dict[str, str]:
        """Count the secrets that are overdue, have lost their schedule, or can't be read.

        The count is the metric ``OverdueSecrets`` with the dimension ``stack``. A log line per secret says why.

        Args:
            event: ``stack`` is the metric's dimension. ``secrets`` are the ARNs or names to check, and ``on_demand``
                those of them that have no schedule on purpose. For the commands in the answer: ``functions`` are ARNs,
                ``rotated_by`` has the index of each secret's function in it, and ``rules`` each secret's RotationRules.
            context: not used.

        Returns:
            For each secret with a problem: what is wrong, and what to do.

        Raises:
            MalformedEvent: the event is not of this form.
        """
        del context
        stack, secrets, on_demand = _read(event)
        commands = _commands(event, secrets)
        wrong = {}
        for secret in secrets:
            reason = self._look(secret, commands.get(secret, _COMMAND), scheduled=secret not in on_demand)
            if reason is not None:
                wrong[secret] = reason
                logger.error("the rotation is overdue", secret=secret, reason=reason)
        with single_metric(name=METRIC, unit=MetricUnit.Count, value=len(wrong), namespace=metrics.namespace) as metric:
            metric.add_dimension("stack", stack)
        return wrong

    def _look(self, secret: str, command: str, *, scheduled: bool) -> str | None:
        try:
            described = self._versions.describe(secret)
        except RotationError as error:
            return str(error)
        if not scheduled:
            return _left_schedule(secret, described)
        if not described.rotation_enabled:
            return f"rotation is switched off. To switch it on: {command}"
        if described.next_rotation is None:
            return f"it has no schedule any more. To give it one: {command}"
        late = overdue(described.next_rotation, self._now())
        return None if late is None else f"{late}: see its function's log"


def _left_schedule(secret: str, described: SecretDescription) -> str | None:
    """What is wrong with a secret that rotates on demand: RotateSecret without rules keeps those that are stored.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
    """
    if not described.rotation_enabled or described.next_rotation is None:
        return None
    return (
        "it should rotate on demand, and it still has its former schedule: a template without one does not remove it. "
        f"To switch that off: aws secretsmanager cancel-rotate-secret --secret-id {secret}"
    )


def rotation_rules(expression: str | None, duration: str | None) -> dict[str, str]:
    """A schedule as RotateSecret's RotationRules; empty if there is none.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotationRulesType.html

    Args:
        expression: ``rate(…)`` or ``cron(…)``; None: on demand only.
        duration: the window's length, such as ``3h``; None: the service's default.
    """
    if expression is None:
        return {}
    return {"ScheduleExpression": expression} | ({} if duration is None else {"Duration": duration})


def rotation_command(secret_id: str, function_arn: str, rules: Mapping[str, str]) -> str:
    """The AWS CLI command that enables a secret's rotation without rotating it at once.

    Deploying the stack again does not enable it: CloudFormation does not update a resource that is unchanged in the
    template.

    Args:
        secret_id: the secret's ARN or name.
        function_arn: the function that rotates it.
        rules: its schedule; empty: on demand only.
    """
    schedule = f" --rotation-rules '{json.dumps(dict(rules))}'" if rules else ""
    return (
        f"aws secretsmanager rotate-secret --secret-id {secret_id} --no-rotate-immediately "
        f"--rotation-lambda-arn {function_arn}{schedule}"
    )


# If the event does not say which function rotates the secret.
_COMMAND = "aws secretsmanager rotate-secret, with --rotation-lambda-arn and --rotation-rules"


def _commands(event: Any, secrets: Sequence[str]) -> dict[str, str]:
    """The command that enables each secret's rotation, for the secrets whose function the event names."""
    numbers, rules = event.get("rotated_by", ()), event.get("rules", ())
    functions = event.get("functions", ())
    try:
        return {
            secret: rotation_command(secret, str(functions[number]), rule)
            for secret, number, rule in zip(secrets, numbers, rules, strict=True)
        }
    except (IndexError, TypeError, ValueError):
        return {}


def _read(event: Any) -> tuple[str, list[str], list[str]]:
    fields = event if isinstance(event, Mapping) else {}
    stack, secrets, on_demand = fields.get("stack"), fields.get("secrets"), fields.get("on_demand", [])
    if not isinstance(stack, str) or not isinstance(secrets, list) or not isinstance(on_demand, list):
        raise MalformedEvent("the event does not name a stack and its secrets", "leave it to the stack's own schedule")
    return stack, [str(secret) for secret in secrets], [str(secret) for secret in on_demand]
