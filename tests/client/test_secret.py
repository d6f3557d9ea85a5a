"""A secret that is kept: its age, its herds, Secrets Manager down, forks, the loop."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeManager, Ticking

from rotators.client import Event, Secret, SecretNotJson, SecretUnavailable, SecretValue

ROOT = Path(__file__).parents[2]


@pytest.fixture
def manager(request: pytest.FixtureRequest) -> FakeManager:
    return FakeManager(request.node.name)


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


def test_a_value_is_read_once_and_again_ahead_of_its_age(manager: FakeManager, clock: Ticking) -> None:
    secret = Secret("app", manager, max_age=100, clock=clock)
    assert {secret.get()["password"] for _ in range(5)} == {"first"}
    assert manager.calls == ["AWSCURRENT"]
    clock.now += 74.9
    secret.get()
    assert len(manager.calls) == 1
    clock.now += 20.1
    manager.promote(manager.put("second"))
    assert secret.get()["password"] == "second"
    assert len(manager.calls) == 2


def test_the_moment_of_reading_anew_differs_between_processes(manager: FakeManager, clock: Ticking) -> None:
    due = set()
    for _ in range(20):
        secret = Secret("app", manager, max_age=100, clock=clock)
        secret.get()
        due.add(round(secret._due - clock.now))
    assert min(due) >= 75
    assert max(due) <= 95
    assert len(due) > 5


def test_one_read_serves_all_threads(manager: FakeManager) -> None:
    manager.latency = 0.05
    secret = Secret("app", manager)
    with ThreadPoolExecutor(40) as pool:
        values = list(pool.map(lambda _: secret.get()["password"], range(200)))
    assert set(values) == {"first"}
    assert manager.calls == ["AWSCURRENT"]


def test_one_read_serves_all_tasks_and_the_loop_goes_on(manager: FakeManager) -> None:
    manager.latency = 0.4
    secret = Secret("app", manager)

    async def main() -> int:
        ticks = 0
        reads = asyncio.gather(*(secret.get_async() for _ in range(100)))
        while not reads.done():
            await asyncio.sleep(0.005)
            ticks += 1
        assert {value["password"] for value in await reads} == {"first"}
        return ticks

    assert asyncio.run(main()) > 3
    assert manager.calls == ["AWSCURRENT"]


def test_a_task_that_is_cancelled_takes_the_read_from_nobody(manager: FakeManager) -> None:
    manager.latency = 0.1
    secret = Secret("app", manager)

    async def main() -> None:
        leader = asyncio.create_task(secret.get_async())
        await asyncio.sleep(0.02)
        others = [asyncio.create_task(secret.get_async()) for _ in range(3)]
        await asyncio.sleep(0.02)
        leader.cancel()
        others[0].cancel()
        assert (await others[1])["password"] == "first"
        assert (await others[2])["password"] == "first"

    asyncio.run(main())
    assert manager.calls == ["AWSCURRENT"]


def test_while_one_reads_anew_the_others_go_on(manager: FakeManager, clock: Ticking) -> None:
    secret = Secret("app", manager, max_age=100, clock=clock)
    secret.get()
    clock.now += 96
    entered, go_on = threading.Event(), threading.Event()
    read = manager.get_secret_value

    def slow(**parameters: Any) -> Any:
        entered.set()
        assert go_on.wait(10)
        return read(**parameters)

    manager.get_secret_value = slow  # type: ignore[method-assign]
    leader = threading.Thread(target=secret.get)
    leader.start()
    assert entered.wait(10)
    assert secret.get()["password"] == "first"
    go_on.set()
    leader.join()


def test_no_thread_is_started_unless_asked(manager: FakeManager, clock: Ticking) -> None:
    before = set(threading.enumerate())
    secret = Secret("app", manager, max_age=100, clock=clock)
    secret.get()
    clock.now += 96
    secret.get()
    assert set(threading.enumerate()) <= before
    asked = Secret("app", manager, max_age=100, clock=clock, background=True)
    asked.get()
    clock.now += 96
    manager.latency = 0.05
    manager.promote(manager.put("second"))
    assert asked.get()["password"] == "first"
    readers = [thread for thread in set(threading.enumerate()) - before if thread.name == "rotators-secret"]
    assert len(readers) == 1
    readers[0].join()
    assert asked.get()["password"] == "second"


def test_secrets_manager_may_be_silent_for_an_hour(manager: FakeManager, clock: Ticking) -> None:
    events: list[Event] = []
    secret = Secret("app", manager, max_age=60, clock=clock, on_event=events.append)
    secret.get()
    manager.down = True
    for _ in range(3600):
        clock.now += 1
        assert secret.get()["password"] == "first"
    failed = [event for event in events if event.kind == "fetch-failed"]
    # Not once a second: it has enough to do.
    assert 3600 / 30 * 0.9 < len(failed) < 3600 / 15 * 1.2
    assert failed[0].error == "EndpointConnectionError"
    manager.down = False
    manager.promote(manager.put("second"))
    clock.now += 30
    assert secret.get()["password"] == "second"


def test_a_value_that_is_too_old_is_not_used(manager: FakeManager, clock: Ticking) -> None:
    secret = Secret("app", manager, max_age=60, stale_for=600, clock=clock)
    secret.get()
    manager.down = True
    clock.now += 659
    assert secret.get()["password"] == "first"
    clock.now += 2
    with pytest.raises(SecretUnavailable, match="secret app can't be read: EndpointConnectionError"):
        secret.get()
    manager.down = False
    assert secret.get()["password"] == "first"


def test_without_a_value_the_error_says_what_is_missing(manager: FakeManager) -> None:
    manager.denied.add("AWSCURRENT")
    with pytest.raises(SecretUnavailable, match=r"AccessDeniedException.*secretsmanager:GetSecretValue"):
        Secret("app", manager).get()


def test_a_herd_that_finds_secrets_manager_down_asks_once(manager: FakeManager) -> None:
    manager.down, manager.latency = True, 0.1
    secret = Secret("app", manager)

    def get(_: int) -> bool:
        try:
            secret.get()
        except SecretUnavailable:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert not any(pool.map(get, range(20)))
    assert len(manager.calls) <= 2


def test_the_schedule_is_followed_where_it_may_be_read(manager: FakeManager, clock: Ticking) -> None:
    wall = [datetime(2026, 1, 1, tzinfo=UTC)]
    manager.next_rotation = wall[0] + timedelta(seconds=50)
    secret = Secret("app", manager, max_age=1000, clock=clock, follow_schedule=True, wall=lambda: wall[0])
    secret.get()
    assert manager.calls == ["AWSCURRENT", "describe"]
    clock.now += 49
    wall[0] += timedelta(seconds=49)
    secret.get()
    assert len(manager.calls) == 2
    clock.now += 7
    wall[0] += timedelta(seconds=7)
    manager.next_rotation = wall[0] + timedelta(days=30)
    secret.get()
    assert manager.calls[2:] == ["AWSCURRENT", "describe"]


def test_without_the_permission_the_schedule_is_done_without(manager: FakeManager, clock: Ticking) -> None:
    manager.denied.add("describe")
    secret = Secret("app", manager, max_age=100, clock=clock, follow_schedule=True)
    secret.get()
    clock.now += 100
    secret.get()
    assert manager.calls == ["AWSCURRENT", "describe", "AWSCURRENT"]


def test_nothing_shows_a_value(caplog: pytest.LogCaptureFixture, clock: Ticking) -> None:
    manager = FakeManager("shown", "hidden-1")
    caplog.set_level(logging.DEBUG, "rotators.client")
    events: list[Event] = []
    secret = Secret("app", manager, max_age=60, clock=clock, on_event=events.append)
    value = secret.get()
    clock.now += 60
    manager.promote(manager.put("hidden-2"))
    secret.get()
    shown = [repr(secret), str(secret), repr(value), f"{value}", repr(events), caplog.text, repr(secret._held)]
    assert "AWSCURRENT is version v2 now" in caplog.text
    assert not any("hidden" in text for text in shown)
    with pytest.raises(TypeError, match="be pickled"):
        pickle.dumps(value)
    assert copy.deepcopy(value) is value
    assert dict(value)["password"] == "hidden-1"


def test_a_text_that_is_no_json_object_says_so() -> None:
    for text in ("only a password", '["a list"]'):
        value = SecretValue("arn", "v1", "AWSCURRENT", text=text)
        assert value.text == text
        with pytest.raises(SecretNotJson, match=r"v1.*not a JSON object") as raised:
            value["password"]
        assert text not in str(raised.value)


def test_a_hook_that_fails_fails_nobody(manager: FakeManager, caplog: pytest.LogCaptureFixture) -> None:
    def hook(_: Event) -> None:
        raise RuntimeError("of the hook")

    assert Secret("app", manager, on_event=hook).get()["password"] == "first"
    assert "on_event of secret app failed" in caplog.text


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_reads_for_itself(manager: FakeManager) -> None:
    secret = Secret("app", manager)
    secret.get()
    # As another thread would hold it at the moment of the fork.
    secret._lock.acquire()
    secret.logins._lock.acquire()
    child = os.fork()
    if child == 0:
        good = secret.refresh()["password"] == "first" and manager.closed == 1
        os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert manager.closed == 0


def test_wrong_numbers_are_refused() -> None:
    for wrong in ({"max_age": -1.0}, {"stale_for": -1.0}, {"refusals": 0}, {"logins_at_once": 0}):
        with pytest.raises(ValueError, match="at least"):
            Secret("app", **wrong)


_IMPORTS = """
import sys

