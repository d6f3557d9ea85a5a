"""What the configuration says of an engine is what the engine says of itself."""

from __future__ import annotations

from importlib import import_module

import pytest

from infra.config.engines import LONGEST_PASSWORD, PORTS, TWO_PASSWORDS
from rotators.packaging.platforms import engines


@pytest.mark.parametrize("name", engines())
def test_an_engine(name: str) -> None:
    engine = import_module(f"rotators.handlers.{name}").handler._engine
    assert engine.default_port == PORTS[name]
    assert engine.second_password == (name in TWO_PASSWORDS)
    assert engine.password_limits.longest >= 32 or engine.password_limits.longest == LONGEST_PASSWORD[name]
