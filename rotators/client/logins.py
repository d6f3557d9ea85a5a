"""A process's knowledge of a secret's logins: which version works, which were refused, when to look again."""

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
# Only these keys may differ between versions that are tried in place of each other. Any other difference means another
# server, and an application must not log in to a database that it has left.
_CREDENTIALS = frozenset({"username", "password"})
# Seconds. The database's commit and the label's move are at most _COMMIT apart; readers see the label up to _LAG later.
_COMMIT, _LAG = 0.1, 1.0
_FIRST_INTERVAL, _INTERVAL = 0.05, 0.4
# Seconds between looks at all labels after logins have failed for a while.
_ALL_LABELS = 5.0


@dataclass
class Refused:
    """A version that was refused.

    Args:
        value: the version.
        at: when it was last refused.
        times: how often it was refused since it last worked.
    """

    value: SecretValue
    at: float
    times: int = 1


class Logins:
    """State shared by all logins of a process with one secret.

    Args:
        secret: the secret.
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
        """The labels whose last read failed, and why."""

    def candidates(self, current: SecretValue) -> list[SecretValue]:
        """The versions to try, best first: the one that worked with this AWSCURRENT, AWSCURRENT, then the others."""
        with self._lock:
            found = []
            if self._preferred is not None and self._preferred[1] == current.version_id:
                found.append(self._preferred[0])
            found.append(current)
            found += [value for value in self._seen.values() if comparable(value, current)]
        return list(dict.fromkeys(found))

    def is_new(self, value: SecretValue) -> bool:
        """Whether neither this version nor one with the same content was refused."""
        with self._lock:
            if value.version_id in self._refused:
                return False
            # The same content under another version id. AWSCURRENT is tried even so: it may be stored on purpose.
            twice = any(one.value.same_content(value) for one in self._refused.values())
            return not twice or value.stage == CURRENT

    def to_repeat(self, values: Iterable[SecretValue], turns: Turns) -> SecretValue | None:
        """A refused version to try again, since the database may have changed; None: not now."""
        with self._lock:
            # Keep the last login of the budget for a new version.
            reserve = 1 if turns.refusals > 1 else 0
            if turns.used >= turns.refusals - reserve:
                return None
            now, pause = self._secret.clock(), turns.PER / (turns.refusals - reserve)
            due = []
            for value in values:
                refused = self._refused.get(value.version_id)
                if refused is None:
                    continue
                # Try once more: the commit may come after the label's move.
                once_more = self._rotating and refused.times == 1 and value.stage != PREVIOUS
                if now - refused.at >= (_COMMIT if once_more else pause):
                    due.append((refused.at, value))
            return min(due, key=lambda one: one[0])[1] if due else None

    def next_label(self, now: float) -> tuple[str, float] | None:
        """The label to read now, and how recent the read must be; None: none is due yet."""
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
        """Note what a label's read gave: a version, none, or why it failed."""
        with self._lock:
            if error is not None:
                self.unreadable[stage] = error
                if stage == CURRENT:
                    # The other labels can't be read either.
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
        """Note that AWSCURRENT was read, and whether it moved."""
        with self._lock:
            if moved:
                self._moved_at = self._secret.clock()
                # The label went back to a version that was refused earlier: it should work again.
                refused = self._refused.get(current.version_id)
                if refused is not None and (self._doubt_since is None or refused.at < self._doubt_since):
                    del self._refused[current.version_id]
            if self._preferred is not None and self._preferred[1] != current.version_id:
                self._preferred = None

    def refused(self, value: SecretValue) -> None:
        """Note that the database refused a version."""
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
        """Note that a login worked.

        Returns:
            Whether that was not known before.
        """
        # No lock: the attributes read here are replaced, never changed in place.
        self._proven = value.version_id
        if self._doubt_since is None and value.version_id not in self._refused:
            return False
        with self._lock:
            self._preferred = (value, current.version_id) if value != current else None
            self._refused.pop(value.version_id, None)
            # The others stay refused while a label may still point to them.
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
        """Seconds to wait before looking again; None if waiting is useless."""
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
        """The names of the refused versions, for messages."""
        with self._lock:
            return [one.value.name for one in self._refused.values()]

    def after_fork(self) -> None:
        """Replace the lock in a forked child: a thread of the parent may have held it."""
        self._lock = threading.Lock()


def comparable(value: SecretValue, current: SecretValue) -> bool:
    """Whether a version is for the same server and database as AWSCURRENT."""
    ours, theirs = current.keys_of_json, value.keys_of_json
    if ours is None or theirs is None:
        # The whole value is the password.
        return ours is None and theirs is None
    return _rest(ours.items()) == _rest(theirs.items())


def _rest(items: Iterable[tuple[str, object]]) -> dict[str, object]:
    return {key: value for key, value in items if key not in _CREDENTIALS}
