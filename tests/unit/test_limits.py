"""Work that takes longer than it may."""

from __future__ import annotations

import contextvars
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from rotators.limits import cut_socket, limited, within


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_silent_connection_is_cut(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    with limited(0.1, lambda: cut_socket(ours.fileno())) as limit:
        assert ours.recv(1) == b""
    assert limit.expired


def test_a_connection_that_drips_is_cut(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.settimeout(1.0)
    over = threading.Event()

    def drip() -> None:
        try:
            while not over.wait(0.02):
                theirs.sendall(b"x")
        except OSError:
            pass

    dripping = threading.Thread(target=drip)
    dripping.start()
    started = time.monotonic()
    with limited(0.2, lambda: cut_socket(ours.fileno())) as limit:
        while ours.recv(1):
            pass
    over.set()
    dripping.join()
    assert limit.expired
    assert time.monotonic() - started < 1.0


def test_what_ends_in_time_is_left_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    others = set(threading.enumerate())
    with limited(30.0, lambda: cut_socket(ours.fileno())) as limit:
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"
        [timer] = [one for one in set(threading.enumerate()) - others if isinstance(one, threading.Timer)]
    # Nobody is left who would cut it later.
    timer.join(5.0)
    assert not timer.is_alive()
    assert not limit.expired
    theirs.sendall(b"y")
    assert ours.recv(1) == b"y"


def test_the_descriptor_stays_its_owners(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    cut_socket(ours.fileno())
    os.fstat(ours.fileno())


def test_a_connection_that_is_closed_already_is_no_matter(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    ours.close()
    with limited(0.01, lambda: cut_socket(ours.fileno())) as limit:
        deadline = time.monotonic() + 1.0
        while not limit.expired and time.monotonic() < deadline:
            time.sleep(0.005)
    assert limit.expired


def test_work_gives_its_result_or_its_error() -> None:
    assert within(1.0, lambda: 7) == 7
    assert within(1.0, lambda: None) is None
    with pytest.raises(KeyError, match="mine"):
        within(1.0, lambda: {}["mine"])


def test_work_that_takes_longer_is_left_behind() -> None:
    over = threading.Event()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
        within(0.1, over.wait)
    over.set()


def test_work_sees_the_callers_context() -> None:
    """Such as the step that a call to the simulated Secrets Manager belongs to."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("the caller's")
    assert within(1.0, variable.get) == "the caller's"
    within(1.0, lambda: variable.set("the work's"))
    assert variable.get() == "the caller's"
