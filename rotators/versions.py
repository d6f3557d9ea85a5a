"""The versions of a secret: the only module that calls Secrets Manager.

How labels move: https://docs.aws.amazon.com/secretsmanager/latest/userguide/getting-started.html#term_version
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from rotators.environment import Environment
from rotators.errors import (
    ConfigurationError,
    RotationError,
    SecretEmpty,
    SecretMalformed,
    SecretNotFound,
    SecretsManagerDenied,
    SecretsManagerError,
    SecretsManagerUnreachable,
)
from rotators.logs import logger

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

ResultT = TypeVar("ResultT")

CURRENT = "AWSCURRENT"
PENDING = "AWSPENDING"
PREVIOUS = "AWSPREVIOUS"

# Three attempts of 2 s to connect and 4 s to answer end, with their pauses, before Lambda's 30 s and below 10 s
# where nothing answers at all, so that our error names the endpoint before Lambda ends the function.
_CLIENT_CONFIG = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
_SERVER_ERROR = 500
_DENIED = {"AccessDeniedException", "DecryptionFailure", "EncryptionFailure", "KMSAccessDeniedException"}


@dataclass(frozen=True)
class SecretVersion:
    """One version of a secret that holds a value.

    Args:
        version_id: the version's id, which is the ClientRequestToken it was made with.
        stages: its labels, as the read that fetched it saw them.
        text: the SecretString.
    """

    version_id: str
    stages: frozenset[str]
    text: str = field(repr=False)


@dataclass(frozen=True)
class SecretDescription:
    """What DescribeSecret tells of a secret.

    Args:
        rotation_enabled: None where the service says nothing (a secret that never rotated).
        stages: each labelled version's labels.
        primary_region: the Region in which the secret can be changed; None where the service does not say.
        failed_replicas: the Regions whose copy could not be brought up to date.
        next_rotation: the end of the window in which the secret will rotate; None where nothing is scheduled.
    """

    rotation_enabled: bool | None
    stages: Mapping[str, frozenset[str]]
    primary_region: str | None = None
    failed_replicas: tuple[str, ...] = ()
    next_rotation: datetime | None = None

    def holder(self, stage: str) -> str | None:
        """The id of the version that has a label, or None."""
        return next((version for version, stages in self.stages.items() if stage in stages), None)


class SecretVersions:
    """Reads a secret's versions and moves its labels.

    Secrets Manager's reads are eventually consistent: what was just written may be missing for a moment. Each
    read here that knows what must be there waits for it.

    Args:
        client: a boto3 client for Secrets Manager. Without one, a client is made for the endpoint in
            SECRETS_MANAGER_ENDPOINT, else boto3's own (which heeds AWS_ENDPOINT_URL).
        patience: seconds to wait for what was just written to become visible.

    Raises:
        ConfigurationError: no client can be made: no region, or the endpoint is no URL.
    """

    def __init__(self, client: SecretsManagerClient | None = None, patience: float = 3.0) -> None:
        self._client = _make_client() if client is None else client
        self._patience = patience

    def describe(self, secret_id: str, version_id: str | None = None) -> SecretDescription:
        """The secret's state, in which the given version (if any) has a label, or will not have one soon.

        Raises:
            SecretsManagerError: the call failed.
        """

        def ask() -> SecretDescription:
            reply = self._call("describe_secret", secret_id, SecretId=secret_id)
            stages = {version: frozenset(names) for version, names in reply.get("VersionIdsToStages", {}).items()}
            failed = (r["Region"] for r in reply.get("ReplicationStatus", ()) if r.get("Status") == "Failed")
            return SecretDescription(
                reply.get("RotationEnabled"),
                stages,
                reply.get("PrimaryRegion"),
                tuple(failed),
                reply.get("NextRotationDate"),
            )

        return self._await(ask, lambda seen: version_id is None or version_id in seen.stages)

    def current(self, secret_id: str) -> SecretVersion:
        """The version labelled AWSCURRENT.

        Raises:
            SecretEmpty: the secret has no value yet.
            SecretMalformed: the value is binary.
            SecretsManagerError: the call failed.
        """
        try:
            return self._get(secret_id, VersionStage=CURRENT)
        except SecretNotFound:
            raise SecretEmpty(
                f"secret {secret_id} has no {CURRENT} value",
                "put the first value with PutSecretValue; the next rotation will work",
            ) from None

    def previous(self, secret_id: str) -> SecretVersion | None:
        """The version labelled AWSPREVIOUS, or None where there is none.

        Raises:
            SecretMalformed: the value is binary.
            SecretsManagerError: the call failed.
        """
        try:
            return self._get(secret_id, VersionStage=PREVIOUS)
        except SecretNotFound:
            return None

    def rotating(self, secret_id: str, version_id: str) -> SecretVersion:
        """The version under rotation, by its id: the label AWSPENDING may lag, or have become AWSCURRENT.

        It may still come back without either label: the caller decides what that means.

        Raises:
            SecretNotFound: the version does not exist or has no value.
            SecretMalformed: the value is binary.
            SecretsManagerError: the call failed.
        """

        def ask() -> SecretVersion | None:
            try:
                return self._get(secret_id, VersionId=version_id)
            except SecretNotFound:
                return None

        found = self._await(ask, lambda seen: seen is not None and bool(seen.stages & {PENDING, CURRENT}))
        if found is None:
            raise SecretNotFound(
                f"version {version_id} of secret {secret_id} has no value",
                "let createSecret run first, with this token",
            )
        return found

    def has_value(self, secret_id: str, version_id: str) -> bool:
        """Whether a version holds a value, as far as one read can tell."""
        try:
            return bool(self._get(secret_id, VersionId=version_id).text)
        except RotationError:
            return False

    def admin(self, secret_id: str) -> SecretVersion:
        """The current value of the admin's secret.

        Raises:
            SecretNotFound: there is no such secret, or it has no value.
            SecretMalformed: the value is binary.
            SecretsManagerError: the call failed.
        """
        try:
            return self._get(secret_id, VersionStage=CURRENT)
        except SecretNotFound:
            raise SecretNotFound(
                f"the admin secret {secret_id} does not exist or has no {CURRENT} value",
                "correct 'masterarn' in the secret, or ROTATION_ADMIN_SECRET of the function",
            ) from None

    def put_pending(self, secret_id: str, version_id: str, text: str, rotation_token: str | None) -> bool:
        """Store a value in the version under rotation.

        Args:
            rotation_token: the event's RotationToken, by which the service knows who calls.

        Returns:
            False where that version has another value already: an earlier attempt's, which is kept.

        Raises:
            SecretsManagerError: the call failed.
        """
        token = {"RotationToken": rotation_token} if rotation_token else {}
        try:
            self._call(
                "put_secret_value",
                secret_id,
                SecretId=secret_id,
                ClientRequestToken=version_id,
                SecretString=text,
                VersionStages=[PENDING],
                **token,
            )
        except _AlreadyThere:
            return False
        return True

    def promote(self, secret_id: str, version_id: str, current_id: str) -> None:
        """Move AWSCURRENT to a version, and be sure of it: an answer that was lost is looked up.

        Args:
            version_id: the version that becomes current.
            current_id: the version that is current until now.

        Raises:
            SecretsManagerUnreachable: no answer, twice, and no look-up that tells.
            SecretsManagerError: the service refused; the label is where it was.
        """
        try:
            self._move_current(secret_id, version_id, current_id)
        except (SecretsManagerUnreachable, _LabelElsewhere) as first:
            if self._is_current(secret_id, version_id):
                return
            logger.warning("the promotion is in doubt and is asked for once more", reason=str(first))
            try:
                self._move_current(secret_id, version_id, current_id)
            except (SecretsManagerUnreachable, _LabelElsewhere):
                if not self._is_current(secret_id, version_id):
                    raise

    def let_go(self, secret_id: str, version_id: str) -> None:
        """Take AWSPENDING off a version whose value can't be used, so that the next rotation makes another.

        Raises:
            SecretsManagerError: the call failed.
        """
        self._call(
            "update_secret_version_stage",
            secret_id,
            SecretId=secret_id,
            VersionStage=PENDING,
            RemoveFromVersionId=version_id,
        )

    def _move_current(self, secret_id: str, version_id: str, current_id: str) -> None:
        self._call(
            "update_secret_version_stage",
            secret_id,
            SecretId=secret_id,
            VersionStage=CURRENT,
            MoveToVersionId=version_id,
            RemoveFromVersionId=current_id,
        )

    def _is_current(self, secret_id: str, version_id: str) -> bool:
        def ask() -> bool:
            reply = self._call("describe_secret", secret_id, SecretId=secret_id)
            return CURRENT in reply.get("VersionIdsToStages", {}).get(version_id, ())

        return self._await(ask, lambda seen: seen)

    def _get(self, secret_id: str, **which: str) -> SecretVersion:
        reply = self._call("get_secret_value", secret_id, SecretId=secret_id, **which)
        if "SecretString" not in reply:
            raise SecretMalformed(
                f"version {reply['VersionId']} of secret {secret_id} is binary",
                "store the credential as text (SecretString), in JSON",
            )
        return SecretVersion(reply["VersionId"], frozenset(reply.get("VersionStages", ())), reply["SecretString"])

    def _await(self, ask: Callable[[], ResultT], seen: Callable[[ResultT], bool]) -> ResultT:
        result = ask()
        pauses = _pauses(self._patience)
        while not seen(result) and next(pauses, False):
            result = ask()
        return result

    def _call(self, operation: str, secret_id: str, **parameters: Any) -> Any:
        try:
            return getattr(self._client, operation)(**parameters)
        except ClientError as error:
            raise _refusal(error, secret_id) from None
        except (HTTPClientError, BotoConnectionError) as error:
            endpoint = self._client.meta.endpoint_url
            raise SecretsManagerUnreachable(
                f"the Secrets Manager endpoint {endpoint} gave no answer ({type(error).__name__})",
                "give the function's subnet an interface endpoint for Secrets Manager or a NAT gateway, and let its "
                "security group reach port 443",
            ) from None
        except BotoCoreError as error:
            raise SecretsManagerError(
                f"the call {operation} for secret {secret_id} could not be made ({type(error).__name__})",
                "check the function's role and region",
            ) from None


class _AlreadyThere(SecretsManagerError):
    """The version has another value already."""


class _LabelElsewhere(SecretsManagerError):
    """A label is not on the version that the request named."""


def _refusal(error: ClientError, secret_id: str) -> SecretsManagerError:
    detail = error.response.get("Error", {})
    code, message = str(detail.get("Code", "")), str(detail.get("Message", "")).strip().rstrip(".")
    what = f"{error.operation_name} for secret {secret_id} was refused: {code}: {message}"
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= _SERVER_ERROR:
        # Like an answer that was lost: it may have been done.
        return SecretsManagerUnreachable(what, "Secrets Manager repeats the rotation by itself")
    if code == "ResourceNotFoundException":
        return SecretNotFound(what)
    if code == "ResourceExistsException":
        return _AlreadyThere(what)
    if code in {"InvalidParameterException", "InvalidRequestException"} and error.operation_name == (
        "UpdateSecretVersionStage"
    ):
        return _LabelElsewhere(what)
    if code in _DENIED or "not authorized" in message:
        if "KMS" in message or "kms:" in message or code != "AccessDeniedException":
            advice = "allow the function's role kms:Decrypt and kms:GenerateDataKey on the secret's KMS key"
        else:
            advice = f"allow the function's role secretsmanager:{error.operation_name} on this secret"
        return SecretsManagerDenied(what, advice)
    return SecretsManagerError(what, "Secrets Manager repeats the rotation by itself")


def _pauses(total: float) -> Iterator[bool]:
    """Sleep a little longer each time, and give True after each, until the total is used up."""
    end = time.monotonic() + total
    pause = 0.02
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(pause * 2, 0.5)
        yield True


def _make_client() -> SecretsManagerClient:
    # At DEBUG botocore logs whole requests, SecretString included.
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.INFO)
    endpoint = Environment().text("SECRETS_MANAGER_ENDPOINT")
    try:
        return boto3.client("secretsmanager", endpoint_url=endpoint, config=_CLIENT_CONFIG)
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(
            f"no client for Secrets Manager can be made ({type(error).__name__})",
            "set AWS_REGION, and make SECRETS_MANAGER_ENDPOINT a URL such as https://secretsmanager.eu-west-1.amazonaws.com",
        ) from None
