"""How SecretVersions reaches Secrets Manager, without the simulated service."""

from __future__ import annotations

import contextvars
import logging
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from rotators.client import Secret, SecretUnavailable
from rotators.errors import ConfigurationError, SecretsManagerError, SecretsManagerUnreachable
from rotators.testing import KMS_REFUSAL, RotationService
from rotators.testing.endpoint import listening
from rotators.versions import SecretVersions


@pytest.fixture
def nobody_listens() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("variable", ["SECRETS_MANAGER_ENDPOINT", "AWS_ENDPOINT_URL"])
def test_the_endpoint_of_the_environment_is_used_and_named(
    monkeypatch: pytest.MonkeyPatch, nobody_listens: str, variable: str
) -> None:
    monkeypatch.setenv(variable, nobody_listens)
    with pytest.raises(SecretsManagerUnreachable) as caught:
        SecretVersions().describe("app")
    assert f"the Secrets Manager endpoint {nobody_listens} gave no answer" in str(caught.value)
    assert "interface endpoint" in str(caught.value)


def test_an_endpoint_that_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_MANAGER_ENDPOINT", "not a url")
    with pytest.raises(ConfigurationError, match=r"can be made \(ValueError\)\. make SECRETS_MANAGER_ENDPOINT a URL"):
        SecretVersions()


def test_a_client_waits_seconds_and_tries_three_times() -> None:
    config = SecretVersions()._client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (2, 4)
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}


