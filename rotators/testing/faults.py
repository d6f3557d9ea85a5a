"""Breaks chosen calls to Secrets Manager, before or after the service executes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from botocore.exceptions import ConnectionClosedError

When = Literal["before", "after"]


class Crash(BaseException):
    """The Lambda process is killed: rotators must not catch this, and nothing runs afterwards."""


@dataclass(frozen=True)
class Refusal:
    """The service answers with an error.

    Args:
        code: its code, such as ``AccessDeniedException``.
        message: its message.
        status: the HTTP status: 400 for a client's fault, 500 and above for the service's own.
    """

    code: str
    message: str = "refused by a test"
    status: int = 400


KMS_REFUSAL = Refusal("AccessDeniedException", "Access to KMS is not allowed")
THROTTLED = Refusal("ThrottlingException", "Rate exceeded")
INTERNAL = Refusal("InternalServiceError", "An error occurred on the server side.", 500)


@dataclass
class Fault:
    """One planned failure.

    Args:
        when: ``before``: the request never reaches the service; ``after``: it is executed, but its answer is lost.
        kind: ``network`` (no answer), ``crash`` (the process is killed), or a refusal by the service.
        operation: count only calls of this name, such as ``PutSecretValue``; None: all calls.
        nth: the call that fails, counted from 1 since the fault was planned.
        step: count only calls in this step; None: in any.
    """

    when: When
    kind: Literal["network", "crash"] | Refusal
    operation: str | None = None
    nth: int = 1
    step: str | None = None
    fired: bool = field(default=False, init=False)
    call: str | None = field(default=None, init=False)
    """The call that failed, once one has: ``PutSecretValue in createSecret``."""
    _seen: int = field(default=0, init=False, repr=False)

    def matches(self, operation: str, step: str | None) -> bool:
        """Count a call. Returns whether it is the one that fails."""
        if self.fired or self.operation not in {None, operation} or self.step not in {None, step}:
            return False
        self._seen += 1
        self.fired = self._seen == self.nth
        if self.fired:
            self.call = f"{operation} in {step}" if step else operation
        return self.fired


class Faults:
    """The failures planned for a simulated service, and the hooks at its calls."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []
        self._paused = False
        self.hooks: list[Callable[[str, When], None]] = []

    def fail(
        self,
        operation: str | None = None,
        *,
        when: When = "before",
        kind: Literal["network", "crash"] | Refusal = "network",
        nth: int = 1,
        step: str | None = None,
    ) -> Fault:
        """Plan one failure; see :class:`Fault`. It happens once.

        Returns:
            The fault. Its ``fired`` says whether it happened.
        """
        fault = Fault(when, kind, operation, nth, step)
        self._planned.append(fault)
        return fault

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the block's calls pass: they do not fail, are not counted, and call no hook."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def heard(self) -> list[Callable[[str, When], None]]:
        """The hooks to call at each call."""
        return [] if self._paused else list(self.hooks)

    def forget(self, fault: Fault) -> None:
        """Forget one planned failure."""
        self._planned.remove(fault)

    def clear(self) -> None:
        """Forget every planned failure and hook."""
        self._planned.clear()
        self.hooks.clear()

    def at(self, operation: str, step: str | None) -> Fault | None:
        """The failure of this call; None if none is planned."""
        if self._paused:
            return None
        due = [fault for fault in self._planned if fault.matches(operation, step)]
        return due[0] if due else None


def no_answer(url: str) -> Exception:
    """The error that a client raises for a lost request or answer, after its own retries have failed too."""
    return _NoAnswer(endpoint_url=url)


class _NoAnswer(ConnectionClosedError):
    """Like a closed connection, but not retried by botocore: the fault stands for all of its retries."""
