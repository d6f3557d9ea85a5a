"""What DescribeSecret says about a rotation that this run started with its own token.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum, auto
from typing import Any

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
Stages = Mapping[str, list[str]]


class Seen(Enum):
    """The state of a rotation, by DescribeSecret."""

    UNDER_WAY = auto()
    """The version has AWSPENDING."""
    ROTATED = auto()
    """The version is AWSCURRENT, and the rotation is over."""
    REPLACED = auto()
    """Another version than the one before has become AWSCURRENT since."""
    GONE = auto()
    """The version has no label, or was never made, and an earlier version is AWSCURRENT."""


def stages_of(described: Mapping[str, Any]) -> Stages:
    """The staging labels of each version that has one."""
    return described.get("VersionIdsToStages") or {}


def holder(stages: Stages, label: str) -> str | None:
    """The version with a label."""
    return next((version for version, labels in stages.items() if label in labels), None)


def half_done(stages: Stages) -> str | None:
    """The version of a rotation that is not over; None if there is none. Until then, RotateSecret is refused."""
    pending = holder(stages, PENDING)
    return None if pending == holder(stages, CURRENT) else pending


def judge(described: Mapping[str, Any], token: str, before: Collection[str | None], rotated_before: str | None) -> Seen:
    """The state of a rotation.

    Args:
        described: DescribeSecret's answer.
        token: the rotation's version.
        before: the versions that were AWSCURRENT before. A stale read may show an older one than the last.
        rotated_before: LastRotatedDate before the rotation.
    """
    stages = stages_of(described)
    labels = stages.get(token, [])
    if CURRENT in labels:
        # With a single user, AWSCURRENT moves in setSecret. At the end Secrets Manager removes AWSPENDING, or sets
        # LastRotatedDate if the function leaves the label.
        over = PENDING not in labels or date(described, "LastRotatedDate") != rotated_before
        return Seen.ROTATED if over else Seen.UNDER_WAY
    if PENDING in labels:
        return Seen.UNDER_WAY
    return Seen.GONE if holder(stages, CURRENT) in before else Seen.REPLACED


def date(described: Mapping[str, Any], key: str) -> str | None:
    """A date as text, to compare and to store."""
    found = described.get(key)
    return None if found is None else str(found.isoformat() if hasattr(found, "isoformat") else found)
