"""SecantusDB for tests: neither mongod nor DocumentDB, but MongoDB's protocol with SCRAM, users, roles and TLS.

It is a re-implementation (PyPI ``secantusdb``, GPL-2.0, a separate extra). It can't show DocumentDB's own refusals,
secondaries, or elastic clusters.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from rotators.testing.servers.accounts import SystemAccount, temporary_folder
from rotators.testing.servers.certificates import CertificateAuthority
from rotators.testing.servers.postgres_instance import Login
from rotators.testing.servers.processes import LOOPBACK, ServerProcess, Stopping, on_free_port

HOST = "localhost"
# The role that a user needs to manage others: https://www.mongodb.com/docs/manual/reference/built-in-roles/
_ADMIN_ROLES = ("userAdminAnyDatabase",)
_GREETS_WITHIN_MS = 5_000


def available() -> bool:
    """Whether SecantusDB is installed."""
    return importlib.util.find_spec("secantus") is not None


class SecantusServer(Stopping):
    """A running server; a context manager.

    Attributes:
        admin: a user who may only manage users.
        root: a user who may do everything, for the tests' own use.

    Raises:
        ServerFailed: it did not start.
    """

    host = HOST

    def __init__(self) -> None:
        self.admin, self.root = (Login(name, secrets.token_urlsafe(18)) for name in ("admin", "root"))
        account = SystemAccount(os.geteuid(), os.getegid())
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(temporary_folder(account))
            self._account = account
            self.authority = CertificateAuthority(self._folder)
            self._certificate = self.authority.issue((HOST, LOOPBACK), folder=self._folder, account=account)
            # The first users are made while the server needs no login.
            port, process = on_free_port(lambda port: self._start(port, "--standalone"))
            try:
                with self._client(port) as client:
                    for login, roles in ((self.root, ("root",)), (self.admin, _ADMIN_ROLES)):
                        client.admin.command(
                            {"createUser": login.username, "pwd": login.password, "roles": list(roles)}
                        )
            finally:
                process.stop()
            self.port, self.process = on_free_port(lambda port: self._start(port, "--auth"))
            stack.callback(lambda: self.process.stop())  # noqa: PLW0108  # a restart replaces it
            self._cleanup = stack.pop_all()

    @property
    def ca_file(self) -> Path:
        """The CA's certificate, to verify the server with."""
        return self.authority.ca_file

    def stop(self) -> None:
        """Stop the server, and remove its folder. May be called again."""
        self._cleanup.close()

    def restart(self) -> None:
        """Stop the server, and start it again on the same port.

        Raises:
            ServerFailed: it did not start.
        """
        self.process.stop()
        _, self.process = self._start(self.port, "--auth")

    def client(self, login: Login, database: str = "admin") -> pymongo.MongoClient[Any]:
        """Log in as an application does. The caller closes the client.

        Raises:
            pymongo.errors.OperationFailure: refused.
        """
        client = self._client(self.port, username=login.username, password=login.password, authSource=database)
        try:
            client.admin.command("ping")
        except PyMongoError:
            client.close()
            raise
        return client

    def secret(self, username: str, password: str, **extra: Any) -> dict[str, Any]:
        """The value of a Secrets Manager secret for a user."""
        return {
            "engine": "mongo",
            "host": self.host,
            "port": self.port,
            "username": username,
            "password": password,
            "ssl": True,
        } | extra

    def admin_secret(self, **extra: Any) -> dict[str, Any]:
        """The value of the administrator's secret."""
        return self.secret(self.admin.username, self.admin.password, **extra)

    def log_text(self) -> str:
        """The server's log."""
        return (self._folder / "server.log").read_text(errors="replace")

    def _client(self, port: int, **options: Any) -> pymongo.MongoClient[Any]:
        ours: dict[str, Any] = {
            "tls": True,
            "tlsCAFile": str(self.ca_file),
            "directConnection": True,
            "serverSelectionTimeoutMS": 10_000,
            "serverMonitoringMode": "poll",
        }
        return pymongo.MongoClient(HOST, port, **(ours | options))

    def _start(self, port: int, option: str) -> tuple[int, ServerProcess]:
        process = ServerProcess(
            [
                Path(sys.executable).with_name("secantusd-py"),
                f"--host={LOOPBACK}",
                f"--port={port}",
                f"--storage-path={self._folder / 'data'}",
                f"--tls-cert-file={self._certificate.certificate_file}",
                f"--tls-key-file={self._certificate.key_file}",
                "--log-level=DEBUG",
                "--cache-size=256M",
                option,
            ],
            account=self._account,
            folder=self._folder,
            log_file=self._folder / "server.log",
            stop_signal=signal.SIGTERM,
        )
        try:
            process.wait_until(lambda: self._answers(port))
        except BaseException:
            process.stop()
            raise
        return port, process

    def _answers(self, port: int) -> bool:
        """Whether it greets who comes: it listens before that."""
        if not _listens(port):
            return False
        with self._client(port, serverSelectionTimeoutMS=_GREETS_WITHIN_MS) as client:
            try:
                client.admin.command("hello")
            except PyMongoError:
                return False
            return True


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False
