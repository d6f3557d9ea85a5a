"""Test kit: real rotations on your own machine, without an AWS account. See ``docs/reference/testing.md``.

Needs ``pip install 'rotators[testing]'``; not part of the Lambda package.
"""

from rotators.steps import STEPS
from rotators.testing.application import Application, LoginCount
from rotators.testing.clock import Clock
from rotators.testing.context import FakeLambdaContext
from rotators.testing.faults import INTERNAL, KMS_REFUSAL, THROTTLED, Crash, Fault, Faults, Refusal
from rotators.testing.gateway import Call
from rotators.testing.service import ATTEMPTS, Attempt, Rotation, RotationService
from rotators.testing.survival import Survival, assert_survives_faults

__all__ = [
    "ATTEMPTS",
    "INTERNAL",
    "KMS_REFUSAL",
    "STEPS",
    "THROTTLED",
    "Application",
    "Attempt",
    "Call",
    "Clock",
    "Crash",
    "FakeLambdaContext",
    "Fault",
    "Faults",
    "LoginCount",
    "Refusal",
    "Rotation",
    "RotationService",
    "Survival",
    "assert_survives_faults",
]
