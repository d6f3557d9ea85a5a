"""The operating system's account for servers, and folders that it can use.

PostgreSQL refuses to run as root, and a test suite in a container often runs as root. So servers started by root run as
`nobody`; other users' servers run as that user.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_ROOT = 0
_UNPRIVILEGED = "nobody"
_CACHE = Path("/var/cache/rotators-testing")


@dataclass(frozen=True)
class SystemAccount:
    """A user and group of the operating system, by number."""

    uid: int
    gid: int

    @classmethod
    def for_servers(cls) -> Self:
        """The account for servers: `nobody` for root, otherwise the current one.

        Raises:
            KeyError: the current user is root, and the machine has no `nobody`.
        """
        if os.geteuid() != _ROOT:
            return cls(os.geteuid(), os.getegid())
        entry = pwd.getpwnam(_UNPRIVILEGED)
        return cls(entry.pw_uid, entry.pw_gid)

    @property
    def is_current(self) -> bool:
        """Whether this process runs under it."""
        return self.uid == os.geteuid()

    def own(self, path: Path) -> None:
        """Make the account the owner of a file or folder.

        Raises:
            PermissionError: the account is another one, and the current user is not root.
        """
        if not self.is_current:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether the account may enter all folders on the path, following links.

        Decided by owner, group and mode; access control lists are ignored.
        """
        return all(self._may_enter(folder.stat()) for folder in path.resolve().parents)

    def _may_enter(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


@contextlib.contextmanager
def temporary_folder(account: SystemAccount) -> Iterator[Path]:
    """A temporary folder that the account owns (mode 0700), removed at the end with its content.

    It is in the usual place for temporary files, or in /tmp if the account can't reach that. Its path is short, because
    a Unix socket's path may have only about 100 bytes.
    """
    usual = Path(tempfile.gettempdir())
    place = usual if account.reaches(usual / "any") else Path("/tmp")  # noqa: S108 (mkdtemp makes the name)
    folder = Path(tempfile.mkdtemp(prefix="rotators-", dir=place))
    try:
        account.own(folder)
        yield folder
    finally:
        # A server's watchdog may remove it at the same time.
        shutil.rmtree(folder, ignore_errors=True)


def reachable_copy(folder: Path, name: str, account: SystemAccount) -> Path:
    """The folder itself, or a copy that the account can read if it can't reach the folder.

    A virtual environment below root's home is closed to `nobody`. The copy is made once per name, in
    /var/cache/rotators-testing, which belongs to root: in a folder that anyone can write, someone could place programs
    for root to start.

    Args:
        folder: a folder with programs, which find each other by relative paths.
        name: the copy's name, with the version in it: a copy is never refreshed.
        account: the account that will run the programs.

    Raises:
        PermissionError: the cache folder belongs to someone else.
        OSError: it can't be written.
    """
    if account.reaches(folder / "any"):
        return folder
    with contextlib.suppress(FileExistsError):
        _CACHE.mkdir()
    if _CACHE.is_symlink() or _CACHE.stat().st_uid != os.geteuid():
        raise PermissionError(f"{_CACHE} belongs to another user: remove it")
    _CACHE.chmod(0o755)  # independent of the umask
    copy = _CACHE / name
    if not copy.is_dir():
        # Renamed when complete: several test processes may do this at once.
        with tempfile.TemporaryDirectory(dir=_CACHE) as unfinished:
            made = shutil.copytree(folder, Path(unfinished, name), symlinks=True)
            _open_to_all(made)
            try:
                made.rename(copy)
            except OSError:
                if not copy.is_dir():
                    raise
    return copy


def _open_to_all(folder: Path) -> None:
    # Programs that were installed under a strict umask are closed to others, and so would be the copy.
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o555 if mode & stat.S_IXUSR else mode | 0o444)