def calls(name):
    made = 0
    def note(frame, event, argument):
        nonlocal made
        made += event == "call"
    sys.setprofile(note)
    try:
        __import__(name)
    finally:
        sys.setprofile(None)
    return made

of_boto3 = calls("boto3")
before = {*sys.modules}
print(calls("rotators.client"), of_boto3)
added = {*sys.modules} - before
print(sorted(name for name in added if not f"{name}.".startswith("rotators.client.")))
"""


def test_importing_it_alone_does_not_import_the_rest_of_botocore() -> None:
    """An application that brings a client of its own needs botocore's errors only."""
    program = (
        "import rotators.client, sys; print(sorted({'boto3', 'botocore.session', 'botocore.parsers'} & {*sys.modules}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)
    assert ran.stdout == "[]\n"


def test_its_import_costs_an_application_that_has_boto3_next_to_nothing() -> None:
    """It loads its own modules only, and makes fewer than a tenth of the calls that importing boto3 makes.

    Calls are counted, and not seconds, so that a loaded machine counts the same.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", _IMPORTS], check=True, capture_output=True, text=True, env=environment)
    calls, added = ran.stdout.splitlines()
    own, of_boto3 = map(int, calls.split())
    assert added == "['rotators']"
    assert own < of_boto3 / 10, calls
