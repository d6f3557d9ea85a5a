"""One algorithm for threads and for asyncio: a generator yields actions, and a driver performs them."""

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
    """Wait for a future. The driver sends back whether it is done.

    Args:
        future: completed by another thread or task.
        seconds: the longest time to wait.
    """

    future: concurrent.futures.Future[Any]
    seconds: float | None = None


@dataclass(frozen=True)
class Run:
    """Call something that blocks. The driver sends back what it returns."""

    call: Callable[[], Any]


@dataclass(frozen=True)
class Sleep:
    """Wait for a time, in seconds."""

    seconds: float


@dataclass(frozen=True)
class Login:
    """Log in with a value. The driver sends back the connection."""

    value: Any


def drive(steps: Steps[T], connect: Callable[[Any], Any] | None = None) -> T:
    """Perform steps in this thread.

    Args:
        steps: the generator.
        connect: performs a :class:`Login`.

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
    """Perform steps in this task, without blocking the event loop. Like :func:`drive`, but awaits ``connect``."""

    import asyncio  # noqa: PLC0415  # slow to import; already loaded where it is needed

    async def perform(step: Any) -> Any:
        match step:
            case Wait():
                # Shielded: the future is shared, and a cancelled task must not cancel it for the others.
                shared = asyncio.shield(asyncio.wrap_future(step.future))
                done, _ = await asyncio.wait([shared], timeout=step.seconds)
                return bool(done)
            case Run():
                # Shielded: others wait for this call's result.
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
