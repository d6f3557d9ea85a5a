"""All that a process wrote or can be asked of it, and the spellings in which a value may stand there."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from urllib.parse import quote

CANARY = "canary-2718281828"


class Witness:
    """Looks at processes and at a folder, and remembers all that it has seen as one text.

    Args:
        folder: where the processes' files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, None] = {}

    def look_at(self, pid: int, *, program: bool = False) -> None:
        """What anybody on the machine sees of a process and its children.

        Args:
            pid: the process.
            program: its children are somebody's program, whose environment is its own.
        """
        mine = Path(f"/proc/{pid}")
        # It may end while it is looked at.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            children = " ".join(one.read_text() for one in mine.glob("task/*/children")).split()
            for one in (str(pid), *children):
                for name in ("cmdline", "environ"):
                    if name == "cmdline" or one == str(pid) or not program:
                        self.note((mine.parent / one / name).read_bytes().decode(errors="replace"))

    def look_at_files(self) -> None:
        """What the folder holds now: what is temporary may be gone in the end."""
        for path in self._folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                self.note(f"{path}\n{path.read_bytes().decode(errors='replace')}")

    def note(self, text: str) -> None:
        """Something else that was written."""
        self._seen[text] = None

    def text(self) -> str:
        """All of it, and what the folder holds now."""
        self.look_at_files()
        return "\n".join(self._seen)


def spellings(value: str) -> set[str]:
    """What a value may be written as."""
    data = value.encode(errors="surrogatepass")
    return {
        value,
        json.dumps(value)[1:-1],
        quote(value, errors="surrogatepass"),
        base64.b64encode(data).decode(),
        data.hex(),
        repr(value)[1:-1],
    }
