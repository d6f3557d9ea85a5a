"""Many accounts and Regions, handled in parallel."""

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
# A botocore client keeps ten connections.
_AT_ONCE = 10
_ACCOUNT = re.compile(r"(\d{12})(?:\s+(.*))?", re.ASCII)


class Place:
    """One account and Region, opened when first needed.

    Args:
        name: the account's name in rows; None: its number is shown.
        region: the Region shown in rows until the account is open; None: the profile's.
        open_: opens the account.
    """

    def __init__(self, name: str | None, region: str | None, open_: Callable[[], Account]) -> None:
        self.name = name
        self._region = region
        self._open = open_

    @cached_property
    def account(self) -> Account:
        """The account.

        Raises:
            AwsRefused: it can't be opened.
        """
        return self._open()

    @property
    def region(self) -> str:
        """The Region; empty if none is known."""
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
        name: its name in the list; may be empty.
    """

    account_id: str
    name: str

    def __str__(self) -> str:
        return f"{self.account_id} {self.name}".rstrip()


def read_accounts(file: Path) -> list[Member]:
    """Read the accounts of a file. A line holds a number, and optionally a name; ``#`` begins a comment.

    Raises:
        ConfigurationError: a line has another form, or there is no account.
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
    """All pairs of these profiles and Regions. If either is empty, the environment's is used."""
    return [
        Place(profile, region, _entering(profile, region))
        for profile in _each_once(profiles)
        for region in _each_once(regions)
    ]


def assumed(members: Iterable[Member], role: str, profile: str | None, regions: Sequence[str]) -> list[Place]:
    """All pairs of these accounts and Regions, each account by one AssumeRole.

    Args:
        members: the accounts.
        role: the role to assume in each of them.
        profile: the profile that assumes it.
        regions: the Regions; if empty, the profile's.
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
    """Call a function with each item, some in parallel.

    Args:
        work: the function.
        items: its arguments.
        report: called with the progress.
        what: what is being done, for the progress.

    Returns:
        The results in the items' order. A RotationError takes the place of a result.
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
        # After Ctrl-C, do not wait for calls that have not begun.
        pool.shutdown(cancel_futures=True)


class _Entry:
    """A role that is assumed once for all Regions of its account. A refusal is remembered too."""

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
            # Raising extends an error's traceback: raise a copy each time.
            raise self._outcome.reworded(self._outcome.what)
        return self._outcome(region)


def _each_once(names: Sequence[str]) -> list[str | None]:
    """The names without repetitions. If there are none, None, which means the default."""
    once: list[str | None] = [*dict.fromkeys(names)]
    return once or [None]


def _entering(profile: str | None, region: str | None) -> Callable[[], Account]:
    return lambda: Account(profile, region)


def _through(entry: _Entry, region: str | None) -> Callable[[], Account]:
    return lambda: entry(region)
