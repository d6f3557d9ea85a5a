"""The command's entry point: says which extra is missing, if one is."""

from __future__ import annotations

import sys

_NEEDED = {"typer", "rich"}


def main() -> None:
    """Run ``rotators``; without the extra ``cli``, say what to install and exit with 1."""
    try:
        from rotators.cli.main import main as run  # noqa: PLC0415  # what it imports may be missing
    except ModuleNotFoundError as missing:
        if missing.name not in _NEEDED:
            raise
        sys.stderr.write(
            f"rotators: the command needs {missing.name}, which is not installed. "
            "In the clone of rotators, run: python -m pip install '.[cli]'.\n"
        )
        sys.exit(1)
    run()
