"""Decides whether the two users of a secret are a pair: one policy for every engine."""

from __future__ import annotations

from rotators.engines.identity import Pair, Relation
from rotators.errors import UserPairMismatch
from rotators.logs import logger
from rotators.strategies.base import DatabaseRotation

_PROVEN = {Relation.ABSENT, Relation.MARKED, Relation.RELATED}


def require_pair(context: DatabaseRotation, pair: Pair) -> None:
    """Require that the second user belongs to this secret, and to no other.

    AWSPREVIOUS is not a proof, because anyone who can write the secret chooses it; nor is a name. Only something that
    an admin made in the database counts, or the users that the deployment names (ROTATION_USERS).

    Raises:
        UserPairMismatch: nothing shows that the two belong together.
    """
    if pair.relation in _PROVEN:
        return
    # The proven login is that of the secret's user, as the secret spells it.
    user = context.current.username
    if context.settings.user_of(context.rotation.secret_arn) in {user, context.engine.other_name(user)}:
        logger.info("ROTATION_USERS says that the two are a pair", user=user, other=pair.other_name)
        return
    remedies = [
        *([f"if it is, run once, as an admin: {pair.remedy}"] if pair.remedy else []),
        "name the secret's user in rotations.yaml ('user') or in ROTATION_USERS",
        "if it belongs to something else, rename it",
    ]
    raise UserPairMismatch(
        f"nothing shows that '{pair.other_name}' at {context.admin.host} is the second user of {pair.current}"
        + (f": {pair.reason}" if pair.reason else ""),
        "; ".join(remedies),
    )
