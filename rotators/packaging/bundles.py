"""The zip files of a function: its code, the base layer, its driver's layer, and the CA certificates it trusts.

A layer's folder ``python`` is on the path of every function that has it
(https://docs.aws.amazon.com/lambda/latest/dg/python-layers.html).
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import rotators
from rotators.database import LAYER_CA_BUNDLE
from rotators.errors import PackagingFailed
from rotators.packaging import bytecode, cache, locks, wheels
from rotators.packaging.archive import Archive
from rotators.packaging.custom import CustomRotator
from rotators.packaging.platforms import ARCHITECTURES, DRIVERS, Platform, check

# Packages that no function needs.
_NOT_SHIPPED = frozenset({"cdk", "cli", "client", "packaging", "testing"})
_RECIPE = "1"  # raise it when archives are made differently
HANDLER = "function.handler"


def say(text: str) -> None:
    """Report progress on standard error."""
    print(text, file=sys.stderr)  # noqa: T201  # standard output is for the command's and CDK's output


class Bundles:
    """Makes the archives for a platform, and remembers them.

    Args:
        target: the platform.
        report: called with a line for each slow step.
        compiled: whether to ship compiled modules too, if a Python of the runtime's version is installed.
    """

    def __init__(
        self, target: Platform | None = None, report: Callable[[str], None] = say, *, compiled: bool = True
    ) -> None:
        self.target = target or Platform()
        self.made: list[str] = []
        self.archives: dict[str, Archive] = {}
        self._report = report
        self._compiler = bytecode.compiler(self.target.python) if compiled else None
        self._told = not compiled

    def base(self) -> Archive:
        """The layer with rotators and Powertools. The runtime has boto3.

        Raises:
            PackagingFailed: it can't be made.
        """
        sources = list(_sources())
        content = _hash(f"{path} {hashlib.sha256(file.read_bytes()).hexdigest()}" for path, file in sources)
        lock = locks.lock(locks.BASE)

        def fill(folder: Path) -> None:
            python = folder / "python"
            wheels.install(lock, self.target, python)
            for path, file in sources:
                (python / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, python / path)
            self._compile(python)

        return self._archive("base", [lock.read_text(), content], fill)

    def driver(self, engine: str) -> Archive:
        """The layer with an engine's driver.

        Raises:
            PackagingFailed: it can't be made.
        """
        check(engine, self.target.architecture)
        lock = locks.lock(DRIVERS[engine])

        def fill(folder: Path) -> None:
            wheels.install(lock, self.target, folder / "python")
            self._compile(folder / "python")

        name = f"{DRIVERS[engine]}-{self.target.architecture}"
        return self._archive(name, [lock.read_text(), *self.target.wheel_tags], fill)

    def trust(self, certificates: str) -> Archive:
        """The layer with CA certificates.

        Args:
            certificates: PEM text, checked by :mod:`rotators.packaging.trust`.
        """

        def fill(folder: Path) -> None:
            file = folder / Path(LAYER_CA_BUNDLE).relative_to("/opt")
            file.parent.mkdir(parents=True)
            file.write_text(certificates)

        return self._archive("ca", [certificates], fill)

    def function(self, engine: str) -> Archive:
        """A function's own code: a module with its handler (``HANDLER``). Everything else is in the layers.

        Raises:
            PackagingFailed: there is no such engine.
        """
        check(engine, self.target.architecture)
        return self._function(engine)

    def custom(self, rotator: CustomRotator, name: str = "custom") -> Archive:
        """The code of a user's own rotator, with its locked requirements. Rotators and Powertools are in :meth:`base`.

        All of it is in the function's own folder, which Python searches before the layers. So a library that is in both
        comes from one place only.

        Args:
            rotator: its source, handler and lock, which are checked.
            name: its name in messages.

        Raises:
            PackagingFailed: the source, handler or lock is wrong, or a wheel is not available.
        """
        if self.target.architecture not in ARCHITECTURES:
            raise PackagingFailed(
                f"'{self.target.architecture}' is no architecture", f"take one of {', '.join(ARCHITECTURES)}"
            )
        rotator.check()
        files = list(rotator.files())
        content = _hash(f"{place} {hashlib.sha256(file.read_bytes()).hexdigest()}" for place, file in files)
        lock = rotator.requirements
        wheel_inputs = [] if lock is None else [lock.read_text(), *self.target.wheel_tags]

        def fill(folder: Path) -> None:
            if lock is not None and wheels.is_needed(lock):
                wheels.install(lock, self.target, folder)
            rotator.copy(folder)
            self._compile(folder, bytecode.FUNCTION)

        return self._archive(f"function-{name}", [content, *wheel_inputs], fill)

    def overdue(self) -> Archive:
        """The code of the function that reports overdue secrets."""
        return self._function("overdue")

    def _function(self, name: str) -> Archive:
        code = f'from rotators.handlers.{name} import handler\n\n__all__ = ["handler"]\n'

        def fill(folder: Path) -> None:
            (folder / f"{HANDLER.partition('.')[0]}.py").write_text(code)

        return self._archive(f"function-{name}", [code], fill)

    def _archive(self, name: str, inputs: list[str], fill: Callable[[Path], None]) -> Archive:
        compiled = "" if self._compiler is None else "compiled"
        key = _hash([_RECIPE, self.target.python, compiled, *inputs])

        def bundle(folder: Path) -> None:
            self._report(f"bundling {name} …")
            fill(folder)

        self.archives[name] = cache.archive(name, key, bundle, self.made.append)
        return self.archives[name]

    def _compile(self, folder: Path, unpacked: str = bytecode.LAYER) -> None:
        if self._compiler is not None:
            bytecode.compile_folder(folder, self._compiler, unpacked)
        elif not self._told:
            self._told = True
            self._report(
                f"no Python {self.target.python} here: the modules are shipped uncompiled, and each cold start "
                f"compiles them; python{self.target.python} on the PATH changes that"
            )


def _sources() -> Iterable[tuple[str, Path]]:
    """This package's modules that a function needs: the path below the package, and the file."""
    package = Path(rotators.__file__).parent
    for file in sorted(package.rglob("*.py")):
        path = file.relative_to(package)
        if path.parts[0] not in _NOT_SHIPPED:
            yield f"rotators/{path.as_posix()}", file


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
