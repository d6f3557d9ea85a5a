"""``rotators repair``: finish or abandon a half-done rotation."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from rotators.checks import commands, inside
from rotators.checks.outside import OutsideCheck
from rotators.checks.state import CURRENT, MEANING, PENDING, RotationState, State
from rotators.cli import render
from rotators.cli.aws import Account
from rotators.cli.explain import look, why_unsure
from rotators.cli.look import From
from rotators.cli.options import CaBundle, Local, Profile, Region, Secret, TryEveryPassword, Yes
from rotators.cli.quiet import silence_logs
from rotators.errors import ConfigurationError, RotationError
from rotators.steps import STEPS


class RepairRefused(RotationError):
    """After the repair, AWSCURRENT would not log in, or it is not known whether it would."""


@dataclass(frozen=True)
class Action:
    """One action of a repair.

    Args:
        words: describes it, for the question to the user.
        run: does it.
    """

    words: str
    run: Callable[[], None]


def repair(
    secret: Secret,
    *,
    finish: Annotated[bool, typer.Option("--finish", help="Finish the rotation.", show_default=False)] = False,
    abandon: Annotated[
        bool,
        typer.Option("--abandon", help="Give the rotation up, and keep the valid password.", show_default=False),
    ] = False,
    yes: Yes = False,
    local: Local = False,
    ca_bundle: CaBundle = None,
    try_every_password: TryEveryPassword = False,
    profile: Profile = None,
    region: Region = None,
) -> None:
    """Finish a half-done rotation, or give it up. Shows what it will do, and asks.

    Finishing invokes the secret's function for the remaining steps. Giving up removes AWSPENDING, or moves AWSCURRENT
    back to the version that logs in. Both are refused if AWSCURRENT would not log in afterwards, or if that is not
    known. Without --finish and --abandon, the state decides.

    Exits with 1 if the repair is refused, or if AWSCURRENT does not log in afterwards.

    Example: rotators repair prod/app --finish
    """
    silence_logs()
    if finish and abandon:
        raise typer.BadParameter("--finish and --abandon exclude each other")
    account = Account(profile, region)
    where = From(local, ca_bundle, try_every_password)
    found, state = look(account, secret, where)
    typer.echo(f"{MEANING[state.state]}.")
    if state.state is State.IDLE:
        return
    chosen = actions(account, secret, state, finish=finish, abandon=abandon)
    if chosen is None:
        render.lines(why_unsure(found, state))
        raise _refused(secret, state, finish=finish)
    for action in chosen:
        typer.echo(f"  {action.words}")
    _ask(yes=yes)
    for action in chosen:
        action.run()
    found, state = look(account, secret, where)
    if state.state is not State.IDLE:
        render.lines(why_unsure(found, state))
        raise RepairRefused(
            f"after the repair: {MEANING[state.state]}"
            + ("" if state.valid == CURRENT else ", and whether AWSCURRENT logs in is not sure"),
            f"see: rotators check {secret}",
        )
    typer.echo(f"done: {MEANING[state.state]}.")


def actions(account: Account, secret: str, state: RotationState, *, finish: bool, abandon: bool) -> list[Action] | None:
    """The actions of a repair.

    Args:
        account: the secret's account.
        secret: its name or ARN.
        state: the state of its rotation.
        finish: whether the user chose to finish.
        abandon: whether the user chose to give up.

    Returns:
        The actions; None if none is safe.
    """
    if state.can_finish and not abandon:
        return _finish(account, secret, state)
    if state.can_abandon and not finish:
        return _abandon(account, secret, state)
    return None


def _finish(account: Account, secret: str, state: RotationState) -> list[Action]:
    outside = OutsideCheck(account, secret)
    list(outside.run())
    pending = state.pending or ""
    steps = STEPS if state.state is State.EMPTY else STEPS[1:]

    def invoke(step: str) -> Callable[[], None]:
        return lambda: _invoke(account, outside, pending, step)

    found = [Action(f"invoke {outside.function_arn} for {step}", invoke(step)) for step in steps]
    return [*found, Action(f"take {PENDING} off version {pending}", lambda: _take_off(account, outside, pending))]


def _invoke(account: Account, outside: OutsideCheck, version: str, step: str) -> None:
    event = {"Step": step, "SecretId": outside.secret_id, "ClientRequestToken": version}
    reply = account.call("lambda", "invoke", FunctionName=outside.function_arn, Payload=json.dumps(event).encode())
    text = reply["Payload"].read()
    if reply.get("FunctionError"):
        try:
            message = str(json.loads(text).get("errorMessage"))
        except (AttributeError, ValueError):
            message = "no reason given"
        raise inside.FunctionFailed(
            f"{step} failed: {message}", f"see where the rotation is now: rotators explain {outside.secret_id}"
        )
    typer.echo(f"{step}: done")


def _take_off(account: Account, outside: OutsideCheck, version: str) -> None:
    """Remove AWSPENDING from a version that is AWSCURRENT: the service does so only after its own rotations."""
    described = account.call("secretsmanager", "describe_secret", SecretId=outside.secret_id)
    labels = described.get("VersionIdsToStages", {}).get(version, ())
    if CURRENT not in labels:
        raise RepairRefused(
            f"version {version} is not {CURRENT} although all steps are done", "nothing more was changed; look again"
        )
    if PENDING in labels:
        account.call(
            "secretsmanager",
            "update_secret_version_stage",
            SecretId=outside.secret_id,
            VersionStage=PENDING,
            RemoveFromVersionId=version,
        )


def _abandon(account: Account, secret: str, state: RotationState) -> list[Action]:
    found = []

    def update(label: str, **versions: str) -> Callable[[], None]:
        def run() -> None:
            account.call(
                "secretsmanager", "update_secret_version_stage", SecretId=secret, VersionStage=label, **versions
            )

        return run

    if state.state is State.BEHIND and state.previous:
        found.append(
            Action(
                commands.move_current(secret, state.previous, state.current),
                update(CURRENT, MoveToVersionId=state.previous, RemoveFromVersionId=state.current),
            )
        )
    if state.pending:
        found.append(
            Action(commands.remove_pending(secret, state.pending), update(PENDING, RemoveFromVersionId=state.pending))
        )
    return found


def _refused(secret: str, state: RotationState, *, finish: bool) -> RepairRefused:
    if state.state is State.UNSURE:
        return RepairRefused(
            "whether AWSCURRENT logs in is not sure, and nothing was changed",
            f"correct what keeps the function from the database: rotators check {secret}; or check from here, with "
            "--local, or try passwords that may lock the user, with --try-every-password",
        )
    if state.state is State.LOST:
        return RepairRefused(
            "no labelled version logs in, so neither way repairs the secret; nothing was changed",
            f"see whether a version without a label does: rotators check {secret}; else have an admin set the user's "
            f"password to the one in AWSCURRENT, or put the valid one: {commands.put_value(secret)}",
        )
    if finish and not state.enabled:
        return RepairRefused("rotation is switched off, so the function can't finish it", commands.switch_on(secret))
    if state.state is State.APPLIED:
        return RepairRefused(
            "AWSPENDING is the only record of the valid password; nothing was changed",
            f"rotators repair {secret} --finish",
        )
    return RepairRefused("there is nothing to finish; nothing was changed", f"rotators repair {secret} --abandon")


def _ask(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("the input is not a terminal, and nothing was changed", "add --yes")
    typer.confirm("Do it?", abort=True)
