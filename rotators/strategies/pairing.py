"""Whether the two users of a secret may be taken for a pair: one policy for every engine."""

from __future__ import annotations

from rotators.engines.identity import Pair, Relation
from rotators.errors import UserPairMismatch
from rotators.logs import logger
from rotators.strategies.base import DatabaseRotation

_PROVEN = {Relation.ABSENT, Relation.MARKED, Relation.RELATED}


def require_pair(context: DatabaseRotation, pair: Pair) -> None:
    """Make sure that the second user is this secret's, and nobody else's.

    AWSPREVIOUS is no proof, for its writer puts there what they like; nor is a name. What counts is what only an admin
    can make in the database, or what whoever deploys has named (ROTATION_USERS).

    Raises:
        UserPairMismatch: nothing shows that the two belong together.
    """
    if pair.relation in _PROVEN:
        return
    # The login that was proven is the secret's user's, as the secret spells it.
    user = context.current.username
    if context.settings.user_of(context.rotation.secret_arn) in {user, context.engine.other_name(user)}:
        logger.info("ROTATION_USERS says that the two are a pair", user=user, other=pair.other_name)
        return
    remedies = [
        *([f"if it is, run once, as an admin: {pair.remedy}"] if pair.remedy else []),
        "name the secret's user in rotations.yaml ('user') or in ROTATION_USERS",
        "if it is somebody else's, rename it",
    ]
    raise UserPairMismatch(
        f"nothing shows that '{pair.other_name}' at {context.admin.host} is the second user of {pair.current}"
        + (f": {pair.reason}" if pair.reason else ""),
        "; ".join(remedies),
    )
