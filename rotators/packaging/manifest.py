"""What was packaged, for whoever deploys it with other tools."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from rotators import __version__
from rotators.packaging.archive import Archive
from rotators.packaging.bundles import HANDLER
from rotators.packaging.platforms import Platform


def manifest(engine: str, target: Platform, files: Mapping[str, Archive], handler: str = HANDLER) -> dict[str, Any]:
    """A description of files that belong together, as JSON takes it.

    Args:
        engine: whose function it is; ``custom`` for somebody's own rotator.
        target: what it runs on.
        files: each archive by the name of its file.
        handler: what Lambda calls.

    Returns:
        the runtime, the handler, and of each file its hash in hex and as Lambda's CodeSha256 has it.
    """
    return {
        "rotators": __version__,
        "engine": engine,
        "runtime": target.runtime,
        "architecture": target.architecture,
        "handler": handler,
        "files": {
            name: {
                "sha256": archive.sha256,
                "code_sha256": base64.b64encode(bytes.fromhex(archive.sha256)).decode(),
                "size": archive.size,
                "unpacked": archive.unpacked,
            }
            for name, archive in sorted(files.items())
        },
    }
