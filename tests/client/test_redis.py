"""redis-py with a secret, against a double that speaks enough of the protocol for a login: no Redis is at hand here."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from fakes import FakeManager

from rotators.client import CredentialsRefused, Secret
from rotators.client.redis import SecretProvider, connection_class


class Double(socketserver.ThreadingTCPServer):
    """Accepts passwords by AUTH and by HELLO, and answers PING."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.accepted: set[tuple[str, str]] = set()
        self.refused = 0


class _Session(socketserver.StreamRequestHandler):
    server: Double

    def handle(self) -> None:
        good = False
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length + 2)[:-2].decode())
            command = words[0].upper()
            if command == "HELLO" and "AUTH" not in words:
                self.wfile.write(b"-NOAUTH HELLO must be called with the client already authenticated\r\n")
            elif command in {"HELLO", "AUTH"}:
                user, password = words[words.index("AUTH") + 1 :] if command == "HELLO" else words[1:]
                good = (user, password) in self.server.accepted
                if not good:
                    self.server.refused += 1
                    self.wfile.write(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
                elif command == "HELLO":
                    self.wfile.write(b"%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n")
                else:
                    self.wfile.write(b"+OK\r\n")
            elif not good:
                self.wfile.write(b"-NOAUTH Authentication required.\r\n")
            else:
                self.wfile.write(b"+PONG\r\n" if command == "PING" else b"+OK\r\n")


@pytest.fixture
def double() -> Iterator[Double]:
    with Double() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def manager(request: pytest.FixtureRequest) -> FakeManager:
    return FakeManager(request.node.name)


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_client_goes_on_through_rotations(double: Double, manager: FakeManager, protocol: int) -> None:
    secret = Secret("app", manager)
    double.accepted = {("app", "first")}
    port = double.server_address[1]
    pool = redis.ConnectionPool(
        connection_class=connection_class(secret), host="127.0.0.1", port=port, protocol=protocol
    )
    client = redis.Redis(connection_pool=pool)
    assert client.ping()
    for number in range(5):
        version = manager.stage(f"password {number}")
        double.accepted = {("app", f"password {number}")}
        pool.disconnect()
        assert client.ping()
        manager.promote(version)
        assert client.ping()
    assert double.refused == 5
    pool.disconnect()
    client.close()


def test_a_wrong_password_is_not_repeated(double: Double, manager: FakeManager) -> None:
    secret = Secret("app", manager)
    port = double.server_address[1]
    pool = redis.ConnectionPool(connection_class=connection_class(secret, patience=0), host="127.0.0.1", port=port)
    client = redis.Redis(connection_pool=pool)
    for _ in range(5):
        with pytest.raises(CredentialsRefused):
            client.ping()
    assert double.refused == 1
    pool.disconnect()
    client.close()


def test_a_provider_gives_the_version_that_works(double: Double, manager: FakeManager) -> None:
    secret = Secret("app", manager)
    provider = SecretProvider(secret)
    assert provider.get_credentials() == ("app", "first")
    manager.promote(manager.put("second"))
    secret.refresh()
    assert provider.get_credentials() == ("app", "second")
    double.accepted = {("app", "second")}
    client: Any = redis.Redis(
        host="127.0.0.1", port=double.server_address[1], credential_provider=provider, retry=None, protocol=2
    )
    assert client.ping()
    client.close()


def test_a_secret_without_a_user_is_the_default_users(manager: FakeManager) -> None:
    manager.versions["v1"] = '{"password": "only"}'
    assert SecretProvider(Secret("app", manager)).get_credentials() == ("only",)
