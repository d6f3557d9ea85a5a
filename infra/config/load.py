"""Reads ``rotations.yaml``, and reports all mistakes at once, each with line, path, value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from infra.config.check import check
from infra.config.mistakes import Mistake, MistakesFound, Place, of_pydantic
from infra.config.model import Defaults, NamedFunction, Rotations

ModelT = TypeVar("ModelT", bound=BaseModel)


def load(file: Path) -> Rotations:
    """Read a file.

    Args:
        file: ``rotations.yaml``.

    Raises:
        MistakesFound: the file does not exist, is not YAML, or has mistakes; every mistake is named.
    """
    raw, lines = _parse(file)
    mistakes: list[Mistake] = []
    defaults = raw.get("defaults", {})
    if isinstance(raw.get("stack", ""), str):
        raw = {"stack": _stack(file)} | raw
    if _validated(Defaults, defaults, ("defaults",), mistakes) is not None:
        raw = _filled(raw, defaults)
    for name, own in _items(raw, "functions"):
        # What is none is told of with the whole.
        if isinstance(own, dict):
            _validated(NamedFunction, own, ("functions", name), mistakes)
    rotations = _validated(Rotations, raw, (), mistakes)
    if rotations is not None and not mistakes:
        mistakes.extend(check(rotations, file.parent))
    if rotations is None or mistakes:
        raise MistakesFound(file, mistakes, lines)
    return rotations


def schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    whole = Rotations.model_json_schema()
    for key, model in (("defaults", Defaults), ("functions", NamedFunction)):
        part = model.model_json_schema()
        whole["$defs"] |= part.pop("$defs")
        whole["$defs"][model.__name__] = part
        reference: dict[str, Any] = {"$ref": f"#/$defs/{model.__name__}"}
        whole["properties"][key] = {"description": whole["properties"][key]["description"]} | (
            reference if key == "defaults" else {"type": "object", "additionalProperties": reference}
        )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole, "title": "rotations.yaml"}


def _parse(file: Path) -> tuple[dict[str, Any], dict[Place, int]]:
    try:
        text = file.read_bytes().decode()
        root = yaml.compose(text, yaml.SafeLoader)
        mistakes = list(_ambiguous(root))
        if mistakes:
            raise MistakesFound(file, mistakes)
        raw = yaml.safe_load(text)
    except OSError as error:
        raise MistakesFound(file, [Mistake((), f"can't be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise MistakesFound(file, [Mistake((), "is not UTF-8 text")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "it can't be parsed"
        raise MistakesFound(file, [Mistake((), f"is not YAML: {where}{problem}")]) from None
    except (ValueError, RecursionError) as error:
        # PyYAML parses what looks like a date, and fails if it is not a valid one.
        raise MistakesFound(file, [Mistake((), f"can't be read: {error}; put texts in quotes")]) from None
    if not isinstance(raw, dict):
        raise MistakesFound(file, [Mistake((), "must be a mapping with the key secrets")])
    return raw, dict(_lines(root))


def _stack(file: Path) -> str:
    """The stack's name where the file has none: two files in a folder are two stacks."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", file.stem) if word]
    name = "".join(word[0].upper() + word[1:] for word in words)
    return "Rotations" if name in {"", "Rotations"} else f"Rotations-{name}"


def _ambiguous(node: Any, place: Place = (), around: tuple[int, ...] = ()) -> Iterator[Mistake]:
    """What PyYAML reads differently from a person: a key that appears twice, and a value that contains itself."""
    if id(node) in around:
        line = node.start_mark.line + 1
        yield Mistake(place, f"contains itself: the anchor of line {line} is used inside its own value")
        return
    around = (*around, id(node))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                yield Mistake((*place, name), f"appears twice, on line {seen[name]} and on line {line}: remove one")
            seen[name] = line
            yield from _ambiguous(value, (*place, name), around)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _ambiguous(value, (*place, number), around)


def _lines(node: Any, place: Place = ()) -> Iterator[tuple[Place, int]]:
    """Each value's place, and the line of the value or its key."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*place, number), value.start_mark.line + 1
            yield from _lines(value, (*place, number))


def _validated(model: type[ModelT], given: Any, prefix: Place, mistakes: list[Mistake]) -> ModelT | None:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        mistakes.extend(of_pydantic(error, model, prefix))
        return None


def _filled(raw: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The file with its defaults in every secret."""
    secrets = raw.get("secrets")
    if not isinstance(secrets, list):
        return raw
    return {**raw, "secrets": [_inherit(one, defaults) if isinstance(one, dict) else one for one in secrets]}


def _inherit(secret: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    # A secret with its own kind of schedule does not inherit parts of another kind.
    own = {"every", "schedule"} & set(secret)
    hidden = {"every", "schedule", "window", "stagger"} if own else set()
    return {key: value for key, value in defaults.items() if key not in hidden} | secret


def _items(raw: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    value = raw.get(key)
    return [(str(name), own) for name, own in value.items()] if isinstance(value, dict) else []
