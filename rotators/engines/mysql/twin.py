"""How an admin makes one user the equal of another: account by account, right by right, and the password last.

The original of a pair is the user without ``_clone``, where both exist: what is granted to it or revoked from it
reaches the other at the next rotation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rotators.engines.base import CLONE_SUFFIX
from rotators.engines.mysql.accounts import Account
from rotators.engines.mysql.grants import Right, lacking, rights, statements
from rotators.errors import PairRefused, PermissionRefused, ServiceFailed, UserNotRotatable
from rotators.passwords import throw_away

if TYPE_CHECKING:
    from rotators.engines.mysql.session import _Session


def check(session: _Session, user: str, twin: str, acquainted: Callable[[], bool]) -> None:
    """Find out whether :func:`level` would succeed, by reading.

    Raises:
        PairRefused: the twin exists, may do what the user may not, and never was this secret's: somebody else's.
        PermissionRefused: the admin can't pass on what the user may do.
        UserNotRotatable: one of the two logs in without a password, or is locked.
    """
    original, derived = _roles(session, user, twin)
    admins = _rights(session, session.user, session.account_host)
    derived_hosts = session.find_hosts(derived)
    for host in session.hosts(original):
        _usable(session, original, host)
        wanted = _rights(session, original, host)
        if host in derived_hosts:
            _usable(session, derived, host)
            present = _rights(session, derived, host)
        else:
            present = set()
        # Whose password is to be set may have no more than the user whose secret this is, whichever is the original.
        strange = _is_stranger(wanted, present) if twin == derived else _is_stranger(present, wanted)
        if strange and not acquainted():
            raise PairRefused(
                f"{session.account(twin, host)} at {session.host} may do what '{user}' may not, and this secret "
                "did not hold it before: it is somebody else's user",
                "rename it, or, if the two are kept by hand, set ROTATION_TWIN=adopt",
            )
        needed = lacking(wanted - present, admins, session.all_on_database)
        if needed:
            admin = session.account(session.user, session.account_host)
            grants = "; ".join(f"{grant} TO {admin} WITH {_option(grant)} OPTION" for grant in needed)
            raise PermissionRefused(
                f"the admin '{session.user}' at {session.host} can't pass on all that '{user}' may do",
                f"as a user who may, run: {grants}",
            )


def level(session: _Session, user: str, twin: str) -> dict[str, Account]:
    """Give the derived user of the pair an account for each of the original's, with the same rights and limits.

    Whose the twin is, createSecret has found out before the pending version named it: by now it may be one that an
    earlier attempt made, and from whose original a right was taken since.

    Returns:
        The original's accounts by their host: those on which both of the pair log in from now on.

    Raises:
        PermissionRefused: the admin can't pass on what the user may do.
        UserNotRotatable: one of the two logs in without a password, or is locked.
    """
    check(session, user, twin, acquainted=lambda: True)
    original, derived = _roles(session, user, twin)
    derived_hosts = session.find_hosts(derived)
    sources = {host: _usable(session, original, host) for host in session.hosts(original)}
    for host, source in sources.items():
        account = session.account(derived, host)
        if host not in derived_hosts:
            # Nobody knows this password: the real one comes last.
            session.create_account(account, source.plugin, throw_away())
        _level_attributes(session, source, session.describe(derived, host), account)
        wanted, present = _rights(session, original, host), _rights(session, derived, host)
        for statement in statements(wanted, present, account):
            session.execute(statement)
        if source.default_roles != session.describe(derived, host).default_roles:
            session.execute(f"ALTER USER {account} DEFAULT ROLE {source.default_roles or 'NONE'}")
    for host in derived_hosts:
        if host not in sources and not session.describe(derived, host).locked:
            # A clone of AWS's template is on any host: from where the user may not log in, its twin may not either.
            session.execute(f"ALTER USER {session.account(derived, host)} ACCOUNT LOCK")
    return sources


def _roles(session: _Session, user: str, twin: str) -> tuple[str, str]:
    """Which of the two is the original, and which is derived from it."""
    if not session.find_hosts(twin) or twin.endswith(CLONE_SUFFIX):
        return user, twin
    return twin, user


def _usable(session: _Session, user: str, host: str) -> Account:
    found = session.require_password(user, host)
    if found.locked:
        raise UserNotRotatable(
            f"{session.account(user, host)} at {session.host} is locked", "unlock it, or drop that account"
        )
    return found


def _rights(session: _Session, user: str, host: str) -> set[Right]:
    try:
        return rights(session.grants(user, host))
    except (ValueError, IndexError):
        raise ServiceFailed(
            f"a grant of {session.account(user, host)} at {session.host} is of a form that is not known",
            "please report what SHOW GRANTS says, without its hashes",
        ) from None


def _is_stranger(wanted: set[Right], present: set[Right]) -> bool:
    """Whether a user of the twin's name looks like anybody else's.

    A twin has rights too many where they were revoked from its original since. But then it shares the others with
    it, and none of the surplus is a right over everything.
    """
    surplus = present - wanted
    return bool(surplus) and (not present & wanted or any(right.on == "*.*" for right in surplus))


def _level_attributes(session: _Session, source: Account, present: Account, account: str) -> None:
    if source.attributes == present.attributes:
        return
    # What an account does not have is not shown, so it is first set to nothing.
    session.execute(
        f"ALTER USER {account} REQUIRE NONE WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 "
        "MAX_CONNECTIONS_PER_HOUR 0 MAX_USER_CONNECTIONS 0 PASSWORD EXPIRE DEFAULT"
    )
    if source.attributes:
        session.execute(f"ALTER USER {account} {source.attributes}")


def _option(grant: str) -> str:
    return "GRANT" if " ON " in grant else "ADMIN"
