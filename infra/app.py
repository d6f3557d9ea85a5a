"""What the CDK command runs: ``rotations.yaml`` in, a template and its files out (cdk.out).

python -m infra.app                             # or make synth
npx aws-cdk@2 deploy -c config=rotations.yaml
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.config import load
from infra.config.model import Rotations
from infra.stack import RotationStack
from rotators.errors import ConfigurationError, RotationError
from rotators.packaging import trust
from rotators.packaging.archive import LIMIT, human
from rotators.packaging.bundles import Bundles, say
from rotators.packaging.platforms import Platform


def main() -> None:
    """Read the file, make the stack, and write it: exit 0 when it worked, 1 with the reason when it did not."""
    app = cdk.App(outdir=os.environ.get("CDK_OUTDIR", "cdk.out"))
    file = Path(str(app.node.try_get_context("config") or os.environ.get("ROTATIONS") or "rotations.yaml"))
    without = str(app.node.try_get_context("without-ca-bundle") or os.environ.get("WITHOUT_CA_BUNDLE") or "false")
    made: list[Bundles] = []

    def bundles(target: Platform) -> Bundles:
        made.append(Bundles(target))
        return made[-1]

    try:
        rotations = load(file)
        certificates = ca_certificates(rotations, file.parent, without=without == "true")
        RotationStack(app, rotations, certificates=certificates, bundles=bundles)
    except RotationError as error:
        say(str(error))
        sys.exit(1)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    try:
        app.synth()
    except RuntimeError as error:
        # What is wrong was written to the error stream already, rule by rule.
        say(str(error).splitlines()[0])
        sys.exit(1)
    for one in made:
        for name, archive in one.archives.items():
            say(f"  {name}: {archive}")
    say(f"  of {human(LIMIT)} that a function and its layers may have")


def ca_certificates(rotations: Rotations, folder: Path, *, without: bool) -> str | None:
    """The CA certificates that the file names.

    Args:
        rotations: the file.
        folder: where it lies.
        without: go on where it names none.

    Raises:
        ConfigurationError: it names none.
        PackagingFailed: they can't be had.
    """
    bundle = rotations.ca_bundle
    if bundle is not None and bundle.file is not None:
        return trust.read(folder / bundle.file)
    if bundle is not None and bundle.sha256 is not None:
        return trust.fetch(rotations.partition, bundle.sha256)
    if without:
        say("WARNING: no ca_bundle: the functions will trust the CAs of their operating system, and no database of RDS")
        return None
    raise ConfigurationError(
        "ca_bundle is missing, and without RDS's CA certificates a function trusts no database of RDS",
        f"look at {trust.TRUST_STORES[rotations.partition]}, and pin it: ca_bundle: {{sha256: …}}; or name a file of "
        "your own: ca_bundle: {file: ca.pem}; for a trial without, -c without-ca-bundle=true",
    )


if __name__ == "__main__":
    main()
