"""Schedules side by side: processes that each have a server and a world of their own.

Which process runs a schedule makes no difference to it: it is drawn from its seed alone, and counts its own instants.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from chaos.outcomes import Outcome, Part, Ran

# A schedule that is under way ends its processes and gives its server back.
_ENDS_WITHIN = 60.0


Worker = Callable[[Iterator[Part]], Generator[Ran]]


@dataclass
class _Job:
    process: BaseProcess
    pipe: Connection
    part: Part | None = None


@dataclass
class _Stock:
    """What is left to do. A job stays with its engine; else it takes the one that has most for each of its jobs."""

    parts: list[Part]
    jobs: list[_Job] = field(default_factory=list)

    def take(self, job: _Job) -> Part | None:
        """The next part for a job."""
        if not self.parts:
            return None
        kinds = {part.kind for part in self.parts}
        if job.part is not None and job.part.kind in kinds:
            kind = job.part.kind
        else:
            others = [one.part.kind for one in self.jobs if one.part is not None and one is not job]
            left = [part.kind for part in self.parts]
            kind = max(sorted(kinds), key=lambda one: left.count(one) / (1 + others.count(one)))
        part = next(one for one in self.parts if one.kind == kind)
        self.parts.remove(part)
        return part


def side_by_side(parts: list[Part], count: int, work: Worker) -> Generator[Ran]:
    """Run parts in so many processes. They end with this generator, in whatever way it ends.

    Args:
        parts: what to run.
        count: how many processes.
        work: what each does.
    """
    stock = _Stock(list(parts))
    spawn = multiprocessing.get_context("spawn")
    try:
        for _ in range(min(count, len(parts))):
            ours, theirs = spawn.Pipe()
            with theirs:
                process = spawn.Process(target=_serve, args=(theirs, work))
                with _unheard_ctrl_c():
                    process.start()
            stock.jobs.append(_Job(process, ours))
        while stock.jobs:
            for ready in wait([job.pipe for job in stock.jobs]):
                job = next(one for one in stock.jobs if one.pipe is ready)
                yield from _hear(job, stock)
    finally:
        _end(stock.jobs)


def _hear(job: _Job, stock: _Stock) -> Iterator[Ran]:
    """A job says what came of a schedule, or asks for its next part; or it has ended."""
    try:
        said = job.pipe.recv()
        if said is None:
            job.part = stock.take(job)
            job.pipe.send(job.part)
        else:
            yield said
    except (EOFError, ConnectionError):
        stock.jobs.remove(job)
        job.process.join()
        if job.part is not None:
            violation = f"the harness failed: a job ended with code {job.process.exitcode}, its part undone"
            yield Ran(job.part.kind, job.part.strategy, None, Outcome(violation=violation))


@contextlib.contextmanager
def _unheard_ctrl_c() -> Iterator[None]:
    """What is started here never hears of Ctrl-C: it is for the main process, which ends its jobs in order."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(jobs: list[_Job]) -> None:
    for job in jobs:
        job.process.terminate()
    for job in jobs:
        job.process.join(_ENDS_WITHIN)
        job.process.kill()
        job.process.join()
        job.pipe.close()


def _serve(pipe: Connection, work: Worker) -> None:
    """Be a job."""
    signal.signal(signal.SIGTERM, _stop)

    def parts() -> Iterator[Part]:
        while True:
            pipe.send(None)
            part = pipe.recv()
            if part is None:
                return
            yield part

    # A main process that is gone wants nothing more.
    with contextlib.suppress(EOFError, BrokenPipeError), contextlib.closing(work(parts())) as outcomes:
        for outcome in outcomes:
            pipe.send(outcome)


def _stop(number: int, frame: FrameType | None) -> Any:
    del frame
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)
