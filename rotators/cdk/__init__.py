"""Constructs for any CDK app (``pip install 'rotators[cdk]'``); docs/how-to/use-in-a-cdk-app.md shows them at work.

``RotationFunction`` rotates the secrets of one engine, ``CaBundle`` is whom it trusts. ``FunctionAlarms``,
``OverdueCheck``, ``RotationDashboard``, ``FailureEvents`` and ``Notifications`` tell what goes on, ``Fleet`` rotates
many secrets at once. The CDK app of this repository is made of the same.
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
