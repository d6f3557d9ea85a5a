"""Many accounts and Regions: all that were asked for, looked at side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TypeVar

from rotators.cli.aws import Account
from rotators.cli.render import Report
from rotators.errors import ConfigurationError, RotationError, one_line

Item = TypeVar("Item")
Result = TypeVar("Result")
# A client of botocore's keeps ten connections.
_AT_ONCE = 10
_ACCOUNT = re.compile(r"(\d{12})(?:\s+(.*))?", re.ASCII)


class Place:
    """One account and Region, opened when it is first needed.

    Args:
        name: what its rows say of the account; None: they say its number.
        region: what its rows say of the Region, until the account has told; None: the profile's own.
        open_: opens it.
    """

    def __init__(self, name: str | None, region: str | None, open_: Callable[[], Account]) -> None:
        self.name = name
        self._region = region
        self._open = open_

    @cached_property
    def account(self) -> Account:
        """The account.

        Raises:
            AwsRefused: it can't be entered.
        """
        return self._open()

    @property
    def region(self) -> str:
        """The Region; empty where none is known."""
        if self._region is not None:
            return self._region
        try:
            return self.account.region
        except RotationError:
            return ""


@dataclass(frozen=True)
class Member:
    """An account of a list.

    Args:
        account_id: its number.
        name: what whoever wrote the list calls it; may be empty.
    """

    account_id: str
    name: str

    def __str__(self) -> str:
        return f"{self.account_id} {self.name}".rstrip()


def read_accounts(file: Path) -> list[Member]:
    """The accounts of a file: a number a line, with a name behind it or none; ``#`` begins a comment.

    Raises:
        ConfigurationError: a line is none of these, or there is no account.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} could not be read ({type(error).__name__})", "name a text file") from None
    members: dict[str, Member] = {}
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        found = _ACCOUNT.fullmatch(text)
        if found is None:
            raise ConfigurationError(
                f"{file}, line {number}, names no account", "write its 12 digits, and its name behind them if you like"
            )
        members.setdefault(found[1], Member(found[1], one_line(found[2] or "")))
    if not members:
        raise ConfigurationError(f"{file} names no account", "write the 12 digits of one in each line")
    return list(members.values())


def pairs(profiles: Sequence[str], regions: Sequence[str]) -> list[Place]:
    """All pairs of these profiles and Regions; none of either: the environment's own."""
    return [
        Place(profile, region, _entering(profile, region))
        for profile in _each_once(profiles)
        for region in _each_once(regions)
    ]


def assumed(members: Iterable[Member], role: str, profile: str | None, regions: Sequence[str]) -> list[Place]:
    """All pairs of these accounts and Regions, each account by one AssumeRole.

    Args:
        members: the accounts.
        role: what to assume in each of them.
        profile: who assumes it.
        regions: the Regions; none: the profile's own.
    """
    chosen = _each_once(regions)
    base = Account(profile, chosen[0])
    places = []
    for member in members:
        entry = _Entry(base, member, role)
        places += [Place(str(member), region or base.region, _through(entry, region)) for region in chosen]
    return places


def side_by_side(
    work: Callable[[Item], Result], items: Sequence[Item], report: Report, what: str
) -> list[Result | RotationError]:
    """Do something with each, some at a time.

    Args:
        work: what to do.
        items: with what.
        report: is told how far it is.
        what: what is being done.

    Returns:
        the results in the items' order; an error of ours where there was one.
    """

    def safely(item: Item) -> Result | RotationError:
        try:
            return work(item)
        except RotationError as error:
            return error

    report(what, 0, len(items))
    pool = ThreadPoolExecutor(max_workers=_AT_ONCE)
    try:
        futures = [pool.submit(safely, item) for item in items]
        for done, _ in enumerate(as_completed(futures), start=1):
            report(what, done, len(items))
        return [future.result() for future in futures]
    finally:
        # Ctrl-C is not to wait for all that has not begun.
        pool.shutdown(cancel_futures=True)


class _Entry:
    """A role that is assumed once for all Regions of its account, also where it was refused."""

    def __init__(self, base: Account, member: Member, role: str) -> None:
        self._base, self._member, self._role = base, member, role
        self._lock = Lock()
        self._outcome: Callable[[str | None], Account] | RotationError | None = None

    def __call__(self, region: str | None) -> Account:
        with self._lock:
            if self._outcome is None:
                try:
                    self._outcome = self._base.assume(self._member.account_id, self._role)
                except RotationError as error:
                    self._outcome = error
        if isinstance(self._outcome, RotationError):
            # Each raising adds to a traceback: a copy for each.
            raise self._outcome.reworded(self._outcome.what)
        return self._outcome(region)


def _each_once(names: Sequence[str]) -> list[str | None]:
    """The names without repetitions; where there are none, the default, which has no name."""
    once: list[str | None] = [*dict.fromkeys(names)]
    return once or [None]


def _entering(profile: str | None, region: str | None) -> Callable[[], Account]:
    return lambda: Account(profile, region)


def _through(entry: _Entry, region: str | None) -> Callable[[], Account]:
    return lambda: entry(region)
