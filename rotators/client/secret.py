"""A cached secret of AWS Secrets Manager, shared by all threads and tasks.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from botocore.exceptions import BotoCoreError, ClientError

from rotators.client.errors import SecretUnavailable
from rotators.client.logins import Logins
from rotators.client.steps import Run, Steps, Wait, drive, drive_async
from rotators.client.turns import Turns, turns_of
from rotators.client.value import CURRENT, SecretValue

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

logger = logging.getLogger("rotators.client")

EventKind = Literal["fetched", "fetch-failed", "refused", "worked", "moved"]
_NO_SUCH = "ResourceNotFoundException"
# What botocore's JSON parser and this module raise if a proxy or a wrong endpoint answers. ResponseParserError comes
# only from botocore's other parsers, and importing it takes longer than importing this whole package.
_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
# A value is read again at a random moment between these parts of max_age, so that processes do not all ask at once.
_EARLIEST, _LATEST = 0.75, 0.95
# Seconds without a call after Secrets Manager failed; doubled at each failure.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_alive: weakref.WeakSet[Secret] = weakref.WeakSet()


@dataclass(frozen=True)
class Event:
    """What happened, for metrics.

    Args:
        kind: ``fetched`` or ``fetch-failed``: a call to Secrets Manager. ``refused`` or ``worked``: a login that told
            something new about a version. ``moved``: AWSCURRENT moved to another version.
        secret_id: the secret, as given to :class:`Secret`.
        version_id: the version concerned; None if there is none.
        stage: the staging label by which it was read.
        seconds: how long the call took.
        error: why the call failed: the error's class and code.
    """

    kind: EventKind
    secret_id: str
    version_id: str | None = None
    stage: str = CURRENT
    seconds: float = 0.0
    error: str | None = None


@dataclass
class Held:
    """What reading a label gave.

    Args:
        value: the version; None if no version with a value has the label.
        started: when the call that read it began.
        error: why the last call failed, if it did; ``value`` is then an older one, or None.
        asked: when the last call began.
    """

    value: SecretValue | None
    started: float
    error: Exception | None = None
    asked: float = 0.0

    def __post_init__(self) -> None:
        self.asked = max(self.asked, self.started)


@dataclass
class _Flight:
    """A call in progress that others wait for."""

    started: float
    # Always completed with None, never with an error: those who wait then read what is held.
    done: concurrent.futures.Future[None] = field(default_factory=concurrent.futures.Future)


class Secret:
    """A secret whose value is cached, and read again before it is too old.

    One call to Secrets Manager serves all threads and tasks that wait for it. Make one object per process and secret.
    It works in forked children too.

    ::

        secret = Secret("prod/app")
        secret.get()["username"]

    Args:
        secret_id: its name or ARN.
        client: a client for Secrets Manager. By default, one made from the environment, with short time-outs.
        max_age: how many seconds a value is used. It is read again after 75 to 95 % of this time, by one caller; the
            others use the cached value meanwhile.
        stale_for: how many seconds longer than ``max_age`` a value is used while Secrets Manager fails.
        follow_schedule: also read it again after NextRotationDate. This needs the permission
            secretsmanager:DescribeSecret, and has no effect without it.
        background: read it again in a thread that ends after the call, so that no caller waits. Without it, no thread
            is ever started.
        refusals: how many logins with this secret may be refused in a minute (:func:`rotators.client.connect_with`).
        logins_at_once: how many logins may run at the same time. Each may be refused when the password changes.
        on_event: called with each :class:`Event`. An exception from it is logged.
        clock: monotonic seconds, for tests.
        wall: the current date and time, for tests.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        secret_id: str,
        client: SecretsManagerClient | None = None,
        *,
        max_age: float = 300.0,
        stale_for: float = 86_400.0,
        follow_schedule: bool = False,
        background: bool = False,
        refusals: int = 3,
        logins_at_once: int = 1,
        on_event: Callable[[Event], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if max_age < 0 or stale_for < 0 or refusals < 1 or logins_at_once < 1:
            raise ValueError("max_age and stale_for must be at least 0, refusals and logins_at_once at least 1")
        self.secret_id = secret_id
        self.clock = clock
        self.max_age = max_age
        self._client = client
        self._stale_for = stale_for
        self._follow_schedule = follow_schedule
        self._background = background
        self._on_event = on_event
        self._wall = wall
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._flights: dict[str, _Flight] = {}
        self._due = float("-inf")
        self._failures = 0
        self._next_rotation: datetime | None = None
        self._refusals, self._at_once = refusals, logins_at_once
        self._turns: Turns | None = None
        self.logins = Logins(self)
        _alive.add(self)

    def __repr__(self) -> str:
        held = self._held.get(CURRENT)
        return f"<Secret {self.secret_id}, version {held.value.version_id if held and held.value else 'not read yet'}>"

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def get(self) -> SecretValue:
        """The value of AWSCURRENT, from the cache if it is recent enough.

        Raises:
            SecretUnavailable: it can't be read, and no cached value may be used.
        """
        return drive(self.current())

    async def get_async(self) -> SecretValue:
        """Like :meth:`get`, without blocking the event loop: the call runs in the loop's executor."""
        return await drive_async(self.current())

    def refresh(self) -> SecretValue:
        """Read AWSCURRENT now. The answer of a call that began earlier does not count.

        Raises:
            SecretUnavailable: it can't be read.
        """
        return _value_of(self, drive(self.fetch(CURRENT, self.clock())))

    async def refresh_async(self) -> SecretValue:
        """Like :meth:`refresh`, without blocking the event loop."""
        return _value_of(self, await drive_async(self.fetch(CURRENT, self.clock())))

    @property
    def version_id(self) -> str | None:
        """The version that was AWSCURRENT at the last read; None before the first. Makes no call."""
        held = self._held.get(CURRENT)
        return held.value.version_id if held and held.value else None

    # For rotators.client.connect.

    def kept(self) -> SecretValue | None:
        """The last value read of AWSCURRENT, however old."""
        held = self._held.get(CURRENT)
        return held.value if held else None

    def emit(self, event: Event) -> None:
        """Call ``on_event``."""
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                logger.exception("on_event of secret %s failed", self.secret_id)

    def turns_for(self, value: SecretValue) -> Turns:
        """The login budget, shared by all objects of this process for the secret."""
        if self._turns is None:
            self._turns = turns_of(value.arn, self._refusals, self._at_once, self.clock)
        return self._turns

    def current(self) -> Steps[SecretValue]:
        """The steps of :meth:`get`."""
        if (young := self._young()) is not None:
            return young
        while True:
            with self._lock:
                kept, now = self._young_now(), self.clock()
                if kept is not None:
                    return kept
                usable = self._usable(now)
                flight = self._flights.get(CURRENT)
                lead = flight is None
                if flight is None:
                    flight = self._flights[CURRENT] = _Flight(now)
            if usable is not None and (not lead or self._background):
                if lead:
                    threading.Thread(
                        target=self._read, args=(CURRENT, flight), name="rotators-secret", daemon=True
                    ).start()
                return usable
            if not lead:
                yield Wait(flight.done)
                held = self._held.get(CURRENT)
                if held is not None and held.error is not None and self._usable(self.clock()) is None:
                    return _value_of(self, held)
                continue
            held = yield from self._lead(CURRENT, flight)
            usable = self._usable(self.clock())
            return usable if usable is not None else _value_of(self, held)

    def fetch(self, stage: str, since: float) -> Steps[Held]:
        """Read a label by a call that began at ``since`` or later: another caller's, or a new one."""
        while True:
            with self._lock:
                held = self._held.get(stage)
                if held is not None and held.asked >= since:
                    return held
                flight = self._flights.get(stage)
                lead = flight is None
                if flight is None:
                    flight = self._flights[stage] = _Flight(self.clock())
            if lead:
                return (yield from self._lead(stage, flight))
            yield Wait(flight.done)

    def _lead(self, stage: str, flight: _Flight) -> Generator[Any, Any, Held]:
        try:
            held: Held = yield Run(lambda: self._read(stage, flight))
        except RuntimeError:
            # The loop's executor accepts no more work. End the flight, so that no one waits for it forever.
            self._end(stage, flight)
            raise
        return held

    # Reading.

    def _read(self, stage: str, flight: _Flight) -> Held:
        try:
            held = self._call(stage, flight.started)
            self._keep(stage, held)
            return held
        finally:
            self._end(stage, flight)

    def _end(self, stage: str, flight: _Flight) -> None:
        with self._lock:
            if self._flights.get(stage) is flight:
                del self._flights[stage]
        if not flight.done.done():
            flight.done.set_result(None)

    def _call(self, stage: str, started: float) -> Held:
        begun = time.perf_counter()
        try:
            if self._client is None:
                self._client = _make_client()
            reply = self._client.get_secret_value(SecretId=self.secret_id, VersionStage=stage)
            value = SecretValue(
                reply["ARN"],
                reply["VersionId"],
                stage,
                text=reply.get("SecretString"),
                binary=reply.get("SecretBinary"),
            )
        except (BotoCoreError, ClientError, *_UNREADABLE) as error:
            code = _code(error)
            held = Held(None, started, None if code == _NO_SUCH and stage != CURRENT else error)
            if held.error is not None:
                logger.warning("secret %s: %s can't be read: %s", self.secret_id, stage, code)
                seconds = time.perf_counter() - begun
                self.emit(Event("fetch-failed", self.secret_id, None, stage, seconds, code))
            return held
        self.emit(Event("fetched", self.secret_id, value.version_id, stage, time.perf_counter() - begun))
        if stage == CURRENT and self._follow_schedule:
            self._next_rotation = self._ask_schedule()
        return Held(value, started)

    def _ask_schedule(self) -> datetime | None:
        if self._next_rotation is not None and self._wall() < self._next_rotation:
            return self._next_rotation
        try:
            if self._client is None:
                return None
            found = self._client.describe_secret(SecretId=self.secret_id).get("NextRotationDate")
        except (BotoCoreError, ClientError, *_UNREADABLE) as error:
            logger.info("secret %s: its schedule can't be read: %s", self.secret_id, _code(error))
            self._follow_schedule = False
            return None
        return found if found is not None and found > self._wall() else None

    def _keep(self, stage: str, held: Held) -> None:
        now = self.clock()
        moved = False
        with self._lock:
            before = self._held.get(stage)
            if held.value is None and held.error is not None and before is not None and before.value is not None:
                # Keep the old value, with the reason why it could not be read again.
                self._held[stage] = Held(before.value, before.started, held.error, asked=held.started)
            else:
                self._held[stage] = held
            if stage != CURRENT:
                return
            if held.error is not None:
                pause = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
                self._failures = min(self._failures + 1, 10)
                self._due = now + pause * random.uniform(0.5, 1)  # noqa: S311  # not used for secrets
                return
            self._failures = 0
            self._due = held.started + self.max_age * random.uniform(_EARLIEST, _LATEST)  # noqa: S311
            if self._next_rotation is not None:
                until = (self._next_rotation - self._wall()).total_seconds()
                self._due = min(self._due, now + max(until, 0.0) + random.uniform(0, 5))  # noqa: S311
            if held.value is not None:
                moved = before is not None and before.value is not None and before.value != held.value
        if held.value is not None:
            if moved:
                logger.info("secret %s: AWSCURRENT is version %s now", self.secret_id, held.value.version_id)
                self.emit(Event("moved", self.secret_id, held.value.version_id))
            self.logins.learn(held.value, moved=moved)

    def _young(self) -> SecretValue | None:
        """The cached value if no read is due. Takes no lock: this is the hot path."""
        held = self._held.get(CURRENT)
        return held.value if held is not None and held.error is None and self.clock() < self._due else None

    def _young_now(self) -> SecretValue | None:
        held = self._held.get(CURRENT)
        if held is None or self.clock() >= self._due:
            return None
        # After a failure no call is due for a while, but the value may be too old to use.
        return held.value if held.error is None else self._usable(self.clock())

    def _usable(self, now: float) -> SecretValue | None:
        """The cached value, if it may be used without another read."""
        held = self._held.get(CURRENT)
        if held is None or held.value is None:
            return None
        allowed = self.max_age + (self._stale_for if held.error is not None else 0.0)
        return held.value if now < held.started + allowed else None

    def after_fork(self) -> None:
        """Reset a forked child: the locks, calls in progress and sockets belong to the parent."""
        self._lock = threading.Lock()
        self._flights.clear()
        self.logins.after_fork()
        if self._turns is not None:
            self._turns.after_fork()
        if self._client is not None:
            # Close the child's copies of the sockets; the client opens new ones.
            with contextlib.suppress(Exception):
                self._client.close()


def _value_of(secret: Secret, held: Held) -> SecretValue:
    if held.error is None and held.value is not None:
        return held.value
    reason = _code(held.error) if held.error is not None else "AWSCURRENT has no value"
    raise SecretUnavailable(
        f"secret {secret.secret_id} can't be read: {reason}; check that it has a value, that the role may call "
        "secretsmanager:GetSecretValue and decrypt with its key, and that Secrets Manager can be reached"
    ) from held.error


def _code(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", type(error).__name__))
    return type(error).__name__


def _make_client() -> SecretsManagerClient:
    """A client made from the environment, by botocore: boto3 may not be installed."""
    import botocore.session  # noqa: PLC0415  # slow to import, and not needed where a client is given
    from botocore.config import Config  # noqa: PLC0415

    config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
    session = botocore.session.get_session()
    client: SecretsManagerClient = session.create_client("secretsmanager", config=config)  # type: ignore[assignment]
    return client


def _after_fork() -> None:
    for secret in list(_alive):
        secret.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
