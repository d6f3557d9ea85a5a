"""The versions of a secret. In a rotation, only this module calls Secrets Manager.

How labels move: https://docs.aws.amazon.com/secretsmanager/latest/userguide/getting-started.html#term_version
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoRegionError, ParamValidationError
from botocore.exceptions import ConnectionError as BotoConnectionError

from rotators import snapshots
from rotators.aws import UNREADABLE, make_client
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
from rotators.limits import within
from rotators.logs import logger

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

ResultT = TypeVar("ResultT")

CURRENT = "AWSCURRENT"
PENDING = "AWSPENDING"
PREVIOUS = "AWSPREVIOUS"

LARGEST_VALUE = 65_536
"""The largest size of a secret's value, in bytes of UTF-8:
https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"""

# Limits for one attempt. botocore's read time-out starts again with every byte.
_CLIENT_CONFIG = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
# Seconds for a call with all its attempts. The error must name the endpoint before Lambda ends the function.
_LONGEST_CALL = 8.0
# Seconds. With less time, a healthy endpoint would fail too.
_TOO_SHORT = 0.1
# Seconds not spent waiting, so that there is time for the last read and what follows.
_LAST_LOOK = 1.0
_call_ends: ContextVar[float] = ContextVar("_call_ends", default=float("inf"))
_SERVER_ERROR = 500
_DENIED = {"AccessDeniedException", "DecryptionFailure", "EncryptionFailure", "KMSAccessDeniedException"}


@dataclass(frozen=True)
class SecretVersion:
    """One version of a secret that holds a value.

    Args:
        version_id: the version's id, which is the ClientRequestToken it was made with.
        secret_arn: the whole ARN of its secret.
        text: the SecretString.
    """

    version_id: str
    secret_arn: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class SecretDescription:
    """What DescribeSecret returns about a secret.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html

    Args:
        rotation_enabled: whether rotation is enabled; None if the service does not say (a secret that never rotated).
        stages: the staging labels of each version that has one.
        primary_region: the Region in which the secret can be changed; None if the service does not say.
        failed_replicas: the Regions whose replica could not be updated.
        next_rotation: the end of the window in which the secret will rotate; None if nothing is scheduled.
        secret_arn: the secret's whole ARN; empty if the service did not say.
        function_arn: the rotation function; None if there never was one.
    """

    rotation_enabled: bool | None
    stages: Mapping[str, frozenset[str]]
    primary_region: str | None = None
    failed_replicas: tuple[str, ...] = ()
    next_rotation: datetime | None = None
    secret_arn: str = ""
    function_arn: str | None = None

    def holder(self, stage: str) -> str | None:
        """The id of the version that has a staging label; None if no version has it."""
        return next((version for version, stages in self.stages.items() if stage in stages), None)


@dataclass(frozen=True)
class SecretOwner:
    """Which AWS service manages a secret, and for which database.

    Args:
        secret_arn: the secret's whole ARN.
        service: ``rds``, ``redshift``, …; None if no service manages it. Only AWS can set it.
        tags: the secret's tags. Only AWS can set those that begin with ``aws:``.
    """

    secret_arn: str
    service: str | None
    tags: Mapping[str, str]


class SecretVersions:
    """Reads a secret's versions and moves its staging labels.

    Secrets Manager's reads are eventually consistent: a read may miss what was just written. If it is known what a
    read must find, the methods here wait for it.

    Args:
        client: a boto3 or botocore client for Secrets Manager. Without one, a client is made for the endpoint in
            SECRETS_MANAGER_ENDPOINT, else for botocore's default (which reads AWS_ENDPOINT_URL). It is made again after
            each restore of a snapshot.
        patience: seconds to wait until a write becomes visible.
        longest_call: seconds that one call may take, including retries.

    Raises:
        ConfigurationError: no client can be made: no Region is set, or the endpoint is not a URL.
    """

    def __init__(
        self,
        client: SecretsManagerClient | None = None,
        patience: float = 3.0,
        longest_call: float = _LONGEST_CALL,
    ) -> None:
        if client is None:
            self._renew_client()
            snapshots.at_restore(self._renew_client)
        else:
            self._client = _timely(client)
        self._patience = patience
        self._longest_call = longest_call
        # The pending version that this process stored, kept until testSecret has passed. A version's value never
        # changes, so setSecret and testSecret need not read it. These two saved calls make up for the DescribeSecret
        # with which every step checks that rotation is enabled. A new process reads the version.
        self._stored: SecretVersion | None = None
        self._deadline = float("inf")

    def restarted(self, *, patience: float | None = None) -> SecretVersions:
        """A copy with the same client that remembers nothing.

        Args:
            patience: as in the constructor; by default as before.
        """
        return SecretVersions(
            self._client, self._patience if patience is None else patience, longest_call=self._longest_call
        )

    @property
    def endpoint(self) -> str:
        """The URL of the Secrets Manager endpoint."""
        return self._client.meta.endpoint_url

    def must_answer_by(self, deadline: float) -> None:
        """Set a deadline for all later calls. A call without an answer by then raises SecretsManagerUnreachable.

        Args:
            deadline: on the clock of ``time.monotonic``.
        """
        self._deadline = deadline

    def keep_only(self, secret_id: str, version_id: str) -> None:
        """Forget the pending value that this process stored, unless it belongs to this version."""
        if self._stored is not None and (self._stored.secret_arn, self._stored.version_id) != (secret_id, version_id):
            self._stored = None

    def forget_pending(self) -> None:
        """Forget the pending value that this process stored. It is not needed again."""
        self._stored = None

    def describe(self, secret_id: str, version_id: str | None = None) -> SecretDescription:
        """The secret's state.

        Args:
            secret_id: the secret.
            version_id: a version that should have a label. Waits up to ``patience`` seconds until it has one.

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
                str(reply["ARN"]),
                reply.get("RotationLambdaARN"),
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
        """The version labelled AWSPREVIOUS; None if there is none.

        Raises:
            SecretMalformed: the value is binary.
            SecretsManagerError: the call failed.
        """
        try:
            return self._get(secret_id, VersionStage=PREVIOUS)
        except SecretNotFound:
            return None

    def unlabelled(self, secret_id: str) -> Iterator[SecretVersion]:
        """The versions without a label, the newest first, each read when it is asked for; what is binary is left out.

        Secrets Manager removes none of them before it is a day old, and few before there are a hundred:
        https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html

        Raises:
            SecretsManagerDenied: the function may not list them.
            SecretsManagerError: a call failed.
        """
        found: list[tuple[datetime, str]] = []
        more: dict[str, str] = {}
        while True:
            reply = self._call(
                "list_secret_version_ids", secret_id, SecretId=secret_id, IncludeDeprecated=True, MaxResults=100, **more
            )
            versions = [one for one in reply.get("Versions", ()) if not one.get("VersionStages")]
            found += [(one["CreatedDate"], str(one["VersionId"])) for one in versions]
            if not reply.get("NextToken"):
                break
            more = {"NextToken": str(reply["NextToken"])}
        for _, version_id in sorted(found, reverse=True):
            # One may have been removed meanwhile.
            try:
                version = self._get(secret_id, VersionId=version_id)
            except (SecretNotFound, SecretMalformed):
                continue
            yield version

    def rotating(self, secret_id: str, version_id: str) -> SecretVersion:
        """The version under rotation, read by its id: AWSPENDING may not be visible yet, or be AWSCURRENT already.

        If this process stored the value, it is not read: a version's value never changes.

        Raises:
            SecretNotFound: the version does not exist or has no value.
            SecretMalformed: the value is binary.
            SecretsManagerError: the call failed.
        """
        self.keep_only(secret_id, version_id)
        if self._stored is not None:
            return self._stored

        def ask() -> SecretVersion | None:
            try:
                return self._get(secret_id, VersionId=version_id)
            except SecretNotFound:
                return None

        found = self._await(ask, lambda seen: seen is not None)
        if found is None:
            raise SecretNotFound(
                f"version {version_id} of secret {secret_id} has no value",
                "let createSecret run first, with this token",
            )
        return found

    def has_value(self, secret_id: str, version_id: str) -> bool:
        """Whether a version holds a value, according to one read."""
        try:
            return bool(self._get(secret_id, VersionId=version_id).text)
        except RotationError:
            return False

    def is_empty(self, secret_id: str, version_id: str) -> bool:
        """Whether a version certainly holds no value. Waits for one that was just stored; no answer means False."""
        try:
            self.rotating(secret_id, version_id)
        except SecretNotFound:
            return True
        except RotationError:
            return False
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
            secret_id: the secret.
            version_id: the version under rotation.
            text: the value to store.
            rotation_token: the event's RotationToken, which identifies the caller to the service.

        Returns:
            True if the value is stored; False if the version already has another value, from an earlier attempt, which
            is kept.

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
        self._stored = SecretVersion(version_id, secret_id, text)
        return True

    def promote(self, secret_id: str, version_id: str, current_id: str) -> None:
        """Move AWSCURRENT to a version. If the answer is lost, read where the label is.

        Args:
            secret_id: the secret.
            version_id: the version that becomes AWSCURRENT.
            current_id: the version that has been AWSCURRENT.

        Raises:
            SecretsManagerUnreachable: no answer twice, and reading the label did not help.
            SecretsManagerError: the service refused. The label has not moved.
        """
        try:
            self._move_current(secret_id, version_id, current_id)
        except (SecretsManagerUnreachable, _LabelElsewhere) as first:
            if self._is_current(secret_id, version_id):
                return
            logger.warning("no answer to the promotion, it is tried once more", reason=str(first))
            try:
                self._move_current(secret_id, version_id, current_id)
            except (SecretsManagerUnreachable, _LabelElsewhere):
                if not self._is_current(secret_id, version_id):
                    raise

    def discard_pending(self, secret_id: str, version_id: str) -> None:
        """Remove AWSPENDING from a version whose value can't be used, so that the next rotation makes another.

        Raises:
            SecretsManagerError: the call failed.
        """
        self.forget_pending()
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

    def _renew_client(self) -> None:
        self._client = _timely(_make_client())

    def _get(self, secret_id: str, **which: str) -> SecretVersion:
        reply = self._call("get_secret_value", secret_id, SecretId=secret_id, **which)
        if "SecretString" not in reply:
            raise SecretMalformed(
                f"version {reply['VersionId']} of secret {secret_id} is binary",
                "store the credential as text (SecretString), in JSON",
            )
        return SecretVersion(reply["VersionId"], str(reply["ARN"]), reply["SecretString"])

    def _await(self, ask: Callable[[], ResultT], seen: Callable[[ResultT], bool]) -> ResultT:
        result = ask()
        pauses = _pauses(min(self._patience, self._deadline - _LAST_LOOK - time.monotonic()))
        while not seen(result) and next(pauses, False):
            result = ask()
        return result

    def _call(self, operation: str, secret_id: str, **parameters: Any) -> Any:
        seconds = min(self._longest_call, self._deadline - time.monotonic())
        if seconds < _TOO_SHORT:
            raise SecretsManagerUnreachable(
                f"the invocation's time was over before {operation} could be called at {self.endpoint}",
                "raise the function's time-out (60 s is usually enough), and see in its log what took the time",
            )

        def ask() -> Any:
            _call_ends.set(ends)
            return getattr(self._client, operation)(**parameters)

        ends = time.monotonic() + seconds
        try:
            reply = within(seconds, ask)
        except ClientError as error:
            raise _refusal(error, secret_id) from None
        except (HTTPClientError, BotoConnectionError, TimeoutError) as error:
            how = f"within {seconds:.1f} s" if isinstance(error, TimeoutError) else f"({type(error).__name__})"
            raise SecretsManagerUnreachable(
                f"the Secrets Manager endpoint {self.endpoint} gave no answer {how}",
                "give the function's subnet an interface endpoint for Secrets Manager or a NAT gateway, and let its "
                "security group reach port 443",
            ) from None
        except ParamValidationError as error:
            raise _not_a_request(error, operation, secret_id) from None
        except BotoCoreError as error:
            raise SecretsManagerError(
                f"the call {operation} for secret {secret_id} could not be made ({type(error).__name__})",
                "check the function's role and region",
            ) from None
        except UNREADABLE as error:
            raise self._not_its_answer(operation, type(error).__name__) from None
        # Every operation used here returns an ARN. Without it, nothing is known to be stored or moved.
        if "ARN" not in reply:
            raise self._not_its_answer(operation, "without an ARN")
        return reply

    def _not_its_answer(self, operation: str, how: str) -> SecretsManagerUnreachable:
        return SecretsManagerUnreachable(
            f"the endpoint {self.endpoint} answered {operation}, but not as Secrets Manager does ({how})",
            "see what runs there: perhaps a proxy answers, or SECRETS_MANAGER_ENDPOINT is wrong",
        )

    def owner(self, secret_id: str) -> SecretOwner:
        """The AWS service that manages a secret, if any, and the secret's tags.

        https://docs.aws.amazon.com/secretsmanager/latest/userguide/service-linked-secrets.html

        Raises:
            SecretsManagerDenied: the function may not ask.
            SecretsManagerError: the call failed.
        """
        reply = self._call("describe_secret", secret_id, SecretId=secret_id)
        tags = {str(tag.get("Key")): str(tag.get("Value")) for tag in reply.get("Tags", ())}
        return SecretOwner(str(reply["ARN"]), reply.get("OwningService"), tags)


