"""The AWS CLI commands that findings name as remedies."""

from __future__ import annotations

from shlex import quote

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"


def remove_pending(secret_id: str, version_id: str) -> str:
    """The command that removes AWSPENDING from a version."""
    return (
        f"aws secretsmanager update-secret-version-stage --secret-id {quote(secret_id)} --version-stage {PENDING} "
        f"--remove-from-version-id {quote(version_id)}"
    )


def move_current(secret_id: str, to: str, at: str) -> str:
    """The command that moves AWSCURRENT from one version to another."""
    return (
        f"aws secretsmanager update-secret-version-stage --secret-id {quote(secret_id)} --version-stage {CURRENT} "
        f"--move-to-version-id {quote(to)} --remove-from-version-id {quote(at)}"
    )


def rotate(secret_id: str) -> str:
    """The command that starts a rotation."""
    return f"aws secretsmanager rotate-secret --secret-id {quote(secret_id)}"


def switch_on(secret_id: str, function_arn: str | None = None) -> str:
    """The command that enables rotation, without rotating at once."""
    function = f" --rotation-lambda-arn {quote(function_arn)}" if function_arn else ""
    return f"aws secretsmanager rotate-secret --secret-id {quote(secret_id)} --no-rotate-immediately{function}"


def put_value(secret_id: str) -> str:
    """The command that stores a value as AWSCURRENT."""
    return f"aws secretsmanager put-secret-value --secret-id {quote(secret_id)} --secret-string file://secret.json"
