"""``rotators status``: the state of a fleet's rotations, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer

from rotators.checks.aws import AwsRefused
from rotators.cli import failed_steps, fleet, render
from rotators.cli.fleet import Place
from rotators.cli.listed import Function, Listed, Row, State, judge
from rotators.cli.options import Format, Output, Profiles, Regions
from rotators.cli.render import Report
from rotators.errors import RotationError

_PAGE = 100  # the most that ListSecrets gives
_MOST_VALUES = 10  # of one filter
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html; a leading "!" would negate it.
_FILTERABLE = re.compile(r"[a-zA-Z0-9 :_@/+=.\-][a-zA-Z0-9 :_@/+=.\-!]{0,511}")
_ROLE = re.compile(r"[\w+=,.@-]+(/[\w+=,.@-]+)*", re.ASCII)
FIND_IT = "correct its name, or name its Region and account"
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}")

Secrets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SECRET]...", help="Names or ARNs; by default all whose rotation is on.", show_default=False
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag", metavar="KEY=VALUE", help="Only those with this tag; if repeated, with all.", show_default=False
    ),
]
Prefix = Annotated[
    str | None, typer.Option("--name-prefix", help="Only those whose name begins with this.", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="Those whose rotation is off as well.", show_default=False)]
Problems = Annotated[bool, typer.Option("--problems", help="Only those with a problem.", show_default=False)]
Accounts = Annotated[
    Path | None,
    typer.Option(
        "--accounts",
        metavar="FILE",
        help="A file of accounts to look into: one in each line, its number and optionally its name.",
        show_default=False,
        exists=True,
        dir_okay=False,
    ),
]
Role = Annotated[
    str | None,
    typer.Option("--role", metavar="NAME", help="With --accounts: the role to assume in each.", show_default=False),
]


def status(
    secrets: Secrets = None,
    *,
    tag: Tags = None,
    name_prefix: Prefix = None,
    everything: All = False,
    problems: Problems = False,
    output: Format = None,
    region: Regions = None,
    profile: Profiles = None,
    accounts: Accounts = None,
    role: Role = None,
) -> None:
    """Show the state of rotations: which are overdue, which are stuck, at which step, and why.

    Nothing is changed, and no secret's value is read. AWS is asked for the list of secrets, for each function's
    configuration, and, where a secret has a problem, for the failed steps in its function's log.

    With several Regions and profiles, all their pairs are read. With --accounts, a role is assumed in each account. An
    account that can't be read is shown as a row.

    Exits with 1 if there is any problem.

    Example: rotators status --tag team=payments --problems --region eu-west-1 --region us-east-1
    """
    choice = choose(secrets or (), tag or (), name_prefix, everything=everything)
    places = places_of(region or (), profile or (), accounts, role)
    with render.progress() as report:
        rows = survey(places, choice, datetime.now(UTC), report)
    troubled = [row for row in rows if row.problem]
    _print(troubled if problems else rows, output, many=len(places) > 1)
    if render.chosen(output) is not Output.JSON:
        typer.echo(f"{len(rows)} looked at, {len(troubled)} with a problem", err=True)
    if troubled:
        raise typer.Exit(1)


@dataclass(frozen=True)
class Choice:
    """Which secrets to show.

    Args:
        named: names or ARNs; empty: do not choose by these.
        tags: the tags that they must all have.
        prefix: how their names begin.
        everything: whether to include those whose rotation is off.
    """

    named: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    everything: bool = False

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.named)

    def absent(self, listed: Iterable[Listed]) -> list[str]:
        """The requested names and ARNs that belong to no listed secret."""
        found = {name for one in listed for name in names_of(one)}
        return [name for name in self.named if name not in found]

    def calls(self) -> Iterator[dict[str, Any]]:
        """The parameters of each ListSecrets call. It also finds other secrets: its filters are coarse."""
        if self.named:
            names = sorted({name for name in map(_name, self.named) if _FILTERABLE.fullmatch(name)})
            for start in range(0, len(names), _MOST_VALUES):
                filters = [{"Key": "name", "Values": names[start : start + _MOST_VALUES]}]
                yield {"MaxResults": _PAGE, "Filters": filters, "IncludePlannedDeletion": True}
            return
        key, value = next(iter(self.tags.items()), ("", ""))
        wanted = {"name": self.prefix, "tag-key": key, "tag-value": value}
        filters = [{"Key": name, "Values": [text]} for name, text in wanted.items() if _FILTERABLE.fullmatch(text)]
        yield {"MaxResults": _PAGE} | ({"Filters": filters} if filters else {})

    def takes(self, listed: Listed) -> bool:
        """Whether a listed secret is chosen."""
        if self.named:
            return not self._names.isdisjoint(names_of(listed))
        return (
            listed.deleted is None
            and (listed.rotates or self.everything)
            and listed.name.startswith(self.prefix)
            and all(listed.tags.get(key) == value for key, value in self.tags.items())
        )


def survey(places: Sequence[Place], choice: Choice, now: datetime, report: Report) -> list[Row]:
    """Read all secrets of all places.

    Args:
        places: accounts and Regions.
        choice: which secrets.
        now: the current time.
        report: called with the progress.

    Raises:
        AwsRefused: there is only one place, and it can't be read. If there are several, that is a row.
    """
    rows: list[Row] = []
    listed: list[tuple[Place, Listed]] = []
    for place, found in list_all(places, choice, report):
        if isinstance(found, RotationError):
            rows.append(Row(place.name or "", place.region, "", State.UNKNOWN, problem=str(found)))
        else:
            listed += [(place, one) for one in found]
    functions = _functions(listed, now, report)
    for place, one in listed:
        function = functions.get((place, one.function_arn or ""))
        rows.append(judge(one, function, now, place.name, place.account.region))
    rows.sort(key=lambda row: (row.account, row.region, row.secret))
    return rows + [_missing(name, places) for name in choice.absent(one for _, one in listed)]


def list_all(
    places: Sequence[Place], choice: Choice, report: Report
) -> list[tuple[Place, list[Listed] | RotationError]]:
    """The chosen secrets of each account and Region, or why they can't be listed.

    Raises:
        AwsRefused: there is only one place, and it can't be read.
    """
    found = fleet.side_by_side(lambda place: _list(place, choice), places, report, "listing secrets")
    if len(places) == 1 and isinstance(found[0], RotationError):
        raise found[0]
    return list(zip(places, found, strict=True))


def _list(place: Place, choice: Choice) -> list[Listed]:
    found: dict[str, Listed] = {}
    for parameters in choice.calls():
        for page in place.account.pages("secretsmanager", "list_secrets", **parameters):
            entries = (Listed.read(entry, place.account.region) for entry in page.get("SecretList", ()))
            found |= {one.arn: one for one in entries if choice.takes(one)}
    return list(found.values())


def _functions(
    listed: Iterable[tuple[Place, Listed]], now: datetime, report: Report
) -> dict[tuple[Place, str], Function]:
    """Read each function: one call, and one more if one of its secrets may have a problem."""
    wanted: dict[tuple[Place, str], bool] = {}
    for place, one in listed:
        if one.function_arn is not None and one.managed_by is None:
            key = place, one.function_arn
            wanted[key] = wanted.get(key, False) or one.is_suspect(now)

    def look(item: tuple[tuple[Place, str], bool]) -> Function:
        (place, arn), suspect = item
        function = ask_function(place, arn)
        if suspect:
            _read_log(place, function, now)
        return function

    looked = fleet.side_by_side(look, list(wanted.items()), report, "asking functions")
    return {key: one for key, one in zip(wanted, looked, strict=True) if isinstance(one, Function)}


def ask_function(place: Place, arn: str) -> Function:
    """Read a function's configuration. If the caller may not, only what its ARN says is known."""
    try:
        return Function.read(arn, place.account.call("lambda", "get_function_configuration", FunctionName=arn))
    except AwsRefused as error:
        # Without permission to read the function, its log may still be readable.
        function = Function.named(arn)
        if error.missing:
            function.problem = f"its function {arn.rsplit(':function:', maxsplit=1)[-1]} does not exist"
        return function


