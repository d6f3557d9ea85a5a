"""What the configuration asks of each engine: parts of the table that all share."""

from __future__ import annotations

from rotators.engines.specs import SPECS

PORTS = {name: spec.port for name, spec in SPECS.items()}
TWO_PASSWORDS = frozenset(name for name, spec in SPECS.items() if spec.second_password)
"""Engines of which some version keeps two passwords for a user."""
BY_THE_ADMIN = frozenset(name for name, spec in SPECS.items() if not spec.self_service)
"""Engines of which no user changes its own password."""
LONGEST_PASSWORD = {name: spec.longest_password for name, spec in SPECS.items()}
