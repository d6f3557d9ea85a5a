"""A cache of archives, by a hash of everything in them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rotators.packaging.archive import Archive, pack


def folder() -> Path:
    """The cache's folder: ``$XDG_CACHE_HOME/rotators/layers``, by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rotators" / "layers"


def archive(name: str, key: str, fill: Callable[[Path], None], made: Callable[[str], None]) -> Archive:
    """The archive for a key, made only if it is not in the cache.

    Args:
        name: the beginning of its file name.
        key: a hash of everything in it.
        fill: puts its files into an empty folder.
        made: called with the name if the archive was made now.
    """
    place = folder() / f"{name}-{key[:32]}.zip"
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="rotators-") as work:
            files = Path(work) / "files"
            files.mkdir()
            fill(files)
            # In the same folder, so that the rename is atomic: a reader sees the whole file or none.
            unfinished = place.with_name(f".{place.name}.{os.getpid()}")
            try:
                pack(files, unfinished)
                unfinished.replace(place)
            finally:
                unfinished.unlink(missing_ok=True)
        made(name)
    return Archive.read(place)