def _read_log(place: Place, function: Function, now: datetime) -> None:
    try:
        function.failed, whole = failed_steps.newest(place.account, function.log_group, now)
    except AwsRefused as error:
        function.unread = failed_steps.why_unread(error, function.log_group)
    else:
        function.unread = "" if whole else "its function's log is too long to be read to its end"


def missing(name: str, places: Sequence[Place]) -> tuple[str, str, str]:
    """The account, the Region and the message for a requested secret that does not exist."""
    place = places[0] if len(places) == 1 else None
    if place is None:
        return "", "", f"there is no secret {name} where you looked"
    return place.name or "", place.region, f"there is no secret {name} in {place.region}"


def _missing(name: str, places: Sequence[Place]) -> Row:
    account, region, what = missing(name, places)
    return Row(account, region, name, State.MISSING, problem=f"{what}: {FIND_IT}")


def _name(secret_id: str) -> str:
    """The beginning of a secret's name, from a name or from a whole or partial ARN."""
    if not secret_id.startswith("arn:"):
        return secret_id
    name = secret_id.split(":", maxsplit=6)[-1]
    return name[:-7] if _SUFFIX.fullmatch(name[-7:]) else name


def names_of(listed: Listed) -> tuple[str, str, str]:
    """The ways to name a secret: its name, its ARN, and its partial ARN."""
    # A partial ARN lacks the hyphen and the six characters that Secrets Manager adds.
    return listed.name, listed.arn, listed.arn[:-7]


