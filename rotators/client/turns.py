"""Decides who may log in now: few at once, and no one after too many refusals.

When the password changes, every login in progress may be refused. So a login in progress counts like a refused one,
and the logins of a process wait for each other while they are quick.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rotators.client.errors import LoginsUnderWay
from rotators.client.steps import Steps, Wait

# Seconds. A slower login does not hold back another, if the budget allows both to be refused.
_SLOW = 2.0
_SLICE = 0.25
# Never emptied: refusals count for a Secret object that is made later, too.
_registry: dict[str, Turns] = {}
_registry_lock = threading.Lock()


@dataclass(eq=False)
class Turn:
    """One login's place."""

    granted: concurrent.futures.Future[None] = field(default_factory=concurrent.futures.Future)
    since: float | None = None


class Turns:
    """The budget of refused logins of one secret in this process.

    A login that works gives back what its user's refusals took, as lock-out policies do.

    Args:
        refusals: how many logins may be refused in a minute.
        at_once: how many quick logins may run at the same time.
        clock: monotonic seconds.
    """

    PER = 60.0

    def __init__(self, refusals: int, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.refusals = refusals
        self.at_once = at_once
        self._clock = clock
        self._lock = threading.Lock()
        self._refused: deque[tuple[float, str]] = deque()
        self._under_way: list[Turn] = []
        self._queue: deque[Turn] = deque()
        self._ended = clock()

    @property
    def used(self) -> int:
        """How many logins were refused in the last minute, with no later login of the same user that worked."""
        with self._lock:
            return self._used()

    @property
    def spent(self) -> bool:
        """Whether the budget is used up, so that no one may log in."""
        return self.used >= self.refusals

    def enter(self, patience: float) -> Steps[Turn | None]:
        """Wait for a turn.

        Args:
            patience: how many seconds to wait while no other login ends.

        Returns:
            The turn, which the caller must :meth:`leave`; None if the budget is spent.

        Raises:
            LoginsUnderWay: no other login has ended for ``patience`` seconds.
        """
        turn = Turn()
        with self._lock:
            self._queue.append(turn)
            self._grant()
        asked = self._clock()
        try:
            while not turn.granted.done():
                if self.spent:
                    self.leave(turn)
                    return None
                # Only the first in the queue checks whether a login has become slow. The others, possibly thousands,
                # sleep until they are woken.
                first = self._queue and self._queue[0] is turn
                yield Wait(turn.granted, _SLICE if first else max(patience, _SLICE))
                self._require_progress(turn, asked, patience)
        except BaseException:
            self.leave(turn)
            raise
        return turn if turn.since is not None else None

    def refused(self, user: str) -> None:
        """Note that a login was refused. Before another login in the same turn, call :meth:`may_go_on`."""
        with self._lock:
            self._refused.append((self._clock(), user))
            self._ended = self._clock()
            if self._used() >= self.refusals:
                while self._queue:
                    # None instead of a turn: the budget is spent.
                    self._queue.popleft().granted.set_result(None)

    def worked(self, user: str) -> None:
        """Note that a login worked."""
        with self._lock:
            self._refused = deque(entry for entry in self._refused if entry[1] != user)

    def may_go_on(self) -> bool:
        """Whether the holder of a turn may try another login in it."""
        with self._lock:
            return self._used() + len(self._under_way) <= self.refusals

    def leave(self, turn: Turn) -> None:
        """Give the turn to the next in the queue, or leave the queue if the turn was never granted."""
        with self._lock:
            if turn in self._under_way:
                self._under_way.remove(turn)
                self._ended = self._clock()
            elif turn in self._queue:
                self._queue.remove(turn)
            self._grant()

    def after_fork(self) -> None:
        """Forget the logins in progress in a forked child: they are the parent's."""
        self._lock = threading.Lock()
        self._under_way.clear()
        self._queue.clear()

    def _require_progress(self, turn: Turn, asked: float, patience: float) -> None:
        with self._lock:
            self._grant()
            idle = self._clock() - max(self._ended, asked)
        if idle >= patience and not turn.granted.done():
            raise LoginsUnderWay(
                f"{len(self._under_way)} logins of this process have not ended for {idle:.1f} s: check that the "
                "database can be reached, and give the driver a time-out for connecting"
            )

    def _used(self) -> int:
        while self._refused and self._clock() - self._refused[0][0] >= self.PER:
            self._refused.popleft()
        return len(self._refused)

    def _bearable(self) -> int:
        return self.refusals - 1 if self._under_way and self.refusals > 1 else self.refusals

    def _grant(self) -> None:
        now = self._clock()
        quick = sum(1 for turn in self._under_way if turn.since is None or now - turn.since < _SLOW)
        # The last login of the budget runs alone: with a new version, after all logins with the old one have ended.
        while self._queue and quick < self.at_once and self._used() + len(self._under_way) < self._bearable():
            turn = self._queue.popleft()
            turn.since = now
            self._under_way.append(turn)
            turn.granted.set_result(None)
            quick += 1


def turns_of(arn: str, refusals: int, at_once: int, clock: Callable[[], float]) -> Turns:
    """The turns of a secret: one object per process. If callers give different numbers, the strictest count.

    Args:
        arn: the secret.
        refusals: see :class:`Turns`.
        at_once: see :class:`Turns`.
        clock: monotonic seconds.
    """
    with _registry_lock:
        found = _registry.get(arn)
        if found is None:
            found = _registry[arn] = Turns(refusals, at_once, clock)
        found.refusals = min(found.refusals, refusals)
        found.at_once = min(found.at_once, at_once)
        return found
