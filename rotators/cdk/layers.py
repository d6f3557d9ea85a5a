"""A layer of files that are bundled without Docker."""

from __future__ import annotations

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from rotators.packaging.archive import Archive
from rotators.packaging.platforms import Platform

ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


class BundledLayer(lambda_.LayerVersion):
    """A layer whose version changes only when its bytes change.

    Args:
        archive: the zip file.
        description: its description.
        target: its platform; None: any architecture.
    """

    def __init__(
        self, scope: Construct, id_: str, *, archive: Archive, description: str, target: Platform | None = None
    ) -> None:
        super().__init__(
            scope,
            id_,
            code=code(archive),
            description=description,
            compatible_architectures=None if target is None else [ARCHITECTURES[target.architecture]],
        )


def code(archive: Archive) -> lambda_.AssetCode:
    """An archive as an asset, identified by its own hash."""
    return lambda_.Code.from_asset(str(archive.path), asset_hash=archive.sha256)
