"""A clock that only tests advance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """The simulated service's clock. It stands still until it is advanced.

    Args:
        now: the time it shows, with a time zone; by default the current time.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self._now = (now or datetime.now(UTC)).astimezone(UTC)

    @property
    def now(self) -> datetime:
        """The clock's time, in UTC."""
        return self._now

    def advance(self, **by: float) -> None:
        """Advance the clock: ``clock.advance(days=30, hours=1)``, with the arguments of ``timedelta``.

        Raises:
            ValueError: the clock would go back.
        """
        step = timedelta(**by)
        if step < timedelta():
            raise ValueError("time goes forward only")
        self._now += step
