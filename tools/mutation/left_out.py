"""What is not mutated: sentences, which a test holds to their facts and not to their words; and False to None.

None is as false as False, and mypy refuses it where a bool is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import libcst as cst

_QUOTED = (cst.SimpleString, cst.FormattedString, cst.ConcatenatedString)


def is_prose(node: cst.CSTNode) -> bool:
    """Whether a text is a sentence, and not a key, a name or a pattern: it has blanks between words."""
    if isinstance(node, cst.ConcatenatedString):
        return is_prose(node.left) or is_prose(node.right)
    if isinstance(node, cst.FormattedString):
        parts = [part.value if isinstance(part, cst.FormattedStringText) else "x" for part in node.parts]
    elif isinstance(node, cst.SimpleString):
        parts = [node.raw_value]
    else:
        return False
    return len("".join(parts).split()) > 1


def without(operator: Callable[[Any], Iterable[cst.CSTNode]]) -> Callable[[Any], Iterator[cst.CSTNode]]:
    """One of mutmut's operators, less the mutants that are left out.

    Args:
        operator: makes the mutants of a node.
    """

    parts: set[cst.CSTNode] = set()

    def mutate(node: Any) -> Iterator[cst.CSTNode]:
        if isinstance(node, _QUOTED) and (node in parts or is_prose(node)):
            # A word that has a line to itself is part of the sentence.
            parts.update(node.children)
            return
        if isinstance(node, cst.Assign | cst.AnnAssign) and _is_left_alone(node.value):
            return
        for mutated in operator(node):
            if not (isinstance(node, cst.Call) and isinstance(mutated, cst.Call) and _is_left_out(node, mutated)):
                yield mutated

    return mutate


def _is_left_alone(value: cst.BaseExpression | None) -> bool:
    return value is not None and (is_prose(value) or _is_false(value))


def _is_left_out(call: cst.Call, mutated: cst.Call) -> bool:
    """Whether a mutant of a call lacks a sentence, or has None for False."""
    kept = {id(argument) for argument in mutated.args}
    changed = [argument.value for argument in call.args if id(argument) not in kept]
    replaced = len(mutated.args) == len(call.args)
    return any(is_prose(value) or (replaced and _is_false(value)) for value in changed)


def _is_false(value: cst.CSTNode) -> bool:
    return isinstance(value, cst.Name) and value.value == "False"
