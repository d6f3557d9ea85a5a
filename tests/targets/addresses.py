"""Your own servers for the suites: named by a variable, beside what the tests start or take the place of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True, repr=False)
class Address:
    """A server, and who may do everything there.

    Args:
        engine: as the URL says.
        database: the one that the suites may work in.
        ca_file: the CA certificates to verify it with; None: without TLS.
    """

    engine: str
    host: str
    port: int
    username: str
    password: str
    database: str
    ca_file: str | None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.engine} at {self.host}:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What the function is told."""
        return {"ROTATION_CA_BUNDLE": self.ca_file} if self.ca_file else {"ROTATION_ALLOW_PLAINTEXT": "true"}

    def secret(self, username: str, password: str) -> dict[str, Any]:
        """The value of a user's secret."""
        value: dict[str, Any] = {"engine": self.engine, "host": self.host, "port": self.port, "dbname": self.database}
        return value | {"username": username, "password": password} | ({} if self.ca_file else {"ssl": False})


def named(engine: str) -> list[tuple[str, Any]]:
    """The server that ROTATORS_TEST_<ENGINE>_URL names, as a Kind's: ``engine://user:password@host:port/database?ca=file``.

    Without ``ca`` it is reached without TLS, which the suites then allow their functions.
    """
    text = os.environ.get(f"ROTATORS_TEST_{engine.upper()}_URL")
    return [("-server", parse(text))] if text else []


def parse(text: str) -> Address:
    """Read such a URL.

    Raises:
        ValueError: something of it is missing.
    """
    url = urlsplit(text)
    if not (url.hostname and url.port and url.username and url.password and url.path.strip("/")):
        raise ValueError("it takes the form engine://user:password@host:port/database?ca=file")
    ca = parse_qs(url.query).get("ca", [None])[0]
    login = unquote(url.username), unquote(url.password)
    return Address(url.scheme, url.hostname, url.port, *login, url.path.strip("/"), ca)
