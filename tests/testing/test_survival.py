"""``assert_survives_faults`` finds rotators that break a promise, and passes those that keep it."""

from __future__ import annotations

from typing import Any

import pytest

from rotators.credentials import SecretValue
from rotators.errors import LoginRefused
from rotators.rotator import Rotation, Rotator
from rotators.testing import Fault, RotationService, assert_survives_faults
from rotators.versions import SecretVersions

# Whole rotations are broken at every call.
pytestmark = pytest.mark.slow

FIRST = {"key": "first-key-value"}


class Service:
    """Keys that log in."""

    def __init__(self) -> None:
        self.live = {FIRST["key"]}

    def add(self, key: str) -> None:
        self.live.add(key)

    def remove(self, key: str) -> None:
        self.live.discard(key)

    def replace_all(self, key: str) -> None:
        self.live = {key}

    def log_in(self, key: str) -> None:
        if key not in self.live:
            raise LoginRefused(f"the key {key} is not known")


CALLS = [f"{__name__}.Service.{name}" for name in ("add", "remove", "replace_all", "log_in")]


class Keys(Rotator[SecretValue]):
    """Adds its new key, and removes the one before the last."""

    def __init__(self, versions: SecretVersions) -> None:
        super().__init__(versions)
        self.service = Service()
        self.made = 0

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        return rotation.current.replace(key=f"{rotation.event.version_id}-key")

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        self.service.add(rotation.pending["key"])
        previous = rotation.previous
        if previous is not None and not rotation.promoted and previous["key"] != rotation.current["key"]:
            self.service.remove(previous["key"])

    def verify(self, rotation: Rotation[SecretValue]) -> None:
        self.service.log_in(rotation.pending["key"])


class OneKey(Keys):
    """The service has one key at a time."""

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        self.service.replace_all(rotation.pending["key"])


class Hasty(Keys):
    """Its retry deletes a key that applications still hold."""

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        self.service.add(rotation.pending["key"])
        if rotation.previous is not None:
            self.service.remove(rotation.previous["key"])


class NotRepeatable(Keys):
    """Its second attempt fails."""

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        if rotation.pending["key"] in self.service.live:
            raise ValueError(f"{rotation.pending['key']} is there already")
        super().apply(rotation)


class Leaking(Keys):
    """It never removes a key."""

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        self.service.add(rotation.pending["key"])


class Remembering(Keys):
    """What createSecret made, setSecret takes from memory: of another process, perhaps."""

    remembered = ""

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        self.remembered = f"{rotation.event.version_id}-{len(self.service.live)}-{self.made}-key"
        self.made += 1
        return rotation.current.replace(key=self.remembered)

    def apply(self, _: Rotation[SecretValue]) -> None:
        self.service.add(self.remembered)


class Impatient(Keys):
    """It gives up what it could finish."""

    def verify(self, rotation: Rotation[SecretValue]) -> None:
        self.service.log_in(rotation.pending["key"])
        if self.made > 9:
            raise LoginRefused("no more")
        self.made += 1


def only(monkeypatch: pytest.MonkeyPatch, *kinds: tuple[str, str]) -> None:
    """Break calls in these ways alone, which takes less time."""
    monkeypatch.setattr("rotators.testing.survival._KINDS", kinds)


@pytest.fixture
def versions(rotation_service: RotationService) -> SecretVersions:
    return SecretVersions(rotation_service.client)


def test_a_rotator_that_keeps_the_promises_passes_and_every_call_was_broken(
    rotation_service: RotationService, versions: SecretVersions
) -> None:
    keys = Keys(versions)

    def no_leak(_: str) -> None:
        assert len(keys.service.live) <= 2

    survived = assert_survives_faults(keys, FIRST, service=rotation_service, calls=CALLS, overlap=True, holds=no_leak)
    # Never arrived, answer lost, and both with the process killed.
    assert survived.service == 4 * 3
    # A killed process reads the pending value again, and AWSPREVIOUS is read in setSecret.
    assert survived.secrets_manager >= 4 * 8
    assert set(survived.calls) >= {
        "DescribeSecret in createSecret",
        "GetSecretValue in createSecret",
        "PutSecretValue in createSecret",
        "GetSecretValue in setSecret",
        "DescribeSecret in testSecret",
        "UpdateSecretVersionStage in finishSecret",
        f"{__name__}.Service.add in setSecret",
        f"{__name__}.Service.remove in setSecret",
        f"{__name__}.Service.log_in in testSecret",
    }
    assert rotation_service.faults.heard() == []
    assert rotation_service.after_step == []
    assert Service.add.__name__ == "add"
    assert rotation_service.rotate("survives-faults").succeeded


