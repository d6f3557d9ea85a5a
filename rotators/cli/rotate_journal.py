"""The journal of a run: what was chosen, and each rotation before it is started. A run that was broken off resumes.

JSON lines, only ever appended, each on the disk before the next thing happens. The line with a rotation's
ClientRequestToken is written before RotateSecret is called: a call that was made has a line, and calling again with the
same token starts no second rotation
(https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from datetime import datetime
from io import BufferedRandom
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from rotators.errors import ConfigurationError

VERSION = 1


class Journal:
    """One file; open in one process at a time. A context manager, which closes it.

    Args:
        file: where it is.
        stream: it, open and locked.
    """

    def __init__(self, file: Path, stream: BufferedRandom) -> None:
        self.file = file
        self._stream = stream
        self._lock = Lock()

    @classmethod
    def create(cls, file: Path) -> Journal:
        """Begin a new one, which nobody but the user can read: it names what can be attacked.

        Raises:
            ConfigurationError: there is a file already, or it can't be written.
        """
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise ConfigurationError(
                f"there is a journal {file} already", f"resume it: rotators rotate --resume {file}; or name another"
            ) from None
        except OSError as error:
            raise _unwritable(file, error) from None
        journal = cls(file, _locked(file, descriptor))
        # The name is to survive as well.
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return journal

    @classmethod
    def resume(cls, file: Path) -> tuple[Journal, list[dict[str, Any]]]:
        """Open one that was begun.

        Returns:
            it, and its lines.

        Raises:
            ConfigurationError: it is none, or another process has it.
        """
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigurationError(
                f"the journal {file} can't be opened ({error.strerror})", "name the file that the run has named"
            ) from None
        stream = _locked(file, descriptor)
        whole, _, torn = stream.read().rpartition(b"\n")
        if torn:
            # Its writing was broken off, and what it would have told of was not begun.
            stream.truncate(len(whole) + 1 if whole else 0)
        stream.seek(0, os.SEEK_END)
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
            version = lines[0]["journal"]
        except (ValueError, LookupError, TypeError):
            version = None
        if version != VERSION:
            stream.close()
            raise ConfigurationError(f"{file} is no journal of this version's", "name another file") from None
        return cls(file, stream), lines

    def write(self, kind: str, at: datetime, **facts: Any) -> None:
        """Append a line, and have it on the disk.

        Args:
            kind: what it tells.
            at: when that was.
            facts: the rest of it.

        Raises:
            ConfigurationError: it can't be written. What it tells of must not be done then.
        """
        line = json.dumps({"kind": kind, "at": at.isoformat(), **facts}, ensure_ascii=True) + "\n"
        self._append(line)

    def begin(self, at: datetime, head: Mapping[str, Any], secrets: list[dict[str, Any]]) -> None:
        """Write what was chosen, with one wait for the disk.

        Raises:
            ConfigurationError: as :meth:`write`.
        """
        first = {"journal": VERSION, "kind": "run", "at": at.isoformat(), **head, "secrets": len(secrets)}
        lines = [first, *({"kind": "secret", **one} for one in secrets)]
        self._append("".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines))

    def close(self) -> None:
        """Close it: another process may open it."""
        self._stream.close()

    def _append(self, text: str) -> None:
        with self._lock:
            try:
                self._stream.write(text.encode())
                self._stream.flush()
                os.fsync(self._stream.fileno())
            except (OSError, ValueError) as error:
                raise _unwritable(self.file, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _locked(file: Path, descriptor: int) -> BufferedRandom:
    stream: BufferedRandom = os.fdopen(descriptor, "r+b")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise ConfigurationError(f"another process has the journal {file}", "wait until it has ended") from None
    return stream


def _unwritable(file: Path, error: Exception) -> ConfigurationError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ConfigurationError(
        f"the journal {file} can't be written ({reason}), and no rotation is started without it",
        "make room, or name another file with --journal",
    )
