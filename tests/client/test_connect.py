"""Logins with a secret under rotation, on a database and a Secrets Manager in memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fakes import FakeDatabase, FakeManager, InvalidPassword, Ticking

from rotators.client import CredentialsRefused, Event, LoginsUnderWay, Secret, connect_with, connect_with_async
from rotators.client.turns import Turn

# Whole rotations, and logins that wait for one another.
pytestmark = pytest.mark.slow


@pytest.fixture
def manager(request: pytest.FixtureRequest) -> FakeManager:
    return FakeManager(request.node.name)


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase("first")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    """The client's clock, which sleeping moves on."""
    made = Ticking()
    monkeypatch.setattr("rotators.client.steps.time", made)
    return made


def test_a_login_that_works_asks_nothing_more(manager: FakeManager, database: FakeDatabase) -> None:
    secret = Secret("app", manager)
    assert [connect_with(secret, database.connect) for _ in range(3)] == ["first"] * 3
    assert manager.calls == ["AWSCURRENT"]


def test_after_a_promotion_one_login_is_refused_and_the_next_one_works(
    manager: FakeManager, database: FakeDatabase
) -> None:
    secret = Secret("app", manager)
    connect_with(secret, database.connect)
    database.accepted = {"second"}
    manager.promote(manager.put("second"))
    assert [connect_with(secret, database.connect) for _ in range(3)] == ["second"] * 3
    assert database.tried == ["first", "first", "second", "second", "second"]
    assert manager.calls == ["AWSCURRENT", "AWSCURRENT"]


def test_before_the_promotion_the_pending_version_is_tried_and_kept_until_the_label_moves(
    manager: FakeManager, database: FakeDatabase
) -> None:
    secret = Secret("app", manager)
    connect_with(secret, database.connect)
    version = manager.stage("second")
    database.accepted = {"second"}
    assert [connect_with(secret, database.connect) for _ in range(3)] == ["second"] * 3
    assert database.refused == 1
    assert manager.calls == ["AWSCURRENT", "AWSCURRENT", "AWSPENDING"]
    manager.promote(version)
    secret.refresh()
    assert connect_with(secret, database.connect) == "second"
    assert database.refused == 1
    # The next rotation starts from the version that was pending.
    manager.stage("third")
    database.accepted = {"third"}
    assert connect_with(secret, database.connect) == "third"
    assert database.refused == 2


def test_a_label_that_moved_before_the_commit_leads_back_to_the_previous_version(
    manager: FakeManager, database: FakeDatabase
) -> None:
    secret = Secret("app", manager)
    manager.promote(manager.stage("second"))
    assert connect_with(secret, database.connect) == "first"
    assert database.tried == ["second", "first"]
    # The commit.
    database.accepted = {"second"}
    assert connect_with(secret, database.connect) == "second"
    assert database.refused <= 3


def test_a_promotion_that_is_under_way_is_waited_for(manager: FakeManager, database: FakeDatabase) -> None:
    secret = Secret("app", manager)
    connect_with(secret, database.connect)
    manager.denied.add("AWSPENDING")
    version = manager.stage("second")
    database.accepted = {"second"}
    threading.Timer(0.4, manager.promote, [version]).start()
    assert connect_with(secret, database.connect) == "second"
    assert database.refused == 1


def is_one_look(calls: list[str]) -> bool:
    """Whether each label was read once after the refusal; the third one only where the machine is busy."""
    return calls[:3] == ["AWSCURRENT", "AWSCURRENT", "AWSPENDING"] and calls[3:] in ([], ["AWSPREVIOUS"])


def test_thousands_of_logins_share_one_refused_login_and_one_look(manager: FakeManager, database: FakeDatabase) -> None:
    secret = Secret("app", manager)
    connect_with(secret, database.connect)
    manager.latency = 0.02
    database.accepted = {"second"}
    manager.stage("second")
    with ThreadPoolExecutor(50) as pool:
        got = list(pool.map(lambda _: connect_with(secret, database.connect), range(2000)))
    assert set(got) == {"second"}
    assert database.refused == 1
    assert is_one_look(manager.calls)
    assert database.most_at_once == 1


