"""Rotates the access keys of an IAM user.

Its function is a module of two lines, packaged with ``rotators package --source``::

    from rotators.services.iam_access_keys import IamAccessKeys
    handler = IamAccessKeys()

The secret holds ``{"AccessKeyId": "AKIA…", "SecretAccessKey": "…"}``, and possibly more. The user rotates its own keys
with the key in AWSCURRENT. So the function's role needs no permission in IAM, and a caller who can write the secret
gains none. The user needs the statement in :data:`STATEMENT`, which covers only itself:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_examples_iam_credentials_console.html
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rotators.aws import UNREADABLE, make_client
from rotators.credentials import SecretValue
from rotators.errors import LoginRefused, PermissionRefused, ServiceFailed, Unreachable
from rotators.rotator import Rotation
from rotators.services.two_keys import Key, TwoKeys

STATEMENT: Mapping[str, Any] = {
    "Effect": "Allow",
    "Action": ["iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:GetAccessKeyLastUsed", "iam:ListAccessKeys"],
    "Resource": "arn:aws:iam::*:user/${aws:username}",
}
"""The policy statement that the user needs; in other partitions, with their name in place of ``aws``."""

_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
_UNKNOWN_KEY = frozenset({"InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
# Seconds. IAM is eventually consistent: a new key is not known everywhere at once.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
_PAUSE = 1.0
_LONGEST_WAIT = 15.0
_LAST_CALL = 5.0


class AccessKeyValue(SecretValue):
    """The secret's JSON."""

    public: ClassVar[frozenset[str]] = frozenset({"AccessKeyId", "UserName"})
    secret: ClassVar[frozenset[str]] = frozenset({"SecretAccessKey"})


@dataclass(frozen=True)
class AccessKey(Key):
    """An access key as IAM lists it.

    Args:
        created: when it was created.
    """

    created: datetime = _LONG_AGO


class IamAccessKeys(TwoKeys[AccessKeyValue]):
    """Rotates the access keys of an IAM user whose keys are used only by this secret."""

    value_type: ClassVar[type[SecretValue]] = AccessKeyValue
    fields: ClassVar[tuple[str, ...]] = ("AccessKeyId", "SecretAccessKey")

    def list_keys(self, rotation: Rotation[AccessKeyValue]) -> Sequence[AccessKey]:
        """The user's keys."""
        listed = call(rotation.current, "iam", "list_access_keys")["AccessKeyMetadata"]
        return [AccessKey(one["AccessKeyId"], created=one["CreateDate"]) for one in listed]

    def create_key(self, rotation: Rotation[AccessKeyValue], label: str) -> Mapping[str, str]:
        """Create a key. IAM stores no label with it."""
        del label
        made = call(rotation.current, "iam", "create_access_key")["AccessKey"]
        return {name: made[name] for name in self.fields}

    def delete_key(self, rotation: Rotation[AccessKeyValue], key: Key) -> None:
        """Delete a key."""
        call(rotation.current, "iam", "delete_access_key", AccessKeyId=key.id)

    def is_abandoned(self, rotation: Rotation[AccessKeyValue], key: Key) -> bool:
        """Whether a key was never used, and is newer than AWSCURRENT's: then its secret was in a lost answer."""
        current = rotation.current["AccessKeyId"]
        created = {one.id: one.created for one in self.list_keys(rotation)}
        if key.id not in created or created[key.id] < created[current]:
            return False
        used = call(rotation.current, "iam", "get_access_key_last_used", AccessKeyId=key.id)["AccessKeyLastUsed"]
        return used.get("LastUsedDate") is None

    def verify(self, rotation: Rotation[AccessKeyValue]) -> None:
        """Call GetCallerIdentity with the key, which needs no permission. Waits until a new key works."""
        end = time.monotonic() + min(_LONGEST_WAIT, rotation.time_left - _LAST_CALL)
        while True:
            try:
                call(rotation.pending, "sts", "get_caller_identity")
            except LoginRefused:
                if time.monotonic() + _PAUSE > end:
                    raise
                time.sleep(_PAUSE)
            else:
                return


def call(secret: AccessKeyValue, service: str, operation: str, **parameters: str) -> Any:
    """Call IAM or STS with a secret's key.

    Args:
        secret: the key.
        service: ``iam`` or ``sts``.
        operation: its name in boto3.
        parameters: the operation's parameters.

    Returns:
        The answer.

    Raises:
        LoginRefused: the key is not known.
        PermissionRefused: the user lacks a permission.
        Unreachable: there was no answer.
        ServiceFailed: the call was refused for another reason.
    """
    key = secret.required_text("AccessKeyId")
    try:
        client = make_client(
            service,
            aws_access_key_id=key,
            aws_secret_access_key=secret.required_text("SecretAccessKey"),
            config=_CONFIG,
        )
        return getattr(client, operation)(**parameters)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        what = f"{error.operation_name} with the access key {key} was refused: {code}"
        if code in _UNKNOWN_KEY:
            raise LoginRefused(what, "put a live access key of the user into the secret") from None
        if code in _DENIED:
            raise PermissionRefused(
                what, "allow the user its own keys: rotators.services.iam_access_keys.STATEMENT"
            ) from None
        raise ServiceFailed(what, "Secrets Manager retries the rotation") from None
    except (BotoCoreError, *UNREADABLE) as error:
        raise Unreachable(
            f"{service} gave no answer ({type(error).__name__})",
            "let the function reach IAM and STS: outside of a VPC, or through a NAT gateway",
        ) from None
