"""What a process knows of a secret's logins: which version works, which were refused, and when to look again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rotators.client.value import CURRENT, PENDING, PREVIOUS, SecretValue

if TYPE_CHECKING:
    from rotators.client.secret import Secret
    from rotators.client.turns import Turns

logger = logging.getLogger("rotators.client")

STAGES = (CURRENT, PENDING, PREVIOUS)
# What may differ between two versions that are tried for one another: any other key tells of another server, and an
# application must not end up on the database that it has left.
_CREDENTIALS = frozenset({"username", "password"})
# A commit follows the label, or the other way round, within this time; the label's move is seen a little later.
_COMMIT, _LAG = 0.1, 1.0
_FIRST_INTERVAL, _INTERVAL = 0.05, 0.4
# How often all labels are looked at where nothing has worked for long.
_ALL_LABELS = 5.0


@dataclass
class Refused:
    """A version that was refused.

    Args:
        value: the version.
        at: when it was refused last.
        times: how often since it worked.
    """

    value: SecretValue
    at: float
    times: int = 1


class Logins:
    """The state that all logins of a process with one secret share.

    Args:
        secret: whose.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._lock = threading.Lock()
        self._refused: dict[str, Refused] = {}
        self._preferred: tuple[SecretValue, str] | None = None
        self._seen: dict[str, SecretValue] = {}
        self._doubt_since: float | None = None
        self._moved_at = float("-inf")
        self._left: list[str] = []
        self._next_look = float("-inf")
        self._next_full_look = float("-inf")
        self._interval = _FIRST_INTERVAL
        self._round = float("-inf")
        self._rotating = False
        self._proven: str | None = None
        self.unreadable: dict[str, str] = {}
        """The labels that could not be read when they were looked at last, and why."""

    def candidates(self, current: SecretValue) -> list[SecretValue]:
        """What may work, best first: what worked while AWSCURRENT was this version, AWSCURRENT, what else was seen."""
        with self._lock:
            found = []
            if self._preferred is not None and self._preferred[1] == current.version_id:
                found.append(self._preferred[0])
            found.append(current)
            found += [value for value in self._seen.values() if comparable(value, current)]
        return list(dict.fromkeys(found))

    def is_new(self, value: SecretValue) -> bool:
        """Whether nothing speaks against a login with this version."""
        with self._lock:
            if value.version_id in self._refused:
                return False
            # The same password under another version's id; of AWSCURRENT somebody may have meant it.
            twice = any(one.value.same_content(value) for one in self._refused.values())
            return not twice or value.stage == CURRENT

    def to_repeat(self, values: Iterable[SecretValue], turns: Turns) -> SecretValue | None:
        """The version that was refused and may be tried again: the database may have changed since."""
        with self._lock:
            # The last login of the budget is kept for a version that is new.
            reserve = 1 if turns.refusals > 1 else 0
            if turns.used >= turns.refusals - reserve:
                return None
            now, pause = self._secret.clock(), turns.PER / (turns.refusals - reserve)
            due = []
            for value in values:
                refused = self._refused.get(value.version_id)
                if refused is None:
                    continue
                # Once more: the commit may follow the label.
                once_more = self._rotating and refused.times == 1 and value.stage != PREVIOUS
                if now - refused.at >= (_COMMIT if once_more else pause):
                    due.append((refused.at, value))
            return min(due, key=lambda one: one[0])[1] if due else None

    def next_label(self, now: float) -> tuple[str, float] | None:
        """The label to look at now, and the time after which it must have been read; None: not yet."""
        with self._lock:
            if not self._left:
                if now < self._next_look:
                    return None
                self._left = list(STAGES)
                if self._doubt_since is not None and now - self._doubt_since > _ALL_LABELS:
                    if now < self._next_full_look:
                        self._left = [CURRENT]
                    else:
                        self._next_full_look = now + _ALL_LABELS
                self._next_look = now + self._interval
                self._interval = min(2 * self._interval, _INTERVAL)
                self._round = now
            return self._left.pop(0), self._round

    def saw(self, stage: str, value: SecretValue | None, error: str | None) -> None:
        """A label was looked at."""
        with self._lock:
            if error is not None:
                self.unreadable[stage] = error
                if stage == CURRENT:
                    # The others can't be read either.
                    self._left = []
                return
            self.unreadable.pop(stage, None)
            if stage == CURRENT:
                return
            if value is None:
                self._seen.pop(stage, None)
            else:
                self._seen[stage] = value
            if stage == PENDING:
                self._rotating = value is not None

    def learn(self, current: SecretValue, *, moved: bool) -> None:
        """AWSCURRENT was read."""
        with self._lock:
            if moved:
                self._moved_at = self._secret.clock()
                # The label went back to a version that was refused long before: it is meant to work again.
                refused = self._refused.get(current.version_id)
                if refused is not None and (self._doubt_since is None or refused.at < self._doubt_since):
                    del self._refused[current.version_id]
            if self._preferred is not None and self._preferred[1] != current.version_id:
                self._preferred = None

    def refused(self, value: SecretValue) -> None:
        """The database refused a version."""
        now = self._secret.clock()
        with self._lock:
            if self._doubt_since is None:
                self._doubt_since = now
                self._left, self._interval = [], _FIRST_INTERVAL
                self._next_look = self._next_full_look = float("-inf")
                self._rotating = False
                self._seen.clear()
            before = self._refused.get(value.version_id)
            self._refused[value.version_id] = Refused(value, now, before.times + 1 if before else 1)
        logger.warning("secret %s: version %s is refused by the database", self._secret.secret_id, value.name)

    def worked(self, value: SecretValue, current: SecretValue) -> bool:
        """A login worked. Gives whether that was in doubt."""
        # Without the lock: what is read here is only ever replaced.
        self._proven = value.version_id
        if self._doubt_since is None and value.version_id not in self._refused:
            return False
        with self._lock:
            self._preferred = (value, current.version_id) if value != current else None
            self._refused.pop(value.version_id, None)
            # The rest stays refused for as long as it is in reach of a label.
            while len(self._refused) > len(STAGES):
                self._refused.pop(next(iter(self._refused)))
            self._doubt_since = None
            self._left = []
        logger.info("secret %s: version %s works", self._secret.secret_id, value.name)
        return True

    def proven(self, value: SecretValue) -> bool:
        """Whether this version is the one that worked last."""
        return self._proven == value.version_id

    def pause(self, patience: float) -> float | None:
        """How long to wait before looking again; None where waiting makes no sense."""
        now = self._secret.clock()
        with self._lock:
            if self._doubt_since is None:
                self._doubt_since = now
            unknown = PENDING in self.unreadable and CURRENT not in self.unreadable
            moving = self._rotating or unknown or now - self._moved_at < patience
            if now - self._doubt_since >= (patience if moving else min(patience, _LAG)):
                return None
            return self._interval / 4

    def refused_names(self) -> list[str]:
        """The versions that were refused, for messages."""
        with self._lock:
            return [one.value.name for one in self._refused.values()]

    def after_fork(self) -> None:
        """In a forked child: no thread holds the lock."""
        self._lock = threading.Lock()


def comparable(value: SecretValue, current: SecretValue) -> bool:
    """Whether a version leads to the same server and database as AWSCURRENT."""
    ours, theirs = current.keys_of_json, value.keys_of_json
    if ours is None or theirs is None:
        # The whole value is the password.
        return ours is None and theirs is None
    return _rest(ours.items()) == _rest(theirs.items())


def _rest(items: Iterable[tuple[str, object]]) -> dict[str, object]:
    return {key: value for key, value in items if key not in _CREDENTIALS}
