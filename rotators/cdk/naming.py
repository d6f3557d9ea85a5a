"""Stable logical ids: CloudFormation deletes a schedule whose id changes, and makes another."""

from __future__ import annotations

import hashlib
import re


def construct_id(label: str) -> str:
    """A construct id for a user's name: always the same for a name, and different for different names.

    Args:
        label: a secret's or a function's name.
    """
    safe = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-")
    if safe == label:
        return safe
    return f"{safe}-{hashlib.sha256(label.encode()).hexdigest()[:6]}"
