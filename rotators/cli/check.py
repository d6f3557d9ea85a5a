"""``rotators check``: everything that could make a secret's next rotation fail."""

from __future__ import annotations

import typer

from rotators.checks.finding import Finding, Outcome
from rotators.checks.outside import OutsideCheck
from rotators.cli import render
from rotators.cli.aws import Account
from rotators.cli.look import From, inside_findings, redacted
from rotators.cli.options import CaBundle, Format, Local, Profile, Region, Secret, TryEveryPassword
from rotators.cli.quiet import silence_logs


def check(
    secret: Secret,
    *,
    local: Local = False,
    ca_bundle: CaBundle = None,
    try_every_password: TryEveryPassword = False,
    output: Format = None,
    profile: Profile = None,
    region: Region = None,
) -> None:
    """Find out what would make a secret's next rotation fail, and what to do about it.

    Nothing is changed. From outside, AWS is asked about the secret, its schedule, its function, role and keys. From
    inside, the function itself looks at the network, the certificate, the logins and the rights in the database.

    Exits with 1 if there is a failure.

    Example: rotators check prod/app --region eu-west-1
    """
    silence_logs()
    account = Account(profile, region)
    found = look(account, secret, From(local, ca_bundle, try_every_password))
    render.findings(found, output, secret=secret)
    if any(one.outcome is Outcome.FAILURE for one in found):
        raise typer.Exit(1)


def look(account: Account, secret: str, where: From) -> list[Finding]:
    """All findings, without secret values."""
    outside = OutsideCheck(account, secret)
    found = list(outside.run())
    # The inside check makes the redactor forget the values that the outside check added.
    found = redacted(found)
    goes_on = not any(one.subject == "secret" and (one.outcome is Outcome.FAILURE or one.state) for one in found)
    if goes_on and (where.here or not _unreachable(found)):
        found += redacted(inside_findings(account, outside, where))
    return found


def _unreachable(found: list[Finding]) -> bool:
    """Whether the function can't be invoked at all."""
    gone = {"function", "function's concurrency", "rotation"}
    return any(one.subject in gone and one.outcome is Outcome.FAILURE for one in found)
