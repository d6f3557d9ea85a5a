"""``rotators rotate``: rotate a fleet now, and follow each rotation to its end."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from rotators.cli import fleet, render, rotate_fleet, rotate_report
from rotators.cli.aws import Account
from rotators.cli.fleet import Member, Place
from rotators.cli.options import Format, Output, Profiles, Regions, Yes
from rotators.cli.rotate_choice import FUNCTION, HOST, TAG, Order, Task, callers, find, read_names
from rotators.cli.rotate_follow import Follower, Limits, RealTime, Time, replay
from rotators.cli.rotate_journal import Journal
from rotators.cli.rotate_outcome import Evidence, Outcome, Result
from rotators.cli.rotate_pace import MARGIN, ROTATIONS_A_SECOND, Pace
from rotators.cli.rotate_screen import Screen
from rotators.cli.status import Accounts, Choice, Prefix, Role, Tags, choose, places_of
from rotators.errors import ConfigurationError

_SECONDS = 60.0
# Replaced in tests.
clock: Time = RealTime()

Secrets = Annotated[list[str] | None, typer.Argument(metavar="[SECRET]...", help="Names or ARNs.", show_default=False)]
File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        metavar="FILE",
        help="The secrets of a file: a name or an ARN in each line.",
        show_default=False,
        exists=True,
        dir_okay=False,
    ),
]
All = Annotated[bool, typer.Option("--all", help="All secrets whose rotation is on.", show_default=False)]
RevokeOld = Annotated[
    bool,
    typer.Option(
        "--revoke-old",
        help="After a leak: rotate until no earlier password is valid. That takes a second rotation, unless the "
        "function's ROTATION_STRATEGY is single-user.",
        show_default=False,
    ),
]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, help="The most rotations at a time.")]
PerGroup = Annotated[
    int, typer.Option("--per-database", min=1, help="The most rotations at a time on one database, by --stagger-by.")
]
StaggerBy = Annotated[
    str,
    typer.Option(
        "--stagger-by",
        metavar="RULE",
        help="Which secrets share a database: those of one 'function'; those with one value of a tag, 'tag:KEY'; or "
        "those whose value names one 'host', which reads every value (secretsmanager:GetSecretValue).",
    ),
]
MaxFailures = Annotated[
    int, typer.Option("--max-failures", min=1, help="Start no more once this many have failed or are failing.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, metavar="MINUTES", help="How long to wait for the end of each rotation.")
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate",
        min=0.01,
        max=ROTATIONS_A_SECOND,
        help="Rotations started a second in each account and Region. By default "
        f"{ROTATIONS_A_SECOND * MARGIN:g}, 90 % of what the quotas of Secrets Manager allow.",
        show_default=False,
    ),
]
FleetOf = Annotated[
    str | None,
    typer.Option(
        "--fleet",
        metavar="ARN",
        help="Let this state machine rotate, which fleet: {} in rotations.yaml makes; or follow this execution of it "
        "again. --concurrency, --max-failures and --timeout apply to it.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be rotated, and end.", show_default=False)]
JournalFile = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        metavar="FILE",
        help="Where to write the journal. By default rotators-rotate-TIME.jsonl, here.",
        show_default=False,
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="FILE",
        help="Continue the run of this journal; nothing rotates twice.",
        show_default=False,
    ),
]
Reports = Annotated[
    list[Path] | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Also write the report to this file: .html, .json or .txt; may be repeated.",
        show_default=False,
    ),
]


def rotate(
    secrets: Secrets = None,
    *,
    tag: Tags = None,
    name_prefix: Prefix = None,
    file: File = None,
    everything: All = False,
    revoke_old: RevokeOld = False,
    dry_run: DryRun = False,
    concurrency: Concurrency = 100,
    stagger_by: StaggerBy = FUNCTION,
    per_database: PerGroup = 10,
    max_failures: MaxFailures = 10,
    rate: Rate = None,
    timeout: Timeout = 15.0,
    journal: JournalFile = None,
    resume: Resume = None,
    report: Reports = None,
    state_machine: FleetOf = None,
    yes: Yes = False,
    output: Format = None,
    region: Regions = None,
    profile: Profiles = None,
    accounts: Accounts = None,
    role: Role = None,
) -> None:
    """Rotate secrets now, a whole fleet if need be, and follow each rotation to its end.

    Secrets Manager and the secrets' own functions do the work. This command starts them, no faster than the quotas
    allow, and at most --per-database at a time on one database. No secret's value is read, unless --stagger-by is host.

    Each rotation is written to the journal before it is started. After Ctrl-C or a crash, --resume continues: it
    follows what was started, and starts the rest. Nothing rotates twice.

    Exits with 1 unless all are rotated. Secrets without rotation are left out; if they were named, that is a failure.

    Example: rotators rotate --tag team=payments --revoke-old --report evidence.html
    """
    _require_reports(report or ())
    chosen = bool(secrets or tag or name_prefix or file or everything)
    if state_machine is not None:
        if secrets or file or revoke_old or journal or resume or accounts or role or region or len(profile or ()) > 1:
            raise typer.BadParameter("it takes --tag, --name-prefix or --all, and one --profile", param_hint="--fleet")
        choice = _choice((), tag or (), name_prefix, everything=everything) if chosen else None
        limits = Limits(concurrency, per_database, max_failures, timeout * _SECONDS)
        evidence = _by_machine(state_machine, choice, limits, next(iter(profile or ()), None), dry_run=dry_run, yes=yes)
        _tell(evidence, output, report or ())
        if evidence.wrong:
            raise typer.Exit(1)
        return
    if resume is not None:
        if chosen or region or profile or accounts or role or journal or dry_run or revoke_old:
            raise typer.BadParameter("the journal says what to rotate, where and how", param_hint="--resume")
        run = _resumed(resume)
    else:
        if not chosen:
            raise typer.BadParameter("name secrets, or choose them by --tag, --name-prefix, --file or --all")
        order = Order(revoke_old, _rule(stagger_by))
        named = [*(secrets or ()), *(read_names(file) if file else ())]
        choice = _choice(named, tag or (), name_prefix, everything=everything)
        where = _Where(region or (), profile or (), accounts, role)
        run = _chosen(where, choice, order, dry_run=dry_run, yes=yes, file=journal)
    quiet = render.chosen(output) is Output.JSON
    evidence = (
        run.evidence()
        if dry_run
        else run.follow(Limits(concurrency, per_database, max_failures, timeout * _SECONDS), Pace(rate), quiet=quiet)
    )
    _tell(evidence, output, report or ())
    if run.interrupted:
        typer.echo(
            f"rotators: stopped. What was started goes on in Secrets Manager. Go on with: rotators rotate --resume "
            f"{evidence.journal}",
            err=True,
        )
    if evidence.wrong or run.interrupted:
        raise typer.Exit(1)


@dataclass
class Run:
    """A run, new or resumed.

    Args:
        id: its id.
        what: what to rotate, in words.
        callers: the identities that make the calls.
        begun: when it began.
        tasks: its secrets.
        journal: its journal; None: a dry run.
        interrupted: whether the user has stopped it.
    """

    id: str
    what: str
    callers: Sequence[str]
    begun: datetime
    tasks: Sequence[Task]
    journal: Journal | None = None
    interrupted: bool = False

    @property
    def kept(self) -> Journal:
        """The journal. A dry run has none."""
        if self.journal is None:
            raise AssertionError
        return self.journal

    def follow(self, limits: Limits, pace: Pace, *, quiet: bool) -> Evidence:
        """Rotate the secrets.

        Args:
            limits: how many at once, and when to stop.
            pace: the quotas.
            quiet: whether to show no progress.

        Returns:
            What became of each secret.

        Raises:
            ConfigurationError: the journal can't be written.
        """
        with self.kept as journal, Screen(self.tasks, quiet=quiet) as screen:
            follower = Follower(self.tasks, journal, pace, limits, clock, screen, self.begun)
            try:
                follower.run()
            except KeyboardInterrupt:
                self.interrupted = True
        return self.evidence()

    def evidence(self) -> Evidence:
        """The run as reports show it."""
        outcomes = [task.outcome for task in self.tasks]
        journal = "" if self.journal is None else str(self.journal.file)
        return Evidence(self.id, self.what, self.callers, self.begun, clock.now, outcomes, journal)


@dataclass(frozen=True)
class _Where:
    """Where to look for secrets, from the options."""

    regions: Sequence[str]
    profiles: Sequence[str]
    accounts: Path | None
    role: str | None

    def places(self) -> list[Place]:
        """The accounts and Regions."""
        return places_of(self.regions, self.profiles, self.accounts, self.role)

    def to_json(self, places: Sequence[Place]) -> dict[str, Any]:
        """For the journal: with the default Region and the file's accounts filled in."""
        members = None if self.accounts is None else fleet.read_accounts(self.accounts)
        default = [places[0].region] if len(self.profiles) <= 1 else []
        return {
            "regions": list(self.regions) or default,
            "profiles": list(self.profiles),
            "accounts": None if members is None else [[one.account_id, one.name] for one in members],
            "role": self.role,
        }


