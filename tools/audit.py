"""Ask OSV for known vulnerabilities of the versions that the locks pin.

https://google.github.io/osv.dev/post-v1-querybatch/

OSV has the advisories of PyPI and GitHub, and of npm. It is told names and versions, and nothing else. Where it
can't be asked, that is said, and the command fails: no answer is not "no vulnerabilities".
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SERVICE = "https://api.osv.dev"
ROOT = Path(__file__).parents[1]
# How many packages OSV accepts in a query, and the seconds to wait for its answer.
_BATCH, _PATIENCE = 1000, 60.0
_PINNED = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


class AuditFailed(Exception):
    """There is no answer: a lock can't be read, or OSV can't be reached."""


@dataclass(frozen=True, order=True)
class Package:
    """One version of a package: PyPI's or npm's."""

    ecosystem: str
    name: str
    version: str


@dataclass
class Lock:
    """The packages that a lock pins, and those without a hash.

    Args:
        path: the file.
    """

    path: Path
    packages: list[Package] = field(default_factory=list)
    without_hash: list[str] = field(default_factory=list)


def locks(root: Path) -> list[Path]:
    """All locks: for development, for the layers, for the verification and for the CDK."""
    found = [
        path
        for place in ("requirements/*.txt", "layers/*/requirements.txt", "infra/*/requirements.txt")
        for path in root.glob(place)
    ]
    return sorted([*found, *root.glob("requirements/*/package-lock.json")])


def read(path: Path) -> Lock:
    """The packages that a lock pins.

    Raises:
        AuditFailed: it can't be read, or pins nothing.
    """
    lock = Lock(path)
    try:
        text = path.read_text()
        entries = _of_npm(json.loads(text)) if path.suffix == ".json" else _of_python(text)
        for package, hashed in entries:
            lock.packages.append(package)
            if not hashed:
                lock.without_hash.append(package.name)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise AuditFailed(f"{path} is not a readable lock ({type(error).__name__}): make lock") from None
    if not lock.packages:
        raise AuditFailed(f"{path} pins nothing: make lock")
    return lock


def _of_python(text: str) -> Iterator[tuple[Package, bool]]:
    for line in text.replace("\\\n", " ").splitlines():
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        pinned = _PINNED.match(entry)
        if pinned is None:
            raise ValueError(entry)
        name = re.sub(r"[-_.]+", "-", pinned[1]).lower()
        yield Package("PyPI", name, pinned[2]), _HASH.search(entry) is not None


def _of_npm(lock: dict[str, Any]) -> Iterator[tuple[Package, bool]]:
    for path, entry in lock["packages"].items():
        # The first one is the project itself.
        if path:
            name = path.rpartition("node_modules/")[2]
            yield Package("npm", name, entry["version"]), str(entry.get("integrity", "")).startswith("sha512-")


def ask(service: str, packages: Sequence[Package]) -> dict[Package, list[str]]:
    """The advisories of each package that has some, by their ids.

    Raises:
        AuditFailed: the service can't be asked, or its answer is none.
    """
    found: dict[Package, list[str]] = {}
    for start in range(0, len(packages), _BATCH):
        asked = packages[start : start + _BATCH]
        queries = [{"package": {"ecosystem": one.ecosystem, "name": one.name}, "version": one.version} for one in asked]
        answer = _fetch(f"{service}/v1/querybatch", {"queries": queries})
        results = answer.get("results")
        if not isinstance(results, list) or len(results) != len(asked):
            raise AuditFailed(f"{service} did not answer with one result for each package")
        for package, result in zip(asked, results, strict=True):
            ids = [str(one["id"]) for one in (result or {}).get("vulns") or ()]
            # If there is a second page, the first has advisories; OSV's own page shows the rest.
            if ids:
                found[package] = ids
    return found


def told(service: str, advisory: str) -> str | None:
    """What an advisory says, in one line; None if it was withdrawn.

    Raises:
        AuditFailed: the service can't be asked.
    """
    known = _fetch(f"{service}/v1/vulns/{advisory}")
    if known.get("withdrawn"):
        return None
    return " ".join(str(known.get("summary") or known.get("details") or "").split())[:100]


def _fetch(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310  # named by whoever runs it
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as response:  # noqa: S310  # the same
            answer = json.load(response)
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else type(error).__name__
        raise AuditFailed(f"{url} can't be asked: {reason}") from None
    if not isinstance(answer, dict):
        raise AuditFailed(f"{url} did not answer with advisories")
    return answer


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each lock and each advisory; 0 if OSV answered for every package and none is vulnerable."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", default=SERVICE, help="where OSV's API is")
    parser.add_argument("locks", nargs="*", type=Path, help="by default every lock of the repository")
    chosen = parser.parse_args(arguments)
    try:
        return _audit(chosen.service.rstrip("/"), [read(path) for path in chosen.locks or locks(ROOT)])
    except AuditFailed as failure:
        sys.stdout.write(f"not audited: {failure}\n")
        return 1


def _audit(service: str, found: Sequence[Lock]) -> int:
    packages = sorted({package for lock in found for package in lock.packages})
    advisories = {
        package: said
        for package, ids in ask(service, packages).items()
        if (said := {one: text for one in ids if (text := told(service, one)) is not None})
    }
    bad = 0
    for lock in found:
        vulnerable = [package for package in lock.packages if package in advisories]
        bad += len(vulnerable) + len(lock.without_hash)
        unhashed = f", without a hash: {', '.join(lock.without_hash)}" if lock.without_hash else ""
        sys.stdout.write(
            f"{lock.path.relative_to(ROOT) if lock.path.is_relative_to(ROOT) else lock.path}: "
            f"{len(lock.packages)} packages, {len(vulnerable)} vulnerable{unhashed}\n"
        )
        for package in vulnerable:
            for advisory, text in advisories[package].items():
                sys.stdout.write(
                    f"  {package.name} {package.version}: {advisory} {text} (https://osv.dev/{advisory})\n"
                )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
