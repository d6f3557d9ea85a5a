"""All steps without AWS: the function's handler runs in this process, with a local server and the simulated service."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.verify.inside.handler import Ground, answer
from infra.verify.inside.service import Service, simulated
from infra.verify.offers import Offer
from rotators.errors import ConfigurationError
from rotators.testing.servers import mysql, postgres

PREFIX = "rotators-verify-rehearsal/"
_TESTS = Path(__file__).parents[2] / "tests"
# Seconds: Lambda's longest time-out.
_LONGEST = 900.0


@contextlib.contextmanager
def simulation() -> Iterator[tuple[Service, Any]]:
    """The simulated service in place of the real one."""
    with simulated(PREFIX) as made:
        yield made


class Rehearsal:
    """A rehearsal in place of an account: see :class:`infra.verify.account.Account`.

    Args:
        offer: what would be created.
    """

    where = "a server of this machine, and the simulated service in Secrets Manager's place"

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._cleanup = contextlib.ExitStack()
        self._ground: Ground | None = None

    def deploy(self) -> None:
        """Start the server.

        Raises:
            ConfigurationError: this machine has no server of the engine.
        """
        server = self._cleanup.enter_context(_server(self._offer.engine))
        admin = server.admin_secret()
        self._ground = Ground(self._offer.engine, PREFIX, "", admin, str(server.ca_file), {}, _TESTS, simulation)

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """Call the function's handler."""
        if self._ground is None:
            raise RuntimeError("deploy comes first")
        ends = time.monotonic() + _LONGEST
        return answer(event, self._ground, lambda: ends - time.monotonic())

    def remove(self) -> list[str]:
        """Stop the server, and remove all its files."""
        self._cleanup.close()
        return []


def _server(engine: str) -> contextlib.AbstractContextManager[Any]:
    if engine == "postgres" and postgres.newest() is not None:
        return postgres.PostgresServer()
    found = [one for one in mysql.available() if one.kind == engine]
    if found:
        return mysql.MysqlServer(found[-1])
    raise ConfigurationError(
        f"this machine has no server of {engine} to rehearse on",
        "rehearse with postgres, mysql or mariadb (make test installs them), or look at the plan: --plan",
    )