def _by_machine(
    arn: str, choice: Choice | None, limits: Limits, profile: str | None, *, dry_run: bool, yes: bool
) -> Evidence:
    """Let a fleet's state machine rotate, or follow an execution of it."""
    running = rotate_fleet.EXECUTION.fullmatch(arn) is not None
    if not running and rotate_fleet.MACHINE.fullmatch(arn) is None:
        raise typer.BadParameter(f"'{arn}' is the ARN of no state machine and no execution", param_hint="--fleet")
    if running is (choice is not None):
        what = (
            "the execution's input tells what is rotated" if running else "name --tag, --name-prefix or --all as well"
        )
        raise typer.BadParameter(what, param_hint="--fleet")
    account = Account(profile, arn.split(":")[3])
    execution = arn
    if choice is not None:
        orders = rotate_fleet.Orders(choice, dry_run, limits.at_once, limits.failures, max(1, int(limits.timeout)))
        orders.to_input()
        if not dry_run:
            _ask(f"{_in_words(choice, Order())}, of the fleet {arn.rsplit(':', 1)[1]}", yes=yes)
        execution = rotate_fleet.begin(account, arn, orders, str(uuid.uuid4()))
        typer.echo(f"execution: {execution}", err=True)
    try:
        with render.progress() as report:
            return rotate_fleet.follow(account, execution, clock, report)
    except KeyboardInterrupt:
        typer.echo(
            f"rotators: stopped. The execution goes on. Follow it with: rotators rotate --fleet {execution}", err=True
        )
        raise typer.Exit(1) from None


