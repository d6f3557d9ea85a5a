"""Structured logs that never show a secret, and metrics: Powertools for AWS Lambda with a redacting formatter.

https://docs.aws.amazon.com/powertools/python/latest/core/logger/
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator
from threading import RLock
from typing import Any
from urllib.parse import quote, quote_plus

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from rotators import errors
from rotators.engines.names import ENGINE_NAMES
from rotators.errors import CUT, RotationError, one_line
from rotators.steps import STEPS

REDACTED = "***"
# These drivers log statements with passwords: python-tds at INFO, which Lambda's JSON log format shows. Their errors
# say what is needed.
for _driver in ("oracledb", "pymongo", "pymysql", "pytds"):
    logging.getLogger(_driver).setLevel(logging.CRITICAL + 1)
# Shorter texts are hardly secret, and hiding every "a" in a log would reveal them.
_SHORTEST_SECRET = 4
# The most values of unknown keys to remember of one secret; the longest are kept. A secret may have thousands of keys.
_MOST_UNKNOWN = 512
# Such a text is spelled the same everywhere.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")

# Fields that Powertools writes: they hold no value of a secret.
_POWERTOOLS_FIELDS = frozenset(
    {"level", "location", "timestamp", "service", "sampling_rate", "xray_trace_id", "exception_name"}
)
# Fields that identify the rotation. A value is kept if it has the field's expected form.
_ROTATION_FIELDS = frozenset({"secret", "step", "version", "engine", "strategy", "error"})
FIELD_NAMES = (
    _POWERTOOLS_FIELDS
    | _ROTATION_FIELDS
    | {"message", "reason", "code", "user", "users", "host", "exception", "exception_notes", "stack_trace"}
    | {"type", "value", "module", "frames", "file", "line", "function", "statement"}
)
"""Words of this package's log lines. They are not hidden, even if an unknown key has one of them as its value."""
_STAGES = ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS")
_STRATEGIES = ("single-user", "dual-password", "alternating-users")
_ERRORS = frozenset(name for name, value in vars(errors).items() if isinstance(value, type))
_ALWAYS_PUBLIC = frozenset(
    {
        *FIELD_NAMES,
        *STEPS,
        *_STAGES,
        *_STRATEGIES,
        *_ERRORS,
        *(name for names in ENGINE_NAMES.values() for name in names),
    }
)


class Redactor:
    """Removes secret values from texts, in every spelling in which they may occur.

    Anyone who can write a secret chooses the values of its unknown keys. So there are two kinds of values. What is
    certainly secret is hidden wherever it stands by itself. What may be secret is hidden except for public texts in it:
    a value that repeats the host, or a part of it, hides nothing of the host.
    """

    def __init__(self) -> None:
        self._secret = _Spellings()
        self._unknown: set[str] = set()
        self._public: set[str] = set()
        self._compiled: tuple[_Spellings, tuple[str, ...]] | None = None
        self._lock = RLock()

    def forget(self) -> None:
        """Forget all values, so that one rotation's values do not change the next one's log."""
        with self._lock:
            self._secret = _Spellings()
            self._unknown = set()
            self._public = set()
            self._compiled = None

    def hide(self, values: Iterable[str | None]) -> None:
        """Remember certainly secret values: passwords and tokens. Empty and very short texts are ignored."""
        with self._lock:
            for value in values:
                if value is not None and len(value) >= _SHORTEST_SECRET:
                    self._secret.add(value)

    def hide_unknown(self, values: Iterable[str | None]) -> None:
        """Remember values that may be secret: those of a secret's unknown keys.

        If there are too many, the longest are remembered.
        """
        with self._lock:
            known = {value for value in values if value is not None and len(value) >= _SHORTEST_SECRET}
            self._unknown.update(sorted(known, key=len, reverse=True)[:_MOST_UNKNOWN])
            self._compiled = None

    def show(self, values: Iterable[str | None]) -> None:
        """Remember public texts: hosts, users, databases, ARNs."""
        with self._lock:
            self._public.update(value for value in values if value)
            self._compiled = None

    def redact(self, text: str) -> str:
        """The text with ``***`` for every remembered value."""
        with self._lock:
            unknown, public = self._compile()
            secret_spans, unknown_spans = list(self._secret.spans(text)), list(unknown.spans(text))
        if not secret_spans and not unknown_spans:
            return text
        public_spans = [span for value in public for span in _alone(value, text)]
        hidden = bytearray(len(text))
        for start, end in unknown_spans:
            hidden[start:end] = bytes([1]) * (end - start)
        for start, end in public_spans:
            hidden[start:end] = bytes(end - start)
        for run in re.finditer(rb"\x01+", bytes(hidden)):
            # Characters left between two public texts, as the colon in host:port, reveal nothing.
            if run.span() not in unknown_spans and not any(map(_is_letter, text[run.start() : run.end()])):
                hidden[run.start() : run.end()] = bytes(len(run[0]))
        for start, end in secret_spans:
            # A password may be part of a public text, such as the host name. It reveals nothing there.
            if not any(first <= start and end <= last and last - first > end - start for first, last in public_spans):
                hidden[start:end] = bytes([1]) * (end - start)
        return _masked(text, hidden)

    def redact_tree(self, value: Any) -> Any:
        """Redact every text in a tree of dicts and lists. Any other value is converted to a text first."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {
                key if key in FIELD_NAMES else self.redact(str(key)): self.redact_tree(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.redact_tree(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.redact(str(value))

    def redact_line(self, line: dict[str, Any]) -> dict[str, Any]:
        """Redact a whole log line. The fields' names, and the fields that identify the rotation, are always kept."""
        return {
            key: value if self._is_structure(key, value) else self.redact_tree(value) for key, value in line.items()
        }

    def clean(self, error: RotationError) -> RotationError:
        """The same error without secret values, and without the errors that caused it.

        A driver's exception may hold a statement or a connection string, and Lambda logs the whole chain.
        """
        error.what, error.advice = self.redact(error.what), self.redact(error.advice)
        error.args = (error.what, error.advice)
        error.__cause__ = error.__context__ = None
        return error

    def _is_structure(self, key: str, value: Any) -> bool:
        if key in _ROTATION_FIELDS:
            return isinstance(value, str) and (value in self._public or value in _ALWAYS_PUBLIC)
        return key in _POWERTOOLS_FIELDS

    def _compile(self) -> tuple[_Spellings, tuple[str, ...]]:
        if self._compiled is None:
            public = self._public | _ALWAYS_PUBLIC
            everything = "\n".join(public)
            unknown = _Spellings()
            for value in self._unknown:
                if value not in everything or not any(value in text for text in public):
                    unknown.add(value)
            self._compiled = unknown, tuple({one for value in self._public for one in _spellings(value)})
        return self._compiled