def test_without_a_region_the_advice_names_the_variable_that_boto3_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    # boto3 does not read this one.
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(
        ConfigurationError, match=r"no Region is set\. set AWS_DEFAULT_REGION: boto3 does not read"
    ) as no:
        SecretVersions()
    assert "SECRETS_MANAGER_ENDPOINT" not in str(no.value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    SecretVersions()


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, nobody_listens: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("SECRETS_MANAGER_ENDPOINT", nobody_listens)
    with pytest.raises(SecretsManagerError, match=r"could not be made \(NoCredentialsError\)"):
        SecretVersions().describe("app")


@pytest.mark.parametrize(
    ("call", "fault", "cure"),
    [
        (lambda versions: versions.admin(""), "Invalid length for parameter SecretId", "'masterarn'"),
        (
            lambda versions: versions.put_pending("app", "short", "a-password", None),
            "Invalid length for parameter ClientRequestToken",
            "32 to 64 characters",
        ),
        (
            lambda versions: versions.put_pending("app", "0" * 32, 17, None),
            "Invalid type for parameter SecretString",
            "",
        ),
    ],
)
def test_a_parameter_that_is_none_is_named_and_its_value_is_not(
    rotation_service: RotationService, call: Any, fault: str, cure: str
) -> None:
    with pytest.raises(SecretsManagerError) as caught:
        call(SecretVersions(rotation_service.client, patience=0.1))
    assert f"could not be made: {fault}. " in str(caught.value)
    assert cure in str(caught.value)
    assert "17" not in str(caught.value)
    assert "role and region" not in str(caught.value)


def test_a_request_that_is_given_up_at_the_last_moment_is_one_without_an_answer(
    rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the request and who waits for it may be the first to see that the time is over."""
    real = time.monotonic

    def late(_: float, ask: Callable[[], Any]) -> Any:
        monkeypatch.setattr("rotators.versions.time.monotonic", lambda: real() + 3600)
        # As in its own thread: what the call sets must not hold for this one.
        return contextvars.copy_context().run(ask)

    monkeypatch.setattr("rotators.versions.within", late)
    versions = SecretVersions()
    with pytest.raises(SecretsManagerUnreachable, match="gave no answer within"):
        versions.describe("app")
    assert not rotation_service.calls


def test_botocore_does_not_log_requests_even_at_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("boto3", "botocore", "urllib3"):
        # Whatever clients before this one have set.
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    SecretVersions()
    assert [logging.getLogger(name).level for name in ("boto3", "botocore", "urllib3")] == [logging.INFO] * 3
    for name in ("boto3", "botocore.endpoint", "botocore.parsers", "urllib3.connectionpool"):
        assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)


def test_a_promotion_whose_answer_is_lost_is_looked_up(rotation_service: RotationService) -> None:
    client = rotation_service.client
    versions = SecretVersions(client, patience=0.2)
    first = client.create_secret(Name="app", SecretString="1")["VersionId"]
    second = client.put_secret_value(SecretId="app", SecretString="2", VersionStages=["AWSPENDING"])["VersionId"]
    rotation_service.faults.fail("UpdateSecretVersionStage", when="after")
    versions.promote("app", second, first)
    assert rotation_service.labels("app")[second] == ["AWSPENDING", "AWSCURRENT"]
    moves = [call for call in rotation_service.calls if call.operation == "UpdateSecretVersionStage"]
    assert len(moves) == 1


def test_a_promotion_that_did_not_happen_is_asked_for_again(rotation_service: RotationService) -> None:
    client = rotation_service.client
    versions = SecretVersions(client, patience=0.2)
    first = client.create_secret(Name="app", SecretString="1")["VersionId"]
    second = client.put_secret_value(SecretId="app", SecretString="2", VersionStages=["AWSPENDING"])["VersionId"]
    rotation_service.faults.fail("UpdateSecretVersionStage", when="before")
    versions.promote("app", second, first)
    assert "AWSCURRENT" in rotation_service.labels("app")[second]


def test_a_promotion_that_is_refused_stays_refused(rotation_service: RotationService) -> None:
    client = rotation_service.client
    versions = SecretVersions(client, patience=0.2)
    first = client.create_secret(Name="app", SecretString="1")["VersionId"]
    second = client.put_secret_value(SecretId="app", SecretString="2")["VersionId"]
    third = client.put_secret_value(SecretId="app", SecretString="3", VersionStages=["AWSPENDING"])["VersionId"]
    with pytest.raises(SecretsManagerError, match=f"currently attached to version {second}"):
        versions.promote("app", third, first)
    rotation_service.faults.fail("UpdateSecretVersionStage", kind=KMS_REFUSAL)
    with pytest.raises(SecretsManagerError, match="KMS"):
        versions.promote("app", third, second)
    assert rotation_service.labels("app")[second] == ["AWSCURRENT"]


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """An endpoint that is not Secrets Manager, as a proxy is not: it answers everything with the bytes in the list."""
    says = [b""]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(says[0])))
            self.end_headers()
            self.wfile.write(says[0])

        def log_message(self, *_: object) -> None:
            """Silent."""

    with listening(Handler) as url:
        monkeypatch.setenv("SECRETS_MANAGER_ENDPOINT", url)
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield says


STRANGE = [b"<html>sign in</html>", b"", b"[1]", b"null", b'"text"', b'{"Name": "app"}']


@pytest.mark.parametrize("says", STRANGE)
@pytest.mark.parametrize(
    "call",
    [
        lambda versions: versions.describe("app"),
        lambda versions: versions.current("app"),
        lambda versions: versions.put_pending("app", "t" * 32, "{}", None),
        lambda versions: versions.promote("app", "a" * 32, "b" * 32),
        lambda versions: versions.discard_pending("app", "a" * 32),
    ],
)
def test_an_answer_that_is_not_secrets_managers_is_none(stranger: list[bytes], says: bytes, call: Any) -> None:
    """Least of all is a value stored then, or a label moved."""
    stranger[0] = says
    with pytest.raises(SecretsManagerUnreachable, match="but not as Secrets Manager does"):
        call(SecretVersions(patience=0.1))


@pytest.mark.parametrize("says", STRANGE)
def test_an_application_gets_one_error_for_such_an_answer(stranger: list[bytes], says: bytes) -> None:
    stranger[0] = says
    with pytest.raises(SecretUnavailable):
        Secret("app").get()