def _tell(evidence: Evidence, output: Output | None, files: Sequence[Path]) -> None:
    _print(evidence, output)
    for path in files:
        rotate_report.write(evidence, path)


def _require_reports(files: Sequence[Path]) -> None:
    for file in files:
        if file.suffix not in rotate_report.SUFFIXES:
            endings = ", ".join(rotate_report.SUFFIXES)
            raise typer.BadParameter(f"'{file}' does not end in one of {endings}", param_hint="--report")


def _rule(stagger_by: str) -> str:
    if stagger_by not in {FUNCTION, HOST} and not (stagger_by.startswith(TAG) and stagger_by != TAG):
        raise typer.BadParameter(f"'{stagger_by}' is not function, host or tag:KEY", param_hint="--stagger-by")
    return stagger_by


def _choice(named: Sequence[str], tags: Sequence[str], prefix: str | None, *, everything: bool) -> Choice:
    if everything and (tags or prefix):
        raise typer.BadParameter("--all leaves nothing to be chosen by --tag or --name-prefix")
    choice = choose(named, tags, prefix, everything=everything)
    # Secrets whose rotation is off are shown as left out, so that none is overlooked.
    return choice if named else Choice(choice.named, choice.tags, choice.prefix, everything=True)


def _chosen(where: _Where, choice: Choice, order: Order, *, dry_run: bool, yes: bool, file: Path | None) -> Run:
    """A new run."""
    begun, places = clock.now, where.places()
    with render.progress() as report:
        tasks = find(places, choice, order, begun, report)
    what = _in_words(choice, order)
    due = [task.outcome for task in tasks if task.outcome.result is Result.NOT_STARTED]
    if dry_run:
        for outcome in due:
            outcome.result = Result.PLANNED
        return Run(str(uuid.uuid4()), what, [], begun, tasks)
    if due:
        rotations = sum(outcome.wanted for outcome in due)
        _ask(f"{what}: {len(due)} secrets, {rotations} rotations, {len(tasks) - len(due)} left out", yes=yes)
    path = file or Path(f"rotators-rotate-{begun:%Y%m%dT%H%M%SZ}.jsonl")
    run = Run(str(uuid.uuid4()), what, callers(places), begun, tasks, Journal.create(path))
    head = {"run": run.id, "what": what, "callers": list(run.callers), "places": where.to_json(places)}
    with contextlib.ExitStack() as stack:
        stack.callback(run.kept.close)
        run.kept.begin(begun, head, [task.to_json() for task in tasks])
        stack.pop_all()
    typer.echo(f"journal: {path}; to go on after a break: rotators rotate --resume {quote(str(path))}", err=True)
    return run


