"""What must not outlive Lambda's snapshot of a function (SnapStart): every copy is restored with the same memory.

https://docs.aws.amazon.com/lambda/latest/dg/snapstart-uniqueness.html
"""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import Callable

# Lambda's own: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_INITIALIZATION = "AWS_LAMBDA_INITIALIZATION_TYPE"
_SEED_BYTES = 48


def at_restore(renew: Callable[[], None]) -> None:
    """Have Lambda call a function after each restore; nothing is registered where it takes no snapshot.

    Python's and OpenSSL's random state are made anew first.

    Args:
        renew: makes anew what is unique or grows old, such as connections and credentials.
    """
    if os.environ.get(_INITIALIZATION) != "snap-start":
        return
    # Part of Lambda's runtime for Python: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
    from snapshot_restore_py import register_after_restore  # noqa: PLC0415  # nowhere else

    register_after_restore(_reseed)
    register_after_restore(renew)


def _reseed() -> None:
    # botocore's pauses between its attempts; passwords are made by the kernel's own generator.
    random.seed()
    ssl.RAND_add(os.urandom(_SEED_BYTES), float(_SEED_BYTES))
