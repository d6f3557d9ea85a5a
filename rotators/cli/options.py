"""Options of several sub-commands, spelled as in the AWS CLI."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """How results are printed."""

    TEXT = "text"
    TABLE = "table"
    JSON = "json"


Secret = Annotated[str, typer.Argument(metavar="SECRET", help="The secret's name or ARN.", show_default=False)]
Profile = Annotated[
    str | None, typer.Option("--profile", help="A profile of the AWS CLI's configuration.", show_default=False)
]
Region = Annotated[
    str | None, typer.Option("--region", help="The Region; by default the profile's own.", show_default=False)
]
Profiles = Annotated[
    list[str] | None,
    typer.Option("--profile", help="A profile of the AWS CLI's configuration; may be repeated.", show_default=False),
]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", help="A Region; may be repeated. By default the profile's own.", show_default=False),
]
Format = Annotated[
    Output | None,
    typer.Option(
        "--output", "-o", help="By default a table at a terminal, and lines of text elsewhere.", show_default=False
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", show_default=False)]
TryEveryPassword = Annotated[
    bool,
    typer.Option(
        "--try-every-password",
        help="Try AWSPENDING and AWSPREVIOUS although refused logins may lock the user.",
        show_default=False,
    ),
]
Local = Annotated[
    bool, typer.Option("--local", help="Look at the database from here, not from the function.", show_default=False)
]
CaBundle = Annotated[
    str | None,
    typer.Option("--ca-bundle", help="With --local: the CA certificates (PEM) to trust.", show_default=False),
]
