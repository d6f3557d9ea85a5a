"""Somebody's own rotator as a zip file: what is refused, what is in it, and that it runs."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rotators.errors import PackagingFailed
from rotators.packaging import locks
from rotators.packaging.bundles import Bundles
from rotators.packaging.custom import CustomRotator, check_lock
from rotators.packaging.platforms import Platform, of_this_machine

# Packages are made, with all that they hold.
pytestmark = pytest.mark.slow

HERE = of_this_machine()
MODULE = """from rotators.credentials import SecretValue
from rotators.rotator import Rotator
import vendored


class Key(Rotator[SecretValue]):
    def propose(self, rotation):
        return rotation.current.replace(key=vendored.NAME + rotation.event.version_id)

    def apply(self, rotation): ...

    def verify(self, rotation): ...


handler = Key()
"""


@pytest.fixture
def source(tmp_path: Path, layers: Path) -> Path:
    folder = tmp_path / "own"
    (folder / "pkg").mkdir(parents=True)
    (folder / "keys.py").write_text(MODULE)
    (folder / "pkg" / "__init__.py").write_text("")
    (folder / "pkg" / "deep.py").write_text("from keys import handler\n")
    (folder / "data.json").write_text("{}")
    return folder


@pytest.fixture
def lock(tmp_path: Path, layers: Path, make_wheel: Callable[[str], Path]) -> Path:
    made = make_wheel("vendored")
    file = tmp_path / "requirements.txt"
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    file.write_text(f"# made by uv\nvendored==1.0 \\\n    --hash=sha256:{digest}\n    # via -r requirements.in\n")
    return file


def test_the_zip_file_has_the_source_and_what_its_lock_names_and_nothing_else(source: Path, lock: Path) -> None:
    for unwanted in (".git/config", "__pycache__/keys.pyc", ".env", "own.egg-info/PKG-INFO"):
        (source / unwanted).parent.mkdir(exist_ok=True)
        (source / unwanted).write_text("")
    archive = Bundles(HERE, compiled=False).custom(CustomRotator(source, "keys.handler", lock))
    with zipfile.ZipFile(archive.path) as file:
        assert set(file.namelist()) == {
            "keys.py",
            "data.json",
            "pkg/__init__.py",
            "pkg/deep.py",
            "vendored/__init__.py",
            "vendored-1.0.dist-info/METADATA",
            "vendored-1.0.dist-info/WHEEL",
        }
        assert file.read("keys.py").decode() == MODULE


def test_the_same_bytes_from_two_folders_and_others_from_another_source(
    source: Path, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = []
    for number in ("one", "another-of-another-length"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / number))
        copied = source.rename(tmp_path / f"source-{number}")
        hashes.append(Bundles(HERE).custom(CustomRotator(copied, "keys.handler", lock)).sha256)
        source = copied
    assert hashes[0] == hashes[1]
    (source / "keys.py").write_text(MODULE + "\n")
    assert Bundles(HERE).custom(CustomRotator(source, "keys.handler", lock)).sha256 != hashes[0]


def test_compiled_modules_name_the_functions_folder(source: Path, lock: Path) -> None:
    archive = Bundles(HERE).custom(CustomRotator(source, "keys.handler", lock))
    with zipfile.ZipFile(archive.path) as file:
        assert b"/var/task/keys.py" in file.read(f"__pycache__/keys.{sys.implementation.cache_tag}.pyc")


@pytest.mark.parametrize("text", ["", "# nothing yet\n\n"])
def test_a_lock_that_names_nothing_is_good(source: Path, lock: Path, text: str) -> None:
    lock.write_text(text)
    archive = Bundles(HERE, compiled=False).custom(CustomRotator(source, "pkg.deep.handler", lock))
    with zipfile.ZipFile(archive.path) as file:
        assert "vendored/__init__.py" not in file.namelist()


@pytest.mark.parametrize("handler", ["keys.handler", "pkg.deep.handler", "pkg/deep.handler"])
def test_handlers_that_are_there_are_found(source: Path, handler: str) -> None:
    CustomRotator(source, handler).check()


@pytest.mark.parametrize(
    "code",
    [
        "def handler(event, context): ...",
        "if True:\n    handler = 1",
        "try:\n    from x import handler\nexcept ImportError:\n    handler = None",
        "first, handler = 1, 2",
        "handler: object = 1",
        "from elsewhere import *",
        "import handler",
    ],
)
def test_every_way_to_make_a_name_counts(source: Path, code: str) -> None:
    (source / "keys.py").write_text(code)
    CustomRotator(source, "keys.handler").check()


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        ("handler", "'handler' is not a handler. write it as Lambda does: module.handler, or package/module.handler"),
        ("keys:handler", "'keys:handler' is not a handler"),
        ("../keys.handler", "'../keys.handler' is not a handler"),
        ("key.handler", "key.py, and there is no such file. the modules in "),
        ("keys.hander", "keys.py has no 'hander'. end it with: hander = Key()  # an instance of your Rotator"),
        ("keys.Key", "'Key' in "),
    ],
)
def test_a_handler_that_is_not_there_is_named_with_what_to_do(source: Path, handler: str, says: str) -> None:
    with pytest.raises(PackagingFailed) as refused:
        CustomRotator(source, handler).check()
    assert says in str(refused.value)


def test_a_class_is_no_handler(source: Path) -> None:
    with pytest.raises(PackagingFailed, match=r"make an instance: handler = Key\(\), and name that: keys\.handler"):
        CustomRotator(source, "keys.Key").check()


def test_what_is_no_python_is_named_with_its_line(source: Path) -> None:
    (source / "keys.py").write_text("import json\ndef :\n")
    with pytest.raises(PackagingFailed, match=r"keys\.py is not Python: line 2\. correct it"):
        CustomRotator(source, "keys.handler").check()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed, match=r"there is no folder .*nowhere"):
        CustomRotator(tmp_path / "nowhere", "keys.handler").check()


@pytest.mark.parametrize("name", ["rotators", "boto3.py"])
def test_a_module_that_would_hide_ours_is_refused(source: Path, name: str) -> None:
    if name.endswith(".py"):
        (source / name).write_text("")
    else:
        (source / name).mkdir()
    with pytest.raises(PackagingFailed, match="would hide the one that the function needs"):
        CustomRotator(source, "keys.handler").check()


def test_a_file_of_the_source_that_is_one_of_its_requirements_is_refused(source: Path, lock: Path) -> None:
    (source / "vendored").mkdir()
    (source / "vendored" / "__init__.py").write_text("")
    with pytest.raises(PackagingFailed, match=r"vendored/__init__\.py has the name of a file of .*requirements\.txt"):
        Bundles(HERE).custom(CustomRotator(source, "keys.handler", lock))


HASH = f"--hash=sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("requests", "line 2: 'requests' has no version. make it again: uv pip compile --generate-hashes"),
        ("requests>=2", "line 2: 'requests>=2' has no version"),
        ("requests==2.32.0", "line 2: 'requests' has no hash"),
        ("requests==2.32.0 \\\n  # via x", "line 2: 'requests' has no hash"),
        (f"requests==2.* {HASH}", "line 2: 'requests==2.*' has no version"),
        (f"requests @ https://example.com/requests.whl {HASH}", "line 2: 'requests' has no version"),
        ("-e .", "line 2: '-e' is not a package"),
        ("--index-url https://example.com", "line 2: '--index-url' is not a package"),
        ("-r other.txt", "line 2: '-r' is not a package"),
        (f"pywin32==3 ; sys_platform == 'win32' {HASH}", "line 2: 'pywin32' is for some platforms only"),
        (f"Rotators==0.1.0 {HASH}", "line 2: rotators is in the function's layer already. take it out of the lock"),
    ],
)
def test_a_lock_that_pins_less_than_everything_is_refused(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"# made by hand\n{line}\nlast==1 {HASH}\n")
    with pytest.raises(PackagingFailed) as refused:
        check_lock(file)
    assert says in str(refused.value)


def test_locks_as_uv_and_pip_write_them_are_taken(tmp_path: Path) -> None:
    for layer in ("base", "mysql", "sqlserver"):
        check_lock(locks.lock(layer))
    file = tmp_path / "requirements.txt"
    file.write_text(f"requests[socks, use-chardet]==2.32.0+local.1 \\\n    {HASH} \\\n    {HASH}\n    # via x\n")
    check_lock(file)


@pytest.mark.parametrize(("content", "says"), [(None, "can't be read: No such file"), (b"\xff\xfe", "is not text")])
def test_a_lock_that_can_not_be_read_is_named(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "requirements.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PackagingFailed, match=says):
        check_lock(file)


def test_an_architecture_that_is_none_is_refused(source: Path) -> None:
    with pytest.raises(PackagingFailed, match="'sparc' is no architecture"):
        Bundles(Platform("sparc")).custom(CustomRotator(source, "keys.handler"))
