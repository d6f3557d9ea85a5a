"""Run one server, and stop it when whoever asked for it says so or dies. A program of its own.

The parent of the server is this program rather than the test process, because a pipe's end is the one thing that a
process can't fail to give up: it closes at a return, a crash, `kill -9`, `os._exit`. PR_SET_PDEATHSIG would not do:
it fires when the *thread* that started the server ends, and is Linux only. (A child that the test process forked
without exec shares the pipe: should it live on, so does the server.)
It imports nothing but the standard library's, is started with `python -I -S`, and is ready within 30 ms.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from typing import Any


def main() -> int:
    """Start the server that the first argument describes in JSON; return its exit code."""
    task: dict[str, Any] = json.loads(sys.argv[1])
    server = subprocess.Popen(
        task["command"],
        cwd=task["folder"],
        env=task["environment"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
        **task["account"],
    )
    print(server.pid, flush=True)  # noqa: T201 (the answer to whoever started us)
    told = threading.Event()
    stopper = threading.Thread(target=_stop_when_told, args=(server, task, told), daemon=True)
    stopper.start()
    code = server.wait()
    if told.is_set():
        stopper.join()
    return code


def _stop_when_told(server: subprocess.Popen[bytes], task: dict[str, Any], told: threading.Event) -> None:
    word = sys.stdin.readline()
    told.set()
    server.send_signal(task["stop_signal"])
    try:
        server.wait(task["grace"])
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    if not word:
        # The end of the pipe without a word: the test process is dead, and nobody else will tidy up.
        shutil.rmtree(task["folder"], ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
