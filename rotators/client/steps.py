"""One algorithm for threads and for asyncio: a generator yields what is to be done, and a driver does it."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
Steps = Generator[Any, Any, T]


@dataclass(frozen=True)
class Wait:
    """Wait for a future. Gives whether it is done.

    Args:
        future: what another thread or task will complete.
        seconds: no longer than this.
    """

    future: concurrent.futures.Future[Any]
    seconds: float | None = None


@dataclass(frozen=True)
class Run:
    """Call something that blocks. Gives what it returns."""

    call: Callable[[], Any]


@dataclass(frozen=True)
class Sleep:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True)
class Login:
    """Log in with a value. Gives the connection."""

    value: Any


def drive(steps: Steps[T], connect: Callable[[Any], Any] | None = None) -> T:
    """Carry steps out in this thread.

    Args:
        steps: what to do.
        connect: what a :class:`Login` is done with.

    Returns:
        What the generator returns.
    """

    def perform(step: Any) -> Any:
        match step:
            case Wait():
                done, _ = concurrent.futures.wait([step.future], step.seconds)
                return bool(done)
            case Run():
                return step.call()
            case Sleep():
                return time.sleep(step.seconds)
            case Login() if connect is not None:
                return connect(step.value)
        raise AssertionError(step)

    try:
        step = next(steps)
        while True:
            try:
                answer = perform(step)
            except BaseException as error:  # noqa: BLE001  # the generator decides what becomes of it
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


async def drive_async(steps: Steps[T], connect: Callable[[Any], Awaitable[Any]] | None = None) -> T:
    """Carry steps out in this task, without blocking the event loop. As :func:`drive`, with ``connect`` awaited."""

    import asyncio  # noqa: PLC0415  # slow to import, and there already where it is needed

    async def perform(step: Any) -> Any:
        match step:
            case Wait():
                # Shielded: the future is shared, and a task that is cancelled must not cancel it for the others.
                shared = asyncio.shield(asyncio.wrap_future(step.future))
                done, _ = await asyncio.wait([shared], timeout=step.seconds)
                return bool(done)
            case Run():
                # Shielded: others wait for what this call completes.
                return await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, step.call))
            case Sleep():
                return await asyncio.sleep(step.seconds)
            case Login() if connect is not None:
                return await connect(step.value)
        raise AssertionError(step)

    try:
        step = next(steps)
        while True:
            try:
                answer = await perform(step)
            except BaseException as error:  # noqa: BLE001  # the generator decides what becomes of it
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
