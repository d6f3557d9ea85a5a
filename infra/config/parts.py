"""Which secret is in which of a file's stacks: by its name alone, so it stays when others are added or removed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from infra.config.model import Secret

# A stack may have 500 resources and 200 outputs, and a role's policies have a limit too (rotators.cdk.grants).
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
SECRETS_A_STACK = 220
FUNCTIONS_A_STACK = 20
FOREIGN_A_STACK = 45
MADE_A_STACK = 100
RESOURCES = 440


def parts(secrets: Sequence[Secret], stacks: int) -> list[list[tuple[int, Secret]]]:
    """The secrets of each stack, with their numbers in the file.

    Args:
        secrets: all of them.
        stacks: how many stacks there are.
    """
    found: list[list[tuple[int, Secret]]] = [[] for _ in range(stacks)]
    for number, secret in enumerate(secrets):
        found[_jump(secret.label, stacks)].append((number, secret))
    return found


def _jump(name: str, stacks: int) -> int:
    """A name's stack, by consistent hashing: if stacks are added, a name stays or moves to one of the new stacks.

    So its former stack is deployed before its new one: its rotation is switched off first, and then on.
    https://arxiv.org/abs/1406.2294
    """
    state = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    place = following = 0
    while following < stacks:
        place = following
        state = (state * 2862933555777941757 + 1) % 2**64
        following = int((place + 1) * (2**31 / ((state >> 33) + 1)))
    return place
