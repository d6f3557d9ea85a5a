"""How an admin makes one user the equal of another. Roles and password are one command, so there is no half-way.

The original of a pair is the user without ``_clone``, where both exist: what is granted to it or revoked from it
reaches the other at the next rotation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.mongo.users import User
from rotators.errors import PairRefused, UserNotRotatable

if TYPE_CHECKING:
    from rotators.engines.mongo.session import MongoSession


def check(session: MongoSession, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
    """Find out whether :func:`ensure` would succeed, by reading.

    Raises:
        PairRefused: the twin exists, may do what the user may not, and never was this secret's: somebody else's.
        PermissionRefused: the admin may not manage users.
        UserNotRotatable: the user is not there.
    """
    mine, other = _both(session, user, twin)
    if other is not None and other.is_stranger_to(mine) and not acquainted():
        raise PairRefused(
            f"the user '{twin}' at {session.where} may do what '{user}' may not, and this secret did not hold it "
            "before: it is somebody else's user",
            "rename it, or, if the two are kept by hand, set ROTATION_TWIN=adopt",
        )
    session.check_admin(mine.database, {"createUser", "grantRole", "revokeRole", "changePassword"})


def ensure(session: MongoSession, user: str, twin: str, password: str) -> None:
    """Level the derived one of the pair with the original, and set the twin's password with its own roles.

    Raises:
        PermissionRefused: the admin may not manage users.
        UserNotRotatable: the user is not there.
    """
    mine, other = _both(session, user, twin)
    if other is None:
        session.run(mine.database, {"createUser": twin, "pwd": password, **mine.attributes})
        return
    original, derived = (other, mine) if user.endswith(CLONE_SUFFIX) else (mine, other)
    if derived.name == twin:
        session.run(derived.database, {"updateUser": twin, "pwd": password, **original.attributes})
        return
    session.run(derived.database, {"updateUser": derived.name, **original.attributes})
    session.run(original.database, {"updateUser": twin, "pwd": password})


def _both(session: MongoSession, user: str, twin: str) -> tuple[User, User | None]:
    mine = session.find(user)
    if mine is None:
        raise UserNotRotatable(f"there is no user '{user}' at {session.where}", "create it, or correct the secret")
    return mine, session.find(twin, mine.database)
