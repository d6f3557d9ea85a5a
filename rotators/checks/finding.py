"""The result of checking one thing: its outcome, the cause, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from rotators.errors import ConfigurationError, RotationError, SecretError, SecretsManagerError, cut, one_line


class Outcome(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    """The next rotation works, but something else is wrong, or will be."""
    FAILURE = "failure"
    """The next rotation fails."""
    UNKNOWN = "unknown"
    """It could not be checked; the cause says why."""


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Args:
        subject: what was checked: ``server``, ``login AWSCURRENT``.
        outcome: the outcome.
        cause: what was found, in one line.
        remedy: what to do, in one line: the exact statement or command if there is one; empty if nothing.
        state: the cause as one word for programs that need it: ``accepted``, ``refused``.
    """

    subject: str
    outcome: Outcome
    cause: str
    remedy: str = ""
    state: str = ""

    @classmethod
    def of(cls, subject: str, error: RotationError, outcome: Outcome = Outcome.FAILURE, state: str = "") -> Self:
        """Make a finding from an error.

        Args:
            subject: what was checked.
            error: its text and advice become the cause and the remedy.
            outcome: the outcome.
            state: see the class.
        """
        return cls(subject, outcome, cut(one_line(error.what)), cut(one_line(error.advice)), state)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: the object is not a finding.
        """
        texts = {key: value.get(key, "") for key in ("subject", "cause", "remedy", "state")}
        if not texts["subject"] or not all(isinstance(text, str) for text in texts.values()):
            raise ValueError("no finding")
        return cls(outcome=Outcome(value.get("outcome", "")), **{key: one_line(text) for key, text in texts.items()})

    def to_json(self) -> dict[str, str]:
        """The finding as a JSON object, without empty fields."""
        whole = {
            "subject": self.subject,
            "outcome": self.outcome.value,
            "cause": self.cause,
            "remedy": self.remedy,
            "state": self.state,
        }
        return {key: value for key, value in whole.items() if value}

    def redacted(self, redact: Callable[[str], str]) -> Self:
        """The finding without secret values."""
        return replace(
            self,
            subject=redact(one_line(self.subject)),
            cause=redact(one_line(self.cause)),
            remedy=redact(one_line(self.remedy)),
        )

    def __str__(self) -> str:
        return f"{self.outcome.value}: {self.subject}: {self.cause}" + (f" -> {self.remedy}" if self.remedy else "")


# The subject of an error that no other finding reports.
_SUBJECTS: tuple[tuple[type[RotationError], str], ...] = (
    (ConfigurationError, "settings"),
    (SecretsManagerError, "Secrets Manager"),
    (SecretError, "secret AWSCURRENT"),
)


def subject_of(error: RotationError) -> str:
    """The subject of an error that was raised before any server was asked."""
    return next((subject for kind, subject in _SUBJECTS if isinstance(error, kind)), "rotation")


def ok(subject: str, cause: str, state: str = "") -> Finding:
    """A finding: nothing is wrong."""
    return Finding(subject, Outcome.OK, cause, state=state)


def warning(subject: str, cause: str, remedy: str = "", state: str = "") -> Finding:
    """A finding: something is wrong, but the next rotation works."""
    return Finding(subject, Outcome.WARNING, cause, remedy, state)


def failure(subject: str, cause: str, remedy: str, state: str = "") -> Finding:
    """A finding: the next rotation fails because of it."""
    return Finding(subject, Outcome.FAILURE, cause, remedy, state)


def unknown(subject: str, cause: str, remedy: str = "", state: str = "") -> Finding:
    """A finding: it could not be checked."""
    return Finding(subject, Outcome.UNKNOWN, cause, remedy, state)
