"""``python -m infra.verify``, which ``make verify-aws`` runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from infra.verify.offers import ENDPOINT_PAGE, OFFERS, PRICED_ON, Offer
from rotators.cli.quiet import silence_logs
from rotators.engines.specs import SPECS
from rotators.errors import RotationError

if TYPE_CHECKING:
    from infra.verify.account import AwsAccount
    from infra.verify.databases import Licence
    from infra.verify.report import Report

_DIFFERS, _FAILED = 1, 1
_BUNDLE = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_console = Console(highlight=False)


def _offer(name: str) -> Offer:
    if name not in OFFERS:
        raise typer.BadParameter(f"'{name}' is not one of {', '.join(OFFERS)}")
    return OFFERS[name]


_Engine = Annotated[str, typer.Option(help=f"The database to create: {', '.join(OFFERS)}.")]
_Plan = Annotated[bool, typer.Option("--plan", help="Show what is created and what it costs, and create nothing.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Use a local server and the simulated service.")]
_Remove = Annotated[bool, typer.Option("--remove", help="Remove what an earlier run left behind.")]
_Keep = Annotated[bool, typer.Option("--keep", help="Remove nothing at the end: everything goes on costing money.")]
_Yes = Annotated[bool, typer.Option("--yes", envvar="YES", help="Do not ask.")]
_Region = Annotated[str | None, typer.Option(help="The Region.")]
_Profile = Annotated[str | None, typer.Option(help="The profile of the AWS CLI.")]
_CaBundle = Annotated[
    Path | None, typer.Option("--ca-bundle", envvar="CA_BUNDLE", help=f"RDS's CA certificates: {_BUNDLE}")
]
_Site = Annotated[str | None, typer.Option(envvar="IBM_SITE_ID", help="For Db2: your site id.")]
_Customer = Annotated[str | None, typer.Option(envvar="IBM_CUSTOMER_ID", help="For Db2: your customer id.")]
_Every = Annotated[int, typer.Option(min=1, help="Run every n-th test of the conformance suite.")]


@app.command()
def verify(  # noqa: PLR0917  # typer hands options over by name
    engine: _Engine,
    plan: _Plan = False,  # noqa: FBT002
    dry_run: _DryRun = False,  # noqa: FBT002
    remove: _Remove = False,  # noqa: FBT002
    keep: _Keep = False,  # noqa: FBT002
    yes: _Yes = False,  # noqa: FBT002
    region: _Region = None,
    profile: _Profile = None,
    ca_bundle: _CaBundle = None,
    ibm_site_id: _Site = None,
    ibm_customer_id: _Customer = None,
    every: _Every = 1,
) -> None:
    """Create a database in your account, test it from inside its network, report what differs, and remove it all."""
    offer = _offer(engine)
    if dry_run:
        _end(*_rehearse(offer, every))
    _show_plan(offer)
    if plan:
        return
    if offer.engine != "redshift" and ca_bundle is None and not remove:
        raise typer.BadParameter(f"name RDS's CA certificates with --ca-bundle or CA_BUNDLE=FILE: {_BUNDLE}")
    licence = _licence(offer, ibm_site_id, ibm_customer_id, needed=not remove)
    _ask(yes=yes)
    account = _account(offer, ca_bundle, licence, region, profile)
    if remove:
        left = account.remove()
        _tell_left(left)
        raise typer.Exit(_FAILED if left else 0)
    _end(*_run(account, every, keep=keep))


def _rehearse(offer: Offer, every: int) -> tuple[Report, list[str], str]:
    # Clients need a Region and credentials; none of them reaches AWS.
    os.environ |= {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    os.environ.pop("AWS_PROFILE", None)
    silence_logs()
    from infra.verify.rehearsal import Rehearsal  # noqa: PLC0415  # it imports the test kit
    from infra.verify.runner import verify as run  # noqa: PLC0415

    rehearsal = Rehearsal(offer)
    report, left = run(rehearsal, every=every, say=_say)
    return report, left, rehearsal.where


def _run(account: AwsAccount, every: int, *, keep: bool) -> tuple[Report, list[str], str]:
    from infra.verify.runner import verify as run  # noqa: PLC0415

    report, left = run(account, every=every, keep=keep, say=_say)
    if keep:
        _say("everything was kept, and goes on costing money: remove it with --remove")
    return report, left, account.where


def _end(report: Report, left: list[str], where: str) -> None:
    from infra.verify.report import show  # noqa: PLC0415

    show(report, _console, where)
    _tell_left(left)
    raise typer.Exit(_DIFFERS if report.differences or left else 0)


def _account(
    offer: Offer, ca_bundle: Path | None, licence: Licence | None, region: str | None, profile: str | None
) -> AwsAccount:
    from infra.verify.account import AwsAccount  # noqa: PLC0415
    from rotators.cli.aws import Account  # noqa: PLC0415
    from rotators.packaging import trust  # noqa: PLC0415

    options = "".join(f" --{key} {value}" for key, value in (("region", region), ("profile", profile)) if value)
    certificates = None if ca_bundle is None else trust.read(ca_bundle)
    account = Account(profile, region)
    return AwsAccount(offer, account, certificates=certificates, licence=licence, options=options, profile=profile)


def _licence(offer: Offer, site: str | None, customer: str | None, *, needed: bool) -> Licence | None:
    if not offer.licensed or not needed:
        return None
    if not site or not customer:
        raise typer.BadParameter(f"{offer.title} runs under {offer.licence}")
    from infra.verify.databases import Licence  # noqa: PLC0415

    return Licence(site, customer)


def _show_plan(offer: Offer) -> None:
    # The admin's secret, and one for each strategy.
    cost = offer.known_cost(3 + SPECS[offer.engine].second_password)
    _say(
        f"{offer.title}, {offer.size}, in a network without a route to the internet, for about {offer.minutes} minutes"
    )
    _say(f"licence: {offer.licence}")
    listed = f"list price us-east-1 of {PRICED_ON}, check {offer.page}"
    if cost is None:
        _say(f"cost: the price of {offer.size} is not known here: look at {offer.page}")
    else:
        _say(f"cost: ${offer.price:.3f} an hour for {offer.size}, ${cost:.3f} with storage and secrets ({listed})")
    _say(f"also an endpoint of Secrets Manager in {offer.endpoints} zones, priced by the hour: {ENDPOINT_PAGE}")
    _say("everything is removed at the end, also after Ctrl-C or a failure")


def _ask(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("this costs money, and there is no terminal to ask you: set YES=1, or --yes")
    if not typer.confirm("create it?"):
        raise typer.Exit(_FAILED)


def _tell_left(left: list[str]) -> None:
    for one in left:
        _say(f"LEFT: {one}")


def _say(text: str) -> None:
    # Not with rich, which writes a line again if Ctrl-C interrupts it.
    typer.echo(text)


def main() -> None:
    """Run it: exit 0 if nothing differs, 1 if something differs or failed, 2 for wrong usage, 130 after Ctrl-C."""
    try:
        app(prog_name="python -m infra.verify")
    except RotationError as error:
        typer.echo(f"verify: {error}", err=True)
        sys.exit(_FAILED)


if __name__ == "__main__":
    main()
