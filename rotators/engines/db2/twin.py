"""How an admin makes one user the equal of another: the user and its groups on the host, what was granted in the
database, and the password last.

The original of a pair is the user without ``_clone``, where both exist: what is granted to it or revoked from it
reaches the other at the next rotation. What either owns, the other gets the owner's rights on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.db2 import catalog, tasks
from rotators.engines.db2.catalog import authid, quoted
from rotators.engines.rights import Right, changes
from rotators.errors import PairRefused, PasswordRefused, PermissionRefused, UserNotRotatable
from rotators.passwords import throw_away

if TYPE_CHECKING:
    from rotators.engines.db2.session import Db2Session

_COLUMN = re.compile(r' \(".*"\)')
_MAY_GRANT = {"ACCESSCTRL", "SECADM"}


def check(session: Db2Session, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
    """Find out whether :func:`level` would succeed, by reading.

    Raises:
        PairRefused: the twin exists, may do what the user may not, and never was this secret's: somebody else's.
        PermissionRefused: the admin may not grant, or may not run tasks.
        UserNotRotatable: the user is an administrator, or is not known here.
    """
    require_tasks(session)
    may = catalog.authorities(session, session.user)
    if not may & _MAY_GRANT:
        raise PermissionRefused(
            f"the admin '{session.user}' at {session.host} may not grant rights in '{session.database}'",
            f"connect to rdsadmin and run: CALL rdsadmin.dbadm_grant(?, '{session.database.upper()}', 'ACCESSCTRL', "
            f"'USER {session.user.lower()}')",
        )
    if powers := catalog.authorities(session, user) & catalog.ADMINISTRATIVE:
        raise UserNotRotatable(
            f"'{user}' at {session.host} is an administrator ({', '.join(sorted(powers))})",
            "alternating users are for applications: rotate this one as a single user",
        )
    mine, theirs = catalog.grants(session, user), catalog.grants(session, twin)
    powers = catalog.authorities(session, twin) & catalog.ADMINISTRATIVE
    there = catalog.is_known(session, twin) or catalog.groups(session, twin)
    if there and (powers or not _is_related(mine.all, theirs.all)) and not acquainted():
        raise _somebody_elses(session, twin)


def level(session: Db2Session, user: str, twin: str) -> None:
    """Make the derived one of the pair if it is missing, and give it what the original has. Can be repeated.

    Raises:
        PermissionRefused: the admin may not.
        PasswordRefused: the host refuses the user.
    """
    original, derived = _pair(session, user, twin)
    wanted, present = catalog.groups(session, original), catalog.groups(session, derived)
    if not catalog.is_known(session, derived) and not present:
        # Nobody knows this password: the real one comes last.
        password = throw_away()
        try:
            tasks.add_user(session, derived, password, _names(wanted))
        except PasswordRefused:
            # There is one of that name on the host, whose rights are in another database, perhaps.
            raise _somebody_elses(session, derived) from None
    else:
        tasks.set_groups(session, derived, add=_names(wanted - present), remove=_names(present - wanted))
    mine, theirs = catalog.grants(session, original), catalog.grants(session, derived)
    own = {right.on for right in theirs.implicit}
    for statement in statements(
        {right for right in mine.all if right.on not in own or not right.on}, set(theirs.explicit), derived
    ):
        session.execute(statement)
    # What the derived one made: the original gets the owner's rights on it, too.
    held = {right.key for right in mine.all}
    for statement in statements({right for right in theirs.implicit if right.key not in held}, set(), original):
        session.execute(statement)


def require_tasks(session: Db2Session) -> None:
    """Make sure that whoever is logged in may run RDS's tasks.

    Raises:
        PermissionRefused: it may not log in to the database ``rdsadmin``.
    """
    session.elsewhere(tasks.DATABASE).close()


def statements(wanted: set[Right], present: set[Right], grantee: str) -> Iterator[str]:
    """What brings a grantee from what it has to what it should have, one right in one statement.

    https://www.ibm.com/docs/en/db2/11.5.x?topic=statements-grant-table-view-nickname-privileges
    """
    whom = f"USER {quoted(authid(grantee))}"
    for granting, right in changes(wanted, present, _unit):
        on = "" if not right.on else f" OF {right.on}" if right.kind == "tablespace" else f" ON {right.on}"
        if granting:
            word = "ADMIN" if right.kind == "role" else "GRANT"
            yield f"GRANT {right.what}{on} TO {whom}" + (f" WITH {word} OPTION" if right.passed_on else "")
        else:
            restrict = " RESTRICT" if right.kind in {"routine", "sequence", "variable"} else ""
            yield f"REVOKE {_COLUMN.sub('', right.what)}{on} FROM {whom}{restrict}"


def _unit(right: Right) -> tuple[str, str]:
    """A privilege is revoked from a table and all its columns at once."""
    return _COLUMN.sub("", right.what), right.on


def _pair(session: Db2Session, user: str, twin: str) -> tuple[str, str]:
    there = catalog.is_known(session, twin)
    return (twin, user) if there and user.endswith(CLONE_SUFFIX) else (user, twin)


def _is_related(wanted: set[Right], present: set[Right]) -> bool:
    """Whether a user of the twin's name has something in common with the original.

    What it has in other databases can't be seen from here, so that to have nothing too many is not enough.
    """
    connect = ("database", "CONNECT", "DATABASE")
    return bool({right.key for right in present} & {right.key for right in wanted} - {connect})


def _somebody_elses(session: Db2Session, twin: str) -> PairRefused:
    return PairRefused(
        f"the user '{twin}' at {session.host} is there, has nothing in common with its namesake, or has more than it, "
        "and this secret did not hold it before: it is somebody else's",
        "rename it, or, if the two are kept by hand, set ROTATION_TWIN=adopt; if it is a twin that an attempt left "
        "behind without any right, remove it",
    )


def _names(groups: set[str]) -> list[str]:
    # The host's own spelling is in lower case.
    return sorted(group.lower() for group in groups)
