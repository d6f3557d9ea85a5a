"""The platforms of functions, and the driver that each engine needs there."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import rotators
from rotators.engines.specs import SPECS
from rotators.errors import PackagingFailed

ARM64, X86_64 = "arm64", "x86_64"
ARCHITECTURES = (ARM64, X86_64)
# The newest runtime that aws-cdk-lib knows: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
RUNTIME = "3.14"
# Runtimes from 3.12 on are built on Amazon Linux 2023, which has glibc 2.34.
_GLIBC = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
_MACHINES = {ARM64: "aarch64", X86_64: "x86_64"}
DRIVERS = {name: spec.driver_layer for name, spec in SPECS.items()}
"""The folder of layers/ that holds an engine's driver."""


@dataclass(frozen=True)
class Platform:
    """A Lambda runtime on an architecture.

    Args:
        architecture: ``arm64`` or ``x86_64``, as Lambda spells them.
        python: the runtime's version, ``3.14``.
    """

    architecture: str = ARM64
    python: str = RUNTIME

    @property
    def runtime(self) -> str:
        """The runtime as Lambda spells it."""
        return f"python{self.python}"

    @property
    def wheel_tags(self) -> list[str]:
        """The platform tags of wheels that run there, the newest first."""
        return [f"{glibc}_{_MACHINES[self.architecture]}" for glibc in _GLIBC]


def of_this_machine() -> Platform:
    """The platform of this process."""
    machine = platform.machine()
    names = {theirs: ours for ours, theirs in _MACHINES.items()}
    return Platform(names.get(machine, machine), f"{sys.version_info.major}.{sys.version_info.minor}")


def engines() -> list[str]:
    """The engines that have a handler in this version."""
    handlers = Path(rotators.__file__).parent / "handlers"
    return sorted(name for name in SPECS if (handlers / f"{name}.py").is_file())


def usual_architecture(engine: str) -> str:
    """The default architecture of an engine's function: arm64, unless its driver exists only for x86_64."""
    return X86_64 if SPECS[engine].x86_only else ARM64


def check(engine: str, architecture: str) -> None:
    """Require that a function can be made for an engine on an architecture.

    Raises:
        PackagingFailed: there is no such engine or architecture, or the driver does not exist for it.
    """
    if engine not in SPECS:
        raise PackagingFailed(f"'{engine}' is no engine", f"take one of {', '.join(sorted(SPECS))}")
    if engine not in engines():
        raise PackagingFailed(f"rotators has no handler of {engine} yet", f"there are those of {', '.join(engines())}")
    if architecture not in ARCHITECTURES:
        raise PackagingFailed(f"'{architecture}' is no architecture", f"take one of {', '.join(ARCHITECTURES)}")
    if SPECS[engine].x86_only and architecture != X86_64:
        raise PackagingFailed(
            f"there is no driver of {engine} for {architecture}",
            f"take {X86_64}: IBM's ibm_db is published for it only",
        )
