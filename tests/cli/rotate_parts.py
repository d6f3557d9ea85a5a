"""What the tests of ``rotators rotate`` share: the simulated service's clock as the command's own, and fleets."""

from __future__ import annotations

import io
import json
import secrets
import zipfile
from concurrent.futures import Future, wait
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from typer.testing import CliRunner

from rotators.cli.main import app
from rotators.credentials import SecretValue
from rotators.errors import LoginRefused, RotationError
from rotators.rotator import Rotation, Rotator
from rotators.testing import RotationService
from rotators.versions import SecretVersions

CANARY = "canary-31415926"


class ServiceTime:
    """The time of a simulated service: while the command waits, it passes, and the service works.

    Args:
        service: the service.
        calls_until: after so many waits somebody presses Ctrl-C; None: nobody does.
    """

    def __init__(self, service: RotationService, calls_until: int | None = None) -> None:
        self.service = service
        self._begun = service.clock.now
        self._left = calls_until

    @property
    def now(self) -> datetime:
        return self.service.clock.now

    def seconds(self) -> float:
        return (self.service.clock.now - self._begun).total_seconds()

    def wait(self, calls: set[Future[Any]], seconds: float | None) -> set[Future[Any]]:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
        if calls:
            # No time passes during a call.
            return wait(calls).done
        # At least a millisecond: a clock of microseconds would stand still for less than one.
        self.service.clock.advance(seconds=max(0.001, seconds or 0.0))
        self.service.run()
        return set()


class Fine(Rotator[SecretValue]):
    """Rotates at once."""

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        return rotation.current.replace(password=f"{CANARY}-{secrets.token_hex(4)}")

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        """Nothing is to do."""

    verify = apply


class Slow(Fine):
    """Works at the second attempt alone, which the service makes five minutes later."""

    def __init__(self, versions: SecretVersions) -> None:
        super().__init__(versions)
        self.tried = False

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        if not self.tried:
            self.tried = True
            raise LoginRefused(f"version {rotation.pending.source} is not there yet")


class Refusing(Fine):
    """Is refused when it sets the password."""

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        raise LoginRefused(f"db.invalid refused the login with {rotation.pending['password']}", "mend it")


def make(service: RotationService, name: str, rotator: type[Fine] = Fine, days: int | None = 30, **value: Any) -> str:
    """A secret whose rotation is on."""
    handler = rotator(SecretVersions(service.client))
    arn = service.create_secret(name, {"username": "app", "password": CANARY, **value}, handler)
    service.configure(arn, handler, days=days)
    return arn


def deploy(name: str, **settings: Any) -> None:
    """Describe a function to moto, which the simulated service invokes without."""
    iam = boto3.client("iam")
    if not iam.list_roles()["Roles"]:
        iam.create_role(RoleName="rotation", AssumeRolePolicyDocument="{}")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("function.py", "")
    boto3.client("lambda").create_function(
        FunctionName=name,
        Role="arn:aws:iam::123456789012:role/rotation",
        Code={"ZipFile": code.getvalue()},
        **{"Runtime": "python3.13", "Handler": "function.handler"} | settings,
    )


def run(*arguments: str, scan: bool = True) -> tuple[int, str, str]:
    """Run ``rotators rotate``: exit code, standard output and error; errors are one line, as in main()."""
    result = CliRunner().invoke(app, ["rotate", *arguments])
    if isinstance(result.exception, RotationError):
        return 1, result.stdout, f"{result.stderr}rotators: {result.exception}"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if scan:
        assert CANARY not in result.output
    return result.exit_code, result.stdout, result.stderr


def outcomes(*arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """The report's rows, by the secrets' names."""
    found, stdout, stderr = run(*arguments, "--output", "json")
    assert found == code, (stdout, stderr)
    return {row["secret"]: row for row in json.loads(stdout)["secrets"]}


def journal_of(folder: Path) -> Path:
    """The one journal in a folder."""
    (file,) = folder.glob("rotators-rotate-*.jsonl")
    return file


def tokens(service: RotationService) -> dict[str, set[str]]:
    """With which tokens RotateSecret was called for each secret."""
    found: dict[str, set[str]] = {}
    for call in service.calls:
        if call.operation == "RotateSecret":
            found.setdefault(call.parameters["SecretId"], set()).add(call.parameters["ClientRequestToken"])
    return found


def successes(service: RotationService) -> dict[str, int]:
    """How often each secret has rotated."""
    found: dict[str, int] = {}
    for event in service.events:
        if event["detail"]["eventName"] == "RotationSucceeded":
            arn = event["detail"]["additionalEventData"]["SecretId"]
            found[arn] = found.get(arn, 0) + 1
    return found