def test_thousands_of_tasks_do_too(manager: FakeManager, database: FakeDatabase) -> None:
    secret = Secret("app", manager)
    database.accepted = {"second"}
    manager.stage("second")

    async def main() -> list[str]:
        return await asyncio.gather(*(connect_with_async(secret, database.connect_async) for _ in range(1000)))

    assert set(asyncio.run(main())) == {"second"}
    assert database.refused == 1
    assert is_one_look(manager.calls)


def test_a_task_that_is_cancelled_gives_its_turn_on(manager: FakeManager, database: FakeDatabase) -> None:
    secret = Secret("app", manager)
    database.seconds = 0.2

    async def main() -> str:
        first = asyncio.create_task(connect_with_async(secret, database.connect_async))
        waiting = asyncio.create_task(connect_with_async(secret, database.connect_async))
        third = asyncio.create_task(connect_with_async(secret, database.connect_async))
        await asyncio.sleep(0.05)
        first.cancel()
        waiting.cancel()
        return await third

    assert asyncio.run(main()) == "first"


def test_only_a_refusal_is_a_reason_to_look(manager: FakeManager) -> None:
    secret = Secret("app", manager)

    def connect(_: Any) -> None:
        raise TimeoutError("the network")

    for _ in range(5):
        with pytest.raises(TimeoutError):
            connect_with(secret, connect)
    assert manager.calls == ["AWSCURRENT"]


def test_a_wrong_password_put_by_hand_is_overcome_by_the_previous_version(
    manager: FakeManager, database: FakeDatabase
) -> None:
    secret = Secret("app", manager)
    manager.promote(manager.put("wrong"))
    assert [connect_with(secret, database.connect) for _ in range(20)] == ["first"] * 20
    assert database.refused == 1


def test_a_wrong_password_costs_no_more_than_the_budget_and_recovers_within_a_second(
    manager: FakeManager, database: FakeDatabase, clock: Ticking
) -> None:
    secret = Secret("app", manager, clock=clock)
    manager.promote(manager.put("wrong"))
    manager.promote(manager.put("also wrong"))
    errors = []

    def work(_: int) -> None:
        for _ in range(20):
            with pytest.raises(CredentialsRefused) as raised:
                connect_with(secret, database.connect)
            errors.append(raised.value)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [None] * 8
    assert database.refused == 2
    manager.promote(manager.put("first"))
    clock.sleep(1)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: connect_with(secret, database.connect), range(8))) == {"first"}
    assert database.refused == 2
    text = str(errors[-1])
    assert "\n" not in text
    assert "v3 (AWSCURRENT), v2 (AWSPREVIOUS)" in text
    assert "a new version is tried within a second" in text
    assert "wrong" not in text


@pytest.mark.parametrize("every", [0.05, 1.0])
@pytest.mark.parametrize("seconds", [0, 0.3, 3, 59, 61, 600])
def test_a_repair_works_within_a_second_however_long_the_password_was_wrong(
    manager: FakeManager, database: FakeDatabase, clock: Ticking, seconds: float, every: float
) -> None:
    secret = Secret("app", manager, clock=clock)
    manager.promote(manager.put("wrong"))
    manager.promote(manager.put("also wrong"))
    refused: list[float] = []
    until = clock.now + seconds
    while clock.now <= until:
        before = database.refused
        with pytest.raises(CredentialsRefused):
            connect_with(secret, database.connect, patience=0)
        refused += [clock.now] * (database.refused - before)
        # Two for the wrong password, and never the last one of the budget: that one is for the repair.
        assert sum(clock.now - one < 60 for one in refused) == 2
        clock.sleep(every)
    manager.promote(manager.put("first"))
    repaired = clock.now
    while True:
        with contextlib.suppress(CredentialsRefused):
            assert connect_with(secret, database.connect, patience=0) == "first"
            break
        clock.sleep(every)
    assert clock.now - repaired <= 1
    assert database.refused == len(refused)


def test_a_wrong_repair_uses_the_budget_up_and_the_right_one_works_when_the_minute_is_over(
    manager: FakeManager, database: FakeDatabase, clock: Ticking
) -> None:
    secret = Secret("app", manager, clock=clock)
    manager.promote(manager.put("wrong"))
    for wrong, refused in (("also wrong", 2), ("wrong again", 3)):
        manager.promote(manager.put(wrong))
        with pytest.raises(CredentialsRefused):
            connect_with(secret, database.connect, patience=0)
        assert database.refused == refused
        clock.sleep(1)
    manager.promote(manager.put("first"))
    clock.sleep(57)
    with pytest.raises(CredentialsRefused, match="all 3 refused logins of this minute are used"):
        connect_with(secret, database.connect)
    clock.sleep(1)
    assert connect_with(secret, database.connect) == "first"
    assert database.refused == 3


