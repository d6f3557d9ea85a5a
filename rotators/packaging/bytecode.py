"""Compiled modules, so that no cold start has to compile: a function's folders are read-only.

The compiled files carry the source's hash and are never checked against it: a zip file loses the time of day that
Python would check otherwise (https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from rotators.errors import PackagingFailed

# Where Lambda unpacks layers and functions; what a traceback shows.
LAYER, FUNCTION = "/opt/python", "/var/task"
_CODE = """
import compileall, py_compile, sys
folder, shown = sys.argv[1:]
sys.exit(not compileall.compile_dir(folder, maxlevels=99, ddir=None, stripdir=folder, prependdir=shown, quiet=1,
    workers=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH))
"""


def compiler(python: str) -> str | None:
    """A Python of a version (``3.14``) on this machine: compiled modules are of use to that version only.

    Returns:
        its executable; None where there is none.
    """
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{python}")
    if found is None:
        return None
    # A name may be there and not run: pyenv has one for each version that it ever saw.
    ran = subprocess.run(
        [found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return found if ran.stdout.strip() == python else None


def compile_folder(folder: Path, interpreter: str, unpacked: str = LAYER) -> None:
    """Compile every module below a folder, in one process and in order, so that the outcome is the same each time.

    Args:
        folder: what is to be compiled.
        interpreter: a Python of the runtime's version.
        unpacked: where Lambda will have the folder.

    Raises:
        PackagingFailed: a module does not compile.
    """
    ran = subprocess.run(
        [interpreter, "-I", "-c", _CODE, str(folder), unpacked],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={"PYTHONHASHSEED": "0", "PATH": ""},
    )
    if ran.returncode != 0:
        raise PackagingFailed(
            f"the modules could not be compiled by {interpreter}: {(ran.stdout + ran.stderr)[-300:].strip()}",
            "see that this Python is whole",
        )
