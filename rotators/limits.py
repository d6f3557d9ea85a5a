"""Ends what takes longer than it may: a server that stays silent, or one that sends a byte a second.

A driver's own time-outs begin anew with every byte, or hold for a part of the work only. These hold for the whole.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

ResultT = TypeVar("ResultT")


class Limit:
    """The state of a block under :func:`limited`.

    Attributes:
        expired: whether the time was over, so that what was raised was our own doing.
    """

    def __init__(self) -> None:
        self.expired = False


@contextmanager
def limited(seconds: float, cut: Callable[[], None], limit: Limit | None = None) -> Iterator[Limit]:
    """Call ``cut`` from another thread if the block takes longer, so that what it waits for fails.

    Args:
        seconds: how long the block may take.
        cut: ends what the block waits for; may be called when that has just ended by itself.
        limit: where the state is kept; by default a new one.
    """
    limit = limit or Limit()

    def expire() -> None:
        limit.expired = True
        with contextlib.suppress(OSError, ValueError):
            cut()

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield limit
    finally:
        timer.cancel()


def cut_socket(descriptor: int) -> None:
    """Shut a connection down, whoever waits for it: a read ends at once.

    Args:
        descriptor: the socket's; it stays open, and its owner closes it.

    Raises:
        OSError: it is no open socket.
    """
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


def within(seconds: float, work: Callable[[], ResultT]) -> ResultT:
    """Do something in a thread of its own, and go on without it if it takes longer.

    For drivers whose sockets can't be reached. The thread is left behind: what it holds must not be used again. It
    has the context variables of the caller's.

    Args:
        seconds: how long it may take.
        work: what to do.

    Raises:
        TimeoutError: it took longer.
        Exception: whatever ``work`` raised.
    """
    results: list[ResultT] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  # handed over to the caller
            errors.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), daemon=True, name="rotators-within")
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:.1f} s")
    return results[0]
