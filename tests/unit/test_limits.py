"""Work that takes longer than it may."""

from __future__ import annotations

import contextvars
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from rotators.limits import Limit, cut_socket, limited, within


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


def until_expired(limit: Limit) -> None:
    """Wait for the time to be over, within reason."""
    deadline = time.monotonic() + 5.0
    while not limit.expired and time.monotonic() < deadline:
        time.sleep(0.005)
    assert limit.expired


def test_what_ends_in_time_is_left_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    with limited(0.05, lambda: cut_socket(ours.fileno())) as limit:
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"
    # By the time that this one is over, so is the first one's.
    with limited(0.1, lambda: None) as later:
        until_expired(later)
    assert not limit.expired
    theirs.sendall(b"y")
    assert ours.recv(1) == b"y"


def test_the_first_to_be_over_is_the_first_to_be_cut() -> None:
    cut: list[str] = []
    with limited(30.0, lambda: cut.append("outer")) as outer, limited(0.01, lambda: cut.append("inner")) as inner:
        until_expired(inner)
    assert cut == ["inner"]
    assert not outer.expired


def test_one_thread_watches_all() -> None:
    with limited(30.0, lambda: None):
        watching = [one for one in threading.enumerate() if one.name == "rotators-limits"]
        for _ in range(50):
            with limited(30.0, lambda: None), limited(20.0, lambda: None):
                pass
        assert [one for one in threading.enumerate() if one.name == "rotators-limits"] == watching
    assert len(watching) == 1


def test_a_block_that_could_not_be_cut_leaves_the_others_watched() -> None:
    def fail() -> None:
        raise KeyError("mine")

    with limited(0.01, fail) as first, limited(0.05, lambda: None) as second:
        until_expired(first)
        until_expired(second)


def test_a_forked_process_watches_its_own() -> None:
    with limited(30.0, lambda: None):
        child = os.fork()
        if child == 0:
            over = threading.Event()
            with limited(0.01, over.set):
                os._exit(0 if over.wait(5.0) else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_the_descriptor_stays_its_owners(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    cut_socket(ours.fileno())
    os.fstat(ours.fileno())


def test_a_connection_that_is_closed_already_is_no_matter(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    ours.close()
    with limited(0.01, lambda: cut_socket(ours.fileno())) as limit:
        until_expired(limit)


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
