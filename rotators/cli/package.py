"""``rotators package``: a function and its layers as zip files, for Terraform, SAM, CloudFormation or by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from rotators.engines.specs import SPECS
from rotators.errors import PackagingFailed
from rotators.packaging import bom, trust
from rotators.packaging.archive import LIMIT, Archive, human
from rotators.packaging.bundles import HANDLER, Bundles
from rotators.packaging.custom import CustomRotator
from rotators.packaging.manifest import manifest
from rotators.packaging.platforms import ARCHITECTURES, ARM64, RUNTIME, Platform, check, engines, usual_architecture


def _one_of(names: Collection[str]) -> Callable[[str | None], str | None]:
    def check_name(value: str | None) -> str | None:
        if value is not None and value not in names:
            raise typer.BadParameter(f"'{value}' is not one of {', '.join(names)}")
        return value

    return check_name


def package(  # noqa: PLR0917  # typer hands options over by name
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to; made where it is missing.")],
    engine: Annotated[
        str | None,
        typer.Option("--engine", "-e", help=f"The kind of database: {', '.join(engines())}.", callback=_one_of(SPECS)),
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--source", "-s", help="The folder with a rotator of your own, instead of an engine.")
    ] = None,
    handler: Annotated[
        str | None, typer.Option("--handler", help="With --source: its handler as Lambda names it, module.handler.")
    ] = None,
    requirements: Annotated[
        Path | None,
        typer.Option("--requirements", "-r", help="With --source: the lock, with hashes, of what it imports."),
    ] = None,
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
    """Write a function and its layers as zip files, with a manifest of their hashes: an engine's or your own rotator's.

    A bill of materials (CycloneDX) is written beside them, for scanners that look for vulnerable libraries.

    The files are the same, byte for byte, wherever they are made. Without --ca-bundle the function trusts the CAs of
    its operating system, which are not those of RDS.

    Example: rotators package --engine postgres --ca-bundle global-bundle.pem -o dist

    Example: rotators package --source src --handler billing.handler --requirements requirements.txt -o dist
    """
    own = _own_rotator(engine, source, handler, requirements)
    if source is not None and output.resolve().is_relative_to(source.resolve()):
        raise typer.BadParameter("--output is inside --source: the zip files would become part of the function")
    certificates = None if ca_bundle is None else trust.read(ca_bundle)
    if own is not None:
        bundles = Bundles(Platform(arch or ARM64, python))
        files = {"function.zip": bundles.custom(own), "layer-base.zip": bundles.base()}
        described_as = "custom", own.handler
    else:
        name = str(engine)
        chosen = arch or usual_architecture(name)
        check(name, chosen)
        bundles = Bundles(Platform(chosen, python))
        files = {
            "function.zip": bundles.function(name),
            "layer-base.zip": bundles.base(),
            "layer-driver.zip": bundles.driver(name),
        }
        described_as = name, HANDLER
    if certificates is not None:
        files["layer-ca.zip"] = bundles.trust(certificates)
    _write(output, files, manifest(described_as[0], bundles.target, files, described_as[1]))


def _own_rotator(
    engine: str | None, source: Path | None, handler: str | None, requirements: Path | None
) -> CustomRotator | None:
    """The rotator that the options describe; None if they name an engine."""
    if (engine is None) == (source is None):
        raise typer.BadParameter("name an engine (--engine), or the folder of a rotator of your own (--source)")
    if source is None:
        if handler is not None or requirements is not None:
            raise typer.BadParameter("--handler and --requirements go with --source: an engine has its own")
        return None
    if handler is None:
        raise typer.BadParameter("--source needs --handler: the module and the instance in it, module.handler")
    return CustomRotator(source, handler, requirements)


def _write(output: Path, files: Mapping[str, Archive], described: Mapping[str, Any]) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, archive in files.items():
            shutil.copyfile(archive.path, output / name)
        for name, content in (("manifest.json", described), (bom.FILE, bom.bill(files))):
            (output / name).write_text(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise PackagingFailed(
            f"{error.filename} could not be written: {error.strerror}", "name a folder that can be written: --output"
        ) from None
    for name, archive in files.items():
        typer.echo(f"{output / name}  {archive}")
    unpacked = sum(archive.unpacked for archive in files.values())
    typer.echo(f"{output / bom.FILE}  what the zip files hold, by name and version")
    typer.echo(f"{output / 'manifest.json'}  unpacked {human(unpacked)} of {human(LIMIT)}")
