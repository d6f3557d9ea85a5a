"""An application that keeps logging in, to show what a rotation does to it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass
class LoginCount:
    """What happened to an application's logins.

    Args:
        total: how many logins were tried.
        refused: how many of them the server refused.
        longest_refusal: the longest time without a login that worked: seconds from a first refused login to the next
            one that worked.
    """

    total: int = 0
    refused: int = 0
    longest_refusal: float = 0.0


@dataclass
class Application:
    """Reads a secret and logs in with it, again and again, in its own threads.

    ::

        with Application(client, "app", login, refusals=(OperationalError,)) as application:
            service.rotate("app")
        assert application.count.refused == 0

    Args:
        client: a client for Secrets Manager.
        secret_id: the secret to log in with.
        login: logs in with the secret's JSON, and raises one of ``refusals`` if it is refused. Any other exception
            ends the application, and is raised at the end of the ``with`` block.
        refusals: the exceptions that mean a refused login.
        cache_seconds: how many seconds a value is cached; 0: it is read before every login.
        threads: how many threads log in.
    """

    client: SecretsManagerClient
    secret_id: str
    login: Callable[[Mapping[str, Any]], None]
    refusals: tuple[type[Exception], ...]
    cache_seconds: float = 0.0
    threads: int = 1
    count: LoginCount = field(default_factory=LoginCount)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._reads = 0
        self._seen = threading.Condition(self._lock)
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(self.threads)]

    def __enter__(self) -> Self:
        for worker in self._workers:
            worker.start()
        # The first login shows that the secret works before anything is rotated.
        self.wait_for_logins(self.threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        for worker in self._workers:
            worker.join()
        if self._failure is not None and error is None:
            raise self._failure

    def wait_for_logins(self, more: int) -> None:
        """Wait until ``more`` further logins have been tried, or the application has ended."""
        with self._seen:
            goal = self.count.total + more
            self._seen.wait_for(lambda: self.count.total >= goal or self._failure is not None)

    def wait_for_reads(self, more: int) -> None:
        """Wait until the secret has been read ``more`` further times, or the application has ended."""
        with self._seen:
            goal = self._reads + more
            self._seen.wait_for(lambda: self._reads >= goal or self._failure is not None)

    def _work(self) -> None:
        try:
            self._log_in_until_stopped()
        except BaseException as failure:  # noqa: BLE001  # raised in the thread that ends the application
            with self._seen:
                self._failure = failure
                self._seen.notify_all()

    def _log_in_until_stopped(self) -> None:
        value: Mapping[str, Any] = {}
        good_until = 0.0
        refused_since: float | None = None
        while not self._stop.is_set():
            if time.monotonic() >= good_until:
                value = json.loads(self.client.get_secret_value(SecretId=self.secret_id)["SecretString"])
                good_until = time.monotonic() + self.cache_seconds
                with self._seen:
                    self._reads += 1
                    self._seen.notify_all()
            started = time.monotonic()
            try:
                self.login(value)
            except self.refusals:
                refused_since = refused_since or started
                refused = True
            else:
                refused = False
            with self._seen:
                self.count.total += 1
                self.count.refused += refused
                if refused_since is not None:
                    self.count.longest_refusal = max(self.count.longest_refusal, time.monotonic() - refused_since)
                    refused_since = refused_since if refused else None
                self._seen.notify_all()
