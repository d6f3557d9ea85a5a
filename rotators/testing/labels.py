"""Versions and their staging labels by the service's rules, on moto's state.

moto's own rules differ: it overwrites a version if a token is used again, follows a pointer instead of AWSCURRENT, and
allows a label on two versions. ``Refused`` has the service's answer instead.
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Literal

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
Kind = Literal["secret_string", "secret_binary"]
_KINDS: tuple[Kind, ...] = ("secret_string", "secret_binary")
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
LARGEST_VALUE = 65_536


class Refused(Exception):
    """The service refuses the call.

    Args:
        code: the error's code.
        message: the error's message, in the service's words.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def holder(secret: Any, stage: str) -> str | None:
    """The id of the version with a label; None if no version has it."""
    return next((token for token, version in secret.versions.items() if stage in version["version_stages"]), None)


def stages(secret: Any) -> dict[str, list[str]]:
    """The labels of every version that has one."""
    return {
        token: list(version["version_stages"])
        for token, version in secret.versions.items()
        if version["version_stages"]
    }


def read(secret: Any, version_id: str | None, stage: str | None) -> dict[str, Any]:
    """The version that GetSecretValue reads.

    Raises:
        Refused: it does not exist, or has no value.
    """
    found = version_id or holder(secret, stage or CURRENT)
    version = secret.versions.get(found)
    what = f"VersionId: {version_id}" if version_id else f"staging label: {stage or CURRENT}"
    if version is None or not has_value(version):
        raise Refused("ResourceNotFoundException", f"Secrets Manager can't find the specified secret value for {what}")
    if version_id and stage and stage not in version["version_stages"]:
        raise Refused(
            "InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId."
        )
    return dict(version)


def require_size(parameters: dict[str, Any]) -> None:
    """Refuse a value with too many bytes.

    Raises:
        Refused: the value is too large.
    """
    sizes = {
        "secretString": len(parameters.get("SecretString", "").encode()),
        "secretBinary": len(base64.b64decode(parameters.get("SecretBinary", ""))),
    }
    for name, size in sizes.items():
        if size > LARGEST_VALUE:
            raise Refused(
                "ValidationException",
                f"1 validation error detected: Value at '{name}' failed to satisfy constraint: "
                f"Member must have length less than or equal to {LARGEST_VALUE}",
            )


def put(secret: Any, token: str, value: dict[Kind, Any], labels: Iterable[str] | None, created: float) -> None:
    """Store a value like PutSecretValue. A token's second, different value is refused; the same value changes nothing.

    Raises:
        Refused: the version has another value.
    """
    version = secret.versions.get(token)
    if version is not None and has_value(version):
        if any(version.get(key) != value.get(key) for key in _KINDS):
            raise Refused(
                "ResourceExistsException",
                f"You can't use ClientRequestToken {token} because that value is already in use for a version of "
                f"secret {secret.arn}.",
            )
    else:
        kept = [] if version is None else version["version_stages"]
        fresh: dict[str, Any] = {"version_id": token, "createdate": created, "version_stages": kept}
        secret.versions[token] = fresh | value
    # Without labels in the request, a new value becomes AWSCURRENT.
    for label in labels if labels is not None else (CURRENT,):
        move(secret, label, holder(secret, label), token)


def stage_empty(secret: Any, token: str, created: float) -> None:
    """Stage the empty pending version with which a rotation begins."""
    secret.versions[token] = {"version_id": token, "createdate": created, "version_stages": []}
    move(secret, PENDING, holder(secret, PENDING), token)


def update(secret: Any, stage: str, remove_from: str | None, move_to: str | None) -> None:
    """Move a label like UpdateSecretVersionStage.

    Raises:
        Refused: the label is not on the version that the caller named, or a version does not exist.
    """
    for token in (remove_from, move_to):
        if token is not None and token not in secret.versions:
            raise Refused(
                "ResourceNotFoundException", f"Secrets Manager can't find the specified secret version: {token}"
            )
    at = holder(secret, stage)
    if at not in {None, remove_from, move_to}:
        said = "can't be empty" if remove_from is None else "doesn't match"
        raise Refused(
            "InvalidParameterException",
            f"The parameter RemoveFromVersionId {said}. Staging label {stage} is currently attached to version {at}, "
            "so you must explicitly reference that version in RemoveFromVersionId.",
        )
    if remove_from is not None and at != remove_from:
        raise Refused(
            "InvalidParameterException",
            f"The parameter RemoveFromVersionId names version {remove_from}, and the staging label {stage} is "
            f"{'on no version' if at is None else f'attached to version {at}'}.",
        )
    if move_to is None and stage == CURRENT:
        raise Refused(
            "InvalidParameterException",
            "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
        )
    move(secret, stage, at, move_to)


def move(secret: Any, stage: str, at: str | None, to: str | None) -> None:
    """Move a label; AWSPREVIOUS follows AWSCURRENT."""
    if at == to:
        return
    if at is not None:
        secret.versions[at]["version_stages"].remove(stage)
    if to is not None:
        secret.versions[to]["version_stages"].append(stage)
    if stage == CURRENT:
        secret.default_version_id = to
        if at is not None:
            move(secret, PREVIOUS, holder(secret, PREVIOUS), at)


def has_value(version: dict[str, Any]) -> bool:
    """Whether a version has a value."""
    return "secret_string" in version or "secret_binary" in version
