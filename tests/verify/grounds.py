"""Where the function looks in these tests: at a simulation, in the real service's place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infra.verify.inside.handler import Ground
from infra.verify.inside.service import Service, simulated

TESTS = Path(__file__).parents[1]


@contextlib.contextmanager
def simulation() -> Iterator[tuple[Service, Any]]:
    with simulated("seen/") as made:
        yield made


def ground(service: Callable[[], Any] = simulation) -> Ground:
    """Without a database."""
    return Ground("postgres", "expected/", "", {}, "", {}, TESTS, service)
