"""What a run of mutmut told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A change that was tried.

    Args:
        function: where: ``Class.method`` or ``function``.
        was: the lines that were changed, without the blanks around them.
        becomes: what they were changed to.
        status: mutmut's word for what happened: ``killed``, ``survived``, ``timeout``, ``no tests``, …
    """

    function: str
    was: str
    becomes: str
    status: str

    @property
    def killed(self) -> bool:
        """Whether a test failed, or never ended."""
        return self.status == "killed" or self.timed_out

    @property
    def timed_out(self) -> bool:
        """Whether its tests ran for a minute and twice as long as they take, and were ended."""
        return self.status == "timeout"


@dataclass(frozen=True)
class Result:
    """What became of a module's mutants.

    Args:
        module: its path.
        mutants: all that were tried.
        left_out: how many were not: see :mod:`mutation.left_out`.
        seconds: how long it took.
    """

    module: str
    mutants: tuple[Mutant, ...]
    left_out: int
    seconds: float
