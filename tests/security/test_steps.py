"""The steps of any rotator against anyone who may invoke it, write its secret, or keep it waiting."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from rotators.credentials import SecretValue
from rotators.errors import (
    LoginRefused,
    PasswordRefused,
    RotationError,
    RotationNotEnabled,
    SecretsManagerUnreachable,
    VersionNotPending,
)
from rotators.rotator import Rotation, Rotator
from rotators.testing import STEPS, Crash, FakeLambdaContext, RotationService
from rotators.versions import SecretVersions

FIRST = {"key": "first-key-value"}


class Keys(Rotator[SecretValue]):
    """A service that knows the keys that it was told of."""

    def __init__(self, versions: SecretVersions) -> None:
        super().__init__(versions)
        self.accepted = {FIRST["key"]}
        self.verified = 0
        self.refuse: RotationError | None = None

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        return rotation.current.replace(key=f"key-of-{rotation.event.version_id}")

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.accepted.add(rotation.pending["key"])

    def verify(self, rotation: Rotation[SecretValue]) -> None:
        self.verified += 1
        if rotation.pending["key"] not in self.accepted:
            raise LoginRefused("the key is not known")


def function(client: Any) -> Keys:
    """As after a cold start: nothing is remembered."""
    return Keys(SecretVersions(client, patience=0.1))


@pytest.fixture
def keys(rotation_service: RotationService) -> Keys:
    return function(rotation_service.client)


@pytest.fixture
def secret(rotation_service: RotationService, keys: Keys) -> str:
    return rotation_service.create_secret("app/key", FIRST, keys)


def made_in(service: RotationService, since: int) -> list[tuple[str | None, str]]:
    return [(call.step, call.operation) for call in service.calls[since:] if call.step]


class TestOutOfTurn:
    """Issue 11, fault 7."""

    def test_finish_secret_promotes_nothing_that_does_not_log_in(
        self, rotation_service: RotationService, keys: Keys, secret: str
    ) -> None:
        """Anyone who may invoke the function calls finishSecret between createSecret and setSecret; it needs no
        RotationToken. The label must stay where it is, and the rotation must go on as if nothing had been."""
        rotation = rotation_service.stage(secret)
        rotation_service.invoke(rotation, "createSecret")
        before = rotation_service.labels(secret)
        event = rotation.event("finishSecret")
        del event["RotationToken"]
        with pytest.raises(LoginRefused):
            keys(event)
        assert rotation_service.labels(secret) == before
        assert rotation_service.retry(secret).succeeded

    def test_nor_does_a_fresh_process_that_has_tested_nothing(
        self, rotation_service: RotationService, secret: str
    ) -> None:
        """The same, in a process that saw neither createSecret nor testSecret."""
        rotation = rotation_service.stage(secret)
        rotation_service.invoke(rotation, "createSecret")
        with pytest.raises(LoginRefused):
            function(rotation_service.client)(rotation.event("finishSecret"))
        assert rotation_service.value(secret) == FIRST

    def test_a_test_of_one_version_says_nothing_of_another(
        self, rotation_service: RotationService, keys: Keys, secret: str
    ) -> None:
        """testSecret of AWSCURRENT is harmless and always passes: it must not open finishSecret for a version that
        was never set."""
        assert rotation_service.rotate(secret).succeeded
        [current] = rotation_service.labels(secret).keys() & {
            token for token, stages in rotation_service.labels(secret).items() if "AWSCURRENT" in stages
        }
        rotation = rotation_service.stage(secret)
        rotation_service.invoke(rotation, "createSecret")
        keys({**rotation.event("testSecret"), "ClientRequestToken": current})
        with pytest.raises(LoginRefused):
            keys(rotation.event("finishSecret"))

    @pytest.mark.parametrize("step", ["createSecret", "setSecret"])
    def test_a_test_is_of_no_worth_once_the_version_is_worked_on_again(
        self, rotation_service: RotationService, keys: Keys, secret: str, step: str
    ) -> None:
        """A test that passed, and an earlier step again: what it changed must be tested again."""
        rotation = rotation_service.stage(secret)
        for name in ("createSecret", "setSecret", "testSecret", step):
            rotation_service.invoke(rotation, name)
        keys.accepted.discard(f"key-of-{rotation.token}")
        with pytest.raises(LoginRefused):
            keys(rotation.event("finishSecret"))
        assert rotation_service.value(secret) == FIRST

    def test_a_fresh_process_verifies_once_more_and_a_warm_one_does_not(
        self, rotation_service: RotationService, keys: Keys, secret: str
    ) -> None:
        """What finishSecret's care costs: nothing in a warm function, one login in a cold one."""
        assert rotation_service.rotate(secret).succeeded
        assert keys.verified == 1
        rotation = rotation_service.stage(secret)
        for step in STEPS[:3]:
            rotation_service.invoke(rotation, step)
        cold = function(rotation_service.client)
        cold.accepted = keys.accepted
        cold(rotation.event("finishSecret"))
        assert cold.verified == 1
        assert rotation_service.value(secret)["key"] == f"key-of-{rotation.token}"


