"""Secrets Manager and a database in memory, for what needs neither a server nor moto."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-"


class FakeManager:
    """As much of a client for Secrets Manager as the client library calls."""

    def __init__(self, name: str, password: str = "first", **keys: Any) -> None:  # noqa: S107
        self.arn = ARN + name
        self.versions: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.calls: list[str] = []
        self.down = False
        self.denied: set[str] = set()
        self.latency = 0.0
        self.next_rotation: Any = None
        self.closed = 0
        self.keys = {"username": "app", "host": "db", "port": 5432} | keys
        self.promote(self.put(password))

    def put(self, password: str, **keys: Any) -> str:
        """Make a version that has no label."""
        version = f"v{len(self.versions) + 1}"
        self.versions[version] = json.dumps(self.keys | {"password": password} | keys)
        return version

    def stage(self, password: str, **keys: Any) -> str:
        """Make AWSPENDING."""
        self.labels["AWSPENDING"] = version = self.put(password, **keys)
        return version

    def promote(self, version: str) -> None:
        """Move AWSCURRENT."""
        if "AWSCURRENT" in self.labels:
            self.labels["AWSPREVIOUS"] = self.labels["AWSCURRENT"]
        self.labels["AWSCURRENT"] = version

    def get_secret_value(self, SecretId: str, VersionStage: str) -> dict[str, Any]:  # noqa: ARG002, N803
        self.calls.append(VersionStage)
        time.sleep(self.latency)
        if self.down:
            raise EndpointConnectionError(endpoint_url="https://secretsmanager.invalid")
        if VersionStage in self.denied:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetSecretValue")
        if VersionStage not in self.labels:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "GetSecretValue")
        version = self.labels[VersionStage]
        return {"ARN": self.arn, "VersionId": version, "SecretString": self.versions[version]}

    def describe_secret(self, SecretId: str) -> dict[str, Any]:  # noqa: ARG002, N803
        self.calls.append("describe")
        if "describe" in self.denied:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeSecret")
        return {"NextRotationDate": self.next_rotation} if self.next_rotation else {}

    def close(self) -> None:
        self.closed += 1


class InvalidPassword(Exception):
    """As asyncpg's."""

    sqlstate = "28P01"


class FakeDatabase:
    """Accepts passwords, and counts."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = set(accepted)
        self.tried: list[str] = []
        self.refused = 0
        self.under_way = 0
        self.most_at_once = 0
        self.seconds = 0.0
        self._lock = threading.Lock()

    def connect(self, value: Any) -> str:
        with self._lock:
            self.tried.append(value["password"])
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            time.sleep(self.seconds)
            if value["password"] not in self.accepted:
                with self._lock:
                    self.refused += 1
                raise InvalidPassword("password authentication failed for user")
            return str(value["password"])
        finally:
            with self._lock:
                self.under_way -= 1

    async def connect_async(self, value: Any) -> str:
        await asyncio.sleep(self.seconds)
        return self.connect(value)


class Ticking:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass for code that sleeps by this clock: in place of the module that the client sleeps with."""
        with self._lock:
            self.now += seconds
