"""A software bill of materials of the zip files, for vulnerability scanners.

The format is CycloneDX (https://cyclonedx.org/docs/1.6/json/), the names are package URLs
(https://github.com/package-url/purl-spec/blob/main/types-doc/pypi-definition.md).
"""

from __future__ import annotations

import email
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rotators import __version__
from rotators.packaging.archive import Archive

FILE = "bom.cdx.json"
_METADATA = re.compile(r"(?:.*/)?[^/]+\.dist-info/METADATA")


@dataclass(frozen=True, order=True)
class _Library:
    name: str
    version: str
    license: str

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{re.sub('[-_.]+', '-', self.name).lower()}@{self.version}"

    def component(self) -> dict[str, Any]:
        described = {"type": "library", "bom-ref": self.purl, "name": self.name, "version": self.version}
        # A text that is not an SPDX expression goes into the field "name".
        licenses = [{"license": {"name": self.license}}] if self.license else []
        return {**described, "purl": self.purl, "licenses": licenses}


def bill(files: Mapping[str, Archive]) -> dict[str, Any]:
    """The bill of materials of files that belong together.

    It lists each library in the files, by the library's own metadata. What is compiled into a wheel (libpq and OpenSSL
    in psycopg2-binary) is not listed separately.

    Args:
        files: each archive by its file name.

    Returns:
        CycloneDX 1.6 as a JSON object. It has no date, so the same files always give the same bill.
    """
    held = {name: sorted(set(_libraries(archive))) for name, archive in sorted(files.items())}
    ours = {"type": "application", "bom-ref": "rotators", "name": "rotators", "version": __version__}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": ours},
        "components": [
            *(
                {
                    "type": "file",
                    "bom-ref": name,
                    "name": name,
                    "hashes": [{"alg": "SHA-256", "content": files[name].sha256}],
                }
                for name in held
            ),
            *(library.component() for library in sorted({one for libraries in held.values() for one in libraries})),
        ],
        "dependencies": [
            {"ref": "rotators", "dependsOn": list(held)},
            *({"ref": name, "dependsOn": [library.purl for library in libraries]} for name, libraries in held.items()),
        ],
    }


def _libraries(archive: Archive) -> Iterator[_Library]:
    with zipfile.ZipFile(archive.path) as file:
        for name in file.namelist():
            if _METADATA.fullmatch(name):
                head = email.message_from_bytes(file.read(name))
                license_name = head.get("License-Expression") or head.get("License") or ""
                yield _Library(head["Name"], head["Version"], " ".join(license_name.split())[:80])