def test_a_service_with_one_key_at_a_time_passes_with_the_labels_that_it_can_promise(
    rotation_service: RotationService, versions: SecretVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, ("after", "network"), ("after", "crash"))
    stages = ("AWSCURRENT", "AWSPENDING")
    assert_survives_faults(OneKey(versions), FIRST, service=rotation_service, calls=CALLS, stages=stages)


@pytest.mark.parametrize(
    ("rotator", "says"),
    [
        (
            OneKey,
            "without any fault: after .*Service.replace_all in setSecret AWSCURRENT does not log in: Log",
        ),
        (
            NotRepeatable,
            r"the rotation was abandoned \(setSecret: UnexpectedError: .*ValueError in NotRepeatable.apply",
        ),
        (Remembering, r"was broken \(it never arrived\): the rotation was abandoned \(testSecret: LoginRefused"),
        (Hasty, r"UpdateSecretVersionStage in finishSecret was broken .* has ended, AWSPREVIOUS does not log in"),
        (Impatient, "AWSCURRENT does not log in: LoginRefused: no more"),
    ],
)
def test_a_rotator_that_breaks_a_promise_is_found(
    rotation_service: RotationService, versions: SecretVersions, rotator: type[Keys], says: str
) -> None:
    with pytest.raises(AssertionError, match=says) as found:
        assert_survives_faults(
            rotator(versions), FIRST, service=rotation_service, calls=CALLS, overlap=rotator is Hasty
        )
    assert "-key" not in str(found.value)
    assert FIRST["key"] not in str(found.value)


def test_an_assertion_of_ones_own_is_told_with_the_fault_before_it(
    rotation_service: RotationService, versions: SecretVersions
) -> None:
    keys = Leaking(versions)

    def no_leak(_: str) -> None:
        assert len(keys.service.live) <= 2, "a key has leaked"

    with pytest.raises(AssertionError, match="a key has leaked") as found:
        assert_survives_faults(keys, FIRST, service=rotation_service, holds=no_leak)
    assert found.value.__notes__ == [
        "DescribeSecret in createSecret was broken (it never arrived), once the rotation has ended"
    ]


def test_calls_that_nobody_makes_are_an_error_and_not_a_pass(
    rotation_service: RotationService, versions: SecretVersions
) -> None:
    with pytest.raises(AssertionError, match=r"no step has called http\.client.HTTPConnection\.connect: name what"):
        assert_survives_faults(
            Keys(versions), FIRST, service=rotation_service, calls=["http.client.HTTPConnection.connect"]
        )


def test_what_is_no_rotator_is_refused(rotation_service: RotationService) -> None:
    with pytest.raises(TypeError, match=r"give an instance of a Rotator: <class .*Keys'> is none"):
        assert_survives_faults(Keys, FIRST, service=rotation_service)  # type: ignore[arg-type]


def test_static_and_class_methods_can_be_broken(
    rotation_service: RotationService, versions: SecretVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        @staticmethod
        def ping(key: str) -> str:
            return key

        @classmethod
        def pong(cls, key: str) -> str:
            return key

    def verify(self: Any, rotation: Rotation[SecretValue]) -> None:
        self.service.log_in(Client.pong(Client.ping(rotation.pending["key"])))

    monkeypatch.setattr(Keys, "verify", verify)
    monkeypatch.setitem(globals(), "Client", Client)
    only(monkeypatch, ("after", "network"))
    names = [f"{__name__}.Client.{name}" for name in ("ping", "pong")]
    assert assert_survives_faults(Keys(versions), FIRST, service=rotation_service, calls=names).service == 2
    assert isinstance(vars(Client)["ping"], staticmethod)


def test_a_pause_lets_calls_pass_and_counts_none(rotation_service: RotationService) -> None:
    heard: list[str] = []
    rotation_service.faults.hooks.append(lambda operation, _: heard.append(operation))
    fault: Fault = rotation_service.faults.fail("ListSecrets", nth=2)
    rotation_service.client.list_secrets()
    with rotation_service.faults.paused():
        rotation_service.client.list_secrets()
        rotation_service.client.list_secrets()
    assert not fault.fired
    assert heard == ["ListSecrets", "ListSecrets"]
    with pytest.raises(Exception, match="Connection was closed"):
        rotation_service.client.list_secrets()
    assert fault.call == "ListSecrets"
