"""Starts the rotations of a fleet, and follows each to its end."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from shlex import quote
from typing import Any, Protocol

from rotators.checks.aws import AwsRefused
from rotators.cli import failed_steps
from rotators.cli.failed_steps import FailedStep, FailedSteps
from rotators.cli.rotate_choice import Task
from rotators.cli.rotate_journal import Journal
from rotators.cli.rotate_look import CURRENT, Seen, date, half_done, holder, judge, stages_of
from rotators.cli.rotate_outcome import Result, Turn
from rotators.cli.rotate_pace import Pace
from rotators.cli.rotate_queue import Queue
from rotators.due import overdue

# A botocore client keeps ten connections.
_CALLS_AT_ONCE = 10
_FIRST_LOOK, _LONGEST_PAUSE, _SLOWER = 2.0, 10.0, 1.5
# Seconds after which a started rotation must be visible.
_VISIBLE_AFTER = 10.0
_LOG_AFTER, _LOG_PAUSE = 20.0, 20.0
REPLACED = "another version has become AWSCURRENT since"
_MOST_SENT = 3
_MOST_THROTTLED = 10
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html#quotas_throttling
_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestLimitExceeded",
     "TooManyRequestsException", "LimitExceededException", "RequestThrottled", "SlowDown"}
)  # fmt: skip


class Time(Protocol):
    """A run's clock."""

    @property
    def now(self) -> datetime:
        """The current time, in UTC."""

    def seconds(self) -> float:
        """Monotonic seconds."""

    def wait(self, calls: set[Future[Any]], seconds: float | None) -> set[Future[Any]]:
        """Wait until one of these calls has ended, for at most some seconds.

        Args:
            calls: the calls.
            seconds: the longest time to wait; None: no limit.

        Returns:
            The calls that have ended.
        """


