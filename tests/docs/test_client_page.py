"""What the page for applications shows is run as it stands, on a real server."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from rotators.client import Secret, errors
from rotators.testing import RotationService
from rotators.testing.servers.fixtures import require_postgres
from rotators.testing.servers.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/prepare-your-application.md").read_text()
REFERENCE = (ROOT / "docs/reference/client.md").read_text()


@pytest.mark.server
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_blocks_of_the_page(rotation_service: RotationService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", rotation_service.region)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 5
    with PostgresServer(require_postgres()) as server:
        login = server.create_app_user("app")
        rotation_service.create_secret("prod/app", server.secret(login.username, login.password), lambda *_: None)
        names: dict[str, Any] = {}
        for block in blocks:
            exec(block.replace("/etc/ssl/rds.pem", str(server.ca_file)), names)  # noqa: S102  # our own documentation
            if hasattr(names["connection"], "close"):
                names["connection"].close()
        names["engine"].dispose()


def test_every_argument_and_every_error_is_in_the_reference() -> None:
    arguments = set(inspect.signature(Secret).parameters) - {"clock", "wall"}
    assert arguments == set(re.findall(r"^\| `(\w+)` \| ", REFERENCE.partition("## What is tried")[0], re.MULTILINE))
    listed = REFERENCE.partition("## Errors")[2].partition("## Events")[0]
    named = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert named == set(re.findall(r"`(\w+)`", listed)) - {"patience"}
