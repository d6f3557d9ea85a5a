"""Reproducible zip files: the same files always give the same bytes."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LIMIT = 250 * 1024 * 1024
_KIBIBYTE = 1024
_MEBIBYTE = 1024 * _KIBIBYTE
# The earliest time that a zip file can hold.
_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_FILE = 0o100644
_EXECUTABLE = 0o100755


@dataclass(frozen=True)
class Archive:
    """A zip file.

    Args:
        path: its path.
        sha256: its SHA-256, in hex.
        size: its size in bytes.
        unpacked: the size of its content in bytes. Lambda allows ``LIMIT`` for a function with its layers.
    """

    path: Path
    sha256: str
    size: int
    unpacked: int

    def __str__(self) -> str:
        return f"{human(self.size)}, unpacked {human(self.unpacked)}"

    @classmethod
    def read(cls, path: Path) -> Archive:
        """Describe an existing zip file."""
        with zipfile.ZipFile(path) as file:
            unpacked = sum(entry.file_size for entry in file.infolist())
        return cls(path, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, unpacked)


def human(size: int) -> str:
    """A size in bytes as readable text."""
    return f"{size / _MEBIBYTE:.1f} MB" if size >= _MEBIBYTE / 10 else f"{max(1, round(size / _KIBIBYTE))} kB"


def pack(folder: Path, path: Path) -> None:
    """Write the files below a folder to a zip file: in order, with a fixed time, and with one of two permissions."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _TIME)
            entry.create_system = _UNIX
            shared = ".so" in file.suffixes
            entry.external_attr = (_EXECUTABLE if shared else _FILE) << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
