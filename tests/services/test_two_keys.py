"""A service with two live keys, on a real HTTP server that enforces its limit."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from doubles.key_api import LIMIT, KeyApi

from rotators.credentials import SecretValue
from rotators.errors import LoginRefused, PendingUnusable, SecretsManagerError, ServiceFailed, UserNotRotatable
from rotators.rotator import Rotation
from rotators.services.two_keys import Key, TwoKeys
from rotators.testing import RotationService, assert_survives_faults
from rotators.versions import SecretVersions

# Whole rotations are broken at every call.
pytestmark = pytest.mark.slow


class ReportsKey(TwoKeys[SecretValue]):
    """Rotates the key of the API at the secret's ``url``."""

    def list_keys(self, rotation: Rotation[SecretValue]) -> Sequence[Key]:
        return [Key(one["id"], one["label"]) for one in call(rotation.current, "GET", "/keys")]

    def create_key(self, rotation: Rotation[SecretValue], label: str) -> Mapping[str, str]:
        made: dict[str, str] = call(rotation.current, "POST", "/keys", {"label": label})
        return made

    def delete_key(self, rotation: Rotation[SecretValue], key: Key) -> None:
        call(rotation.current, "DELETE", f"/keys/{key.id}")

    def verify(self, rotation: Rotation[SecretValue]) -> None:
        call(rotation.pending, "GET", "/whoami")


def call(secret: SecretValue, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(  # noqa: S310  # the test's own server
        secret["url"] + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {secret['id']}:{secret['key']}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            said = f"{method} {path} was answered with {error.code}: {json.load(error)['error']}"
        raise (LoginRefused if error.code == 401 else ServiceFailed)(said) from None


@pytest.fixture
def api() -> Iterator[KeyApi]:
    with KeyApi() as running:
        yield running


@pytest.fixture
def rotator(rotation_service: RotationService) -> ReportsKey:
    return ReportsKey(SecretVersions(rotation_service.client, patience=0.05))


@pytest.fixture
def first(api: KeyApi) -> dict[str, str]:
    return {**api.create(), "url": api.url}


@pytest.fixture
def secret(rotation_service: RotationService, rotator: ReportsKey, first: dict[str, str]) -> str:
    return rotation_service.create_secret("reports", first, rotator)


def test_each_rotation_creates_a_key_and_deletes_the_one_before_the_last(
    rotation_service: RotationService, api: KeyApi, secret: str, first: dict[str, str]
) -> None:
    held = [first["id"]]
    for _ in range(5):
        assert rotation_service.rotate(secret).error is None
        held.append(rotation_service.value(secret)["id"])
        # What an application still holds from before lives on until the next rotation.
        assert set(api.keys) == set(held[-2:])
        assert rotation_service.value(secret, "AWSPREVIOUS")["id"] == held[-2]
        assert rotation_service.value(secret)["url"] == api.url
    assert len(set(held)) == 6
    assert api.deleted == held[:-2]
    assert api.most == LIMIT


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param((("after", "network"), ("before", "crash")), id="two"),
        pytest.param((("before", "network"), ("after", "crash")), id="others", marks=pytest.mark.long),
    ],
)
def test_a_rotation_is_broken_at_every_call_and_no_key_leaks(
    rotation_service: RotationService,
    api: KeyApi,
    rotator: ReportsKey,
    first: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    kinds: tuple[tuple[str, str], ...],
) -> None:
    monkeypatch.setattr("rotators.testing.survival._KINDS", kinds)

    def nothing_leaks(arn: str) -> None:
        known = {rotation_service.value(arn, stage)["id"] for stage in ("AWSCURRENT", "AWSPREVIOUS")}
        assert set(api.keys) <= known

    survived = assert_survives_faults(
        rotator,
        first,
        service=rotation_service,
        calls=["urllib.request.urlopen"],
        overlap=True,
        holds=nothing_leaks,
    )
    assert api.most == LIMIT
    # Each of list, delete, create; list again; and two logins.
    assert survived.service >= 2 * 5
    assert survived.secrets_manager >= 2 * 8
    assert "urllib.request.urlopen in createSecret" in survived.calls
    assert "UpdateSecretVersionStage in finishSecret" in survived.calls


