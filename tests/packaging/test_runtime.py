"""The packaged PostgreSQL function under AWS's own runtime client: what it says, and what it keeps."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from targets import PostgresTarget

from rotators.errors import PackagingFailed
from rotators.packaging.bundles import Bundles
from rotators.packaging.platforms import of_this_machine
from rotators.testing import RotationService
from rotators.testing.endpoint import served
from rotators.testing.lambda_process import LambdaProcess, lay_out

pytestmark = [pytest.mark.server, pytest.mark.slow]
JSON_LOG = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "DEBUG", "POWERTOOLS_LOG_LEVEL": "DEBUG"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function and its layers, unpacked once for all tests: nothing can be written there."""
    bundles = Bundles(of_this_machine(), lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        try:
            layers = [bundles.base(), bundles.driver("postgres")]
        except PackagingFailed as missing:
            reason = f"the layers for this machine are not made yet (make layers): {missing}"
            (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(reason)
    folder = tmp_path_factory.mktemp("lambda")
    lay_out(bundles.function("postgres").path, [layer.path for layer in layers], folder)
    return folder


@pytest.fixture
def trust(postgres: PostgresTarget) -> dict[str, str]:
    return {"ROTATION_CA_BUNDLE": str(postgres.server.ca_file)}


@pytest.fixture
def endpoint(rotation_service: RotationService) -> Iterator[str]:
    with served(rotation_service) as url:
        yield url


def secret_values(service: RotationService, arn: str, *further: str) -> set[str]:
    """What must be written nowhere: every version's password, and whatever else is given."""
    versions = service.client.list_secret_version_ids(SecretId=arn)["Versions"]
    texts = (service.client.get_secret_value(SecretId=arn, VersionId=one["VersionId"]) for one in versions)
    return {str(json.loads(text["SecretString"])["password"]) for text in texts} | set(further)


def test_each_line_is_json_of_its_invocation_and_shows_no_secret_value(
    folder: Path, endpoint: str, trust: dict[str, str], postgres: PostgresTarget, rotation_service: RotationService
) -> None:
    application = postgres.make_application()
    with LambdaProcess(folder, endpoint, {**JSON_LOG, **trust}) as function:
        events: list[Any] = []

        def handler(event: Any, context: Any) -> Any:
            events.append(event)
            return function(event, context)

        arn = rotation_service.create_secret("app", postgres.secret(application), handler)
        assert rotation_service.rotate(arn).error is None
    assert function.exit_code == -15
    lines = [json.loads(line) for line in function.output]
    done = [line for line in lines if line.get("message") == "the step is done"]
    assert [line["step"] for line in done] == ["createSecret", "setSecret", "testSecret", "finishSecret"]
    assert all(line["secret"] == arn and line["level"] == "INFO" for line in done)
    # X-Ray's id of each invocation, by which its lines are found.
    assert len({line["xray_trace_id"] for line in done}) == 4
    assert len([line for line in lines if "StepDuration" in line]) == 4
    canaries = secret_values(rotation_service, arn, application.password, *(one["RotationToken"] for one in events))
    assert len(canaries) >= 3
    written = "".join(function.output)
    assert not [value for value in canaries if value in written]


def test_an_error_has_its_kind_and_advice_and_no_secret_value_in_text_frames_or_header(
    folder: Path, endpoint: str, trust: dict[str, str], postgres: PostgresTarget, rotation_service: RotationService
) -> None:
    application = postgres.make_application()
    wrong = {**postgres.secret(application), "password": "nobody-has-this-1"}
    with LambdaProcess(folder, endpoint, {**JSON_LOG, **trust}) as function:
        arn = rotation_service.create_secret("app", wrong, function)
        assert rotation_service.rotate(arn).error is not None
        answer = function.answer
    assert answer.kind == "error"
    assert answer.body["errorType"] == "LoginRefused"
    assert application.username in answer.body["errorMessage"]
    assert answer.body["requestId"]
    assert re.search(r'File "\S+/rotators/rotator.py", line \d+, in __call__', "".join(answer.body["stackTrace"]))
    # Nothing of the errors that it grew from: a driver's may hold a statement or a connection string.
    assert "psycopg2" not in "".join(answer.body["stackTrace"])
    everything = json.dumps([answer.body, dict(answer.headers), function.output])
    assert "nobody-has-this-1" not in everything
    assert "LoginRefused" in "".join(function.output)


def test_the_error_of_a_silent_server_is_out_before_the_deadline(
    folder: Path, endpoint: str, trust: dict[str, str], postgres: PostgresTarget, rotation_service: RotationService
) -> None:
    rotation_service.timeout = 6.0
    with socket.create_server(("127.0.0.1", 0)) as silent, LambdaProcess(folder, endpoint, trust) as function:
        secret = postgres.secret(postgres.make_application(), host="127.0.0.1", port=silent.getsockname()[1])
        arn = rotation_service.create_secret("app", secret, function)
        error = str(rotation_service.rotate(arn).error)
    assert "Task timed out" not in error
    assert f"127.0.0.1:{secret['port']}" in error


def test_a_snapshot_has_no_connection_and_its_restore_has_credentials_of_its_own(
    folder: Path, trust: dict[str, str], postgres: PostgresTarget, rotation_service: RotationService
) -> None:
    keys: list[str] = []
    with (
        served(rotation_service, keys) as url,
        LambdaProcess(folder, url, trust, snap_start=True) as function,
    ):
        assert function.api.snapshot.wait(60)
        assert {port for _, port in connections(function.pid)} <= {int(function.api.address.rpartition(":")[2])}
        assert function.api.credentials_given
        function.api.restore.set()
        arn = rotation_service.create_secret("app", postgres.secret(postgres.make_application()), function)
        assert rotation_service.rotate(arn).error is None
    assert keys
    assert {key[:12] for key in keys} == {"AKIARESTORED"}


def connections(pid: int) -> set[tuple[str, int]]:
    """Where a process's TCP connections lead to."""
    links = [str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()]
    inodes = {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    remotes = [row[2].split(":") for row in rows if row[9] in inodes]
    return {(socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)) for host, port in remotes}
