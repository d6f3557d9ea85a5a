"""Structured logs that never show a secret, and metrics: Powertools for AWS Lambda with a redacting formatter."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from threading import Lock
from typing import Any
from urllib.parse import quote, quote_plus

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from rotators.errors import RotationError

REDACTED = "***"
# Shorter texts are no secrets worth the name, and taking every "a" out of a log would tell what they are.
_SHORTEST_SECRET = 4
# A warm function sees a few values a step; the old ones are of no use to anybody by then.
_REMEMBERED = 512


class Redactor:
    """Takes every secret value it was told of out of texts, in each spelling in which it might occur."""

    def __init__(self) -> None:
        self._spellings: dict[str, tuple[str, ...]] = {}
        self._lock = Lock()

    def hide(self, values: Iterable[str | None]) -> None:
        """Remember values that must never be shown; empty and very short ones are passed over."""
        with self._lock:
            for value in values:
                if value is not None and len(value) >= _SHORTEST_SECRET:
                    self._spellings.pop(value, None)
                    self._spellings[value] = _spellings(value)
            while len(self._spellings) > _REMEMBERED:
                del self._spellings[next(iter(self._spellings))]

    def redact(self, text: str) -> str:
        """The text with every remembered value replaced by ``***``."""
        with self._lock:
            spellings = {spelling for known in self._spellings.values() for spelling in known}
        # Longest first: a value that is part of another one must not break the longer up.
        for spelling in sorted(spellings, key=len, reverse=True):
            text = text.replace(spelling, REDACTED)
        return text

    def redact_tree(self, value: Any) -> Any:
        """The same for every text in a tree of dicts and lists; what is neither, is made a text first."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {self.redact(str(key)): self.redact_tree(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.redact_tree(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.redact(str(value))

    def clean(self, error: RotationError) -> RotationError:
        """The same error without secret values, and without the errors it grew from.

        A driver's exception may hold a statement or a connection string, and Lambda prints the whole chain.
        """
        error.what, error.advice = self.redact(error.what), self.redact(error.advice)
        error.args = (error.what, error.advice)
        error.__cause__ = error.__context__ = None
        return error


def _spellings(value: str) -> tuple[str, ...]:
    return (
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        value.replace("'", "''"),
    )


class _RedactingFormatter(LambdaPowertoolsFormatter):
    """Powertools' JSON lines, redacted at the last moment: messages, extra keys and tracebacks alike."""

    def serialize(self, log: Any) -> str:
        return super().serialize(redactor.redact_tree(log))


redactor = Redactor()
_service = os.environ.get("POWERTOOLS_SERVICE_NAME", "rotators")
logger = Logger(service=_service, logger_formatter=_RedactingFormatter(utc=True, use_rfc3339=True))
metrics = Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Rotators"), service=_service)