class _AlreadyThere(SecretsManagerError):
    """The version already has another value."""


class _LabelElsewhere(SecretsManagerError):
    """A label is not on the version that the request named."""


class _TooLate(TimeoutError):
    """The request is not sent, because its caller has stopped waiting. A caller that still waits gets no answer."""


def _refuse_late(**_: Any) -> None:
    """Keep botocore from retrying a call whose caller has given up: it could move a label much later.

    Lambda freezes a process between two invocations. A thread that was left behind continues in the next one.
    """
    if time.monotonic() > _call_ends.get():
        raise _TooLate


_PARAMETER_FAULT = re.compile(r"Invalid \w+ for parameter \w+|Missing required parameter[^:]*: \"\w+\"")
_PARAMETER_CURES = {
    "SecretId": "correct the secret's ARN: SecretId of the event, 'masterarn' of the secret, or ROTATION_ADMIN_SECRET",
    "ClientRequestToken": "use the id of a version under rotation, which has 32 to 64 characters",
    "SecretString": "give the secret a value",
}


def _not_a_request(error: ParamValidationError, operation: str, secret_id: str) -> SecretsManagerError:
    """The error for a request that botocore refuses to send. Its text may hold values; only names are used from it."""
    faults = _PARAMETER_FAULT.findall(str(error))
    cures = [cure for name, cure in _PARAMETER_CURES.items() if any(name in fault for fault in faults)]
    what = "; ".join(faults) or "it has a wrong parameter"
    return SecretsManagerError(
        f"the call {operation} for secret {secret_id} could not be made: {what}", "; ".join(cures)
    )


