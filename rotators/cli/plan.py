"""``rotators plan``: what a secret's next rotation would do."""

from __future__ import annotations

from typing import Any

import typer

from rotators.checks import inside
from rotators.checks.finding import Outcome
from rotators.checks.outside import OutsideCheck
from rotators.cli import render
from rotators.cli.aws import Account
from rotators.cli.look import ask_here
from rotators.cli.options import CaBundle, Format, Local, Output, Profile, Region, Secret
from rotators.cli.quiet import silence_logs
from rotators.errors import ConfigurationError


def plan(
    secret: Secret,
    *,
    local: Local = False,
    ca_bundle: CaBundle = None,
    output: Format = None,
    profile: Profile = None,
    region: Region = None,
) -> None:
    """Show what a secret's next rotation would do: whose password it sets, and the statements, passwords masked.

    Nothing is changed. PostgreSQL and Redshift run the statements in a transaction that is rolled back. MySQL and
    MariaDB compute the difference in privileges. For other engines, the steps are described in words.

    Exits with 1 if the rotation would fail.

    Example: rotators plan prod/app
    """
    silence_logs()
    account = Account(profile, region)
    outside = OutsideCheck(account, secret)
    first = [one for one in outside.run() if one.outcome is Outcome.FAILURE]
    event = {"Step": "plan", "SecretId": outside.secret_id}
    if local:
        answer = ask_here(account, outside, event, ca_bundle)
    elif outside.function_arn is None:
        why = str(first[0]) if first else "no function rotates this secret"
        raise ConfigurationError(why, "or look from here, with --local")
    else:
        answer = inside.ask(account, outside.function_arn, event)
    _show(answer, output)
    if answer.get("findings"):
        raise typer.Exit(1)


def _show(answer: dict[str, Any], output: Output | None) -> None:
    if render.chosen(output) is Output.JSON:
        render.as_json(answer)
        return
    found = inside.findings(answer)
    typer.echo(f"{answer.get('strategy')}: the next password is for '{answer.get('user')}'")
    render.lines(f"  {step}" for step in answer.get("steps", ()))
    statements = answer.get("statements") or ()
    if statements:
        exact = answer.get("exact")
        typer.echo("setSecret would run:" if exact else "setSecret would run, as far as is known without running it:")
        render.lines(f"  {statement}" for statement in statements)
    render.lines(map(str, found))
