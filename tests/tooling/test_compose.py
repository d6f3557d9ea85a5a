"""compose.yaml and the URLs of your own servers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from targets.addresses import named, parse

ROOT = Path(__file__).parents[2]


def test_every_server_of_the_vendors_is_on_loopback_alone() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert set(services) == {"mongo", "sqlserver", "oracle"}
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["healthcheck"]["retries"] > 1


def test_docker_understands_it() -> None:
    docker = shutil.which("docker")
    command = [docker or "", "compose", "--file", str(ROOT / "compose.yaml"), "config", "--quiet"]
    if docker is None or subprocess.run([docker, "compose", "version"], check=False, capture_output=True).returncode:
        pytest.skip("docker compose is not installed")
    subprocess.run(command, check=True, timeout=60)


def test_the_documented_urls_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    documented = (ROOT / "docs/reference/testing.md").read_text()
    for engine in ("mongo", "sqlserver", "oracle"):
        variable = f"ROTATORS_TEST_{engine.upper()}_URL="
        line = next(line for line in documented.splitlines() if line.strip().startswith(variable))
        monkeypatch.setenv(variable[:-1], line.strip().removeprefix(variable))
        [(suffix, address)] = named(engine)
        assert suffix == "-server"
        assert address.engine == engine
        assert address.secret("app", "x")["ssl"] is False
        assert address.variables == {"ROTATION_ALLOW_PLAINTEXT": "true"}


def test_a_ca_and_odd_characters() -> None:
    address = parse("mongo://r%40t:p%2Fw@db.example:27017/admin?ca=/ca.pem")
    assert (address.username, address.password, address.ca_file) == ("r@t", "p/w", "/ca.pem")
    assert "ssl" not in address.secret("app", "x")
    assert "p/w" not in repr(address)


@pytest.mark.parametrize("url", ["sqlserver://sa@localhost:1/app", "sqlserver://sa:x@localhost/app", "x"])
def test_what_is_missing_is_told(url: str) -> None:
    with pytest.raises(ValueError, match="it takes the form"):
        parse(url)
