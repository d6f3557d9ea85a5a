"""A rotation broken at every call to Secrets Manager: before it is carried out, and after."""

from __future__ import annotations

from typing import Any

import pytest
from recovery import goes_on, recovers, survives
from targets import ALTERNATING, DUAL, SINGLE, rotated

from rotators.testing import INTERNAL, THROTTLED, Crash, RotationService

# The labels that an application or the next attempt begins with.
FOUND = ("AWSCURRENT", "AWSPENDING")


@pytest.mark.parametrize("strategy", [SINGLE, ALTERNATING, DUAL])
@pytest.mark.parametrize(
    ("when", "kind"),
    [
        ("before", "network"),
        ("after", "network"),
        ("before", "crash"),
        ("after", "crash"),
        pytest.param("before", INTERNAL, id="before-internal"),
        pytest.param("after", INTERNAL, id="after-internal"),
        # A call that is throttled is not carried out.
        pytest.param("before", THROTTLED, id="before-throttled"),
    ],
)
def test_every_call(
    target: Any,
    rotation_service: RotationService,
    record_property: Any,
    *,
    strategy: str,
    kind: Any,
    when: Any,
) -> None:
    subject = rotated(target, rotation_service, strategy)
    before = len(rotation_service.calls)
    assert rotation_service.rotate(subject.arn).succeeded
    steps = len([call for call in rotation_service.calls[before:] if call.step])
    for nth in range(1, steps + 1):
        # The first call that counts is RotateSecret itself.
        fault = rotation_service.faults.fail(nth=nth + 1, when=when, kind=kind)
        rotation = rotation_service.rotate(subject.arn)
        where = f"{when} call {nth} of {steps} ({kind}, {strategy})"
        assert fault.fired, where
        # A process that is killed between the promotion and the commit leaves AWSPREVIOUS in force, and no more.
        killed = isinstance(rotation.error, Crash)
        survives(subject, (*FOUND, "AWSPREVIOUS") if killed and strategy == SINGLE else FOUND, where)
        recovers(subject, rotation, where)
    goes_on(subject)
    record_property("faults", (f"{strategy}: calls to Secrets Manager", steps))
