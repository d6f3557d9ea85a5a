"""What must hold after a fault, and after the service has repeated the rotation.

The rotation after a broken one is the next that is broken; after the last one, ``goes_on`` does it.
"""

from __future__ import annotations

import json

import pytest
from targets import Rotated

from rotators.testing import ATTEMPTS, Rotation
from rotators.testing.proxy import PacketProxy


def go_through(proxy: PacketProxy, subject: Rotated) -> None:
    """Have the function reach its server through the proxy only."""
    value = subject.value
    for arn in filter(None, (subject.arn, value.get("masterarn"))):
        moved = {**subject.service.value(arn), "port": proxy.port}
        subject.service.client.put_secret_value(SecretId=arn, SecretString=json.dumps(moved))


def survives(subject: Rotated, stages: tuple[str, ...], where: str) -> None:
    """Some password that an application can find logs in."""
    working = [stage for stage in stages if subject.logs_in(stage)]
    assert working, f"locked out: none of {', '.join(stages)} logs in after {where}"


def recovers(subject: Rotated, rotation: Rotation, where: str) -> None:
    """The service's repetitions finish the rotation, and the user can do its work."""
    while not rotation.succeeded:
        assert not rotation.abandoned, f"stuck after {where}: {rotation.error}"
        subject.service.retry(subject.arn)
    assert len(rotation.attempts) < ATTEMPTS
    labels = subject.service.labels(subject.arn)
    assert labels[rotation.token] == ["AWSCURRENT"], where
    try:
        subject.target.work(subject.value)
    except Exception as error:  # noqa: BLE001  # whatever it is, the place matters more
        pytest.fail(f"the user logs in and can't work after {where}: {error}")


def goes_on(subject: Rotated) -> None:
    """The next rotation passes."""
    following = subject.service.rotate(subject.arn)
    assert following.error is None
    subject.target.work(subject.value)
