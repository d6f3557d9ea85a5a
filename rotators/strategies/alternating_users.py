"""Two users, ``app`` and ``app_clone``: while one is current, the other gets the next password.

No login is refused: an application that still has the former secret can log in with it until the next rotation.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotation-strategy.html#rotating-secrets-two-users
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import CloneAdmin
from rotators.engines.identity import Account, Pair
from rotators.errors import ConfigurationError, LoginRefused, PasswordRefused, PendingUnusable, UserPairMismatch
from rotators.logs import logger, redactor
from rotators.strategies.admin import Acting, Proof, acting, named_user, prove, prove_or_reset
from rotators.strategies.base import DatabaseRotation, transaction_of
from rotators.strategies.pairing import require_pair

if TYPE_CHECKING:
    from rotators.credentials import Credentials

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-endpoints.html
_PROXY = ".proxy-"


class AlternatingUsers:
    """The admin gives the second user exactly the first one's privileges, and sets its password last."""

    name: ClassVar[str] = "alternating-users"

    def propose(self, context: DatabaseRotation) -> Credentials:
        """The other user with a new password, after checking that the admin can set it."""
        other = context.engine.other_name(context.current.username)
        redactor.show([other])
        limit = context.settings.username_limit
        if limit is not None and len(other) > limit:
            raise UserPairMismatch(
                f"the other user of {context.current.source} would be '{other}', a name of {len(other)} characters",
                f"USERNAME_CHARACTER_LIMIT allows {limit}: raise it, or give the secret's user a shorter name",
            )
        if _PROXY in context.current.host:
            # testSecret would log in with a password that the proxy knows only after the promotion.
            raise UserPairMismatch(
                f"{context.current.source} goes through RDS Proxy ({context.current.host}), which knows the user of "
                "AWSCURRENT only",
                "put the database's own endpoint as 'host' into the secret, or rotate it as a single user",
            )
        proof = prove_or_reset(context, context.current, own_host=True)
        with acting(context, proof) as act:
            if context.settings.passwords_only:
                act.admin.check_can_set_password(second_of_two(context, act, other))
            else:
                admin = clone_admin(act)
                admin.check_can_sync(pair_of(context, act, admin, other))
        return context.current.replace(username=other, password=context.new_password())

    def apply(self, context: DatabaseRotation) -> None:
        """Synchronize the pair, then set the pending user's password."""
        proof = _proof(context)
        if context.rotation.promoted and proof is None:
            logger.info("the pending user is already current")
            return
        other = context.pending.username
        with acting(context, proof) as act:
            if context.settings.passwords_only:
                account = second_of_two(context, act, other)
            else:
                admin = clone_admin(act)
                account = admin.sync_clone(pair_of(context, act, admin, other))
            try:
                with transaction_of(act.session):
                    act.admin.set_password(account, context.pending.password)
            except PasswordRefused:
                # A server with a password history refuses the one that an interrupted attempt already set.
                if not context.pending_logs_in():
                    raise
        logger.info("the pending user is ready", user=other)

    def require_unedited(self, context: DatabaseRotation) -> None:
        """Compare AWSCURRENT and the pending version."""
        _require_pair_of(context, context.current)


def _proof(context: DatabaseRotation) -> Proof | None:
    """The login that proves the secret's user; None if the admin repairs it, or nothing is left to do."""
    if not context.rotation.promoted:
        _require_pair_of(context, context.current)
        return prove_or_reset(context, context.current, own_host=False)
    if context.pending_logs_in():
        return None
    # finishSecret was called out of order, or the label was moved by hand: AWSCURRENT must be made to work.
    previous = context.previous
    if previous is None:
        raise LoginRefused(
            f"{context.pending.source} is AWSCURRENT and does not log in, and there is no AWSPREVIOUS to repair it "
            "with",
            "set the user's password to the one in AWSCURRENT, or put the right one there",
        )
    _require_pair_of(context, previous)
    logger.warning("AWSCURRENT does not log in; AWSPREVIOUS proves whose the secret is, and the admin repairs it")
    return prove(context, previous, own_host=False)


def _require_pair_of(context: DatabaseRotation, credentials: Credentials) -> None:
    pending = context.pending
    if pending.username != context.engine.other_name(credentials.username) or not pending.same_server(
        credentials, context.engine.default_port
    ):
        raise PendingUnusable(
            f"{pending.source} is not the other user of AWSCURRENT, which was edited meanwhile",
            "nothing was changed; the next rotation makes a new pending version",
        )
    # The pending user is not in use yet: what was made for it is made again, from what the secret holds now.
    if not context.rotation.promoted and (edited := context.edited_keys):
        raise PendingUnusable(
            f"AWSCURRENT of secret {context.rotation.secret_id} was edited meanwhile ({', '.join(edited)})",
            "its user keeps working; the next rotation makes a new pending version from it",
        )


def pair_of(context: DatabaseRotation, act: Acting, admin: CloneAdmin, other: str) -> Pair:
    """The two users of the secret, after checking that they are a pair.

    Args:
        context: the rotation.
        act: the admin, and the user that was proven.
        admin: the same session, which can synchronize one user with another.
        other: the second user's name.

    Raises:
        UserPairMismatch: the second user is the admin, or another user's.
    """
    pair = admin.inspect_pair(act.account, other)
    if pair.other == act.admin.account:
        raise UserPairMismatch(
            f"the other user of {context.current.source} is the admin {act.admin.account} itself",
            "name another admin, or rotate this secret as a single user",
        )
    require_pair(context, pair)
    return pair


def second_of_two(context: DatabaseRotation, act: Acting, other: str) -> Account:
    """The second of two users that were made by hand and that ROTATION_USERS names.

    Raises:
        UserPairMismatch: it does not exist, or is the admin; or another user logged in.
    """
    user = named_user(context, "ROTATION_TWIN=adopt")
    own_account, account = act.admin.find_account(user), act.admin.find_account(other)
    if account is None:
        raise UserPairMismatch(
            f"there is no user '{other}' at {context.admin.host}, and ROTATION_TWIN=adopt makes none",
            "create it with the privileges that it needs, or set ROTATION_TWIN=manage",
        )
    if account == act.admin.account:
        raise UserPairMismatch(f"the other user of {context.current.source} is the admin itself", "name another admin")
    if own_account is None or own_account.name != act.account.name:
        raise UserPairMismatch(
            f"{context.current.source} logs in as {act.account}, which is not the user '{user}' of ROTATION_USERS",
            "correct the secret, or ROTATION_USERS",
        )
    return account


def clone_admin(act: Acting) -> CloneAdmin:
    """The admin's session as one that can synchronize one user with another.

    Raises:
        ConfigurationError: the engine does not support it.
    """
    if not isinstance(act.session, CloneAdmin):
        raise ConfigurationError(
            "this engine can't make a user the equal of another", "set ROTATION_STRATEGY=single-user"
        )
    return act.session
