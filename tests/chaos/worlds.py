"""A server under chaos: how it is reached, what can happen to it, and what its catalogue says."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import oracledb
from doubles import oracle as oracle_double
from targets import KINDS

from chaos.catalogues import Catalogue, catalogue_of
from chaos.instants import Instants
from chaos.schedules import Abilities
from chaos.workers import ForkServer, ThreadWorker, Worker, at_the_border, in_a_function, require_alive
from rotators.database import DatabaseRotator
from rotators.logs import logger
from rotators.testing import RotationService
from rotators.testing.endpoint import served
from rotators.testing.proxy import PacketProxy
from rotators.versions import SecretVersions

# Doubles at the border of a driver: no other process reaches them.
_IN_PROCESS = frozenset({"oracle", "db2"})
_REAL = frozenset({"postgresql", "mysql", "mariadb", "mongo"})
_SHIM = ("chaos.worlds", "wear_redshifts_clothes")
_BESIDE = 0.0001
# A commit that was answered survives a killed server.
_DURABLE = ("--innodb-flush-log-at-trx-commit=2",)


def wear_redshifts_clothes() -> None:
    """Have the engine of Redshift connect to the shim, in a function's process as in this one."""
    from doubles import redshift  # noqa: PLC0415

    from rotators.engines import redshift as engine  # noqa: PLC0415

    engine.connect = redshift.connecting(engine.connect, set())  # type: ignore[attr-defined]


class World:
    """A server, the way to it, and Secrets Manager.

    Args:
        kind: the kind of server.
        target: the server.
        service: Secrets Manager.
        instants: count what crosses the border of the function.
        stack: ends what is started here.
        quiet: the functions' logs are not shown.
        own: the server is nobody else's: it may be restarted.

    Attributes:
        moving: held while the server is restarted or another takes its place, and by who looks whether it answers.
    """

    def __init__(
        self,
        kind: str,
        target: Any,
        service: RotationService,
        instants: Instants,
        stack: contextlib.ExitStack,
        *,
        quiet: bool,
        own: bool,
    ) -> None:
        self.kind = kind
        self.target = target
        self.service = service
        self.instants = instants
        self.catalogue: Catalogue = catalogue_of(target)
        self.moving = threading.RLock()
        self._quiet = quiet
        self._endpoint = stack.enter_context(served(service))
        self._forks: ForkServer | None = None
        self._stack = stack
        self.proxy: PacketProxy | None = None
        if kind in _IN_PROCESS:
            stack.enter_context(_watched_driver(target, instants.cross))
            # Two of its functions share one process here, and with it the redactor.
            level = logging.getLogger(logger.name).level
            logging.getLogger(logger.name).setLevel(logging.CRITICAL)
            stack.callback(logging.getLogger(logger.name).setLevel, level)
        else:
            self.proxy = stack.enter_context(
                PacketProxy(target.server.host, target.server.port, on_packet=instants.cross)
            )
        real = kind in _REAL
        self.abilities = Abilities(
            network=self.proxy is not None,
            restarts=real and own,
            promotes=kind == "postgresql" and own and target.server.installation.has_basebackup,
            hosts=kind in {"mysql", "mariadb"},
            edits=({"host": "127.0.0.1"},) if self.proxy is not None else (),
        )

    @property
    def in_process(self) -> bool:
        """Whether functions are threads of this process."""
        return self.proxy is None

    @property
    def look_delay(self) -> float:
        """Seconds after a crossing at which somebody may log in; 0: the crossing waits for that.

        SecantusDB greets one client after the other: who is held up in its handshake holds up all others.
        """
        return _BESIDE if self.kind == "mongo" else 0.0

    def listen(self) -> None:
        """Have calls to Secrets Manager count, and end a function that was killed at one."""

        def crossing(operation: str, when: str) -> None:
            del operation, when
            if not self.in_process or in_a_function():
                self.instants.cross()
                require_alive()

        self.service.faults.hooks.append(crossing)

    def worker(self, rotator: DatabaseRotator, variables: dict[str, str], patience: float) -> Worker:
        """A new process of a function."""
        environment = {**rotator._environment._variables, **variables}
        if self.in_process:
            made = type(rotator)(
                rotator._engine,
                SecretVersions(self.service.client, patience=patience),
                type(rotator._environment)(environment),
            )
            return ThreadWorker(made)
        if self._forks is None:
            prepare = _SHIM if self.kind == "redshift" else None
            engine = type(rotator._engine)
            self._forks = self._stack.enter_context(ForkServer(engine, self._endpoint, prepare, quiet=self._quiet))
        return self._forks.start(environment, patience)

    @contextlib.contextmanager
    def standby(self) -> Iterator[Callable[[], None]]:
        """A standby that has all that the server has confirmed.

        Yields:
            kills the server, and makes the standby the one that the function reaches.
        """
        server = self.target.server
        with server.start_standby() as standby:
            server.process.wait_until(standby.follows)
            server.configure({"synchronous_standby_names": "*"})

            def promote() -> None:
                with self.moving:
                    server.process.stop()
                    standby.promote()
                    self.target.server = standby
                    if self.proxy is not None:
                        self.proxy.lead_to(standby.host, standby.port)

            try:
                yield promote
            finally:
                if self.target.server is standby:
                    self.target.server = server
                    _, server.process = server._start(server.port)
                    if self.proxy is not None:
                        self.proxy.lead_to(server.host, server.port)
                server.configure({"synchronous_standby_names": None})

    def restart(self) -> None:
        """Restart the server."""
        with self.moving:
            self.target.server.restart()

    def settle(self) -> None:
        """Make the network whole, and wait until nobody is connected through it."""
        if self.proxy is not None:
            self.proxy.reset()
            self.proxy.cut()
            self.proxy.settle()


def _watched_driver(target: Any, cross: Callable[[], None]) -> contextlib.AbstractContextManager[Any]:
    """Every login and statement of a function crosses its border."""
    stack = contextlib.ExitStack()
    if hasattr(target, "database"):
        stack.enter_context(patch.object(oracledb, "connect", at_the_border(cross, oracledb.connect)))
        session: Any = oracle_double.Session
    else:
        server = target.catalogue
        stack.enter_context(patch.object(server, "connect", at_the_border(cross, server.connect)))
        from doubles import db2  # noqa: PLC0415

        session = db2.Session
    stack.enter_context(patch.object(session, "run", at_the_border(cross, session.run)))
    return stack


@contextlib.contextmanager
def opened(kind: str, server: Any, instants: Instants, *, quiet: bool = True) -> Iterator[World]:
    """Start a server of one's own, and all around it.

    Args:
        kind: the kind.
        server: one of the kind's.
        instants: see :class:`World`.
        quiet: see :class:`World`.
    """
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(RotationService())
        target = stack.enter_context(_durable(kind, server))
        yield World(kind, target, service, instants, stack, quiet=quiet, own=True)


def _durable(kind: str, server: Any) -> contextlib.AbstractContextManager[Any]:
    if kind not in {"mysql", "mariadb"}:
        return KINDS[kind].start(server)
    from targets.mysql import MysqlTarget  # noqa: PLC0415

    from rotators.testing.servers.mysql import MysqlServer  # noqa: PLC0415

    @contextlib.contextmanager
    def start() -> Iterator[Any]:
        with MysqlServer(server, options=_DURABLE) as started:
            yield MysqlTarget(started)

    return start()
