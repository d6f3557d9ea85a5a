"""One thing that was looked at: how it is, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from rotators.errors import ConfigurationError, RotationError, SecretError, SecretsManagerError, cut, one_line


class Outcome(StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    """The next rotation works, and something else is wrong, or will be."""
    FAILURE = "failure"
    """The next rotation fails."""
    UNKNOWN = "unknown"
    """It could not be looked at; the cause says why."""


@dataclass(frozen=True)
class Finding:
    """One answer of a check.

    Args:
        subject: what was looked at: ``server``, ``login AWSCURRENT``.
        outcome: how it is.
        cause: what was found, in one line.
        remedy: what to do, in one line: the very statement or command where there is one. Empty where nothing is to do.
        state: the cause as one word for programs, where they need it: ``accepted``, ``refused``.
    """

    subject: str
    outcome: Outcome
    cause: str
    remedy: str = ""
    state: str = ""

    @classmethod
    def of(cls, subject: str, error: RotationError, outcome: Outcome = Outcome.FAILURE, state: str = "") -> Self:
        """What an error of ours says, as a finding."""
        return cls(subject, outcome, cut(one_line(error.what)), cut(one_line(error.advice)), state)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is nothing of ours.
        """
        texts = {key: value.get(key, "") for key in ("subject", "cause", "remedy", "state")}
        if not texts["subject"] or not all(isinstance(text, str) for text in texts.values()):
            raise ValueError("no finding")
        return cls(outcome=Outcome(value.get("outcome", "")), **{key: one_line(text) for key, text in texts.items()})

    def to_json(self) -> dict[str, str]:
        """As a JSON object; what is empty is left out."""
        whole = {
            "subject": self.subject,
            "outcome": self.outcome.value,
            "cause": self.cause,
            "remedy": self.remedy,
            "state": self.state,
        }
        return {key: value for key, value in whole.items() if value}

    def redacted(self, redact: Callable[[str], str]) -> Self:
        """The same without secret values."""
        return replace(
            self,
            subject=redact(one_line(self.subject)),
            cause=redact(one_line(self.cause)),
            remedy=redact(one_line(self.remedy)),
        )

    def __str__(self) -> str:
        return f"{self.outcome.value}: {self.subject}: {self.cause}" + (f" -> {self.remedy}" if self.remedy else "")


# Whose fault an error is that nothing else has told of.
_SUBJECTS: tuple[tuple[type[RotationError], str], ...] = (
    (ConfigurationError, "settings"),
    (SecretsManagerError, "Secrets Manager"),
    (SecretError, "secret AWSCURRENT"),
)


def subject_of(error: RotationError) -> str:
    """What an error concerns that was raised before anything was asked of a server."""
    return next((subject for kind, subject in _SUBJECTS if isinstance(error, kind)), "rotation")


def ok(subject: str, cause: str, state: str = "") -> Finding:
    """Nothing is wrong with it."""
    return Finding(subject, Outcome.OK, cause, state=state)


def warning(subject: str, cause: str, remedy: str = "", state: str = "") -> Finding:
    """The next rotation works all the same."""
    return Finding(subject, Outcome.WARNING, cause, remedy, state)


def failure(subject: str, cause: str, remedy: str, state: str = "") -> Finding:
    """The next rotation fails of it."""
    return Finding(subject, Outcome.FAILURE, cause, remedy, state)


def unknown(subject: str, cause: str, remedy: str = "", state: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(subject, Outcome.UNKNOWN, cause, remedy, state)
