"""Layers of a wheel that is made here, so that nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rotators.packaging import locks
from rotators.packaging.platforms import DRIVERS


def wheel(folder: Path, name: str, tag: str = "py3-none-any") -> Path:
    """A wheel with one module, as small as pip takes it."""
    path = folder / f"{name}-1.0-{tag}.whl"
    record = f"{name}-1.0.dist-info/RECORD"
    files = {
        f"{name}/__init__.py": f"NAME = {name!r}\n",
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        lines = []
        for file, text in files.items():
            archive.writestr(file, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{file},sha256={digest},{len(text)}")
        archive.writestr(record, "\n".join([*lines, f"{record},,", ""]))
    return path


@pytest.fixture
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of locks like ``layers/``, each for a wheel that pip finds here."""
    folder, wheels = tmp_path / "layers", tmp_path / "wheels"
    wheels.mkdir()
    for layer in {locks.BASE, *DRIVERS.values()}:
        made = wheel(wheels, f"driver_{layer}")
        (folder / layer).mkdir(parents=True)
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        (folder / layer / "requirements.txt").write_text(f"driver_{layer}==1.0 --hash=sha256:{digest}\n")
    monkeypatch.setattr(locks, "_PLACES", (folder,))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return folder


@pytest.fixture
def make_wheel(layers: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Make a further wheel that pip finds."""
    return lambda name: wheel(tmp_path / "wheels", name)
