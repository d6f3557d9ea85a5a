"""When a rotation is overdue: one rule for the function that reports such secrets and for the command line.

NextRotationDate is the end of the window in which a secret should rotate
(https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

GRACE = timedelta(hours=6)
"""Secrets Manager retries a failed rotation for some hours. Until then there is nothing to do by hand."""


def overdue(next_rotation: datetime | None, now: datetime) -> str | None:
    """Whether a secret should have rotated already.

    Args:
        next_rotation: its NextRotationDate; None if it has no schedule.
        now: the current time.

    Returns:
        What is wrong, as a phrase; None if the secret is not overdue.
    """
    if next_rotation is None or next_rotation + GRACE >= now:
        return None
    # boto3 gives dates in the local time zone.
    return f"it should have rotated by {next_rotation.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
