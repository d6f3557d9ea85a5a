"""The journal of a run: what was chosen, and each rotation before it is started. From it, a run can be resumed.

It has JSON lines, which are only appended. Each is on the disk before the run continues. The line with a rotation's
ClientRequestToken is written before RotateSecret is called. So every call has a line, and calling again with the same
token does not start a second rotation
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
    """A journal's file, open in one process at a time. A context manager, which closes it.

    Args:
        file: its path.
        stream: the open and locked file.
    """

    def __init__(self, file: Path, stream: BufferedRandom) -> None:
        self.file = file
        self._stream = stream
        self._lock = Lock()

    @classmethod
    def create(cls, file: Path) -> Journal:
        """Begin a new journal, which only the user can read: it names targets for an attacker.

        Raises:
            ConfigurationError: the file exists, or it can't be written.
        """
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise ConfigurationError(
                f"the journal {file} exists already", f"resume it: rotators rotate --resume {file}; or name another"
            ) from None
        except OSError as error:
            raise _unwritable(file, error) from None
        journal = cls(file, _locked(file, descriptor))
        # The file's name must be on the disk as well.
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return journal

    @classmethod
    def resume(cls, file: Path) -> tuple[Journal, list[dict[str, Any]]]:
        """Open an existing journal.

        Returns:
            The journal, and its lines.

        Raises:
            ConfigurationError: the file is not a journal, or another process has it open.
        """
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigurationError(
                f"the journal {file} can't be opened ({error.strerror})", "name the file that the run named"
            ) from None
        stream = _locked(file, descriptor)
        whole, _, torn = stream.read().rpartition(b"\n")
        if torn:
            # Its last line is incomplete, so what that line announces was not started.
            stream.truncate(len(whole) + 1 if whole else 0)
        stream.seek(0, os.SEEK_END)
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
            version = lines[0]["journal"]
        except (ValueError, LookupError, TypeError):
            version = None
        if version != VERSION:
            stream.close()
            raise ConfigurationError(f"{file} is not a journal of this version", "name another file") from None
        return cls(file, stream), lines

    def write(self, kind: str, at: datetime, **facts: Any) -> None:
        """Append a line, and wait until it is on the disk.

        Args:
            kind: the line's kind.
            at: the event's time.
            facts: the line's other keys.

        Raises:
            ConfigurationError: it can't be written. The caller must not do what the line announces.
        """
        line = json.dumps({"kind": kind, "at": at.isoformat(), **facts}, ensure_ascii=True) + "\n"
        self._append(line)

    def begin(self, at: datetime, head: Mapping[str, Any], secrets: list[dict[str, Any]]) -> None:
        """Write what was chosen, waiting for the disk once.

        Raises:
            ConfigurationError: see :meth:`write`.
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
        raise ConfigurationError(f"another process uses the journal {file}", "wait until it has ended") from None
    return stream


def _unwritable(file: Path, error: Exception) -> ConfigurationError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ConfigurationError(
        f"the journal {file} can't be written ({reason}), and no rotation is started without it",
        "free disk space, or name another file with --journal",
    )
