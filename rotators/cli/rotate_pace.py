"""How fast a fleet may be rotated: a token bucket for each API of each account and Region."""

from __future__ import annotations

from threading import Lock

MARGIN = 0.9
"""The share of a quota that is used: others of the account call too."""
WRITES_A_ROTATION = 2
"""What a function calls in each rotation that counts to one quota of 50: PutSecretValue, UpdateSecretVersionStage."""
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
"""The most rotations that the quotas admit: it is the functions' calls that decide, not RotateSecret."""


class TokenBucket:
    """Admits so many calls a second, and no two at once beyond what it has saved.

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
        """Seconds until a call is admitted; 0: at once.

        Args:
            now: seconds of a clock that never goes back.
        """
        self._fill(now)
        # Sums of floats fall short by some billionths.
        return 0.0 if self._saved > 1.0 - 1e-6 else (1.0 - self._saved) / self.rate

    def take(self, now: float) -> bool:
        """Take a call's token, if there is one."""
        if self.delay(now) > 0.0:
            return False
        self._saved -= 1.0
        return True

    def punish(self, now: float, seconds: float) -> None:
        """Admit nothing for some seconds: the service has throttled a call all the same."""
        self._fill(now)
        self._saved = min(self._saved, 1.0 - seconds * self.rate)

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._saved = min(self._capacity, self._saved + max(0.0, now - self._at) * self.rate)
        self._at = now


class Pace:
    """The buckets.

    Args:
        rotations: RotateSecret's calls a second in each account and Region; None: what the quotas admit, less a margin.
    """

    def __init__(self, rotations: float | None = None) -> None:
        self._rates = {operation: quota * MARGIN for operation, quota in QUOTAS.items()}
        self._rates["rotate_secret"] = rotations or ROTATIONS_A_SECOND * MARGIN
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._lock = Lock()

    def bucket(self, operation: str, place: str) -> TokenBucket:
        """The bucket of an API.

        Args:
            operation: as boto3 spells it.
            place: the account and Region.
        """
        with self._lock:
            return self._buckets.setdefault((operation, place), TokenBucket(self._rates[operation]))
