"""A clock that only tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Time as the simulated service sees it: it stands still until it is advanced.

    Args:
        now: where it stands, with a time zone; without one, the present.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self._now = (now or datetime.now(UTC)).astimezone(UTC)

    @property
    def now(self) -> datetime:
        """The present, UTC."""
        return self._now

    def advance(self, **by: float) -> None:
        """Let time pass: ``clock.advance(days=30, hours=1)``, with the names that ``timedelta`` takes.

        Raises:
            ValueError: it would go backwards.
        """
        step = timedelta(**by)
        if step < timedelta():
            raise ValueError("time goes forward only")
        self._now += step
