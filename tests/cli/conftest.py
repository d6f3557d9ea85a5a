"""What all tests of commands need."""

from __future__ import annotations

import pytest
from moto.core.routing import get_service_router


@pytest.fixture(scope="session", autouse=True)
def routes_of_lambda() -> None:
    """Made before any thread is: moto makes them at the first call, and of two threads that compile at once Python 3.11
    can fail one (https://github.com/python/cpython/issues/106905)."""
    get_service_router("lambda")._get_router("rest-json")
