"""How a check asks AWS: through whoever has boto3's sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rotators.errors import RotationError


class AwsRefused(RotationError):
    """A call to AWS was refused, or had no answer.

    Args:
        what: what happened and where.
        advice: what to do next.
        code: AWS's own word for it: ``AccessDeniedException``; empty where AWS said nothing.
    """

    def __init__(self, what: str, advice: str = "", code: str = "") -> None:
        super().__init__(what, advice)
        self.code = code

    @property
    def denied(self) -> bool:
        """Whether the caller may not."""
        return self.code in _DENIED

    @property
    def missing(self) -> bool:
        """Whether there is no such thing."""
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
            service: ``lambda``, as boto3 spells it.
            operation: ``get_function``, likewise.
            parameters: what it takes.

        Raises:
            AwsRefused: it was refused, or had no answer.
        """
