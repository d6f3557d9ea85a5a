"""Archives that were made before, found by all that went into them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rotators.packaging.archive import Archive, pack


def folder() -> Path:
    """Where they are kept: ``$XDG_CACHE_HOME/rotators/layers``, by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rotators" / "layers"


def archive(name: str, key: str, fill: Callable[[Path], None], made: Callable[[str], None]) -> Archive:
    """The archive for a key, made only where it is not there yet.

    Args:
        name: what it is, for its file's name.
        key: a hash of all that goes into it.
        fill: puts its files into an empty folder.
        made: is told the name where it was made now.
    """
    place = folder() / f"{name}-{key[:32]}.zip"
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="rotators-") as work:
            files = Path(work) / "files"
            files.mkdir()
            fill(files)
            # Beside its place, so that the renaming is one step: whoever reads it, reads it whole.
            unfinished = place.with_name(f".{place.name}.{os.getpid()}")
            try:
                pack(files, unfinished)
                unfinished.replace(place)
            finally:
                unfinished.unlink(missing_ok=True)
        made(name)
    return Archive.read(place)