def _resumed(file: Path) -> Run:
    """The run of a journal, as far as it got."""
    journal, lines = Journal.resume(file)
    with contextlib.ExitStack() as stack:
        stack.callback(journal.close)
        head, rest = lines[0], lines[1:]
        try:
            kept, events = rest[: head["secrets"]], rest[head["secrets"] :]
            places = _reopened(head["places"])
            tasks = [Task.from_json(one, places) for one in kept]
            replay(tasks, events)
            run = Run(head["run"], head["what"], head["callers"], datetime.fromisoformat(head["at"]), tasks, journal)
        except (LookupError, TypeError, ValueError, StopIteration):
            raise ConfigurationError(f"{file} is not a journal of this version", "name another file") from None
        if len(kept) < head["secrets"]:
            raise ConfigurationError(f"the journal {file} ends before anything was rotated", "begin a new run")
        run.callers = list(dict.fromkeys([*run.callers, *callers(places)]))
        stack.pop_all()
    return run


def _reopened(options: Mapping[str, Any]) -> list[Place]:
    members = options["accounts"]
    if members is None:
        return fleet.pairs(options["profiles"], options["regions"])
    listed = [Member(number, name) for number, name in members]
    return fleet.assumed(listed, options["role"], next(iter(options["profiles"]), None), options["regions"])


def _in_words(choice: Choice, order: Order) -> str:
    if choice.named:
        what = f"the secrets {', '.join(choice.named[:5])}{' and others' if len(choice.named) > 5 else ''}"  # noqa: PLR2004
    else:
        tags = [f"tag {key}={value}" for key, value in choice.tags.items()]
        rules = tags + ([f"names that begin with {choice.prefix}"] if choice.prefix else [])
        what = f"secrets with {' and '.join(rules)}" if rules else "all secrets"
    return f"rotate {what}{', until no password of before is valid' if order.revoke_old else ''}"


def _ask(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("the input is not a terminal, and nothing was rotated", "add --yes")
    typer.confirm(f"{question}. Rotate them?", abort=True, err=True)


def _print(evidence: Evidence, output: Output | None) -> None:
    way = render.chosen(output)
    if way is Output.JSON:
        render.as_json(evidence.to_json())
    elif way is Output.TEXT:
        typer.echo(rotate_report.text(evidence), nl=False)
    else:
        rows = [_row(one) for one in sorted(evidence.outcomes, key=lambda one: not one.wrong)]
        if rows:
            render.table(("result", "account", "Region", "secret", "rotations", "seconds", "told"), rows)
        typer.echo(evidence.summary)


def _row(outcome: Outcome) -> tuple[str, ...]:
    done = sum(turn.rotated for turn in outcome.turns)
    told = "; ".join(filter(None, (outcome.cause, outcome.remedy, outcome.note)))
    seconds = "" if outcome.seconds is None else f"{outcome.seconds:.0f}"
    counts = "" if outcome.result is Result.LEFT_OUT else f"{done} of {outcome.wanted}"
    return outcome.result, outcome.account, outcome.region, outcome.secret, counts, seconds, told
