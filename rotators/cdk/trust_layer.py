"""The layer with the CA certificates that functions trust."""

from __future__ import annotations

from constructs import Construct

from rotators.cdk.layers import BundledLayer
from rotators.engines.specs import SPECS
from rotators.packaging.bundles import Bundles

PUBLIC_CA = frozenset(name for name, spec in SPECS.items() if spec.public_ca)
"""Engines whose certificates are signed by a public CA, which a function's operating system trusts."""


class TrustLayer(BundledLayer):
    """A layer with CA certificates, at the path where every function looks for them.

    Args:
        bundles: makes its archive.
        certificates: PEM text, checked by :mod:`rotators.packaging.trust`.
    """

    def __init__(self, scope: Construct, id_: str, *, bundles: Bundles, certificates: str) -> None:
        super().__init__(
            scope, id_, archive=bundles.trust(certificates), description="The CA certificates of the databases"
        )
