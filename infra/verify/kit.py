"""The package of the function that runs the tests: its code with the suites, and a layer with what they import."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from rotators.errors import PackagingFailed
from rotators.packaging import cache, wheels
from rotators.packaging.archive import LIMIT, Archive, human
from rotators.packaging.bundles import say
from rotators.packaging.platforms import Platform

LOCK = Path(__file__).with_name("requirements.txt")
HANDLER = "infra.verify.inside.handler.handler"
PROBE = "infra.verify.inside.probe.handler"
_ROOT = Path(__file__).parents[2]
# The suites, and what they import.
_SUITES = ("tests/targets", "tests/doubles")
_SUITE_FILES = (
    "infra/__init__.py",
    "infra/verify/__init__.py",
    "infra/verify/inside/pytest.ini",
    "tests/engines/test_conformance.py",
)
# All of rotators: the suites need its test kit, which is not in the base layer.
_LEFT_OUT = frozenset({"cdk", "cli", "client", "packaging"})


class Kit:
    """Makes the code and the layer.

    Args:
        target: where they will run.
        report: called with a line about each slow step.
    """

    def __init__(self, target: Platform, report: Callable[[str], None] = say) -> None:
        self.target = target
        self._report = report

    def code(self) -> Archive:
        """The code of both functions."""
        files = dict(self.files())
        digests = [f"{place} {hashlib.sha256(file.read_bytes()).hexdigest()}" for place, file in sorted(files.items())]

        def fill(folder: Path) -> None:
            for place, file in files.items():
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / place)

        return self._archive("verify-code", digests, fill)

    def layer(self) -> Archive:
        """moto, pytest and the drivers.

        Raises:
            PackagingFailed: they can't be installed.
        """

        def fill(folder: Path) -> None:
            wheels.install(LOCK, self.target, folder / "python")

        inputs = [LOCK.read_text(), self.target.python, *self.target.wheel_tags]
        return self._archive(f"verify-{self.target.architecture}", inputs, fill)

    @staticmethod
    def files() -> Iterator[tuple[str, Path]]:
        """The files of the code, each with its place."""
        for name in _SUITE_FILES:
            yield name, _ROOT / name
        for folder in (*_SUITES, "infra/verify/inside"):
            for file in sorted((_ROOT / folder).rglob("*.py")):
                yield file.relative_to(_ROOT).as_posix(), file
        for file in sorted((_ROOT / "rotators").rglob("*.py")):
            place = file.relative_to(_ROOT)
            if place.parts[1] not in _LEFT_OUT:
                yield place.as_posix(), file

    def _archive(self, name: str, inputs: list[str], fill: Callable[[Path], None]) -> Archive:
        key = hashlib.sha256("\0".join(inputs).encode()).hexdigest()

        def bundle(folder: Path) -> None:
            self._report(f"bundling {name} …")
            fill(folder)

        return cache.archive(name, key, bundle, lambda _: None)


def check_size(archives: list[Archive]) -> int:
    """Make sure that Lambda accepts a function with these archives.

    Returns:
        how large they are, unpacked.

    Raises:
        PackagingFailed: they are too large.
    """
    size = sum(one.unpacked for one in archives)
    if size > LIMIT:
        raise PackagingFailed(f"the function has {human(size)} unpacked, and Lambda takes {human(LIMIT)}")
    return size
