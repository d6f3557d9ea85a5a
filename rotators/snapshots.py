"""Renews what must be unique after Lambda restores a snapshot (SnapStart): all copies start with the same memory.

https://docs.aws.amazon.com/lambda/latest/dg/snapstart-uniqueness.html
"""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import Callable

# Set by Lambda: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_INITIALIZATION = "AWS_LAMBDA_INITIALIZATION_TYPE"
_SEED_BYTES = 48


def at_restore(renew: Callable[[], None]) -> None:
    """Register a function for Lambda to call after each restore. Does nothing if Lambda takes no snapshot.

    The random state of Python and OpenSSL is renewed first.

    Args:
        renew: renews what is unique or expires, such as connections and credentials.
    """
    if os.environ.get(_INITIALIZATION) != "snap-start":
        return
    # Part of Lambda's runtime for Python: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
    from snapshot_restore_py import register_after_restore  # noqa: PLC0415  # exists only in Lambda

    register_after_restore(_reseed)
    register_after_restore(renew)


def _reseed() -> None:
    # For botocore's pauses between attempts. Passwords come from the kernel's generator.
    random.seed()
    ssl.RAND_add(os.urandom(_SEED_BYTES), float(_SEED_BYTES))
