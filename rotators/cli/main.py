"""The ``rotators`` command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rotators import __version__
from rotators.cli import check, demo, explain, local, new, package, plan, repair, rotate, run, status
from rotators.errors import RotationError

app = typer.Typer(
    name="rotators",
    help="Rotate the secrets of AWS Secrets Manager without a refused login.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  # typer hands an option's value over by position
    if wanted:
        typer.echo(f"rotators {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: FBT002  # how typer declares an option
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options before a sub-command."""
    del version


app.command("status")(status.status)
app.command("check")(check.check)
app.command("plan")(plan.plan)
app.command("explain")(explain.explain)
app.command("repair")(repair.repair)
app.command("rotate")(rotate.rotate)
app.command("local")(local.local)
app.command("demo")(demo.demo)
app.command("new")(new.new)
app.command("package")(package.package)
app.command("run")(run.run)


def main() -> None:
    """Run the command. Exits with 0 if it worked, 1 if it failed, 2 for wrong usage, and never with a traceback."""
    try:
        app()
    except RotationError as error:
        typer.echo(f"rotators: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of the output has gone (rotators demo | head).
        sys.stderr.close()
        sys.exit(1)
