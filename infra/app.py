"""The CDK app: reads ``rotations.yaml``, and writes a template and its files (cdk.out).

python -m infra.app                             # or make synth
npx aws-cdk@2 deploy --all -c config=rotations.yaml
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.config import load
from infra.config.model import CUSTOM, Rotations
from infra.stack import make_stacks
from rotators.cdk.trust_layer import PUBLIC_CA
from rotators.errors import ConfigurationError, RotationError
from rotators.packaging import trust
from rotators.packaging.archive import LIMIT, human
from rotators.packaging.bundles import Bundles, say
from rotators.packaging.platforms import Platform

MOST_RESOURCES, MOST_OUTPUTS, MOST_BYTES = 500, 200, 1_000_000


def main() -> None:
    """Read the file, make the stack, and write it: exit 0 if it works, and 1 with the reason if not."""
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
        make_stacks(app, rotations, certificates=certificates, bundles=bundles, folder=file.parent)
    except RotationError as error:
        say(str(error))
        sys.exit(1)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    try:
        app.synth()
    except RuntimeError as error:
        # The violated rules were already written to the error stream.
        say(str(error).splitlines()[0])
        sys.exit(1)
    for one in made:
        for name, archive in one.archives.items():
            say(f"  {name}: {archive}")
    say(f"  of {human(LIMIT)} that a function and its layers may have")
    too_large = beyond_limits(Path(app.outdir))
    if too_large:
        say(too_large)
        sys.exit(1)
    # For people who run this by hand; the CDK command has its own last line.
    if "CDK_OUTDIR" not in os.environ:
        trial = certificates is None and needs_certificates(rotations)
        say(last_words(Path(app.outdir), trial=trial))


def last_words(outdir: Path, *, trial: bool) -> str:
    """The last line: what to do next.

    Args:
        outdir: where it was written.
        trial: the file names no CA certificates for its databases.
    """
    if trial:
        return f"{outdir.name} is a trial: before it is deployed, pin ca_bundle in the file and run this again"
    return f"{outdir.name} is ready. In this folder: npx aws-cdk@2 deploy --all --app {outdir.name}"


def beyond_limits(outdir: Path) -> str | None:
    """The CloudFormation limit that a template exceeds; None: it exceeds none.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    """
    for file in sorted(outdir.glob("*.template.json")):
        text = file.read_text()
        template = json.loads(text)
        for what, count, most in (
            ("resources", len(template["Resources"]), MOST_RESOURCES),
            ("outputs", len(template.get("Outputs", {})), MOST_OUTPUTS),
            ("bytes", len(json.dumps(template).encode()), MOST_BYTES),
        ):
            if count > most:
                return f"{file.name} has {count:,} {what}, and CloudFormation allows {most:,}: raise stacks in the file"
    return None


def needs_certificates(rotations: Rotations) -> bool:
    """Whether a function of the file logs in to a database whose certificate no public CA has signed."""
    return any(secret.engine not in PUBLIC_CA | {CUSTOM} for secret in rotations.secrets)


def ca_certificates(rotations: Rotations, folder: Path, *, without: bool) -> str | None:
    """The CA certificates that the file names.

    Args:
        rotations: the file.
        folder: where it lies.
        without: continue if it names none.

    Raises:
        ConfigurationError: it names none, but a database needs them.
        PackagingFailed: they can't be read or downloaded.
    """
    bundle = rotations.ca_bundle
    if bundle is not None and bundle.file is not None:
        return trust.read(folder / bundle.file)
    if bundle is not None and bundle.sha256 is not None:
        return trust.fetch(rotations.partition, bundle.sha256)
    if not needs_certificates(rotations):
        return None
    if without:
        say("WARNING: no ca_bundle: the functions will trust the CAs of their operating system, and no database of RDS")
        return None
    source = trust.TRUST_STORES.get(rotations.partition, "the bundle of your partition")
    raise ConfigurationError(
        "ca_bundle is missing, and without RDS's CA certificates a function trusts no database of RDS",
        f"look at {source}, and pin it: ca_bundle: {{sha256: …}}; or name a file of "
        "your own: ca_bundle: {file: ca.pem}; for a trial without, -c without-ca-bundle=true",
    )


if __name__ == "__main__":
    main()
