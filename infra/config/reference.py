"""The page that says what ``rotations.yaml`` may hold, made from the model."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from infra.config.load import schema

_HEAD = """# rotations.yaml

Made from the model by `make reference`; `infra/rotations.schema.json` tells an editor the same. The example at the top
of the repository has one of everything but a rotator of one's own, for which `rotators new` writes a file. A mistake is
named with its line, its path, the value and what is allowed, all of them at once.

Secrets share a function where engine, network and strategy are the same, and what it is told by its environment
(`password`, `test_query`, `allow_admin_reset`, `twin`, the admin and its host) must be the same for all of them;
`function:` gives one a function of its own.
"""
_PARTS = {
    "Secret": "A secret, and what `defaults` may hold of it",
    "Create": "`create`",
    "Password": "`password`",
    "Network": "`networks`: one of them, by its name",
    "Key": "`keys`: one of them, by its name",
    "Function": "`function`, and `functions`: one of them, by its name",
    "NamedFunction": "`functions`: what one may have beside, for `engine: custom`",
    "Permission": "`permissions`",
    "CaBundle": "`ca_bundle`",
    "Logs": "`logs`",
    "Alarms": "`alarms`",
    "Fleet": "`fleet`",
}


def page() -> str:
    """The page, as Markdown."""
    whole = schema()
    parts = [_HEAD, "## The file\n", *_table(whole)]
    for name, title in _PARTS.items():
        said = whole["$defs"]["Function"]["properties"] if name == "NamedFunction" else {}
        parts += [f"\n## {title}\n", *_table(whole["$defs"][name], said)]
    return "\n".join(parts) + "\n"


def _table(model: dict[str, Any], said: Collection[str] = ()) -> Iterator[str]:
    yield "| key | what it is | default |"
    yield "|---|---|---|"
    required = set(model.get("required", ()))
    for key, shape in model["properties"].items():
        if key in said:
            continue
        description = str(shape.get("description", "")).replace("|", "\\|")
        yield f"| `{key}` | {description}{_choices(shape)} | {_default(shape, needed=key in required)} |"


def _choices(shape: dict[str, Any]) -> str:
    values = shape.get("enum") or next((one["enum"] for one in shape.get("anyOf", ()) if "enum" in one), None)
    return f" One of {', '.join(f'`{value}`' for value in values)}." if values else ""


def _default(shape: dict[str, Any], *, needed: bool) -> str:
    if needed:
        return "needed"
    value = shape.get("default")
    if value is None or isinstance(value, dict | list):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
