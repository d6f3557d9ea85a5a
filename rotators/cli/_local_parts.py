"""What ``rotators local`` uses of the test kit, whose packages are extras."""

from __future__ import annotations

from rotators.testing import Rotation, RotationService

__all__ = ["Rotation", "RotationService"]
