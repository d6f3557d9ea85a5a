"""The locked requirements of each layer: every file by its hash."""

from __future__ import annotations

from pathlib import Path

import rotators
from rotators.errors import PackagingFailed

_PACKAGE = Path(rotators.__file__).parent
# In a wheel the locks lie in the package; in a checkout they are the folder layers/ beside it.
_PLACES = (_PACKAGE / "packaging" / "layers", _PACKAGE.parent / "layers")

BASE = "base"


def lock(layer: str) -> Path:
    """The lock of a layer.

    Args:
        layer: ``base``, or a driver's folder.

    Raises:
        PackagingFailed: this installation has none.
    """
    for place in _PLACES:
        file = place / layer / "requirements.txt"
        if file.is_file():
            return file
    raise PackagingFailed(
        f"the requirements of the layer '{layer}' are missing", "install rotators anew, or work in a full checkout"
    )
