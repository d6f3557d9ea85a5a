"""The reference page of ``rotations.yaml``, made from the model."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from infra.config.load import schema

_HEAD = """# rotations.yaml

`make reference` makes this page from the model. `infra/rotations.schema.json` has the same for editors. The example at
the top of the repository has all features except your own rotator, for which `rotators new` writes a file. All mistakes
are reported at once, each with its line, its path, the value and what is allowed.

Secrets with the same engine, network and strategy share a function. The settings in the function's environment
(`password`, `test_query`, `allow_admin_reset`, `twin`, the admin and its host) must be the same for all of them;
`function:` gives a secret its own function.
"""
_PARTS = {
    "Secret": "A secret, and `defaults`",
    "Create": "`create`",
    "Password": "`password`",
    "Network": "`networks`: each, by its name",
    "Key": "`keys`: each, by its name",
    "Function": "`function`, and each of `functions`, by its name",
    "NamedFunction": "`functions`: more keys, for `engine: custom`",
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
        return "required"
    value = shape.get("default")
    if value is None or isinstance(value, dict | list):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
