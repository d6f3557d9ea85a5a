"""Finds the handler for a secret by its ``engine``."""

from __future__ import annotations

from rotators.engines.specs import SPECS

ENGINE_NAMES: dict[str, frozenset[str]] = {name: spec.spellings for name, spec in SPECS.items()}
"""The values that a secret's ``engine`` may have, by the handler's module."""


def serving(engine: str) -> str | None:
    """The engine whose handler serves a secret with this ``engine``; None if there is none."""
    return next((name for name, spellings in ENGINE_NAMES.items() if engine in spellings), None)