def test_a_key_whose_answer_was_lost_is_deleted_and_another_is_created(
    rotation_service: RotationService, api: KeyApi, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = api.create

    def lose(label: str) -> dict[str, str]:
        create(label)
        monkeypatch.setattr(api, "create", create)
        return {}

    monkeypatch.setattr(api, "create", lose)
    rotation = rotation_service.rotate(secret)
    assert isinstance(rotation.error, ServiceFailed)
    (lost,) = [name for name, label in api.labels.items() if label.endswith(rotation.token)]
    assert rotation_service.retry(secret).error is None
    assert api.deleted == [lost]
    assert lost != rotation_service.value(secret)["id"]


def test_a_key_that_was_stored_is_kept_by_the_next_attempt(
    rotation_service: RotationService, api: KeyApi, secret: str
) -> None:
    rotation_service.faults.fail("PutSecretValue", when="after")
    assert rotation_service.rotate(secret).error is not None
    made = rotation_service.value(secret, "AWSPENDING")["id"]
    assert rotation_service.retry(secret).error is None
    assert rotation_service.value(secret)["id"] == made
    assert api.deleted == []


def test_a_key_that_nothing_shows_to_be_the_secrets_is_never_deleted(
    rotation_service: RotationService, api: KeyApi, secret: str
) -> None:
    stranger = api.create("made by hand")
    refused = rotation_service.rotate(secret)
    assert isinstance(refused.error, UserNotRotatable)
    assert str(refused.error).startswith("the account has 2 keys, of 2 that it may have, and nothing shows that ")
    assert f"delete {stranger['id']} if it is not in use" in str(refused.error)
    assert refused.failed_step == "createSecret"
    assert stranger["id"] in api.keys
    assert api.deleted == []
    del api.keys[stranger["id"]]
    assert rotation_service.retry(secret).error is None


def test_a_first_key_made_by_hand_that_an_edit_has_pushed_out_of_the_secret_is_named_and_not_deleted(
    rotation_service: RotationService, api: KeyApi, secret: str, first: dict[str, str]
) -> None:
    assert rotation_service.rotate(secret).error is None
    # Two versions with one key: nothing names the first key any more, and it has no label.
    edited = SecretValue({**rotation_service.value(secret), "note": "new"}).to_json()
    rotation_service.client.put_secret_value(SecretId=secret, SecretString=edited)
    refused = rotation_service.rotate(secret)
    assert isinstance(refused.error, UserNotRotatable)
    assert f"delete {first['id']} if it is not in use" in str(refused.error)
    del api.keys[first["id"]]
    assert rotation_service.retry(secret).error is None
    # From then on labels tell.
    edited = SecretValue({**rotation_service.value(secret), "note": "newer"}).to_json()
    rotation_service.client.put_secret_value(SecretId=secret, SecretString=edited)
    assert rotation_service.rotate(secret).error is None


def test_the_key_of_another_secret_of_the_same_account_is_never_deleted(
    rotation_service: RotationService, api: KeyApi, rotator: ReportsKey, secret: str, first: dict[str, str]
) -> None:
    other = rotation_service.create_secret("reports-too", first, rotator)
    assert rotation_service.rotate(other).error is None
    assert isinstance(rotation_service.rotate(secret).error, UserNotRotatable)
    assert api.deleted == []


def test_a_version_that_was_discarded_leaves_its_key_to_the_next_rotation(
    rotation_service: RotationService, api: KeyApi, secret: str
) -> None:
    rotation = rotation_service.stage(secret)
    rotation_service.invoke(rotation, "createSecret")
    made = rotation_service.value(secret, "AWSPENDING")["id"]
    del api.keys[made]
    with pytest.raises(PendingUnusable, match=rf"the key {made} of AWSPENDING .* was deleted\. rotate again"):
        rotation_service.invoke(rotation, "setSecret")
    assert rotation.token not in rotation_service.labels(secret)
    assert rotation_service.rotate(secret).error is None


def test_an_edit_in_the_middle_of_a_rotation_is_not_overwritten(
    rotation_service: RotationService, api: KeyApi, secret: str, first: dict[str, str]
) -> None:
    rotation = rotation_service.stage(secret)
    for step in ("createSecret", "setSecret", "testSecret"):
        rotation_service.invoke(rotation, step)
    edited = SecretValue({**first, "note": "kept"}).to_json()
    rotation_service.client.put_secret_value(SecretId=secret, SecretString=edited)
    with pytest.raises(PendingUnusable, match="was edited while it rotated, in note"):
        rotation_service.invoke(rotation, "finishSecret")
    # The key that nobody needs any more is in the way of the next one, and is known by its label.
    assert rotation_service.rotate(secret).error is None
    assert rotation_service.value(secret)["note"] == "kept"
    assert len(api.keys) == LIMIT
    assert first["id"] in api.keys


def test_the_key_of_awscurrent_is_never_deleted_whatever_a_subclass_says(
    rotation_service: RotationService, api: KeyApi, rotator: ReportsKey, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReportsKey, "is_abandoned", lambda *_: True)
    for _ in range(3):
        before = rotation_service.value(secret)["id"]
        assert rotation_service.rotate(secret).error is None
        assert before in api.keys


def test_a_label_moved_back_by_hand_keeps_its_key(
    rotation_service: RotationService, api: KeyApi, secret: str, first: dict[str, str]
) -> None:
    rotation = rotation_service.rotate(secret)
    old = next(version for version, stages in rotation_service.labels(secret).items() if "AWSPREVIOUS" in stages)
    rotation_service.client.update_secret_version_stage(
        SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=old, RemoveFromVersionId=rotation.token
    )
    assert rotation_service.rotate(secret).error is None
    assert first["id"] in api.keys
    assert len(api.deleted) == 1


@pytest.mark.parametrize("lag", [1, 2, 4])
def test_reads_that_lag_behind_delete_no_key_in_use(
    rotation_service: RotationService, api: KeyApi, rotator: ReportsKey, secret: str, lag: int
) -> None:
    rotation_service.configure(secret, ReportsKey(SecretVersions(rotation_service.client)))
    rotation_service.consistency_lag = lag
    for _ in range(3):
        assert rotation_service.rotate(secret).error is None
        used = rotation_service.value(secret)["id"]
        assert used in api.keys


def test_two_reads_that_disagree_on_awscurrent_end_the_attempt_before_anything_is_deleted(
    rotation_service: RotationService,
    api: KeyApi,
    rotator: ReportsKey,
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert rotation_service.rotate(secret).error is None
    live = set(api.keys)
    monkeypatch.setattr(Rotation, "current_version_id", "0" * 36)
    assert isinstance(rotation_service.rotate(secret).error, SecretsManagerError)
    assert set(api.keys) == live


def test_a_secret_whose_key_is_none_of_the_accounts_is_refused(
    rotation_service: RotationService, api: KeyApi, rotator: ReportsKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = api.create()
    monkeypatch.setattr(ReportsKey, "list_keys", lambda *_: [Key("key-of-somebody")])
    arn = rotation_service.create_secret("odd", {**made, "url": api.url}, rotator)
    assert "is not among the account's live keys" in str(rotation_service.rotate(arn).error)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"id": "key-0"}, "create_key of ReportsKey returned id. return the values of id, key"),
        ({"id": "key-0", "key": "x" * 20, "more": "y"}, "gave id, key, more. give"),
    ],
)
def test_a_key_of_another_shape_is_refused(
    rotation_service: RotationService, secret: str, monkeypatch: pytest.MonkeyPatch, made: Mapping[str, str], says: str
) -> None:
    monkeypatch.setattr(ReportsKey, "create_key", lambda *_: made)
    assert says in str(rotation_service.rotate(secret).error)


def test_no_key_stands_in_a_log(
    rotation_service: RotationService, api: KeyApi, secret: str, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = set(api.keys.values())
    for _ in range(2):
        assert rotation_service.rotate(secret).error is None
        made |= set(api.keys.values())
    monkeypatch.setattr(ReportsKey, "verify", _fail_with_the_key)
    failed = rotation_service.rotate(secret)
    made |= set(api.keys.values())
    written = log.getvalue() + str(failed.error)
    assert "a key was created" in written
    assert rotation_service.value(secret)["id"] in written
    assert len(made) == 4
    assert not [key for key in made if key in written]


def _fail_with_the_key(_: object, rotation: Rotation[Any]) -> None:
    raise ServiceFailed(f"it said: {rotation.pending['key']}")