def choose(named: Sequence[str], tags: Sequence[str], prefix: str | None, *, everything: bool) -> Choice:
    """The choice that a command's arguments and options make.

    Raises:
        typer.BadParameter: they contradict each other.
    """
    if named and (tags or prefix or everything):
        raise typer.BadParameter("either name secrets, or choose them by --tag, --name-prefix or --all")
    chosen: dict[str, str] = {}
    for tag in tags:
        key, equals, value = tag.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"'{tag}' is not KEY=VALUE", param_hint="--tag")
        if chosen.get(key, value) != value:
            raise typer.BadParameter(f"no secret has two values of {key}", param_hint="--tag")
        chosen[key] = value
    return Choice(tuple(dict.fromkeys(named)), chosen, prefix or "", everything)


def places_of(regions: Sequence[str], profiles: Sequence[str], accounts: Path | None, role: str | None) -> list[Place]:
    """The accounts and Regions that a command's options name.

    Raises:
        typer.BadParameter: they contradict each other.
        ConfigurationError: the file is not a list of accounts.
    """
    if accounts is None:
        if role is not None:
            raise typer.BadParameter("it needs --accounts", param_hint="--role")
        return fleet.pairs(profiles, regions)
    if role is None or not _ROLE.fullmatch(role):
        raise typer.BadParameter("with --accounts, name the role to assume in each: --role NAME", param_hint="--role")
    if len(profiles) > 1:
        raise typer.BadParameter("with --accounts, one profile assumes all roles", param_hint="--profile")
    return fleet.assumed(fleet.read_accounts(accounts), role, next(iter(profiles), None), regions)


def _print(rows: Sequence[Row], output: Output | None, *, many: bool) -> None:
    way = render.chosen(output)
    if way is Output.JSON:
        render.as_json({"secrets": [row.to_json() for row in rows]})
    elif way is Output.TEXT:
        render.lines(_line(row, many=many) for row in rows)
    elif rows:
        places = ("account", "Region") if many else ()
        columns = (*places, "secret", "engine", "strategy", "labels", "age", "last", "next", "problem")
        cells = [((row.account, row.region) if many else ()) + _cells(row) for row in rows]
        render.table(columns, cells, coloured=columns.index("labels"))


def _cells(row: Row) -> tuple[str, ...]:
    told = "; ".join(filter(None, (row.problem, row.note)))
    return (row.secret, row.engine, row.strategy, row.state.value, _age(row.age), _day(row.last), _day(row.next), told)


def _line(row: Row, *, many: bool) -> str:
    where = " ".join(filter(None, (row.account, row.region))) + ": " if many else ""
    secret, engine, strategy, state, age, last, next_, told = _cells(row)
    facts = [
        state,
        engine and f"engine {engine}",
        strategy and f"strategy {strategy}",
        age and f"age {age}",
        last and f"last {last}",
        next_ and f"next {next_}",
    ]
    line = f"{where}{secret + ': ' if secret else ''}{', '.join(filter(None, facts))}"
    return f"{line}: {told}" if told else line


def _age(age: timedelta | None) -> str:
    if age is None:
        return ""
    seconds = max(0, int(age.total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
