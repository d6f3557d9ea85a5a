"""The layer with rotators and Powertools."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from rotators.cdk.layers import BundledLayer
from rotators.packaging.bundles import Bundles


class BaseLayer(BundledLayer):
    """The layer that every function needs. It has no boto3, which the runtime has.

    Args:
        bundles: makes its archive.
    """

    def __init__(self, scope: Construct, id_: str, *, bundles: Bundles) -> None:
        super().__init__(scope, id_, archive=bundles.base(), description="rotators and Powertools for AWS Lambda")


def shared_base_layer(stack: Stack, bundles: Bundles) -> lambda_.ILayerVersion:
    """The base layer that all functions of a stack share.

    Args:
        stack: the stack.
        bundles: makes the archive if the stack does not have the layer yet.
    """
    id_ = "RotatorsBaseLayer"
    return stack.node.try_find_child(id_) or BaseLayer(stack, id_, bundles=bundles)  # type: ignore[return-value]