class TestWhileRotationIsOff:
    """Issue 11, fault 11."""

    @pytest.mark.parametrize("step", STEPS)
    def test_every_step_refuses_and_changes_nothing(
        self, rotation_service: RotationService, keys: Keys, secret: str, step: str
    ) -> None:
        """Someone has called CancelRotateSecret in the middle of a rotation; the event of before is sent again."""
        rotation = rotation_service.stage(secret)
        for name in STEPS[: STEPS.index(step)]:
            rotation_service.invoke(rotation, name)
        rotation_service.client.cancel_rotate_secret(SecretId=secret)
        labels, accepted = rotation_service.labels(secret), set(keys.accepted)
        verified, before = keys.verified, len(rotation_service.calls)
        with pytest.raises(RotationNotEnabled, match="rotation is not enabled for secret"):
            rotation_service.invoke(rotation, step)
        assert rotation_service.labels(secret) == labels
        assert (keys.accepted, keys.verified) == (accepted, verified)
        assert made_in(rotation_service, before) == [(step, "DescribeSecret")]


class TestCalls:
    """What all this costs. Issue 11: 8 or 9 calls for a single user."""

    WARM = (
        ("createSecret", "DescribeSecret"),
        ("createSecret", "GetSecretValue"),
        ("createSecret", "PutSecretValue"),
        ("setSecret", "DescribeSecret"),
        ("testSecret", "DescribeSecret"),
        ("finishSecret", "DescribeSecret"),
        ("finishSecret", "UpdateSecretVersionStage"),
    )

    def test_a_warm_function_reads_nothing_that_it_has_stored_itself(
        self, rotation_service: RotationService, secret: str
    ) -> None:
        for _ in range(2):
            before = len(rotation_service.calls)
            assert rotation_service.rotate(secret).succeeded
            assert made_in(rotation_service, before) == list(self.WARM)

    def test_a_function_that_is_cold_at_every_step_reads_what_it_needs(
        self, rotation_service: RotationService, keys: Keys, secret: str
    ) -> None:
        def cold(event: Any, context: Any) -> None:
            fresh = function(rotation_service.client)
            fresh.accepted = keys.accepted
            fresh(event, context)

        rotation_service.configure(secret, cold)
        before = len(rotation_service.calls)
        assert rotation_service.rotate(secret).succeeded
        made = made_in(rotation_service, before)
        read = [(step, "GetSecretValue") for step in ("setSecret", "testSecret", "finishSecret")]
        assert sorted(made) == sorted([*self.WARM, *read])

    def test_the_pending_value_is_kept_no_longer_than_it_is_needed(
        self, rotation_service: RotationService, keys: Keys, secret: str
    ) -> None:
        """Anyone who can read a frozen process's memory finds no password that is not under rotation."""
        rotation = rotation_service.stage(secret)
        kept = []
        for step in STEPS:
            rotation_service.invoke(rotation, step)
            kept.append(keys._versions._stored is not None)
        assert kept == [True, True, False, False]

    def test_nor_is_one_that_was_discarded_or_that_another_secret_follows(
        self, rotation_service: RotationService, keys: Keys, secret: str
    ) -> None:
        keys.refuse = PasswordRefused("too simple")
        rotation_service.rotate(secret)
        assert keys._versions._stored is None
        rotation_service.invoke(rotation_service.stage(secret), "createSecret")
        assert keys._versions._stored is not None
        other = rotation_service.create_secret("other", FIRST, keys)
        rotation = rotation_service.stage(other)
        with contextlib.suppress(RotationError):
            keys({**rotation.event("setSecret"), "ClientRequestToken": "0" * 36})
        assert keys._versions._stored is None

    def test_what_was_stored_by_another_attempt_is_read(
        self, rotation_service: RotationService, keys: Keys, secret: str
    ) -> None:
        """The value that counts is the one in Secrets Manager, and not the one that this process has proposed."""
        rotation = rotation_service.stage(secret)
        other = {"key": "of-another-process"}
        rotation_service.client.put_secret_value(
            SecretId=secret,
            ClientRequestToken=rotation.token,
            SecretString=json.dumps(other),
            VersionStages=["AWSPENDING"],
        )
        assert rotation_service.retry(secret).succeeded
        assert rotation_service.value(secret) == other
        assert "of-another-process" in keys.accepted


def test_a_discarded_version_says_that_it_is_one(rotation_service: RotationService, keys: Keys, secret: str) -> None:
    """Issue 12, B9. The service repeats a rotation with the same token: the error must not read as if it were wrong."""
    keys.refuse = PasswordRefused("too simple")
    first = rotation_service.rotate(secret)
    assert isinstance(first.error, PasswordRefused)
    keys.refuse = None
    again = rotation_service.retry(secret)
    assert isinstance(again.error, VersionNotPending)
    assert "discarded it" in str(again.error)
    assert "call RotateSecret" in str(again.error)
    assert rotation_service.rotate(secret).succeeded


