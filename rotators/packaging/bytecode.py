"""Compiles modules, so that cold starts need not: a function's folders are read-only.

The compiled files hold the source's hash, and Python does not check it. The default check compares the source's time,
which these zip files do not keep (https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from rotators.errors import PackagingFailed

# Where Lambda unpacks layers and functions. Tracebacks show these paths.
LAYER, FUNCTION = "/opt/python", "/var/task"
_CODE = """
import compileall, py_compile, sys
folder, shown = sys.argv[1:]
sys.exit(not compileall.compile_dir(folder, maxlevels=99, ddir=None, stripdir=folder, prependdir=shown, quiet=1,
    workers=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH))
"""


def compiler(python: str) -> str | None:
    """Find a Python of a version (``3.14``) on this machine: compiled modules work only with that version.

    Returns:
        Its executable; None if there is none.
    """
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{python}")
    if found is None:
        return None
    # The command may exist and fail: pyenv has one for each version that it knows.
    ran = subprocess.run(
        [found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return found if ran.stdout.strip() == python else None


def compile_folder(folder: Path, interpreter: str, unpacked: str = LAYER) -> None:
    """Compile every module below a folder, in one process and in order, so that the result is reproducible.

    Args:
        folder: the folder.
        interpreter: a Python of the runtime's version.
        unpacked: where Lambda unpacks the folder.

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
            "check that this Python is complete",
        )