def test_many_wrong_repairs_stay_within_the_budget(manager: FakeManager, database: FakeDatabase) -> None:
    secret = Secret("app", manager, refusals=3)
    database.accepted = set()
    for number in range(6):
        manager.promote(manager.put(f"wrong {number}"))
        with pytest.raises(CredentialsRefused) as raised:
            connect_with(secret, database.connect, patience=0)
        time.sleep(0.06)
    assert database.refused == 3
    assert "all 3 refused logins of this minute are used" in str(raised.value)


def test_the_budget_is_kept_between_two_logins(manager: FakeManager, database: FakeDatabase) -> None:
    secret = Secret("app", manager)
    database.accepted = set()
    for number in range(6):
        manager.promote(manager.put(f"wrong {number}"))
        with contextlib.suppress(CredentialsRefused):
            connect_with(secret, database.connect, patience=0)
        gc.collect()
        time.sleep(0.06)
    assert database.refused == 3


def test_a_label_that_is_moved_back_leads_to_a_version_that_was_refused_before(
    manager: FakeManager, database: FakeDatabase, clock: Ticking
) -> None:
    secret = Secret("app", manager, clock=clock)
    connect_with(secret, database.connect)
    database.accepted = {"second"}
    manager.promote(manager.put("second"))
    assert connect_with(secret, database.connect) == "second"
    database.accepted = {"first"}
    manager.promote("v1")
    started = clock.now
    assert connect_with(secret, database.connect) == "first"
    assert clock.now - started < 1
    assert database.refused == 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_the_parents_logins(manager: FakeManager, database: FakeDatabase) -> None:
    secret = Secret("app", manager)
    connect_with(secret, database.connect)
    turns = secret._turns
    assert turns is not None
    parents = [Turn(), Turn(), Turn()]
    turns._under_way += parents
    child = os.fork()
    if child == 0:
        os._exit(0 if connect_with(secret, database.connect) == "first" else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_logins_under_way_are_counted_against_the_budget(manager: FakeManager, database: FakeDatabase) -> None:
    database.accepted = set()
    database.seconds = 0.7
    secret = Secret("app", manager, refusals=3, logins_at_once=3)

    def log_in(_: int) -> str:
        with pytest.raises((CredentialsRefused, LoginsUnderWay)) as raised:
            connect_with(secret, database.connect, patience=0.5)
        return type(raised.value).__name__

    with ThreadPoolExecutor(20) as pool:
        assert "CredentialsRefused" in set(pool.map(log_in, range(20)))
    assert database.refused <= 3


def test_two_objects_for_one_secret_share_the_budget(manager: FakeManager, database: FakeDatabase) -> None:
    database.accepted = set()
    for _ in range(5):
        secret = Secret("app", manager)
        other = Secret(manager.arn, manager)
        for one in (secret, other):
            with contextlib.suppress(CredentialsRefused):
                connect_with(one, database.connect, patience=0)
        del one, secret, other
        gc.collect()
    assert database.refused <= 3


def test_the_database_repaired_instead_of_the_secret_is_found_within_the_minute(manager: FakeManager) -> None:
    clock = Ticking()
    database = FakeDatabase()
    secret = Secret("app", manager, clock=clock)
    with pytest.raises(CredentialsRefused):
        connect_with(secret, database.connect, patience=0)
    database.accepted = {"first"}
    clock.now += 20
    with pytest.raises(CredentialsRefused):
        connect_with(secret, database.connect, patience=0)
    assert database.refused == 1
    clock.now += 11
    assert connect_with(secret, database.connect) == "first"


def test_a_version_for_another_server_is_never_tried(manager: FakeManager, database: FakeDatabase) -> None:
    secret = Secret("app", manager)
    manager.promote(manager.put("wrong", host="new-db"))
    manager.stage("first", dbname="other")
    with pytest.raises(CredentialsRefused):
        connect_with(secret, database.connect, patience=0)
    assert database.tried == ["wrong"]


def test_each_different_version_is_tried_once(manager: FakeManager, database: FakeDatabase) -> None:
    database.accepted = set()
    secret = Secret("app", manager)
    manager.promote(manager.put("first"))
    manager.stage("first")
    with pytest.raises(CredentialsRefused):
        connect_with(secret, database.connect, patience=0)
    assert database.tried == ["first"]


def test_secrets_manager_down_and_the_password_refused_is_one_error_that_says_both(
    manager: FakeManager, database: FakeDatabase, clock: Ticking
) -> None:
    secret = Secret("app", manager, clock=clock)
    connect_with(secret, database.connect)
    manager.down = True
    database.accepted = {"second"}
    manager.promote(manager.put("second"))
    with pytest.raises(CredentialsRefused, match="AWSCURRENT can't be read: EndpointConnectionError") as raised:
        connect_with(secret, database.connect, patience=0.2)
    assert isinstance(raised.value.__cause__, InvalidPassword)
    manager.down = False
    clock.sleep(1)
    assert connect_with(secret, database.connect, patience=0) == "second"
    assert database.refused == 1


def test_a_database_that_hangs_does_not_hold_back_every_login_for_long(manager: FakeManager) -> None:
    secret = Secret("app", manager)
    hang, entered = threading.Event(), threading.Semaphore(0)

    def connect(_: Any) -> None:
        entered.release()
        hang.wait(60)

    with ThreadPoolExecutor(4) as pool:
        hung = [pool.submit(connect_with, secret, connect, patience=30) for _ in range(2)]
        try:
            assert entered.acquire(timeout=30)
            assert entered.acquire(timeout=30)
            started = time.monotonic()
            # One of the budget's three is kept.
            with pytest.raises(LoginsUnderWay, match="2 logins of this process have not ended"):
                connect_with(secret, connect, patience=4)
            assert time.monotonic() - started < 15
        finally:
            hang.set()
        for one in hung:
            one.result()


def test_what_is_known_is_told_without_a_password(
    manager: FakeManager, database: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rotators.client")
    events: list[Event] = []
    secret = Secret("app", manager, on_event=events.append)
    connect_with(secret, database.connect)
    manager.stage("hidden")
    database.accepted = {"hidden"}
    connect_with(secret, database.connect)
    kinds = [(event.kind, event.version_id) for event in events if event.kind in {"refused", "worked"}]
    assert kinds == [("refused", "v1"), ("worked", "v2")]
    assert "version v1 (AWSCURRENT) is refused" in caplog.text
    assert "version v2 (AWSPENDING) works" in caplog.text
    assert "hidden" not in caplog.text + repr(events)


def test_logins_at_once_that_are_all_refused_leave_one_for_the_new_version(
    manager: FakeManager, database: FakeDatabase
) -> None:
    secret = Secret("app", manager, refusals=3, logins_at_once=8)
    connect_with(secret, database.connect)
    database.seconds = 0.05
    database.accepted = {"second"}
    manager.promote(manager.put("second"))
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: connect_with(secret, database.connect), range(40))) == {"second"}
    assert database.refused == 2
    assert database.most_at_once == 2


@pytest.mark.parametrize("label_first", [True, False], ids=["label-first", "password-first"])
def test_eight_threads_log_in_through_fifteen_rotations(  # noqa: C901  # one story
    manager: FakeManager, database: FakeDatabase, label_first: bool
) -> None:
    manager.latency = database.seconds = 0.002
    secret = Secret("app", manager, max_age=60)
    stop = threading.Event()
    failures: list[BaseException] = []
    count = [0] * 8

    def work(number: int) -> None:
        while not stop.is_set():
            try:
                connect_with(secret, database.connect)
            except Exception as error:  # noqa: BLE001
                failures.append(error)
            count[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()

    def wait() -> None:
        goal = sum(count) + 16
        while sum(count) < goal:
            time.sleep(0.002)

    for number in range(15):
        version = manager.stage(f"password {number}")
        wait()
        if label_first:
            manager.promote(version)
        database.accepted = {f"password {number}"}
        wait()
        if not label_first:
            manager.promote(version)
        del manager.labels["AWSPENDING"]
        wait()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert min(count) > 15
    assert database.refused <= 15
