"""The locked requirements of each layer, with the hash of every file."""

from __future__ import annotations

from pathlib import Path

import rotators
from rotators.errors import PackagingFailed

_PACKAGE = Path(rotators.__file__).parent
# In a wheel, the locks are in the package; in a checkout, in the folder layers/ beside it.
_PLACES = (_PACKAGE / "packaging" / "layers", _PACKAGE.parent / "layers")

BASE = "base"


def lock(layer: str) -> Path:
    """The lock of a layer.

    Args:
        layer: ``base``, or a driver's folder.

    Returns:
        The file's path.

    Raises:
        PackagingFailed: this installation does not have it.
    """
    for place in _PLACES:
        file = place / layer / "requirements.txt"
        if file.is_file():
            return file
    raise PackagingFailed(
        f"the requirements of the layer '{layer}' are missing", "install rotators again, or work in a full checkout"
    )
