"""Python with ``f = property(f)`` instead of ``@property``: mutmut leaves decorated functions out.

The two mean the same, so that properties, context managers and validators are mutated, too.
"""

from __future__ import annotations

import libcst as cst

# mutmut knows these, and of these there may be several of one name.
_KEPT = {"staticmethod", "classmethod", "overload"}


def undecorated(source: str) -> str:
    """The same module, with the decorators of its functions and methods applied below them.

    Args:
        source: the module's text.
    """
    return cst.parse_module(source).visit(_Undecorate()).code


class _Undecorate(cst.CSTTransformer):
    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:  # noqa: N802  # libcst calls it by this name
        del node
        self._depth += 1

    def leave_FunctionDef(  # noqa: N802
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        del original_node
        self._depth -= 1
        found = [one.decorator for one in updated_node.decorators]
        if self._depth or not found or any(_is_kept(one, alone=len(found) == 1) for one in found):
            return updated_node
        value: cst.BaseExpression = updated_node.name
        for decorator in reversed(found):
            value = cst.Call(decorator, [cst.Arg(value)])
        applied = cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(updated_node.name)], value)])
        return cst.FlattenSentinel([updated_node.with_changes(decorators=[]), applied])


def _is_kept(decorator: cst.BaseExpression, *, alone: bool) -> bool:
    if isinstance(decorator, cst.Attribute):
        return decorator.attr.value in {"setter", "deleter"}
    return alone and isinstance(decorator, cst.Name) and decorator.value in _KEPT
