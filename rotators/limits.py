"""Time limits for work that may block, on a server that stays silent or sends a byte a second.

A driver's own time-outs start again with every byte, or cover only a part of the work. These cover all of it.
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
        expired: whether the time ran out, so that ``cut`` caused what the block raised.
    """

    def __init__(self) -> None:
        self.expired = False


@dataclass(frozen=True, eq=False)
class _Block:
    """A block that is being run.

    Args:
        end: when its time is over, by ``time.monotonic()``.
        cut: ends what the block waits for.
        limit: gets ``expired``.
    """

    end: float
    cut: Callable[[], None]
    limit: Limit


class _Watch:
    """Ends blocks whose time is over, in one thread for all: a thread per statement costs more than the statement.

    The thread is woken only for a block that must end before all others. Otherwise it looks when it wakes by itself.
    """

    def __init__(self) -> None:
        self._blocks: set[_Block] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes = math.inf

    def add(self, block: _Block) -> None:
        """Watch a block from now on."""
        with self._changed:
            self._blocks.add(block)
            if self._thread is None:
                thread = threading.Thread(target=self._run, daemon=True, name="rotators-limits")
                thread.start()
                # Set only once it runs: if no thread can be started, the next block tries again.
                self._thread = thread
            elif block.end < self._wakes:
                self._changed.notify()

    def discard(self, block: _Block) -> None:
        """Stop watching a block that has ended: it is not cut afterwards."""
        with self._changed:
            self._blocks.discard(block)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for block in [one for one in self._blocks if one.end <= now]:
                    self._blocks.discard(block)
                    block.limit.expired = True
                    # An error means that what the block waited for has just ended. Keep watching the others.
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
        cut: ends at once what the block waits for. It must not block. It may be called when the wait has just ended,
            but is never called after the block.
        limit: keeps the state; by default a new one.

    Yields:
        The limit.
    """
    block = _Block(time.monotonic() + seconds, cut, limit or Limit())
    watch = _watch
    watch.add(block)
    try:
        yield block.limit
    finally:
        watch.discard(block)


def cut_socket(descriptor: int) -> None:
    """Shut a connection down, so that a read in any thread ends at once.

    Args:
        descriptor: the socket's file descriptor. It stays open: its owner closes it.

    Raises:
        OSError: it is not an open socket.
    """
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


def within(seconds: float, work: Callable[[], ResultT]) -> ResultT:
    """Call a function in a new thread, and stop waiting if it takes too long.

    For drivers whose sockets can't be reached. A thread that takes too long is left behind: nothing that it uses may be
    used again. It has the caller's context variables.

    Args:
        seconds: how long the function may take.
        work: the function.

    Returns:
        What ``work`` returns.

    Raises:
        TimeoutError: it took longer.
        Exception: what ``work`` raised.
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
