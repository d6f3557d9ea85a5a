"""Tells whose code raised an unexpected error: names the place in the rotator's code, and never a value."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from types import FrameType, TracebackType

from rotators.errors import UnexpectedError

_OURS = str(Path(__file__).parent)
# Folders of installed packages: Python's own, and those of Lambda's runtime and layers.
# https://docs.aws.amazon.com/lambda/latest/dg/python-layers.html
_INSTALLED = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {"/opt/", "/var/lang/", "/var/runtime/"}
)


def unexpected(what: str, error: Exception, rotator: type) -> UnexpectedError:
    """Make an UnexpectedError for an error that is not a RotationError.

    Args:
        what: the beginning of the sentence, up to the error's class.
        error: what was raised. Its text may hold secrets, and is not used.
        rotator: the class whose method raised it.

    Returns:
        An error with the place in the rotator's own code. If none of that code ran, an error that asks for a report.
    """
    place = _own_place(error.__traceback__, rotator)
    kind = type(error).__name__
    if place is None:
        return UnexpectedError(f"{what} {kind}", "see the function's log, and report it: it is a fault of rotators")
    advice = "see the function's log for its text; Secrets Manager retries the rotation"
    if isinstance(error, OSError):
        advice += ". Where the service can't be reached, raise Unreachable or ConnectionLost of rotators.errors"
    return UnexpectedError(f"{what} {kind} in {place}, the rotator's own code", advice)


def _own_place(traceback: TracebackType | None, rotator: type) -> str | None:
    """The innermost place in the rotator's own code: function, file and line."""
    places = []
    while traceback is not None:
        places.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    package = rotator.__module__.partition(".")[0]
    theirs = [(frame, line) for frame, line in reversed(places) if not frame.f_code.co_filename.startswith(_OURS)]
    # The rotator's own package, wherever it is installed; else any code that is not installed.
    own = [place for place in theirs if _package(place[0]) == package]
    own += [place for place in theirs if not _is_installed(place[0])]
    if not own:
        return None
    frame, line = own[0]
    return f"{frame.f_code.co_qualname}, {frame.f_code.co_filename}:{line}"


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _is_installed(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(("<frozen", *_INSTALLED))
