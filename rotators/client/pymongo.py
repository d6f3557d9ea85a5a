"""Clients of pymongo.

::

    mongo = MongoSecret(secret, tls=True, tlsCAFile="/etc/ssl/rds.pem")
    mongo.run(lambda client: client.shop.orders.find_one())

A client logs in whenever its pool opens a connection, possibly in the middle of a call. So make calls through
:meth:`MongoSecret.run`. If a login was refused, the command was never sent, and it is repeated with a client that logs
in.

https://pymongo.readthedocs.io/en/stable/api/pymongo/mongo_client.html
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pymongo

from rotators.client.connect import PATIENCE, connect_with
from rotators.client.pools import is_outdated
from rotators.client.refusals import is_refusal
from rotators.client.secret import Secret

T = TypeVar("T")
# A client logs in for each connection: a rotation may come between its first connection and its second.
_REPEATS = 3


@dataclass(eq=False)
class _Open:
    """An open client.

    Args:
        client: the client.
        version_id: the version that it logs in with.
        users: how many :meth:`MongoSecret.run` calls are using it.
        handed_out: whether a caller got it from :attr:`MongoSecret.client`, so that its uses are not counted.
    """

    client: pymongo.MongoClient[Any]
    version_id: str
    users: int = 0
    handed_out: bool = False


class MongoSecret:
    """A client that is replaced when AWSCURRENT moves to another version.

    Args:
        secret: the secret.
        patience: see :func:`rotators.client.connect_with`.
        options: those of ``MongoClient``; always set TLS. Host and port take precedence over the secret's.
    """

    def __init__(self, secret: Secret, *, patience: float = PATIENCE, **options: Any) -> None:
        self._secret = secret
        self._patience = patience
        self._options = options
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._retired: list[_Open] = []

    def client(self) -> pymongo.MongoClient[Any]:
        """The client of the version that works. It changes: read this property before each use.

        Only :meth:`close` closes a client that was read here, since it may still be in use. Prefer :meth:`run`.

        Raises:
            Exception: see :func:`rotators.client.connect_with`.
        """
        found = self._good()
        found.handed_out = True
        return found.client

    def run(self, work: Callable[[pymongo.MongoClient[Any]], T]) -> T:
        """Call ``work`` with the client. Call it again if a login that it needed was refused.

        Args:
            work: takes the client. If it sends several commands, all of them may be repeated.

        Returns:
            What ``work`` returns.

        Raises:
            Exception: see :func:`rotators.client.connect_with`; and any other error of ``work``.
        """
        found = self._good()
        for _ in range(_REPEATS):
            try:
                with self._in_use(found):
                    return work(found.client)
            except pymongo.errors.OperationFailure as error:
                if not is_refusal(error):
                    raise
            found = self._replace(found)
        with self._in_use(found):
            return work(found.client)

    def close(self) -> None:
        """Close all clients."""
        with self._lock:
            closing, self._retired = self._retired, []
            if self._open is not None:
                closing.append(self._open)
            self._open = None
        for one in closing:
            one.client.close()

    def _good(self) -> _Open:
        found = self._open
        if found is None or is_outdated(self._secret, found.version_id, self._probe):
            return self._replace(found)
        return found

    @contextlib.contextmanager
    def _in_use(self, one: _Open) -> Iterator[None]:
        with self._lock:
            one.users += 1
        try:
            yield
        finally:
            with self._lock:
                one.users -= 1
            self._close_unused()

    def _replace(self, old: _Open | None) -> _Open:
        with self._lock:
            found = self._open
            if found is None or found is old:
                found = _Open(*self._connect(self._patience))
                if self._open is not None:
                    self._retired.append(self._open)
                self._open = found
        self._close_unused()
        return found

    def _close_unused(self) -> None:
        with self._lock:
            closing = [one for one in self._retired if not one.users and not one.handed_out]
            self._retired = [one for one in self._retired if one not in closing]
        for one in closing:
            one.client.close()

    def _connect(self, patience: float) -> tuple[pymongo.MongoClient[Any], str]:
        def log_in(value: Any) -> tuple[pymongo.MongoClient[Any], str]:
            where = {"host": value.get("host"), "port": int(value.get("port", 27017))}
            options = {
                "authSource": value.get("authenticationDatabase", "admin"),
                **where,
                **self._options,
                "username": value["username"],
                "password": value["password"],
            }
            client: pymongo.MongoClient[Any] = pymongo.MongoClient(**options)
            try:
                # A client connects at its first command.
                client.admin.command("ping")
            except BaseException:
                client.close()
                raise
            return client, value.version_id

        return connect_with(self._secret, log_in, patience=patience)

    def _probe(self) -> None:
        client, _ = self._connect(0.0)
        client.close()
