"""Checks one secret, for several sub-commands: what AWS says about it, and what its function says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rotators.checks import inside
from rotators.checks.answer import answer
from rotators.checks.finding import Finding, unknown
from rotators.checks.outside import OutsideCheck
from rotators.cli.aws import Account
from rotators.cli.engines import local_rotator
from rotators.errors import RotationError
from rotators.logs import redactor


@dataclass(frozen=True)
class From:
    """Where to check from.

    Args:
        here: whether to check from this process; otherwise the function checks.
        ca_bundle: the CA certificates to trust, if this process checks.
        try_every_password: try passwords even if refused logins may lock the user.
    """

    here: bool = False
    ca_bundle: str | None = None
    try_every_password: bool = False


def inside_findings(account: Account, outside: OutsideCheck, where: From) -> list[Finding]:
    """The inside part of a check.

    Args:
        account: the secret's.
        outside: an outside check that has run, and knows the secret and its function.
        where: where to check from.
    """
    event = {"Step": "check", "SecretId": outside.secret_id, "TryEveryPassword": where.try_every_password}
    if where.here:
        try:
            return inside.findings(ask_here(account, outside, event, where.ca_bundle))
        except RotationError as error:
            return [Finding.of("inside check", error)]
    if outside.function_arn is None:
        return [unknown("inside check", "no function rotates this secret", "look from here, with --local")]
    return list(inside.check(account, outside.function_arn, event))


def ask_here(
    account: Account, outside: OutsideCheck, event: Mapping[str, Any], ca_bundle: str | None
) -> dict[str, Any]:
    """Answer ``check`` or ``plan`` in this process, as the function would.

    Args:
        account: the secret's.
        outside: an outside check that has run.
        event: the event.
        ca_bundle: the file of CA certificates to trust.

    Raises:
        RotationError: it can't be answered here.
    """
    variables = {**((outside.function.get("Environment") or {}).get("Variables") or {})}
    # The function's CA bundle is in its layer, which is not here.
    variables["ROTATION_CA_BUNDLE"] = ca_bundle or ""
    engine = None if outside.value is None else outside.value.engine
    rotator = local_rotator(engine, account.versions, variables)
    return answer(rotator, account.versions, event, None)


def redacted(found: list[Finding]) -> list[Finding]:
    """The findings without secret values."""
    return [one.redacted(redactor.redact) for one in found]
