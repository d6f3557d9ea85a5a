"""``rotators package``: a function and its layers as zip files, for Terraform, SAM, CloudFormation or by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated

import typer

from rotators.engines.specs import SPECS
from rotators.errors import PackagingFailed
from rotators.packaging import trust
from rotators.packaging.archive import LIMIT, human
from rotators.packaging.bundles import Bundles
from rotators.packaging.manifest import manifest
from rotators.packaging.platforms import ARCHITECTURES, ARM64, RUNTIME, X86_64, X86_ONLY, Platform, check, engines


def _one_of(names: Collection[str]) -> Callable[[str | None], str | None]:
    def check_name(value: str | None) -> str | None:
        if value is not None and value not in names:
            raise typer.BadParameter(f"'{value}' is none of {', '.join(names)}")
        return value

    return check_name


def package(
    engine: Annotated[
        str,
        typer.Option("--engine", "-e", help=f"The kind of database: {', '.join(engines())}.", callback=_one_of(SPECS)),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to; made where it is missing.")],
    arch: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(ARCHITECTURES)}; by default arm64, and x86_64 for Db2.", callback=_one_of(ARCHITECTURES)
        ),
    ] = None,
    python: Annotated[str, typer.Option(help="The runtime's version of Python.")] = RUNTIME,
    ca_bundle: Annotated[
        Path | None,
        typer.Option("--ca-bundle", help="CA certificates (PEM) that the function is to trust, RDS's for example."),
    ] = None,
) -> None:
    """Write an engine's function and its layers as zip files, with a manifest of their hashes.

    The files are the same, byte for byte, wherever they are made. Without --ca-bundle the function trusts the CAs of
    its operating system, which are not those of RDS.
    """
    chosen = arch or (X86_64 if engine in X86_ONLY else ARM64)
    check(engine, chosen)
    certificates = None if ca_bundle is None else trust.read(ca_bundle)
    bundles = Bundles(Platform(chosen, python))
    files = {
        "function.zip": bundles.function(engine),
        "layer-base.zip": bundles.base(),
        "layer-driver.zip": bundles.driver(engine),
    }
    if certificates is not None:
        files["layer-ca.zip"] = bundles.trust(certificates)
    described = manifest(engine, bundles.target, files)
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, archive in files.items():
            shutil.copyfile(archive.path, output / name)
        (output / "manifest.json").write_text(json.dumps(described, indent=2) + "\n")
    except OSError as error:
        raise PackagingFailed(
            f"{error.filename} could not be written: {error.strerror}", "name a folder that can be written: --output"
        ) from None
    for name, archive in files.items():
        typer.echo(f"{output / name}  {archive}")
    unpacked = sum(archive.unpacked for archive in files.values())
    typer.echo(f"{output / 'manifest.json'}  unpacked {human(unpacked)} of {human(LIMIT)}")
