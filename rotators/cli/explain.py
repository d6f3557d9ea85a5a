"""``rotators explain``: the state of a half-done rotation."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from rotators.checks import state as states
from rotators.checks.finding import Finding, Outcome
from rotators.checks.outside import OutsideCheck
from rotators.checks.state import RotationState, State
from rotators.cli import render
from rotators.cli.aws import Account
from rotators.cli.look import From, inside_findings, redacted
from rotators.cli.options import CaBundle, Format, Local, Output, Profile, Region, Secret, TryEveryPassword
from rotators.cli.quiet import silence_logs
from rotators.errors import ConfigurationError


def explain(
    secret: Secret,
    *,
    local: Local = False,
    ca_bundle: CaBundle = None,
    try_every_password: TryEveryPassword = False,
    output: Format = None,
    profile: Profile = None,
    region: Region = None,
) -> None:
    """Explain a half-done rotation: which password is valid, and what Secrets Manager does next.

    Nothing is changed. The function tries the passwords of AWSCURRENT, AWSPENDING and AWSPREVIOUS, each once.

    Exits with 1 unless AWSCURRENT logs in.

    Example: rotators explain prod/app
    """
    silence_logs()
    found, state = look(Account(profile, region), secret, From(local, ca_bundle, try_every_password))
    if render.chosen(output) is Output.JSON:
        render.as_json(state.to_json())
    else:
        render.lines(state.explain(datetime.now(UTC)))
        render.lines(why_unsure(found, state))
        render.lines(next_step(secret, state))
    if state.valid != states.CURRENT:
        raise typer.Exit(1)


def look(account: Account, secret: str, where: From) -> tuple[list[Finding], RotationState]:
    """Find out the state of a secret's rotation.

    Raises:
        ConfigurationError: the secret can't be checked at all.
    """
    outside = OutsideCheck(account, secret)
    found = redacted(list(outside.run()))
    broken = next((one for one in found if one.subject == "secret" and one.outcome is Outcome.FAILURE), None)
    if broken is not None:
        raise ConfigurationError(broken.cause, broken.remedy)
    described = account.call("secretsmanager", "describe_secret", SecretId=outside.secret_id)
    inside = redacted(inside_findings(account, outside, where))
    return inside, states.read(described, inside)


def why_unsure(found: list[Finding], state: RotationState) -> list[str]:
    """What kept the passwords from being tried."""
    if state.state not in {State.UNSURE, State.LOST}:
        return []
    return [str(one) for one in found if one.outcome is not Outcome.OK]


def next_step(secret: str, state: RotationState) -> list[str]:
    """The commands that would repair it."""
    if state.state is State.IDLE:
        return []
    if state.can_finish:
        return [f"To finish it: rotators repair {secret} --finish"] + (
            [f"To give it up: rotators repair {secret} --abandon"] if state.can_abandon else []
        )
    if state.can_abandon:
        return [f"To go back: rotators repair {secret} --abandon"]
    return [f"See what is wrong: rotators check {secret}"]
