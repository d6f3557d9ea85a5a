"""The picture of `rotators rotate` on a terminal is drawn from a run, by `make terminal`."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType
from rich.terminal_theme import MONOKAI
from typer.testing import CliRunner

from rotators.cli import rotate, rotate_screen
from rotators.cli.aws import Account
from rotators.cli.main import app
from rotators.credentials import SecretValue
from rotators.errors import LoginRefused
from rotators.rotator import Rotation, Rotator
from rotators.testing import Clock, RotationService
from rotators.versions import SecretVersions

PICTURE = Path(__file__).parents[2] / "docs/how-to/rotate-after-a-leak.svg"
PAGE = PICTURE.with_suffix(".md")
COMMAND = "rotators rotate --tag team=payments --revoke-old --yes"
NAMES = ("api", "batch", "billing", "cards", "disputes", "exports", "fraud", "invoices", "ledger", "limits", "mail",
         "payouts", "refunds", "reports", "risk", "search", "tax", "webhooks")  # fmt: skip
REFUSED = "payments/fraud"
WIDTH, HEIGHT = 96, 19
# A picture without anything of another host: rich's own format asks for fonts, and names its maker's site.
FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Payments(Rotator[SecretValue]):
    """Rotates at once, but for one secret."""

    def propose(self, rotation: Rotation[SecretValue]) -> SecretValue:
        return rotation.current.replace(password="another")

    def apply(self, rotation: Rotation[SecretValue]) -> None:
        if REFUSED in rotation.secret_id:
            raise LoginRefused("the database refused the login")

    verify = apply


class Time:
    """The service's time. Each rotation takes some seconds of it."""

    def __init__(self, service: RotationService) -> None:
        self._service = service
        self._begun = service.clock.now
        self._seen = len(service.calls)
        self._due: dict[str, datetime] = {}

    @property
    def now(self) -> datetime:
        return self._service.clock.now

    def seconds(self) -> float:
        return (self.now - self._begun).total_seconds()

    def wait(self, calls: set[Future[Any]], seconds: float | None) -> set[Future[Any]]:
        if calls:
            return wait(calls).done
        self._service.clock.advance(seconds=max(0.001, seconds or 0.0))
        made, self._seen = self._service.calls[self._seen :], len(self._service.calls)
        for call in made:
            if call.operation == "RotateSecret" and call.error is None:
                arn = call.parameters["SecretId"]
                self._due[arn] = self.now + timedelta(seconds=5 + len(arn) % 7)
        for arn in [arn for arn, due in self._due.items() if due <= self.now]:
            del self._due[arn]
            self._service.retry(arn)
        return set()


class Frames:
    """In place of rich's Live: keeps what it would show."""

    shown: list[RenderableType]

    def __init__(self, **_: Any) -> None:
        """Nothing is shown yet."""

    def start(self) -> None:
        Frames.shown = []

    def update(self, frame: RenderableType, **_: Any) -> None:
        Frames.shown.append(frame)

    def stop(self) -> None:
        """Nothing is to be taken away."""


def terminal(**options: Any) -> Console:
    """A terminal of the picture's size, that shows nothing to anybody."""
    return Console(file=io.StringIO(), force_terminal=True, width=WIDTH, height=HEIGHT, highlight=False, **options)


def text_of(frame: RenderableType) -> str:
    console = terminal(color_system=None)
    with console.capture() as capture:
        console.print(frame)
    return capture.get()


def frame_of_a_run(monkeypatch: pytest.MonkeyPatch, folder: Path) -> RenderableType:
    """Rotate a fleet, and give what the terminal has shown in a moment when there is most to see."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(rotate_screen, "Live", Frames)
    monkeypatch.setattr(rotate_screen, "Console", lambda **_: terminal())
    pages = Account.pages
    with RotationService(clock=Clock(datetime(2026, 11, 28, 9, 30, tzinfo=UTC))) as service:

        def with_a_log(self: Account, of: str, operation: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
            if operation != "filter_log_events":
                yield from pages(self, of, operation, **parameters)
                return
            for call in service.calls:
                if call.operation == "RotateSecret" and REFUSED in call.parameters["SecretId"]:
                    line = {"message": "the step failed", "secret": call.parameters["SecretId"], "step": "setSecret"}
                    line |= {"version": call.parameters.get("ClientRequestToken"), "error": "LoginRefused"}
                    yield {"events": [{"message": json.dumps(line | {"reason": "refused"}), "timestamp": 0}]}

        monkeypatch.setattr(Account, "pages", with_a_log)
        function = service.register(Payments(SecretVersions(service.client)), "rotations-postgres")
        for name in NAMES:
            arn = service.client.create_secret(
                Name=f"payments/{name}",
                SecretString='{"username": "app", "password": "first"}',
                Tags=[{"Key": "team", "Value": "payments"}],
            )["ARN"]
            service.client.rotate_secret(
                SecretId=arn,
                RotationLambdaARN=function,
                RotationRules={"AutomaticallyAfterDays": 30},
                RotateImmediately=False,
            )
        monkeypatch.setattr(rotate, "clock", Time(service))
        result = CliRunner().invoke(app, [*COMMAND.split()[1:], "--timeout", "2"])
    assert result.exit_code == 1, result.output
    return next(frame for frame in Frames.shown if "LoginRefused" in text_of(frame))


def picture(frame: RenderableType) -> str:
    """The terminal with the command and a frame."""
    console = terminal(record=True, color_system="truecolor")
    console.print(f"[bold green]$[/] {COMMAND}")
    console.print(frame)
    drawn = console.export_svg(title="rotators rotate", theme=MONOKAI, code_format=FORMAT, unique_id="terminal")
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def words(svg: str) -> list[str]:
    """What a picture says, in its order."""
    found = (unescape(text).replace("\xa0", " ").strip() for text in re.findall(r"<text [^>]*>([^<]*)</text>", svg))
    return [text for text in found if text]


@pytest.mark.slow
def test_the_picture_shows_what_a_run_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn = picture(frame_of_a_run(monkeypatch, tmp_path))
    if os.environ.get("TERMINAL"):
        PICTURE.write_text(drawn)
    # Another version of rich may draw it otherwise. What it says is the command's.
    assert words(PICTURE.read_text()) == words(drawn)


def test_the_picture_is_on_the_page_and_asks_for_nothing_from_elsewhere() -> None:
    svg = PICTURE.read_text()
    assert f"]({PICTURE.name})" in PAGE.read_text()
    assert set(re.findall(r"\w+://[^\"' )<]*", svg)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<script|<image|<foreignObject|@import|@font-face|href=", svg)
    said = " ".join(words(svg))
    assert f"$ {COMMAND}" in said
    assert "setSecret: LoginRefused" in said
    assert "rotating" in said
