"""Secrets Manager as the facts use it: the real one, or the simulated one."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from infra.verify.inside import probe
from rotators.testing import RotationService

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

# Seconds: a rotation of the real service begins at once, and takes as long as four invocations.
PATIENCE, PAUSE = 180.0, 1.0
_TRIES_IN_A_SIMULATION = 3
# Longer than any call takes; the endpoint is in the same network.
_CALL = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4})


class NotInTime(Exception):
    """The expected state was not reached in time."""


class Service:
    """A Secrets Manager, and the secrets to rotate.

    Args:
        client: boto3's.
        prefix: the beginning of the name of every created secret.
        probe_arn: the function of :mod:`infra.verify.inside.probe`.
        advance: called between two checks of the state.
        looks: how many checks there are.
    """

    def __init__(
        self, client: SecretsManagerClient, prefix: str, probe_arn: str, advance: Callable[[], object], looks: int
    ) -> None:
        self.client = client
        self.probe_arn = probe_arn
        self._prefix = prefix
        self._advance = advance
        self._looks = looks
        self._made: list[str] = []

    def name(self) -> str:
        """An unused name for a secret."""
        return f"{self._prefix}fact-{secrets.token_hex(6)}"

    def secret(self, **tags: str) -> str:
        """A new secret with the value ``first``; its ARN."""
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        made = self.client.create_secret(Name=self.name(), SecretString="first", Tags=listed)  # type: ignore[arg-type]
        self._made.append(made["ARN"])
        return made["ARN"]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Let time pass until something holds.

        Raises:
            NotInTime: it does not hold after all checks.
        """
        for _ in range(self._looks):
            if condition():
                return
            self._advance()
        if not condition():
            raise NotInTime

    def remove(self) -> None:
        """Delete all created secrets, without a recovery window."""
        for arn in self._made:
            self.client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
        self._made.clear()


@contextlib.contextmanager
def real(prefix: str, probe_arn: str) -> Iterator[Service]:
    """The service of the account of this process's credentials."""
    client = boto3.client("secretsmanager", config=_CALL)
    service = Service(client, prefix, probe_arn, lambda: time.sleep(PAUSE), round(PATIENCE / PAUSE))
    try:
        yield service
    finally:
        service.remove()


@contextlib.contextmanager
def simulated(prefix: str) -> Iterator[tuple[Service, RotationService]]:
    """The simulated service; only one can exist in this process."""
    with RotationService() as simulation:
        client = simulation.client
        arn = simulation.register(lambda event, _: probe.rotate(client, event), "probe")
        yield Service(client, prefix, arn, simulation.run, _TRIES_IN_A_SIMULATION), simulation


def labels(client: SecretsManagerClient, arn: str) -> Mapping[str, Any]:
    """The labels of each version that has one."""
    return client.describe_secret(SecretId=arn)["VersionIdsToStages"]
