"""Runs one server, and stops it when the process that started this program says so or dies.

This program, not the test process, is the server's parent. It notices the test process's end by a pipe, whose end
always closes: at a return, a crash, `kill -9`, `os._exit`. PR_SET_PDEATHSIG does not work: it fires when the *thread*
that started the server ends, and is Linux only. (A child that the test process forked without exec shares the pipe:
as long as it lives, so does the server.)
It imports only the standard library, is started with `python -I -S`, and is ready within 30 ms.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from typing import Any


def main() -> int:
    """Start the server that the first argument describes in JSON. Returns its exit code."""
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
    print(server.pid, flush=True)  # noqa: T201 (the answer to the starting process)
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
        # The pipe ended without a message: the test process is dead, so clean up here.
        shutil.rmtree(task["folder"], ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
