"""The layer with rotators and Powertools."""

from __future__ import annotations

from constructs import Construct

from infra.constructs.layers import BundledLayer
from rotators.packaging.bundles import Bundles


class BaseLayer(BundledLayer):
    """What every function needs but boto3, which the runtime has.

    Args:
        bundles: makes it.
    """

    def __init__(self, scope: Construct, id_: str, *, bundles: Bundles) -> None:
        super().__init__(scope, id_, archive=bundles.base(), description="rotators and Powertools for AWS Lambda")