def _refusal(error: ClientError, secret_id: str) -> SecretsManagerError:
    detail = error.response.get("Error", {})
    code, message = str(detail.get("Code", "")), str(detail.get("Message", "")).strip().rstrip(".")
    what = f"{error.operation_name} for secret {secret_id} was refused: {code}: {message}"
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= _SERVER_ERROR:
        # Like a lost answer: the call may have been executed.
        return SecretsManagerUnreachable(what, "Secrets Manager retries the rotation")
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
    return SecretsManagerError(what, "Secrets Manager retries the rotation")


def _pauses(total: float) -> Iterator[bool]:
    """Sleep a little longer each time, yielding True after each sleep, until the total is used up."""
    end = time.monotonic() + total
    pause = 0.02
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(pause * 2, 0.5)
        yield True


def _timely(client: SecretsManagerClient) -> SecretsManagerClient:
    """The client, changed so that it sends nothing after a call's time is over."""
    client.meta.events.register_first("before-send.secretsmanager", _refuse_late, unique_id="rotators-late")
    return client


def _make_client() -> SecretsManagerClient:
    # At DEBUG botocore logs whole requests, SecretString included.
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.INFO)
    endpoint = Environment().text("SECRETS_MANAGER_ENDPOINT")
    try:
        return make_client("secretsmanager", endpoint_url=endpoint, config=_CLIENT_CONFIG)  # type: ignore[no-any-return]
    except NoRegionError:
        raise ConfigurationError(
            "no client for Secrets Manager can be made: no Region is set",
            "set AWS_DEFAULT_REGION: boto3 does not read AWS_REGION. Lambda sets both, and in tests "
            "rotators.testing.plugin does, if conftest.py names it in pytest_plugins",
        ) from None
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(
            f"no client for Secrets Manager can be made ({type(error).__name__})",
            "make SECRETS_MANAGER_ENDPOINT a URL such as https://secretsmanager.eu-west-1.amazonaws.com, if it is set",
        ) from None
