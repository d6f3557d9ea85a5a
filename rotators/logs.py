"""Structured logs that never show a secret, and metrics: Powertools for AWS Lambda with a redacting formatter."""

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
# They write statements down, with passwords in them: python-tds at INFO, which Lambda's JSON format lets through. What
# a driver has to say is in what it raises.
for _driver in ("oracledb", "pymongo", "pymysql", "pytds"):
    logging.getLogger(_driver).setLevel(logging.CRITICAL + 1)
# Shorter texts are no secrets worth the name, and taking every "a" out of a log would tell what they are.
_SHORTEST_SECRET = 4
# Of one secret's unknown keys; the longest are kept. A secret may have thousands of them.
_MOST_UNKNOWN = 512
# Every spelling of such a text is the text itself.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")

# What Powertools itself writes: no value of a secret's.
_POWERTOOLS_FIELDS = frozenset(
    {"level", "location", "timestamp", "service", "sampling_rate", "xray_trace_id", "exception_name"}
)
# What tells whose line it is. Kept where it is what it says it is.
_ROTATION_FIELDS = frozenset({"secret", "step", "version", "engine", "strategy", "error"})
FIELD_NAMES = (
    _POWERTOOLS_FIELDS
    | _ROTATION_FIELDS
    | {"message", "reason", "code", "user", "users", "host", "exception", "exception_notes", "stack_trace"}
    | {"type", "value", "module", "frames", "file", "line", "function", "statement"}
)
"""Words that our log lines are made of: a value of an unknown key that is one of them tells nothing."""
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
    """Takes secret values out of texts, in each spelling in which they might occur.

    Whoever writes a secret also chooses what stands in its unknown keys. So there are two kinds of values: what is
    surely secret is hidden wherever it stands by itself; what only may be, is hidden but for what is public. A value
    that repeats the host, or a part of it, hides nothing of the host.
    """

    def __init__(self) -> None:
        self._secret = _Spellings()
        self._unknown: set[str] = set()
        self._public: set[str] = set()
        self._compiled: tuple[_Spellings, tuple[str, ...]] | None = None
        self._lock = RLock()

    def forget(self) -> None:
        """Forget all: what one rotation has taught must not change what is said of the next."""
        with self._lock:
            self._secret = _Spellings()
            self._unknown = set()
            self._public = set()
            self._compiled = None

    def hide(self, values: Iterable[str | None]) -> None:
        """Remember what is secret: passwords and tokens. Empty and very short texts are passed over."""
        with self._lock:
            for value in values:
                if value is not None and len(value) >= _SHORTEST_SECRET:
                    self._secret.add(value)

    def hide_unknown(self, values: Iterable[str | None]) -> None:
        """Remember what may be secret: the values of keys that nobody knows, of one secret.

        Of very many values the longest are remembered.
        """
        with self._lock:
            known = {value for value in values if value is not None and len(value) >= _SHORTEST_SECRET}
            self._unknown.update(sorted(known, key=len, reverse=True)[:_MOST_UNKNOWN])
            self._compiled = None

    def show(self, values: Iterable[str | None]) -> None:
        """Remember what is public: hosts, users, databases, ARNs."""
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
            # What is left between two public texts, as in host:port, tells nothing.
            if run.span() not in unknown_spans and not any(map(_is_letter, text[run.start() : run.end()])):
                hidden[run.start() : run.end()] = bytes(len(run[0]))
        for start, end in secret_spans:
            # A password may be a part of a public text, such as the host's name, and tells nothing there.
            if not any(first <= start and end <= last and last - first > end - start for first, last in public_spans):
                hidden[start:end] = bytes([1]) * (end - start)
        return _masked(text, hidden)

    def redact_tree(self, value: Any) -> Any:
        """The same for every text in a tree of dicts and lists; what is neither, is made a text first."""
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
        """A whole log line: the fields' names and what names the rotation stay, whatever the secret holds."""
        return {
            key: value if self._is_structure(key, value) else self.redact_tree(value) for key, value in line.items()
        }

    def clean(self, error: RotationError) -> RotationError:
        """The same error without secret values, and without the errors it grew from.

        A driver's exception may hold a statement or a connection string, and Lambda prints the whole chain.
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
    """Texts to be found in others, however many there are: by their first characters, then by their lengths."""

    def __init__(self) -> None:
        self._by_start: dict[str, dict[int, set[str]]] = {}

    def add(self, value: str) -> None:
        for spelling in _spellings(value):
            by_length = self._by_start.setdefault(spelling[:_SHORTEST_SECRET], {})
            by_length.setdefault(len(spelling), set()).add(spelling)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where any of them is: at each place the longest. Those that overlap are all given."""
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
        """A long text was cut, perhaps in the middle of a secret, whose beginning must not stay."""
        end = text.find(CUT, start, start + max(by_length))
        if end != -1 and any(one.startswith(text[start:end]) for found in by_length.values() for one in found):
            yield start, end


def _alone(value: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a public text stands by itself: not as a part of a longer word."""
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
    """The text with ``***`` for each run of characters that are hidden."""
    runs = re.finditer(rb"\x01+|\x00+", hidden)
    return "".join(REDACTED if run[0][0] else text[run.start() : run.end()] for run in runs)


def _spellings(value: str) -> set[str]:
    """How a text may be spelled: in JSON (also twice), in Python, in a URL, in a statement, in one of our errors."""
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
    """Powertools' JSON lines, redacted at the last moment: messages, extra keys and tracebacks alike."""

    def serialize(self, log: Any) -> str:
        written = super().serialize(redactor.redact_line(dict(log)))
        # A lone surrogate can't be written at all, and Python's report of that failure is not redacted.
        return written.encode(errors="backslashreplace").decode()


redactor = Redactor()
_service = os.environ.get("POWERTOOLS_SERVICE_NAME", "rotators")
logger = Logger(service=_service, logger_formatter=_RedactingFormatter(utc=True, use_rfc3339=True))
metrics = Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Rotators"), service=_service)
