"""Ends what takes longer than it may: a server that stays silent, or one that sends a byte a second.

A driver's own time-outs begin anew with every byte, or hold for a part of the work only. These hold for the whole.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

ResultT = TypeVar("ResultT")


class Limit:
    """The state of a block under :func:`limited`.

    Attributes:
        expired: whether the time was over, so that what was raised was our own doing.
    """

    def __init__(self) -> None:
        self.expired = False


@dataclass(frozen=True, eq=False)
class _Block:
    """A block that is being run.

    Args:
        end: until when, by ``time.monotonic()``.
        cut: ends what it waits for.
        limit: is told.
    """

    end: float
    cut: Callable[[], None]
    limit: Limit


class _Watch:
    """Ends blocks whose time is over: one thread for all, as a thread for each statement costs more than the statement.

    The thread is woken only for a block that ends before all others: it looks at what is there when it wakes by itself.
    """

    def __init__(self) -> None:
        self._blocks: set[_Block] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes = math.inf

    def add(self, block: _Block) -> None:
        """Watch it from now on."""
        with self._changed:
            self._blocks.add(block)
            if self._thread is None:
                thread = threading.Thread(target=self._run, daemon=True, name="rotators-limits")
                thread.start()
                # Not before it runs: where no thread can be started, the next block asks again.
                self._thread = thread
            elif block.end < self._wakes:
                self._changed.notify()

    def discard(self, block: _Block) -> None:
        """The block has ended: from here on it is not cut any more."""
        with self._changed:
            self._blocks.discard(block)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for block in [one for one in self._blocks if one.end <= now]:
                    self._blocks.discard(block)
                    block.limit.expired = True
                    # Whatever it raises: what the block waited for has just ended by itself. The others are watched on.
                    with contextlib.suppress(Exception):
                        block.cut()
                self._wakes = min((one.end for one in self._blocks), default=math.inf)
                self._changed.wait(min(self._wakes - now, threading.TIMEOUT_MAX))


_watch = _Watch()


def _watch_anew() -> None:
    global _watch  # noqa: PLW0603  # a forked process has the lock and the blocks, but not the thread
    _watch = _Watch()


os.register_at_fork(after_in_child=_watch_anew)


@contextmanager
def limited(seconds: float, cut: Callable[[], None], limit: Limit | None = None) -> Iterator[Limit]:
    """Call ``cut`` from another thread if the block takes longer, so that what it waits for fails.

    Args:
        seconds: how long the block may take.
        cut: ends what the block waits for, at once, without waiting itself; may be called when that has just ended by
            itself, but not after the block.
        limit: where the state is kept; by default a new one.
    """
    block = _Block(time.monotonic() + seconds, cut, limit or Limit())
    watch = _watch
    watch.add(block)
    try:
        yield block.limit
    finally:
        watch.discard(block)


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
