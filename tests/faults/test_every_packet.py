"""A rotation broken at every packet to the database: lost on its way, or its answer lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from recovery import go_through, goes_on, recovers, survives
from situations import SITUATIONS, Situation, rights_of
from targets import ALTERNATING, DUAL, SINGLE, Rotated, rotated
from targets.shares import staggered

from rotators.testing import RotationService
from rotators.testing.proxy import PacketProxy

FAULTS = ("cut_before", "lose_answer")


@pytest.fixture
def proxy(target: Any) -> Iterator[PacketProxy]:
    with PacketProxy(target.server.host, target.server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_packet(
    target: Any,
    proxy: PacketProxy,
    rotation_service: RotationService,
    record_property: Any,
    *,
    strategy: str,
    fault: str,
) -> None:
    subject = rotated(target, rotation_service, strategy)
    go_through(proxy, subject)
    # The first rotation makes the twin: it is broken too, in test_the_first_rotation.
    assert rotation_service.rotate(subject.arn).succeeded
    proxy.settle()
    proxy.reset()
    assert rotation_service.rotate(subject.arn).succeeded
    points = proxy.points()
    assert len(points) > 20
    points = points[staggered(target.part, FAULTS.index(fault))]
    for point in points:
        where = f"{fault} {point} ({strategy})"
        proxy.reset()
        getattr(proxy, fault)(*point)
        rotation = rotation_service.rotate(subject.arn)
        proxy.settle()
        proxy.reset()
        survives(subject, ("AWSCURRENT", "AWSPENDING"), where)
        recovers(subject, rotation, where)
        proxy.settle()
    goes_on(subject)
    record_property("faults", (f"{strategy}: packets to the database", len(points)))


@pytest.mark.parametrize("fault", FAULTS)
def test_the_first_rotation_which_makes_the_twin(
    target: Any,
    proxy: PacketProxy,
    rotation_service: RotationService,
    record_property: Any,
    fault: str,
) -> None:
    subject = rotated(target, rotation_service, ALTERNATING)
    go_through(proxy, subject)
    assert rotation_service.rotate(subject.arn).succeeded
    # Only setSecret's connections make anything: the last but one is the admin's that makes the twin.
    admins = [point for point in proxy.points() if point.connection == 4]
    admins = admins[staggered(target.part, FAULTS.index(fault))]
    for point in admins:
        fresh = rotated(target, rotation_service, ALTERNATING)
        go_through(proxy, fresh)
        proxy.reset()
        getattr(proxy, fault)(*point)
        rotation = rotation_service.rotate(fresh.arn)
        proxy.settle()
        proxy.reset()
        where = f"{fault} {point} of the first rotation"
        survives(fresh, ("AWSCURRENT",), where)
        recovers(fresh, rotation, where)
        goes_on(fresh)
        proxy.settle()
    record_property("faults", ("alternating-users: packets of the first rotation", len(admins)))


def break_packets(proxy: PacketProxy, subject: Rotated, situation: Situation, fault: str, part: slice) -> int:
    """Break a rotation at some of its packets, in a situation."""
    go_through(proxy, subject)
    situation.before(subject)
    assert subject.service.rotate(subject.arn).succeeded
    rights = rights_of(subject)
    situation.before(subject)
    proxy.settle()
    proxy.reset()
    assert subject.service.rotate(subject.arn).succeeded
    points = proxy.points()[part]
    for point in points:
        situation.before(subject)
        where = f"{fault} {point} ({subject.strategy}, {situation.name})"
        proxy.reset()
        getattr(proxy, fault)(*point)
        rotation = subject.service.rotate(subject.arn)
        proxy.settle()
        proxy.reset()
        situation.survives(subject, where)
        situation.recovers(subject, rotation, where)
        proxy.settle()
    goes_on(subject)
    assert rights_of(subject) == rights
    return len(points)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
def test_some_packets_in_each_situation(
    target: Any,
    proxy: PacketProxy,
    rotation_service: RotationService,
    record_property: Any,
    *,
    strategy: str,
    situation: type[Situation],
) -> None:
    """Issue 12: the rest of them is broken by test_every_packet_in_each_situation."""
    here = situation()
    subject = here.begin(target, rotation_service, strategy)
    broken = break_packets(proxy, subject, here, "lose_answer", slice(-8, None, 8))
    record_property("faults", (f"{strategy}: packets to the database", broken))


@pytest.mark.long
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_packet_in_each_situation(
    target: Any,
    proxy: PacketProxy,
    rotation_service: RotationService,
    record_property: Any,
    *,
    strategy: str,
    situation: type[Situation],
    fault: str,
) -> None:
    """Issue 12, "Must be shown"."""
    here = situation()
    subject = here.begin(target, rotation_service, strategy)
    broken = break_packets(proxy, subject, here, fault, staggered(target.part, FAULTS.index(fault)))
    record_property("faults", (f"{strategy}: packets to the database", broken))
