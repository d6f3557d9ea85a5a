"""Constructs for any CDK app (``pip install 'rotators[cdk]'``); docs/how-to/use-in-a-cdk-app.md shows how to use them.

``RotationFunction`` rotates the secrets of one engine. ``CaBundle`` has the CA certificates that it trusts.
``FunctionAlarms``, ``OverdueCheck``, ``RotationDashboard``, ``FailureEvents`` and ``Notifications`` monitor it.
``Fleet`` rotates many secrets at once. This repository's CDK app uses the same constructs.
"""

from rotators.cdk.alarms import FunctionAlarms
from rotators.cdk.ca_bundle import CaBundle
from rotators.cdk.endpoint import SecretsManagerEndpoint
from rotators.cdk.failure_events import FailureEvents
from rotators.cdk.fleet import Fleet
from rotators.cdk.notifications import Notifications
from rotators.cdk.overdue_check import OverdueCheck
from rotators.cdk.password_generator import Generator
from rotators.cdk.rotation_dashboard import RotationDashboard
from rotators.cdk.rotation_function import RotationFunction
from rotators.packaging.custom import CustomRotator

__all__ = [
    "CaBundle",
    "CustomRotator",
    "FailureEvents",
    "Fleet",
    "FunctionAlarms",
    "Generator",
    "Notifications",
    "OverdueCheck",
    "RotationDashboard",
    "RotationFunction",
    "SecretsManagerEndpoint",
]
