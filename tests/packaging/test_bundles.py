from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

import pytest

from rotators.engines.specs import SPECS
from rotators.errors import PackagingFailed
from rotators.packaging import bytecode, locks, wheels
from rotators.packaging.archive import Archive, pack
from rotators.packaging.bundles import Bundles
from rotators.packaging.platforms import Platform, of_this_machine

# Packages are made, with all that they hold.
pytestmark = pytest.mark.slow

HERE = of_this_machine()


def names(archive: Archive) -> set[str]:
    with zipfile.ZipFile(archive.path) as file:
        return set(file.namelist())


def test_the_base_layer_has_what_a_function_needs_and_nothing_else(layers: Path) -> None:
    found = names(Bundles(HERE, compiled=False).base())
    assert {
        "python/rotators/rotator.py",
        "python/rotators/handlers/postgres.py",
        "python/rotators/handlers/overdue.py",
        "python/driver_base/__init__.py",
    } <= found
    parts = {name.split("/")[2] for name in found if name.startswith("python/rotators/")}
    assert not parts & {"cdk", "cli", "testing", "packaging", "client"}


def test_what_pip_leaves_for_itself_is_left_out(layers: Path) -> None:
    found = names(Bundles(HERE, compiled=False).driver("postgres"))
    assert found == {
        "python/driver_postgres/__init__.py",
        "python/driver_postgres-1.0.dist-info/METADATA",
        "python/driver_postgres-1.0.dist-info/WHEEL",
    }


@pytest.mark.parametrize("compiled", [True, False])
def test_the_same_bytes_from_two_folders(
    layers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, compiled: bool
) -> None:
    hashes = []
    for number in ("one", "another-of-another-length"):
        place = tmp_path / number
        place.mkdir()
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
        monkeypatch.setattr("tempfile.tempdir", str(place))
        bundles = Bundles(HERE, compiled=compiled)
        hashes.append([bundles.base().sha256, bundles.driver("mysql").sha256, bundles.function("mysql").sha256])
        assert bundles.made == ["base", f"mysql-{HERE.architecture}", "function-mysql"]
    assert hashes[0] == hashes[1]


def test_compiled_modules_are_never_checked_against_a_source_whose_time_the_zip_file_lost(layers: Path) -> None:
    archive = Bundles(HERE).driver("postgres")
    tag = sys.implementation.cache_tag
    with zipfile.ZipFile(archive.path) as file:
        compiled = file.read(f"python/driver_postgres/__pycache__/__init__.{tag}.pyc")
    # https://docs.python.org/3/library/py_compile.html: bit 0 says hash, bit 1 says that it is checked.
    assert int.from_bytes(compiled[4:8], "little") == 0b01
    assert b"/opt/python/driver_postgres/__init__.py" in compiled


def test_what_was_made_is_not_made_again_and_what_changed_is(layers: Path) -> None:
    said: list[str] = []
    Bundles(HERE, said.append).driver("mariadb")
    again = Bundles(HERE, said.append)
    again.driver("mariadb")
    assert again.made == []
    assert said == [f"bundling mysql-{HERE.architecture} …"]
    lock = layers / "mysql" / "requirements.txt"
    lock.write_text(f"# newer\n{lock.read_text()}")
    again.driver("mariadb")
    assert again.made == [f"mysql-{HERE.architecture}"]


def test_without_a_python_of_the_runtimes_version_the_modules_are_shipped_as_they_are_and_that_is_said_once(
    layers: Path,
) -> None:
    said: list[str] = []
    bundles = Bundles(Platform(HERE.architecture, "3.99"), said.append)
    assert not [name for name in names(bundles.driver("mysql")) | names(bundles.base()) if name.endswith(".pyc")]
    assert sum("no Python 3.99 here" in line for line in said) == 1


def test_a_wheel_that_is_not_the_locked_one_is_refused_and_nothing_is_kept(layers: Path, tmp_path: Path) -> None:
    lock = layers / "mysql" / "requirements.txt"
    lock.write_text(lock.read_text()[:-9] + "00000000\n")
    with pytest.raises(PackagingFailed, match=r"wheels of mysql for python3.* could not be installed"):
        Bundles(HERE).driver("mysql")
    assert list((tmp_path / "cache").rglob("*.zip")) == []


def test_a_wheel_that_is_not_to_be_had_is_named(layers: Path) -> None:
    (layers / "mysql" / "requirements.txt").write_text(f"nowhere==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(PackagingFailed, match=r"nowhere==1\.0.*check that this Python has pip"):
        Bundles(HERE).driver("mysql")


def test_wheels_of_the_runtimes_platform_are_taken_and_not_this_machines() -> None:
    assert Platform("arm64").wheel_tags[0] == "manylinux_2_34_aarch64"
    assert Platform("x86_64").wheel_tags[-1] == "manylinux2014_x86_64"
    assert wheels.Platform().runtime == "python3.14"


@pytest.mark.parametrize(
    ("engine", "architecture", "what"),
    [
        ("access", "arm64", "'access' is no engine. take one of db2, mariadb"),
        ("mysql", "sparc", "'sparc' is no architecture"),
    ],
)
def test_what_can_not_be_packaged_is_refused_with_the_reason(engine: str, architecture: str, what: str) -> None:
    with pytest.raises(PackagingFailed) as refused:
        Bundles(Platform(architecture)).driver(engine)
    assert what in str(refused.value)


def test_db2_has_no_driver_for_arm64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotators.packaging.platforms.engines", lambda: ["db2"])
    with pytest.raises(PackagingFailed, match=r"there is no driver of db2 for arm64\. take x86_64"):
        Bundles(Platform("arm64")).function("db2")


def test_an_engine_without_a_handler_is_no_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotators.packaging.platforms.engines", lambda: ["mysql"])
    with pytest.raises(PackagingFailed, match=r"no handler of db2 yet\. there are those of mysql"):
        Bundles(Platform("x86_64")).function("db2")


def test_every_engine_has_a_driver_and_a_lock_with_hashes() -> None:
    for driver in {spec.driver_layer for spec in SPECS.values()}:
        text = locks.lock(driver).read_text()
        assert "==" in text
        assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=[a-z])", text) if "==" in entry)
        assert "://" not in text


def test_an_installation_without_locks_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(locks, "_PLACES", (tmp_path,))
    with pytest.raises(PackagingFailed, match="requirements of the layer 'mysql' are missing"):
        locks.lock("mysql")


def test_a_zip_file_has_no_time_and_two_permissions(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "lib.so.5").write_bytes(b"x")
    (tmp_path / "a" / "module.py").write_bytes(b"x")
    (tmp_path / "a" / "module.py").chmod(0o600)
    pack(tmp_path / "a", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        found = {entry.filename: (entry.date_time[0], oct(entry.external_attr >> 16)) for entry in file.infolist()}
    assert found == {"lib.so.5": (1980, "0o100755"), "module.py": (1980, "0o100644")}


def test_a_module_that_does_not_compile_stops_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def :\n")
    with pytest.raises(PackagingFailed, match="could not be compiled"):
        bytecode.compile_folder(tmp_path, sys.executable)


def test_a_name_of_a_python_that_does_not_run_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "python3.99"
    fake.write_text("#!/bin/sh\nexit 127\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bytecode.compiler("3.99") is None
