"""What DescribeSecret tells of a rotation that was started with a token of ours.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum, auto
from typing import Any

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
Stages = Mapping[str, list[str]]


class Seen(Enum):
    """What it tells."""

    UNDER_WAY = auto()
    """The version has AWSPENDING."""
    ROTATED = auto()
    """It is AWSCURRENT, and the rotation is over."""
    REPLACED = auto()
    """Another version than the one before has become AWSCURRENT since."""
    GONE = auto()
    """It has no label, and a version of before is AWSCURRENT; or it was never made."""


def stages_of(described: Mapping[str, Any]) -> Stages:
    """The labels of each version that has one."""
    return described.get("VersionIdsToStages") or {}


def holder(stages: Stages, label: str) -> str | None:
    """The version with a label."""
    return next((version for version, labels in stages.items() if label in labels), None)


def half_done(stages: Stages) -> str | None:
    """The version of a rotation that is not over: while there is one, RotateSecret is refused."""
    pending = holder(stages, PENDING)
    return None if pending == holder(stages, CURRENT) else pending


def judge(described: Mapping[str, Any], token: str, before: Collection[str | None], rotated_before: str | None) -> Seen:
    """Say how a rotation is.

    Args:
        described: what DescribeSecret answered.
        token: the rotation's version.
        before: the versions that were AWSCURRENT before it. A read may be late, and show an older one than the last.
        rotated_before: LastRotatedDate then.
    """
    stages = stages_of(described)
    labels = stages.get(token, [])
    if CURRENT in labels:
        # With one user the label moves at the second step of four. Secrets Manager takes AWSPENDING away at the end, or
        # dates the rotation where the function leaves the label on.
        over = PENDING not in labels or date(described, "LastRotatedDate") != rotated_before
        return Seen.ROTATED if over else Seen.UNDER_WAY
    if PENDING in labels:
        return Seen.UNDER_WAY
    return Seen.GONE if holder(stages, CURRENT) in before else Seen.REPLACED


def date(described: Mapping[str, Any], key: str) -> str | None:
    """A date, to be compared and kept."""
    found = described.get(key)
    return None if found is None else str(found.isoformat() if hasattr(found, "isoformat") else found)
