"""The scripts of benchmarks/ measure what they say: ours beside another handler, which here is ours once more."""

from __future__ import annotations

import importlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rotators.packaging.bundles import Bundles
from rotators.packaging.platforms import of_this_machine

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# As AWS's templates name the file of certificates that they trust.
OTHER = """
import os
os.environ["ROTATION_CA_BUNDLE"] = "/etc/pki/tls/cert.pem"
from rotators.handlers.postgres import handler
"""


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("contenders", "rotation", "cold"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    bundles = Bundles(of_this_machine(), lambda _: None)
    for layer in (bundles.base(), bundles.driver("postgres")):
        with zipfile.ZipFile(layer.path) as archive:
            archive.extractall(tmp_path)
    (tmp_path / "python").rename(tmp_path / "lib")
    path = tmp_path / "other"
    path.mkdir()
    (path / "theirs.py").write_text(OTHER)
    return path


@pytest.mark.long
@pytest.mark.server
@pytest.mark.parametrize("strategy", ["single-user", "alternating-users"])
def test_two_contenders_that_are_one_take_the_same_calls_and_packets(other: Path, strategy: str) -> None:
    rotation: Any = importlib.import_module("rotation")
    pairing = rotation.Pairing("postgresql", strategy, other, "theirs:handler")
    found, packets = rotation.measure(pairing, turns=2, rotations=1)
    ours, theirs = (found[name] for name in (rotation.OURS, rotation.OTHER))
    assert {one.calls for one in ours} == {one.calls for one in theirs} == {8 if strategy == "single-user" else 10}
    assert packets[rotation.OURS] == packets[rotation.OTHER]
    assert all(one.wall > 0 for one in (*ours, *theirs))
    assert [row[0] for row in rotation.rows(found, packets)] == ["rotators", "the other", "ratio"]


@pytest.mark.long
@pytest.mark.server
def test_cold_starts_are_measured_from_their_first_import(other: Path) -> None:
    cold: Any = importlib.import_module("cold")
    found = cold.measure(cold.Pairing("postgresql", "single-user", other, "theirs:handler"), 2)
    assert len(found) == 4
    assert all(one.wall > 0 and one.cpu > 0 and one.rotation > 0 for starts in found.values() for one in starts)
    assert all(one.memory > 10_000_000 for starts in found.values() for one in starts)
