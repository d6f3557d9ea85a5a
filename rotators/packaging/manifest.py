"""Describes what was packaged, for deployment with other tools."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from rotators import __version__
from rotators.packaging.archive import Archive
from rotators.packaging.bundles import HANDLER
from rotators.packaging.platforms import Platform


def manifest(engine: str, target: Platform, files: Mapping[str, Archive], handler: str = HANDLER) -> dict[str, Any]:
    """Describe files that belong together.

    Args:
        engine: the function's engine; ``custom`` for a user's own rotator.
        target: the platform it runs on.
        files: each archive by its file name.
        handler: the handler that Lambda calls.

    Returns:
        A JSON object: the runtime, the handler, and each file's hash in hex and in the form of Lambda's CodeSha256.
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
