"""The CA certificates that a function trusts, as whoever writes an app names them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rotators.packaging import trust


@dataclass(frozen=True)
class CaBundle:
    """CA certificates; made by one of its methods.

    Args:
        certificates: as PEM; None: those of the function's operating system.
    """

    certificates: str | None

    @classmethod
    def from_file(cls, path: str | Path) -> CaBundle:
        """Those in a file.

        Args:
            path: the file (PEM).

        Raises:
            PackagingFailed: it can't be read, or holds what is no valid CA certificate.
        """
        return cls(trust.read(Path(path)))

    @classmethod
    def from_rds(cls, sha256: str, *, partition: str = "aws") -> CaBundle:
        """RDS's own bundle, fetched from AWS: this needs the network.

        Args:
            sha256: the hash of the bundle that you looked at.
            partition: whose.

        Raises:
            PackagingFailed: it can't be had, or is another one.
        """
        return cls(trust.fetch(partition, sha256))

    @classmethod
    def operating_system(cls) -> CaBundle:
        """Those of the function's operating system, which know no database of RDS."""
        return cls(None)
