"""OverdueCheck: reports secrets whose rotation is overdue, for any CDK app."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aws_cdk import Stack
from aws_cdk import aws_sns as sns
from constructs import Construct

from rotators.cdk.base_layer import shared_base_layer
from rotators.cdk.bundled_function import FunctionOptions
from rotators.cdk.overdue_watch import OverdueWatch
from rotators.cdk.rotation_function import RotationFunction
from rotators.packaging.bundles import Bundles
from rotators.packaging.platforms import Platform


class OverdueCheck(OverdueWatch):
    """A function that checks the secrets' dates each hour, and an alarm on its count and on missing counts.

    Args:
        rotations: the functions whose secrets to check. Add all their secrets before.
        topic: the topic for the alarm.
        bundles: makes the layers and functions for a platform.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        rotations: Sequence[RotationFunction],
        topic: sns.ITopic,
        bundles: Callable[[Platform], Bundles] = Bundles,
    ) -> None:
        made = bundles(Platform())
        super().__init__(
            scope,
            id_,
            archive=made.overdue(),
            layers=[shared_base_layer(Stack.of(scope), made)],
            options=FunctionOptions(Platform()),
            secrets=[secret for rotation in rotations for secret in rotation.checked()],
            topic=topic,
        )
