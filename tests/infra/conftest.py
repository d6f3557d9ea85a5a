from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _no_wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Layers that hold no wheels, in a cache of the test's own."""
    if request.node.get_closest_marker("server"):
        return
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("rotators.packaging.wheels.install", lambda *arguments: arguments[-1].mkdir())
