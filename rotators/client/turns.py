"""Who may log in now: few at once, and none when too many logins were refused.

A password that was right a moment ago is refused for every login that is under way when it changes. So a login under
way counts as one that may be refused, and the logins of a process wait for one another where they are quick.
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

# A login that takes longer holds back no other one, as long as the budget would bear the refusal of both.
_SLOW = 2.0
_SLICE = 0.25
# Never forgotten: what was refused counts for an object that is made a moment later too.
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
        at_once: how many logins may be under way at once, as long as they are quick.
        clock: seconds that only grow.
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
        """Logins that were refused within the last minute, and not followed by one of the same user that worked."""
        with self._lock:
            return self._used()

    @property
    def spent(self) -> bool:
        """Whether nobody may log in."""
        return self.used >= self.refusals

    def enter(self, patience: float) -> Steps[Turn | None]:
        """Wait for a turn.

        Args:
            patience: for how long, in seconds, no login may end meanwhile.

        Returns:
            The turn, to be left; None where the budget is spent.

        Raises:
            LoginsUnderWay: no login has ended for too long.
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
                # The first in the row looks whether a login has become slow; the others, who may be thousands, sleep
                # until they are woken.
                first = self._queue and self._queue[0] is turn
                yield Wait(turn.granted, _SLICE if first else max(patience, _SLICE))
                self._require_progress(turn, asked, patience)
        except BaseException:
            self.leave(turn)
            raise
        return turn if turn.since is not None else None

    def refused(self, user: str) -> None:
        """A login under way was refused. What follows in the same turn asks :meth:`may_go_on`."""
        with self._lock:
            self._refused.append((self._clock(), user))
            self._ended = self._clock()
            if self._used() >= self.refusals:
                while self._queue:
                    # Without a turn: nobody has one now.
                    self._queue.popleft().granted.set_result(None)

    def worked(self, user: str) -> None:
        """A login under way worked."""
        with self._lock:
            self._refused = deque(entry for entry in self._refused if entry[1] != user)

    def may_go_on(self) -> bool:
        """Whether one who has a turn may try another login in it."""
        with self._lock:
            return self._used() + len(self._under_way) <= self.refusals

    def leave(self, turn: Turn) -> None:
        """Give the turn to the next one. Of a turn that was never granted, stop to wait for it."""
        with self._lock:
            if turn in self._under_way:
                self._under_way.remove(turn)
                self._ended = self._clock()
            elif turn in self._queue:
                self._queue.remove(turn)
            self._grant()

    def after_fork(self) -> None:
        """In a forked child: the logins under way are the parent's."""
        self._lock = threading.Lock()
        self._under_way.clear()
        self._queue.clear()

    def _require_progress(self, turn: Turn, asked: float, patience: float) -> None:
        with self._lock:
            self._grant()
            idle = self._clock() - max(self._ended, asked)
        if idle >= patience and not turn.granted.done():
            raise LoginsUnderWay(
                f"{len(self._under_way)} logins of this process have not ended for {idle:.1f} s: see whether the "
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
        # The last refusal of the budget is for one login alone: with a version that is new, after all that were under
        # way with the old one were refused.
        while self._queue and quick < self.at_once and self._used() + len(self._under_way) < self._bearable():
            turn = self._queue.popleft()
            turn.since = now
            self._under_way.append(turn)
            turn.granted.set_result(None)
            quick += 1


def turns_of(arn: str, refusals: int, at_once: int, clock: Callable[[], float]) -> Turns:
    """The turns of a secret, one for all that use it in this process; the strictest numbers that were given count."""
    with _registry_lock:
        found = _registry.get(arn)
        if found is None:
            found = _registry[arn] = Turns(refusals, at_once, clock)
        found.refusals = min(found.refusals, refusals)
        found.at_once = min(found.at_once, at_once)
        return found
