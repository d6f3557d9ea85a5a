"""The CA certificates that a function trusts, as a CDK app names them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rotators.packaging import trust


@dataclass(frozen=True)
class CaBundle:
    """CA certificates. Make an instance with one of the class methods.

    Args:
        certificates: PEM text; None: those of the function's operating system.
    """

    certificates: str | None

    @classmethod
    def from_file(cls, path: str | Path) -> CaBundle:
        """The certificates in a file.

        Args:
            path: the file (PEM).

        Raises:
            PackagingFailed: it can't be read, or holds something else than valid CA certificates.
        """
        return cls(trust.read(Path(path)))

    @classmethod
    def from_rds(cls, sha256: str, *, partition: str = "aws") -> CaBundle:
        """RDS's bundle, fetched from AWS over the network.

        Args:
            sha256: the hash of the bundle that you checked.
            partition: the AWS partition.

        Raises:
            PackagingFailed: it can't be fetched, or has another hash.
        """
        return cls(trust.fetch(partition, sha256))

    @classmethod
    def operating_system(cls) -> CaBundle:
        """The certificates of the function's operating system. They do not include RDS's CAs."""
        return cls(None)
