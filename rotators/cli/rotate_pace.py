"""How fast a fleet may be rotated: a token bucket for each API of each account and Region."""

from __future__ import annotations

from threading import Lock

MARGIN = 0.9
"""The share of a quota that a run uses: other callers of the account need some too."""
WRITES_A_ROTATION = 2
"""A function's calls per rotation that share one quota of 50 per second: PutSecretValue, UpdateSecretVersionStage."""
# Calls a second in each account and Region: https://docs.aws.amazon.com/secretsmanager/latest/userguide/
# reference_limits.html and, of logs, https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/
# cloudwatch_limits_cwl.html
QUOTAS = {
    "rotate_secret": 50.0,
    "put_secret_value and update_secret_version_stage": 50.0,
    "describe_secret": 40_000.0,
    "filter_log_events": 5.0,
}
ROTATIONS_A_SECOND = min(
    QUOTAS["rotate_secret"], QUOTAS["put_secret_value and update_secret_version_stage"] / WRITES_A_ROTATION
)
"""The most rotations a second that the quotas allow. The functions' calls are the limit, not RotateSecret."""


class TokenBucket:
    """Allows a number of calls a second, and more at once only from unused ones.

    Args:
        rate: calls a second.
        capacity: how many may be saved. With one, no second has more calls than the rate.
    """

    def __init__(self, rate: float, capacity: float = 1.0) -> None:
        self.rate = rate
        self._capacity = capacity
        self._saved = capacity
        self._at: float | None = None

    def delay(self, now: float) -> float:
        """Seconds until a call is allowed; 0: at once.

        Args:
            now: monotonic seconds.
        """
        self._fill(now)
        # Sums of floats are not exact.
        return 0.0 if self._saved > 1.0 - 1e-6 else (1.0 - self._saved) / self.rate

    def take(self, now: float) -> bool:
        """Take a token for a call. Returns whether there was one."""
        if self.delay(now) > 0.0:
            return False
        self._saved -= 1.0
        return True

    def punish(self, now: float, seconds: float) -> None:
        """Allow no call for some seconds, because the service throttled one."""
        self._fill(now)
        self._saved = min(self._saved, 1.0 - seconds * self.rate)

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._saved = min(self._capacity, self._saved + max(0.0, now - self._at) * self.rate)
        self._at = now


class Pace:
    """The buckets.

    Args:
        rotations: calls of RotateSecret a second in each account and Region; None: the quotas less a margin.
    """

    def __init__(self, rotations: float | None = None) -> None:
        self._rates = {operation: quota * MARGIN for operation, quota in QUOTAS.items()}
        self._rates["rotate_secret"] = rotations or ROTATIONS_A_SECOND * MARGIN
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._lock = Lock()

    def bucket(self, operation: str, place: str) -> TokenBucket:
        """The bucket of an API.

        Args:
            operation: its name in boto3.
            place: the account and Region.
        """
        with self._lock:
            return self._buckets.setdefault((operation, place), TokenBucket(self._rates[operation]))
