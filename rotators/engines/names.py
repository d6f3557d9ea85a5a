"""Which handler serves a secret by what its ``engine`` says."""

from __future__ import annotations

from rotators.engines.specs import SPECS

ENGINE_NAMES: dict[str, frozenset[str]] = {name: spec.spellings for name, spec in SPECS.items()}
"""What a secret may say, by the handler's module."""


def serving(engine: str) -> str | None:
    """The engine whose handler serves a secret that says ``engine``; None where there is none."""
    return next((name for name, spellings in ENGINE_NAMES.items() if engine in spellings), None)
