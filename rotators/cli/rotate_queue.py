"""Chooses the next secret to rotate: by quotas, by the limit on rotations at a time, and by shared databases."""

from __future__ import annotations

from collections import Counter, deque

from rotators.cli.rotate_choice import Task
from rotators.cli.rotate_pace import Pace

Group = tuple[str, ...]


class Queue:
    """The waiting secrets. Groups take turns, so that each database gets its share from the beginning.

    Args:
        pace: the quotas.
        at_once: the most rotations at a time.
        per_group: the most of one group at a time.
    """

    def __init__(self, pace: Pace, at_once: int, per_group: int) -> None:
        self._pace = pace
        self._at_once = at_once
        self._per_group = per_group
        # By account and Region, then by group.
        self._waiting: dict[str, dict[Group, deque[Task]]] = {}
        self._length = 0
        self._under_way: Counter[Group] = Counter()
        self._busy = 0

    def __len__(self) -> int:
        """How many secrets wait."""
        return self._length

    def add(self, task: Task, *, first: bool = False) -> None:
        """Add a secret; ``first``: before all others of its group."""
        tasks = self._waiting.setdefault(task.quota, {}).setdefault(task.group, deque())
        (tasks.appendleft if first else tasks.append)(task)
        self._length += 1

    def occupy(self, task: Task) -> None:
        """Count a rotation that is already in progress."""
        self._under_way[task.group] += 1
        self._busy += 1

    def release(self, task: Task) -> None:
        """Count a rotation in progress no longer."""
        self._under_way[task.group] -= 1
        self._busy -= 1

    def take(self, now: float) -> tuple[Task | None, float | None]:
        """Take the next secret that may be rotated. It counts as in progress from now on.

        Args:
            now: monotonic seconds.

        Returns:
            The secret, and None. If there is none now: None, and the seconds until there may be one, or None if
            another rotation must end first.
        """
        if self._busy >= self._at_once:
            return None, None
        shortest: float | None = None
        for quota, groups in self._waiting.items():
            group = next((one for one in groups if self._under_way[one] < self._per_group), None)
            if group is None:
                continue
            bucket = self._pace.bucket("rotate_secret", quota)
            if bucket.take(now):
                return self._pop(groups, group), None
            delay = bucket.delay(now)
            shortest = delay if shortest is None else min(shortest, delay)
        return None, shortest

    def _pop(self, groups: dict[Group, deque[Task]], group: Group) -> Task:
        tasks = groups.pop(group)
        task = tasks.popleft()
        if tasks:
            # The group goes to the end.
            groups[group] = tasks
        self._length -= 1
        self.occupy(task)
        return task
