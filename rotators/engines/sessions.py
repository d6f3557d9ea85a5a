"""What every session has in common, whatever its driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rotators.errors import ServiceError

if TYPE_CHECKING:
    from types import TracebackType


class Closing(ABC):
    """A session that a ``with`` block ends."""

    @abstractmethod
    def close(self) -> None:
        """End the session."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def test_query_of(user: str) -> Iterator[None]:
    """Say of what fails inside the block that it was ROTATION_TEST_QUERY, and as whom."""
    try:
        yield
    except ServiceError as error:
        raise error.reworded(f"ROTATION_TEST_QUERY failed as '{user}': {error.what}") from None
