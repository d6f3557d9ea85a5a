"""The interface by which a check calls AWS: the command line implements it with boto3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rotators.errors import RotationError


class AwsRefused(RotationError):
    """AWS refused a call, or did not answer.

    Args:
        what: what happened and where.
        advice: what to do next.
        code: AWS's error code, such as ``AccessDeniedException``; empty if AWS gave none.
    """

    def __init__(self, what: str, advice: str = "", code: str = "") -> None:
        super().__init__(what, advice)
        self.code = code

    @property
    def denied(self) -> bool:
        """Whether the caller lacks the permission."""
        return self.code in _DENIED

    @property
    def missing(self) -> bool:
        """Whether the resource does not exist."""
        return self.code in _MISSING


_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"})
_MISSING = frozenset({"ResourceNotFoundException", "NoSuchEntity", "NotFoundException"})


class Aws(Protocol):
    """One account and Region."""

    @property
    def region(self) -> str:
        """The Region."""

    def call(self, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Make one call.

        Args:
            service: its name in boto3, such as ``lambda``.
            operation: its name in boto3, such as ``get_function``.
            parameters: the operation's parameters.

        Returns:
            The answer.

        Raises:
            AwsRefused: the call was refused, or had no answer.
        """
