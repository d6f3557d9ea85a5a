"""When a rotation is overdue: one rule, for the function that looks for such secrets and for the command line.

NextRotationDate is the end of the window in which a secret should rotate
(https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

GRACE = timedelta(hours=6)
"""The service repeats a rotation that failed for some hours; before, there is nothing to be done by hand."""


def overdue(next_rotation: datetime | None, now: datetime) -> str | None:
    """What is wrong with a secret that should have rotated already; None where it is in time.

    Args:
        next_rotation: its NextRotationDate; None: it has no schedule.
        now: the time.
    """
    if next_rotation is None or next_rotation + GRACE >= now:
        return None
    # boto3 tells dates in the time of wherever it runs.
    return f"it should have rotated by {next_rotation.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
