"""What the sessions of all engines share."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rotators.errors import ServiceError

if TYPE_CHECKING:
    from types import TracebackType


class Closing(ABC):
    """A session that ends with its ``with`` block."""

    @abstractmethod
    def close(self) -> None:
        """End the session."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def run_test_query(execute: Callable[[str], object], query: str, user: str, *, begin: str, end: str) -> None:
    """Run ROTATION_TEST_QUERY in a transaction that changes nothing.

    Args:
        execute: runs a statement.
        query: the test query.
        user: the user that runs it, for the message.
        begin: begins the transaction.
        end: rolls it back.

    Raises:
        ServiceError: the query failed.
    """
    execute(begin)
    try:
        with test_query_of(user):
            execute(query)
    finally:
        with contextlib.suppress(ServiceError):
            execute(end)


@contextmanager
def test_query_of(user: str) -> Iterator[None]:
    """Add to errors in the block that ROTATION_TEST_QUERY failed, and for which user."""
    try:
        yield
    except ServiceError as error:
        raise error.reworded(f"ROTATION_TEST_QUERY failed as '{user}': {error.what}") from None
