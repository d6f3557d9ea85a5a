"""Logical ids that stay what they are: a schedule whose id changes is deleted and made anew by CloudFormation."""

from __future__ import annotations

import hashlib
import re


def construct_id(label: str) -> str:
    """An id for a name of the user's, the same each time, and another one for another name.

    Args:
        label: a secret's or a function's name.
    """
    safe = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-")
    if safe == label:
        return safe
    return f"{safe}-{hashlib.sha256(label.encode()).hexdigest()[:6]}"