class _Spellings:
    """Finds many texts in another: by their first characters, then by their lengths."""

    def __init__(self) -> None:
        self._by_start: dict[str, dict[int, set[str]]] = {}

    def add(self, value: str) -> None:
        for spelling in _spellings(value):
            by_length = self._by_start.setdefault(spelling[:_SHORTEST_SECRET], {})
            by_length.setdefault(len(spelling), set()).add(spelling)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each text found: the longest at each place, overlapping ones included."""
        if not self._by_start:
            return
        for start in range(len(text) - _SHORTEST_SECRET + 1):
            by_length = self._by_start.get(text[start : start + _SHORTEST_SECRET])
            if by_length is not None:
                lengths = [length for length, found in by_length.items() if text[start : start + length] in found]
                if lengths:
                    yield start, start + max(lengths)
                yield from self._cut_off(text, start, by_length)

    @staticmethod
    def _cut_off(text: str, start: int, by_length: dict[int, set[str]]) -> Iterator[tuple[int, int]]:
        """Find the start of a secret at a place where a long text was cut, perhaps in the middle of the secret."""
        end = text.find(CUT, start, start + max(by_length))
        if end != -1 and any(one.startswith(text[start:end]) for found in by_length.values() for one in found):
            yield start, end


def _alone(value: str, text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each place where a public text stands by itself, not as part of a longer word."""
    start = text.find(value)
    while start != -1:
        end = start + len(value)
        if not _in_word(text, start) and not _in_word(text, end):
            yield start, end
        start = text.find(value, start + 1)


def _in_word(text: str, place: int) -> bool:
    """Whether the characters before and after a place belong to one word."""
    return 0 < place < len(text) and _is_letter(text[place - 1]) and _is_letter(text[place])


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _masked(text: str, hidden: bytearray) -> str:
    """The text with ``***`` for each run of hidden characters."""
    runs = re.finditer(rb"\x01+|\x00+", hidden)
    return "".join(REDACTED if run[0][0] else text[run.start() : run.end()] for run in runs)


def _spellings(value: str) -> set[str]:
    """The spellings of a text: in JSON (also twice), in Python, in a URL, in a statement, in this package's errors."""
    if _PLAIN.fullmatch(value):
        return {value}
    escaped = json.dumps(value)[1:-1]
    return {
        value,
        escaped,
        json.dumps(escaped)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        quote(value, errors="surrogatepass"),
        quote(value, safe="", errors="surrogatepass"),
        quote_plus(value, errors="surrogatepass"),
        value.replace("'", "''"),
        value.replace('"', '""'),
        value.replace("\\", "\\\\").replace("'", "\\'"),
        one_line(value),
    }


class _RedactingFormatter(LambdaPowertoolsFormatter):
    """Powertools' JSON lines, redacted just before they are written: messages, extra keys and tracebacks."""

    def serialize(self, log: Any) -> str:
        written = super().serialize(redactor.redact_line(dict(log)))
        # A lone surrogate can't be written, and Python's report of that failure would not be redacted.
        return written.encode(errors="backslashreplace").decode()


redactor = Redactor()
_service = os.environ.get("POWERTOOLS_SERVICE_NAME", "rotators")
logger = Logger(service=_service, logger_formatter=_RedactingFormatter(utc=True, use_rfc3339=True))
metrics = Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Rotators"), service=_service)