class RealTime:
    """This machine's clock."""

    @property
    def now(self) -> datetime:
        """The time of day, UTC."""
        return datetime.now(UTC)

    def seconds(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()

    def wait(self, calls: set[Future[Any]], seconds: float | None) -> set[Future[Any]]:
        """See :class:`Time`."""
        if not calls:
            time.sleep(seconds or 0.0)
            return set()
        return wait(calls, timeout=seconds, return_when=FIRST_COMPLETED).done


class Watcher(Protocol):
    """Gets each event of a run as it happens."""

    def started(self, task: Task, at: datetime) -> None:
        """A rotation was started, or is followed again."""

    def failing(self, task: Task, step: FailedStep) -> None:
        """A step has failed. Secrets Manager retries it."""

    def over(self, task: Task) -> None:
        """A secret is done."""

    def tick(self, now: datetime) -> None:
        """Time has passed."""


@dataclass(frozen=True)
class Limits:
    """The limits of a run.

    Args:
        at_once: the most rotations at a time.
        per_group: the most of one group at a time.
        failures: none is started once this many have failed or are failing.
        timeout: how many seconds to wait for a rotation's end.
    """

    at_once: int = 100
    per_group: int = 10
    failures: int = 10
    timeout: float = 900.0


@dataclass
class _Followed:
    """A rotation in progress."""

    task: Task
    since: float
    next_look: float
    pause: float = _FIRST_LOOK
    sent: int = 1
    doubtful: bool = False
    looking: bool = False
    failed: FailedStep | None = None


@dataclass
class _Log:
    """A function's log."""

    next_read: float = 0.0
    reading: bool = False
    unread: str = ""


Settle = Callable[[Future[Any]], None]


@dataclass
class Follower:
    """Starts the rotations, and waits until they are over.

    Args:
        tasks: all secrets, including those that are left out.
        journal: gets each rotation before it is started.
        pace: the quotas.
        limits: the limits.
        time: the clock.
        watcher: gets the events.
        begun: older log lines are ignored.
    """

    tasks: Sequence[Task]
    journal: Journal
    pace: Pace
    limits: Limits
    time: Time
    watcher: Watcher
    begun: datetime
    _queue: Queue = field(init=False)
    _followed: dict[str, _Followed] = field(init=False, default_factory=dict)
    _calls: dict[Future[Any], Settle] = field(init=False, default_factory=dict)
    _logs: dict[tuple[int, str], _Log] = field(init=False, default_factory=dict)
    _failed: int = field(init=False, default=0)
    _throttled: Counter[str] = field(init=False, default_factory=Counter)

    def run(self) -> None:
        """Rotate all tasks.

        Raises:
            ConfigurationError: the journal can't be written.
            KeyboardInterrupt: the user pressed Ctrl-C. Rotations that were started continue in Secrets Manager.
        """
        self._queue = Queue(self.pace, self.limits.at_once, self.limits.per_group)
        for task in self.tasks:
            if task.outcome.result not in {Result.ROTATED, Result.LEFT_OUT} and task.arn:
                self._enter(task)
        pool = ThreadPoolExecutor(max_workers=_CALLS_AT_ONCE)
        try:
            while True:
                until = self._submit(pool)
                self.watcher.tick(self.time.now)
                if not self._calls and until is None:
                    break
                for call in self.time.wait(set(self._calls), until):
                    self._calls.pop(call)(call)
        finally:
            pool.shutdown(cancel_futures=True)
            self._leave()

    def _enter(self, task: Task) -> None:
        if task.turn is None:
            self._queue.add(task)
            return
        # The run was interrupted after this was written to the journal: the rotation may or may not have started.
        now = self.time.seconds()
        self._followed[task.arn] = _Followed(task, now, now, doubtful=True)
        self._queue.occupy(task)
        self.watcher.started(task, task.turn.started)

    def _leave(self) -> None:
        """Note what is known about the tasks that are not done."""
        for task in self.tasks:
            outcome = task.outcome
            if outcome.result is not Result.NOT_STARTED:
                continue
            if task.turn is not None:
                followed = self._followed.get(task.arn)
                _unfinished(task, None if followed is None else followed.failed, "the run did not wait for its end")
            elif task.rotations:
                outcome.cause = "a further rotation, which makes the old password invalid, was not started"
            else:
                outcome.cause = "the run ended before its turn"
            outcome.remedy = outcome.remedy or f"rotators rotate --resume {quote(str(self.journal.file))}"

    # What is due.

    def _submit(self, pool: ThreadPoolExecutor) -> float | None:
        """Make the calls that are due. Returns the seconds until the next is due; None: there is none."""
        now = self.time.seconds()
        delays = [self._start_some(pool, now), self._look_at_some(pool, now), self._read_logs(pool, now)]
        return min((delay for delay in delays if delay is not None), default=None)

    def _braked(self) -> bool:
        failing = sum(one.failed is not None for one in self._followed.values())
        return self._failed + failing >= self.limits.failures

    def _start_some(self, pool: ThreadPoolExecutor, now: float) -> float | None:
        while len(self._queue) and not self._braked():
            task, delay = self._queue.take(now)
            if task is None:
                return delay
            self._call(pool, partial(self._start, task), partial(self._settle, task))
        return None

    def _look_at_some(self, pool: ThreadPoolExecutor, now: float) -> float | None:
        soonest: float | None = None
        for one in list(self._followed.values()):
            if one.looking:
                continue
            delay = one.next_look - now
            if delay <= 0:
                bucket = self.pace.bucket("describe_secret", one.task.quota)
                delay = 0.0 if bucket.take(now) else bucket.delay(now)
            if delay <= 0:
                one.looking = True
                self._call(pool, partial(_describe, one.task), partial(self._seen, one))
            else:
                soonest = delay if soonest is None else min(soonest, delay)
        return soonest

    def _read_logs(self, pool: ThreadPoolExecutor, now: float) -> float | None:
        soonest: float | None = None
        late = [one for one in self._followed.values() if one.failed is None and one.task.log_group]
        for one in late:
            log = self._logs.setdefault((one.task.at, one.task.log_group), _Log())
            if log.reading or log.unread:
                continue
            delay = max(one.since + _LOG_AFTER, log.next_read) - now
            if delay <= 0:
                bucket = self.pace.bucket("filter_log_events", one.task.quota)
                delay = 0.0 if bucket.take(now) else bucket.delay(now)
            if delay <= 0:
                log.reading = True
                self._call(pool, partial(self._failed_steps, one.task), partial(self._read, one.task, log))
            else:
                soonest = delay if soonest is None else min(soonest, delay)
        return soonest

    def _call(self, pool: ThreadPoolExecutor, work: Callable[[], Any], settle: Settle) -> None:
        self._calls[pool.submit(work)] = settle

    # Starting.

    def _start(self, task: Task) -> AwsRefused | None:
        """Start a rotation, in a thread of the pool. Returns why it was refused; None: it was accepted."""
        turn = task.turn
        try:
            if turn is None:
                turn = self._write_down(task, _describe(task))
            task.place.account.call("secretsmanager", "rotate_secret", SecretId=task.arn, ClientRequestToken=turn.token)
        except AwsRefused as refused:
            if turn is not None and refused.code and _is_made(task, turn):
                # An earlier call was accepted, and its answer was lost.
                return None
            return refused
        return None

    def _write_down(self, task: Task, described: Mapping[str, Any]) -> Turn:
        stages = stages_of(described)
        pending, current = half_done(stages), holder(stages, CURRENT)
        done = [turn for turn in task.outcome.turns if turn.rotated]
        if done and current in task.outcome.versions_before:
            # A stale read: the rotation before this one is known to be over.
            pending, current = None, done[-1].token
        if pending is not None:
            raise AwsRefused(
                f"an earlier rotation is half-done: AWSPENDING is on version {pending}",
                f"see: rotators explain {task.arn}; then: rotators repair {task.arn}",
                code="half-done",
            )
        turn = Turn(
            str(uuid.uuid4()),
            current,
            self.time.now,
            rotated_before=date(described, "LastRotatedDate"),
        )
        self.journal.write(
            "start",
            turn.started,
            arn=task.arn,
            token=turn.token,
            before=turn.before,
            rotated_before=turn.rotated_before,
        )
        task.outcome.turns.append(turn)
        return turn

    def _settle(self, task: Task, call: Future[AwsRefused | None]) -> None:
        refused = call.result()
        now = self.time.seconds()
        if refused is not None and refused.code in _THROTTLED and self._throttled[task.arn] < _MOST_THROTTLED:
            # With the same token, so it does not matter whether it was started after all.
            self._throttled[task.arn] += 1
            self._queue.release(task)
            self._queue.add(task, first=True)
            self.pace.bucket("rotate_secret", task.quota).punish(now, 1.0)
            return
        if refused is not None and (refused.code or task.turn is None):
            self._refused(task, refused)
            return
        known = self._followed.get(task.arn)
        sent = 1 if known is None else known.sent + 1
        self._followed[task.arn] = _Followed(task, now, now + _FIRST_LOOK, sent=sent, doubtful=refused is not None)
        if known is None:
            self.watcher.started(task, self.time.now)

    def _refused(self, task: Task, refused: AwsRefused) -> None:
        turn = task.turn
        if turn is not None:
            # It was never started, so it does not count.
            task.outcome.turns.remove(turn)
            self.journal.write("refused", self.time.now, arn=task.arn, token=turn.token)
        self._over(task, Result.FAILED, refused.what, refused.advice or f"see: rotators check {task.arn}")

    # Following.

    def _seen(self, one: _Followed, call: Future[Mapping[str, Any]]) -> None:
        one.looking = False
        now = self.time.seconds()
        one.next_look = now + one.pause
        one.pause = min(_LONGEST_PAUSE, one.pause * _SLOWER)
        task, turn = one.task, one.task.turn
        if turn is None:
            raise AssertionError
        try:
            described = call.result()
        except AwsRefused as error:
            if now - one.since >= self.limits.timeout:
                self._over(task, Result.UNFINISHED, f"it can't be looked at: {error.what}", error.advice)
            return
        seen = judge(described, turn.token, task.outcome.versions_before, turn.rotated_before)
        visible = not one.doubtful and now - one.since >= _VISIBLE_AFTER
        if seen is Seen.ROTATED or (seen is Seen.REPLACED and visible):
            self._rotated(one, described, replaced=seen is Seen.REPLACED)
        elif seen is Seen.UNDER_WAY:
            one.doubtful = False
            if now - one.since >= self.limits.timeout:
                minutes = round(self.limits.timeout / 60)
                _unfinished(task, one.failed, f"it was not over after {minutes} min, and Secrets Manager goes on")
                self._over(task, task.outcome.result, task.outcome.cause, task.outcome.remedy)
        elif one.doubtful:
            self._doubt(one, described)
        elif seen is Seen.GONE and visible:
            self._gone(task, turn)

    def _rotated(self, one: _Followed, described: Mapping[str, Any], *, replaced: bool) -> None:
        task, now = one.task, self.time.now
        turn = task.outcome.turns[-1]
        turn.ended, turn.rotated = now, True
        if replaced:
            task.outcome.note = REPLACED
        task.outcome.overdue_after = overdue(described.get("NextRotationDate"), now) or ""
        self.journal.write(
            "rotated", now, arn=task.arn, token=turn.token, overdue_after=task.outcome.overdue_after, replaced=replaced
        )
        if task.rotations < task.outcome.wanted:
            del self._followed[task.arn]
            self._queue.release(task)
            self._queue.add(task, first=True)
            return
        self._over(task, Result.ROTATED, "", "")

    def _doubt(self, one: _Followed, described: Mapping[str, Any]) -> None:
        """No version has the rotation's label, so it may never have started: read the versions without a label."""
        task, turn = one.task, one.task.turn
        if turn is None:
            raise AssertionError
        if _was_made(task, turn.token):
            one.doubtful = False
            if holder(stages_of(described), CURRENT) in task.outcome.versions_before:
                self._gone(task, turn)
            else:
                self._rotated(one, described, replaced=True)
        elif one.sent >= _MOST_SENT:
            self._gone(task, turn)
        else:
            # With the same token: if it was started after all, this starts nothing.
            self._queue.release(task)
            self._queue.add(task, first=True)
            one.looking = True

    def _gone(self, task: Task, turn: Turn) -> None:
        now = self.time.now
        turn.ended = now
        self.journal.write("gone", now, arn=task.arn, token=turn.token)
        failed = self._followed[task.arn].failed
        cause = str(failed) if failed else "its AWSPENDING version was discarded, and AWSCURRENT has not moved"
        task.outcome.step = failed.step if failed else ""
        self._over(task, Result.FAILED, cause, f"see: rotators check {task.arn}; then rotate it again")

    def _failed_steps(self, task: Task) -> FailedSteps:
        return failed_steps.newest(task.place.account, task.log_group, self.time.now, self.begun)[0]

    def _read(self, task: Task, log: _Log, call: Future[FailedSteps]) -> None:
        log.reading = False
        log.next_read = self.time.seconds() + _LOG_PAUSE
        try:
            steps = call.result()
        except AwsRefused as error:
            log.unread = failed_steps.why_unread(error, task.log_group)
            return
        for one in self._followed.values():
            turn = one.task.turn
            found = None if turn is None else steps.get((one.task.arn, turn.token))
            if found is not None and one.failed is None:
                one.failed = found
                self.watcher.failing(one.task, found)

    def _over(self, task: Task, result: Result, cause: str, remedy: str) -> None:
        outcome = task.outcome
        outcome.result, outcome.cause, outcome.remedy = result, cause, remedy
        if result is not Result.ROTATED:
            self._failed += 1
            self.journal.write(
                "failed", self.time.now, arn=task.arn, result=result, step=outcome.step, cause=cause, remedy=remedy
            )
        if self._followed.pop(task.arn, None) is not None or result is Result.FAILED:
            self._queue.release(task)
        self.watcher.over(task)


def _describe(task: Task) -> Mapping[str, Any]:
    return task.place.account.call("secretsmanager", "describe_secret", SecretId=task.arn)


def _is_made(task: Task, turn: Turn) -> bool:
    """Whether a version with a label has the token."""
    try:
        return turn.token in stages_of(_describe(task))
    except AwsRefused:
        return False


def _was_made(task: Task, token: str) -> bool:
    """Whether any version has the token, even one without a label."""
    try:
        reply = task.place.account.call(
            "secretsmanager", "list_secret_version_ids", SecretId=task.arn, IncludeDeprecated=True, MaxResults=100
        )
    except AwsRefused:
        return False
    return any(version.get("VersionId") == token for version in reply.get("Versions", ()))


def _unfinished(task: Task, failed: FailedStep | None, otherwise: str) -> None:
    """Note that a rotation's end was not seen."""
    outcome = task.outcome
    outcome.result = Result.UNFINISHED if failed is None else Result.FAILED
    outcome.step = "" if failed is None else failed.step
    outcome.cause = otherwise if failed is None else str(failed)
    outcome.remedy = f"see: rotators explain {task.arn}"


def replay(tasks: Iterable[Task], lines: Iterable[Mapping[str, Any]]) -> None:
    """Bring tasks to the state in which a run was interrupted.

    Args:
        tasks: as they were chosen.
        lines: the journal's lines.

    Raises:
        KeyError, ValueError: a line is not one of a journal.
    """
    by_arn = {task.arn: task for task in tasks}
    for line in lines:
        kind = line["kind"]
        if kind not in {"start", "rotated", "gone", "refused"}:
            continue
        task, at = by_arn[line["arn"]], datetime.fromisoformat(line["at"])
        turns = task.outcome.turns
        if kind == "start":
            turns.append(Turn(line["token"], line["before"], at, rotated_before=line["rotated_before"]))
            continue
        turn = next(turn for turn in turns if turn.token == line["token"])
        if kind == "refused":
            turns.remove(turn)
            continue
        turn.ended, turn.rotated = at, kind == "rotated"
        if kind == "rotated":
            task.outcome.overdue_after = line["overdue_after"]
            task.outcome.note = REPLACED if line["replaced"] else task.outcome.note
            if task.rotations >= task.outcome.wanted:
                task.outcome.result = Result.ROTATED
