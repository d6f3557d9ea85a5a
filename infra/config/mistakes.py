"""A mistake in ``rotations.yaml``: where it is, and what is allowed there."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from infra.config.model import FORMS
from rotators.errors import ConfigurationError, one_line

# A value's place in the file: ("secrets", 2, "engine").
Place = tuple[str | int, ...]
_SHOWN = 60
_NO_LINES: Mapping[Place, int] = {}


@dataclass(frozen=True)
class Mistake:
    """Something in the file that is not allowed.

    Args:
        place: where; empty for the file as a whole.
        text: what is wrong, and what is allowed.
    """

    place: Place
    text: str


class MistakesFound(ConfigurationError):
    """The file has mistakes.

    Args:
        file: the file.
        mistakes: all that were found.
        lines: the line of each place; by default none, for a mistake of the whole file.
    """

    def __init__(self, file: Path, mistakes: Iterable[Mistake], lines: Mapping[Place, int] = _NO_LINES) -> None:
        self.mistakes = list(mistakes)
        # An error is one line, which is truncated if it is too long; here each mistake has its own line.
        self._lines = [one_line(_sentence(file, mistake, lines)) for mistake in self.mistakes]
        super().__init__(" ".join(self._lines))

    def __str__(self) -> str:
        return "\n".join(self._lines)


def of_pydantic(error: ValidationError, model: type[BaseModel], prefix: Place = ()) -> Iterator[Mistake]:
    """The errors that pydantic found, as mistakes.

    Args:
        error: what it raised.
        model: what was to be read.
        prefix: the place of the value that was read.
    """
    for one in error.errors():
        # If a field may have one of several types, pydantic names the alternative too.
        place = tuple(part for part in one["loc"] if not (isinstance(part, str) and ("[" in part or "-" in part)))
        yield Mistake((*prefix, *(one["loc"] if _is_label(one) else place)), _words(one, model))


def spell(place: Place) -> str:
    """A place as people write it: ``secrets[2].engine``."""
    spelled = ""
    for part in place:
        spelled += f"[{part}]" if isinstance(part, int) else f".{part}" if spelled else part
    return spelled


def _is_label(one: Any) -> bool:
    """Whether the path has a name that the user gave (a network's, a key's), and not a type's name."""
    return len(one["loc"]) > 1 and one["loc"][0] in {"networks", "keys", "functions"} and "[" not in str(one["loc"])


def _sentence(file: Path, mistake: Mistake, lines: Mapping[Place, int]) -> str:
    beginnings = (mistake.place[:length] for length in range(len(mistake.place), 0, -1))
    line = next((lines[place] for place in beginnings if place in lines), None)
    where = f"{file.name}:{line}:" if line else f"{file.name}:"
    return " ".join(part for part in (where, spell(mistake.place), mistake.text) if part)


def _words(one: Any, model: type[BaseModel]) -> str:  # noqa: PLR0911  # one return for each kind
    kind, context = one["type"], one.get("ctx")
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"is not a key that is allowed here: use one of {', '.join(_fields(model, one['loc'][:-1]))}"
    if kind == "value_error":
        return str(context["error"])
    shown = _shown(one["input"])
    if shown == "null":
        return "is empty: leave the key out, or give it a value"
    if kind == "literal_error":
        return f"is {shown}: use one of {context['expected'].replace(' or ', ', ')}"
    if kind == "string_pattern_mismatch":
        form = FORMS.get(context["pattern"])
        return f"is {shown}, which is {form}" if form else f"is {shown}, which is not of the form {context['pattern']}"
    return f"is {shown}: {one['msg'][0].lower()}{one['msg'][1:]}"


def _shown(given: Any) -> str:
    text = json.dumps(given, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _fields(model: type[BaseModel], place: Place) -> list[str]:
    """The keys that are allowed at a place."""
    found: Any = model
    for part in place:
        # A number, or a name of the user's own, which may be a key's as well: it leads to nothing further.
        field = found.model_fields.get(part)
        found = (field and _inner(field.annotation)) or found
    return sorted(found.model_fields)


def _inner(annotation: Any) -> Any:
    """The model inside of an annotation: of ``list[Secret]``, ``dict[str, Key]`` or ``CaBundle | None``."""
    if get_origin(annotation) in {list, dict, Union, types.UnionType}:
        return next((inner for part in get_args(annotation) if (inner := _inner(part)) is not None), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
