"""Unpacks wheels for another platform into a folder, with pip, so that pip's configuration applies."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from rotators.errors import PackagingFailed
from rotators.packaging.platforms import Platform

# Files that pip leaves for itself. RECORD lists files by hash, so it would differ after each compilation.
_LEFTOVERS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def is_needed(lock: Path) -> bool:
    """Whether a lock names any package: pip refuses one that names none."""
    return any(line.strip() and not line.lstrip().startswith("#") for line in lock.read_text().splitlines())


def install(lock: Path, target: Platform, folder: Path) -> None:
    """Install a lock's wheels into a folder, each checked against its hash.

    Markers are not evaluated (pip would use this machine's): a lock is made for the runtime, and installed as a whole.

    Args:
        lock: requirements with hashes.
        target: the platform on which they will run.
        folder: the folder, which is made.

    Raises:
        PackagingFailed: a wheel is not available, or has another hash.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "install"]
    command += ["--no-compile", "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--python-version={target.python}", *(f"--platform={tag}" for tag in target.wheel_tags)]
    command += [f"--requirement={lock}", f"--target={folder}"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if ran.returncode != 0:
        last = next((line for line in reversed(ran.stderr.splitlines()) if line.startswith("ERROR")), ran.stderr[-300:])
        raise PackagingFailed(
            f"the wheels of {lock.parent.name or lock.name} for {target.runtime} on {target.architecture} could not be "
            f"installed: {last.removeprefix('ERROR: ').strip()}",
            "check that this Python has pip, and that pip reaches its index (pip config list)",
        )
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for leftover in _LEFTOVERS:
        for file in folder.glob(f"*.dist-info/{leftover}"):
            file.unlink()
