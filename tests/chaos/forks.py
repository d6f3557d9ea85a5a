"""The process that functions' processes are forked from: what they import is imported once.

``python -m chaos.forks CONTROL TASK``: CONTROL is a socket, on which a message with the variables of a function and a
channel asks for a process; its id is the answer. On the channel an event is a line of JSON, and so is what came of it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from typing import Any

from botocore.retries.standard import ExponentialBackoff

from rotators import versions
from rotators.aws import make_client
from rotators.database import DatabaseRotator
from rotators.environment import Environment
from rotators.errors import RotationError
from rotators.versions import SecretVersions

_MESSAGE = 65_536
# botocore waits a second and more before it repeats a call, which is no part of what is tried here.
_PART_OF_BACKOFF = 0.01
_WARMING = {"Step": "createSecret", "SecretId": "nobody-has-it", "ClientRequestToken": "0" * 32}


class Context:
    """Lambda's context object."""

    def __init__(self, milliseconds: int) -> None:
        self._end = time.monotonic() + milliseconds / 1000

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the process is killed."""
        return max(0, int((self._end - time.monotonic()) * 1000))


def serve(control: socket.socket, task: dict[str, Any]) -> None:
    """Fork until nobody asks any more.

    Args:
        control: where it is asked.
        task: ``engine`` (module and class), ``endpoint`` of Secrets Manager, ``prepare`` (module and function to call
            first, or None).
    """
    if task["prepare"]:
        module, name = task["prepare"]
        getattr(importlib.import_module(module), name)()
    module, name = task["engine"]
    engine = getattr(importlib.import_module(module), name)
    delay = ExponentialBackoff.delay_amount
    ExponentialBackoff.delay_amount = lambda *arguments: delay(*arguments) * _PART_OF_BACKOFF  # type: ignore[method-assign]
    client = make_client("secretsmanager", endpoint_url=task["endpoint"], config=versions._CLIENT_CONFIG)
    # What a first call costs, is paid here once.
    with contextlib.suppress(RotationError):
        DatabaseRotator(engine(), SecretVersions(client), Environment({}))(_WARMING, Context(10_000))
    # Nobody waits for the processes: they are killed, or end by themselves.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    control.sendall(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE, 1)
        if not message:
            return
        asked = json.loads(message)
        process = os.fork()
        if process:
            os.close(descriptors[0])
            control.sendall(str(process).encode())
            continue
        control.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        made = SecretVersions(client, patience=asked["patience"])
        rotator = DatabaseRotator(engine(), made, Environment(asked["variables"]))
        with socket.socket(fileno=descriptors[0]) as channel:
            handle(channel, rotator)
        os._exit(0)


def handle(channel: socket.socket, rotator: DatabaseRotator) -> None:
    """Be a function's process: handle events until there are none."""
    with channel.makefile("rw") as lines:
        for line in lines:
            event, milliseconds = json.loads(line)
            try:
                rotator(event, Context(milliseconds))
                answer: Any = None
            except BaseException as error:  # noqa: BLE001  # as Lambda reports whatever a function raises
                answer = [type(error).__name__, str(error)]
            lines.write(json.dumps(answer) + "\n")
            lines.flush()


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        serve(given, json.loads(sys.argv[2]))