@contextlib.contextmanager
def endpoint(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[tuple[str, list[float]]]:
    """An endpoint that takes connections and treats each as told; its URL, and when each connection came."""
    stop = threading.Event()
    came: list[float] = []
    workers: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                came.append(time.monotonic())
                workers.append(threading.Thread(target=work, args=(connection,)))
                workers[-1].start()

        def work(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                answer(connection, stop)

        server = threading.Thread(target=serve)
        server.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", came
        finally:
            stop.set()
            server.join()
            for worker in workers:
                worker.join()


def stay_silent(_: socket.socket, stop: threading.Event) -> None:
    stop.wait()


def drip(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 9999\r\n\r\n")
    while not stop.wait(0.02):
        connection.sendall(b" ")


def drip_headers(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Never-Ending: ")
    while not stop.wait(0.02):
        connection.sendall(b"x")


SLOW = [stay_silent, drip, drip_headers]
# Each attempt's own limits are as in a function: none of them helps against an endpoint that drips.
CONFIG = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})


def reaching(url: str, **limits: float) -> SecretVersions:
    client = boto3.client("secretsmanager", region_name="eu-west-1", endpoint_url=url, config=CONFIG)
    return SecretVersions(client, **limits)


@pytest.mark.parametrize("answer", SLOW)
class TestAnEndpointThatKeepsUsWaiting:
    """Issue 11, fault 12: the network, or whoever answers in Secrets Manager's place."""

    def test_a_call_ends_in_its_time_with_our_error(self, answer: Any) -> None:
        with endpoint(answer) as (url, _):
            started = time.monotonic()
            with pytest.raises(SecretsManagerUnreachable, match=rf"endpoint {url} gave no answer within 0\.4 s"):
                reaching(url, longest_call=0.4).describe("app")
            assert 0.3 < time.monotonic() - started < 2.0

    def test_the_step_ends_before_the_invocation_does(self, answer: Any) -> None:
        event = {
            "Step": "createSecret",
            "SecretId": "arn:aws:secretsmanager:eu-west-1:1:secret:a",
            "RotationToken": "t",
        }
        context = FakeLambdaContext(timeout=1.0)
        with endpoint(answer) as (url, _), pytest.raises(SecretsManagerUnreachable, match="gave no answer within 0"):
            Keys(reaching(url))({**event, "ClientRequestToken": "0" * 36}, context)
        assert context.get_remaining_time_in_millis() > 0

    def test_what_was_given_up_is_not_asked_for_again_later(self, answer: Any) -> None:
        """A label must not move long after the step has failed, when the process is woken for another rotation."""
        config = CONFIG.merge(Config(read_timeout=0.5))
        # Other tests have left threads behind, too.
        others = set(threading.enumerate())
        with endpoint(answer) as (url, came):
            client = boto3.client("secretsmanager", region_name="eu-west-1", endpoint_url=url, config=config)
            with pytest.raises(SecretsManagerUnreachable):
                SecretVersions(client, longest_call=0.2).discard_pending("app", "0" * 36)
            left_behind = [thread for thread in set(threading.enumerate()) - others if thread.name == "rotators-within"]
            assert left_behind
            if answer is stay_silent:
                for thread in left_behind:
                    thread.join(5.0)
                    assert not thread.is_alive()
            assert len(came) == 1


def test_a_call_takes_less_than_ten_seconds_by_default() -> None:
    """settings.md promises it; by default nobody passes limits."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        versions = reaching(f"http://127.0.0.1:{nobody.getsockname()[1]}")
    assert versions._longest_call < 10.0


def test_without_time_nothing_is_asked(rotation_service: RotationService, secret: str) -> None:
    versions = SecretVersions(rotation_service.client)
    versions.must_answer_by(time.monotonic() - 1.0)
    before = len(rotation_service.calls)
    with pytest.raises(SecretsManagerUnreachable, match="time was over before describe_secret could be called"):
        versions.describe(secret)
    assert len(rotation_service.calls) == before


def test_waiting_for_what_was_just_written_ends_with_the_invocations_time(
    rotation_service: RotationService, secret: str
) -> None:
    """Reads lag behind for ever; the default patience would outlast the invocation."""
    versions = SecretVersions(rotation_service.client, patience=60.0)
    started = time.monotonic()
    versions.must_answer_by(started + 1.3)
    assert "0" * 36 not in versions.describe(secret, "0" * 36).stages
    assert 0.2 < time.monotonic() - started < 1.3


@pytest.mark.parametrize("when", ["before", "after"])
def test_faults_and_hooks_reach_the_caller(
    rotation_service: RotationService, keys: Keys, secret: str, when: Any
) -> None:
    """The calls are made in their own threads: what happens there is seen here, and in its step."""
    seen: list[Any] = []
    rotation_service.faults.hooks.append(lambda operation, when: seen.append((operation, when)))
    rotation_service.faults.fail("PutSecretValue", when=when, kind="crash", step="createSecret")
    rotation = rotation_service.stage(secret)
    seen.clear()
    with pytest.raises(Crash):
        rotation_service.invoke(rotation, "createSecret")
    assert ("DescribeSecret", "before") in seen
    assert rotation_service.calls[-1].error == "Crash"
