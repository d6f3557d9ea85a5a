"""``rotators local``: one real rotation of a secret in a file, with Secrets Manager simulated."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from rotators.cli.quiet import silence_logs
from rotators.cli.screen import Screen
from rotators.engines.names import serving
from rotators.errors import ConfigurationError, RotationError, SecretMalformed, UnexpectedError
from rotators.logs import redactor

_REGION = "eu-west-1"
_STEPS = {
    "createSecret": "a new value is stored as AWSPENDING",
    "setSecret": "the new value works",
    "testSecret": "it was tried",
    "finishSecret": "AWSCURRENT is on the new version",
}


def local(
    handler: Annotated[
        str,
        typer.Argument(
            help="The function's handler, as package.module:name; or an engine's name for ours.", show_default=False
        ),
    ],
    secret: Annotated[
        Path, typer.Argument(help="The secret's value, a JSON file; replaced by the new one.", show_default=False)
    ],
    *,
    admin: Annotated[
        Path | None,
        typer.Option("--admin", help="The admin secret's value, a JSON file; it is not rotated.", show_default=False),
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the function; repeat it.", show_default=False),
    ] = None,
) -> None:
    """Rotate a real credential once from here, with a simulated Secrets Manager. For developers of a rotator.

    The database or service is the real one that the secret names: its password changes. The new value is stored beside
    the file before anything changes (FILE.pending), and replaces the file's when the rotation is done.

    Exits with 1 if the rotation failed.

    Example: rotators local postgres app.json --set ROTATION_CA_BUNDLE=ca.pem
    """
    try:
        from rotators.cli import _local_parts as parts  # noqa: PLC0415  # what it needs is an extra
    except ModuleNotFoundError as missing:
        raise ConfigurationError(
            f"a local rotation needs {missing.name}, which is not installed", "pip install 'rotators[cli,testing]'"
        ) from None
    value = _read(secret)
    admin_value = None if admin is None else _read(admin)
    for one in variables or ():
        name, separator, text = one.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"'{one}' is not NAME=VALUE", param_hint="--set")
        os.environ[name] = text
    silence_logs()
    screen = Screen()
    with _no_account(), parts.RotationService() as service:
        arn = _make(service, handler, value, admin_value)
        keeper = _Keeper(service, arn, secret, value)
        names: dict[str, str] = {}

        def watch(_: Any, step: str) -> None:
            if step == "createSecret":
                keeper.keep_pending()
            screen.labels(step, _versions(service, arn, names), _STEPS[step])

        service.after_step = [watch]
        screen.labels("before", _versions(service, arn, names), f"from {secret}")
        rotation = service.rotate(arn)
        keeper.keep_current()
    if rotation.error is not None:
        typer.echo(f"{rotation.failed_step} failed; {keeper.where_it_is()}", err=True)
        if isinstance(rotation.error, RotationError):
            raise rotation.error
        raise UnexpectedError(
            f"{rotation.failed_step} ended with an unexpected {type(rotation.error).__name__}",
            "run the step in a test to see where: docs/how-to/write-a-rotator.md",
        )
    typer.echo(f"done: {secret} holds the new value")


class _Keeper:
    """Keeps the values that a rotation makes: only this process knows them.

    Args:
        service: the simulated service.
        arn: the secret.
        file: the file with its value.
        original: the file's content.
    """

    def __init__(self, service: Any, arn: str, file: Path, original: Mapping[str, Any]) -> None:
        self._service, self._arn = service, arn
        self._file = file
        self._pending = file.with_name(file.name + ".pending")
        self._original = original

    def keep_pending(self) -> None:
        """Write AWSPENDING beside the file, before anything else changes."""
        _write(self._pending, self._value("AWSPENDING"))

    def keep_current(self) -> None:
        """Write AWSCURRENT to the file. Remove the pending file once its value is AWSCURRENT."""
        current = self._value("AWSCURRENT")
        if current != dict(self._original):
            _write(self._file, current)
        if self._pending.exists() and json.loads(self._pending.read_text()) == current:
            self._pending.unlink()

    def where_it_is(self) -> str:
        """A sentence that says which file holds which value."""
        if self._pending.exists():
            return f"{self._file} holds AWSCURRENT, and {self._pending} the value that may be in the database already"
        return f"{self._file} holds AWSCURRENT"

    def _value(self, label: str) -> dict[str, Any]:
        value: dict[str, Any] = self._service.value(self._arn, label)
        # The simulated admin secret's ARN does not exist outside this process.
        if "masterarn" in self._original:
            return value | {"masterarn": self._original["masterarn"]}
        return {key: inner for key, inner in value.items() if key != "masterarn"}


def _make(service: Any, handler: str, value: Mapping[str, Any], admin: Mapping[str, Any] | None) -> str:
    named = serving(handler)
    where = f"rotators.handlers.{named}:handler" if named else handler
    if ":" not in where:
        raise ConfigurationError(f"'{handler}' is not a handler", "write package.module:name, or an engine's name")
    try:
        if admin is not None:
            arn = service.client.create_secret(Name="local/admin", SecretString=json.dumps(dict(admin)))["ARN"]
            value = {**value, "masterarn": arn}
        return str(service.create_secret("local/secret", value, where))
    except (ModuleNotFoundError, AttributeError) as error:
        reason = f"there is no module {error.name}" if isinstance(error, ModuleNotFoundError) else "it has no such name"
        raise ConfigurationError(
            f"the handler {where} can't be imported: {reason}",
            "run it where it can be imported (PYTHONPATH=.), and with the engine's driver installed",
        ) from None


def _versions(service: Any, arn: str, names: dict[str, str]) -> list[tuple[str, list[str]]]:
    labels = service.labels(arn)
    for token in labels:
        names.setdefault(token, f"v{len(names) + 1}")
    return [(names[token], sorted(stages)) for token, stages in labels.items()]


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text()
        redactor.hide_unknown([text])
        value = json.loads(text)
    except OSError as error:
        raise ConfigurationError(
            f"{file} can't be read: {error.strerror}", "name a file with the secret's JSON"
        ) from None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SecretMalformed(f"{file} is not a JSON object", 'write {"username": …, "password": …, "host": …}')
    return value


def _write(file: Path, value: Mapping[str, Any]) -> None:
    """Replace a file atomically. Only the user can read it."""
    with tempfile.NamedTemporaryFile("w", dir=file.absolute().parent, delete=False) as written:
        json.dump(dict(value), written, indent=2)
        written.write("\n")
        written.flush()
        os.fsync(written.fileno())
    Path(written.name).replace(file)


@contextlib.contextmanager
def _no_account() -> Iterator[None]:
    """Ignore the environment's AWS settings: every call is simulated."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "SECRETS_MANAGER_ENDPOINT"):
        os.environ.pop(name, None)
    os.environ |= {
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    yield
