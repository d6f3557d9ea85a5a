"""Which faults are broken on which server, where an engine has many: a run of them all has to end in time.

Servers that the machine has by itself share the points of an engine out where they are of one kind, and each breaks
every twentieth one at most. One fault begins where another leaves a gap: see :func:`staggered`. Those that
the environment names (``tools/versions``) each break a share of them beside that: every n-th, n the number of servers
of the engine, or what ROTATORS_TEST_SHARES says. With ROTATORS_TEST_SHARES=1 every server breaks all: make test-long.
"""

from __future__ import annotations

import math
import os
from typing import Any

from rotators.testing.servers import mysql, postgres

SHARES = "ROTATORS_TEST_SHARES"


def share_of(installation: Any) -> slice:
    """Which of the points are this server's."""
    alike: list[Any] = [
        one for one in (*postgres.available(), *mysql.available()) if _engine(one) == _engine(installation)
    ]
    if not installation.named:
        alike = [one for one in alike if not one.named]
    shares = _chosen() or (len(alike) if installation.named else max(len(alike), 20))
    return slice(alike.index(installation) % shares, None, shares)


def share_of_one(shares: int) -> slice:
    """Which of the points are broken on the one server, or double, of an engine.

    Args:
        shares: every how many-th by default.
    """
    return slice(0, None, _chosen() or shares)


def staggered(share: slice, number: int) -> slice:
    """The share for the n-th kind of fault, so that a point which one kind leaves out is broken by another."""
    # No divisor in common with the step: so each kind begins elsewhere, until all points have been begun at.
    apart = next(n for n in range(max(1, share.step * 3 // 8), share.step + 2) if math.gcd(n, share.step) == 1)
    return slice((share.start + number * apart) % share.step, None, share.step)


def is_left_out(installation: Any, number: int) -> bool:
    """Whether a server that was named leaves the n-th whole test of faults to others."""
    share = share_of(installation)
    return bool(number % share.step != share.start)


def _chosen() -> int | None:
    text = os.environ.get(SHARES)
    return int(text) if text else None


def _engine(installation: Any) -> str:
    return getattr(installation, "kind", "postgres")
