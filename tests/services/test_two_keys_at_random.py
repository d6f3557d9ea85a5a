"""A service with two keys, with faults, edits and deletions in any order: AWSCURRENT's key is alive at any time."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from doubles.key_api import LIMIT, KeyApi
from hypothesis import given, settings

from rotators.credentials import SecretValue
from rotators.errors import ConnectionLost, LoginRefused, ServiceFailed
from rotators.rotator import Rotation
from rotators.services.two_keys import Key, TwoKeys
from rotators.testing import Crash, Faults, RotationService
from rotators.versions import SecretVersions

# Whole rotations are broken at every call.
pytestmark = pytest.mark.slow

FAULTS = st.tuples(
    st.sampled_from(["secrets", "service"]),
    st.integers(min_value=1, max_value=9),
    st.sampled_from(["before", "after"]),
    st.sampled_from(["network", "crash"]),
)
STEPS = st.one_of(
    st.lists(FAULTS, max_size=3).map(lambda faults: ("rotate", faults)),
    st.just(("edit", [])),
    st.just(("move back", [])),
    st.just(("delete previous", [])),
)


class Keys(TwoKeys[SecretValue]):
    """Asks the API without a network; its calls can be broken."""

    api: KeyApi
    faults: Faults

    def list_keys(self, rotation: Rotation[SecretValue]) -> list[Key]:
        return [Key(one["id"], one["label"]) for one in self._call(rotation.current, "GET", "/keys")]

    def create_key(self, rotation: Rotation[SecretValue], label: str) -> dict[str, str]:
        made: dict[str, str] = self._call(rotation.current, "POST", "/keys", {"label": label})
        return made

    def delete_key(self, rotation: Rotation[SecretValue], key: Key) -> None:
        self._call(rotation.current, "DELETE", f"/keys/{key.id}")

    def verify(self, rotation: Rotation[SecretValue]) -> None:
        self._call(rotation.pending, "GET", "/whoami")

    def _call(self, secret: SecretValue, method: str, path: str, body: Any = None) -> Any:
        fault = self.faults.at(path, method)
        if fault is not None and fault.when == "before":
            raise Crash(path) if fault.kind == "crash" else ConnectionLost("broken")
        status, answer = self.api.answer(method, path, f"{secret['id']}:{secret['key']}", body or {})
        if fault is not None:
            raise Crash(path) if fault.kind == "crash" else ConnectionLost("broken")
        if status >= 400:
            raise (LoginRefused if status == 401 else ServiceFailed)(f"{method} {path}: {status}")
        return answer


@settings(max_examples=12)
@given(st.lists(STEPS, max_size=5))
def test_awscurrent_logs_in_at_any_time_and_no_key_leaks(steps: list[tuple[str, list[Any]]]) -> None:
    with RotationService() as service, KeyApi() as api:
        rotator = Keys(SecretVersions(service.client, patience=0.01))
        rotator.api, rotator.faults = api, Faults()
        first = api.create()
        arn = ""
        process = [rotator.restarted()]

        def invoke(event: Any, context: Any) -> None:
            try:
                process[0](event, context)
            except Crash:
                process[0] = rotator.restarted()
                raise

        def look(*_: Any) -> None:
            if arn:
                value = service.value(arn)
                assert api.keys.get(value["id"]) == value["key"], "AWSCURRENT's key is dead"
                assert len(api.keys) <= LIMIT

        arn = service.create_secret("reports", first, invoke)
        service.after_step.append(look)
        # The first key, made by hand, has no label: test_two_keys.py tells what becomes of it.
        assert service.rotate(arn).succeeded
        assert service.rotate(arn).succeeded
        for what, faults in [*steps, ("rotate", []), ("rotate", [])]:
            if what == "edit":
                edited = SecretValue({**service.value(arn), "note": str(len(service.calls))}).to_json()
                service.client.put_secret_value(SecretId=arn, SecretString=edited)
            elif what == "move back":
                _move_back(service, api, arn)
            elif what == "delete previous":
                _delete_previous(service, api, arn)
            else:
                _rotate(service, rotator, arn, faults)
            look()
        known = {service.value(arn, stage)["id"] for stage in ("AWSCURRENT", "AWSPREVIOUS")}
        assert set(api.keys) <= known


def _rotate(service: RotationService, rotator: Keys, arn: str, faults: list[Any]) -> None:
    rotation = service.stage(arn)
    for where, nth, when, kind in faults:
        (service.faults if where == "secrets" else rotator.faults).fail(nth=nth, when=when, kind=kind)
        if service.retry(arn).succeeded:
            break
    service.faults.clear()
    rotator.faults.clear()
    if not rotation.succeeded:
        assert service.retry(arn).error is None


def _move_back(service: RotationService, api: KeyApi, arn: str) -> None:
    labels = service.labels(arn)
    current, previous = (
        next((version for version, stages in labels.items() if stage in stages), None)
        for stage in ("AWSCURRENT", "AWSPREVIOUS")
    )
    if previous is not None and current is not None and service.value(arn, "AWSPREVIOUS")["id"] in api.keys:
        service.client.update_secret_version_stage(
            SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=previous, RemoveFromVersionId=current
        )


def _delete_previous(service: RotationService, api: KeyApi, arn: str) -> None:
    """Somebody deletes the old key by hand."""
    if any("AWSPREVIOUS" in stages for stages in service.labels(arn).values()):
        previous = service.value(arn, "AWSPREVIOUS")["id"]
        if previous != service.value(arn)["id"]:
            api.keys.pop(previous, None)
