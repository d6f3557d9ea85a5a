"""The layer with a database's driver."""

from __future__ import annotations

from constructs import Construct

from rotators.cdk.layers import BundledLayer
from rotators.packaging.bundles import Bundles


class DriverLayer(BundledLayer):
    """An engine's driver, for the platform of the bundles.

    Args:
        bundles: makes its archive.
        engine: the kind of database.
    """

    def __init__(self, scope: Construct, id_: str, *, bundles: Bundles, engine: str) -> None:
        super().__init__(
            scope,
            id_,
            archive=bundles.driver(engine),
            description=f"The driver for {engine}",
            target=bundles.target,
        )
