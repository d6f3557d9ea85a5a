"""Two users, ``app`` and ``app_clone``: while one is current, the other gets the next password.

Nobody is refused: who still holds the former secret logs in with it until the rotation after this one.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotation-strategy.html#rotating-secrets-two-users
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import OtherPassword, Session, TwinMaker
from rotators.errors import ConfigurationError, LoginRefused, PairRefused, PasswordRefused, PendingUnusable
from rotators.logs import logger

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.strategies.base import DatabaseRotation

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-endpoints.html
_PROXY = ".proxy-"


class AlternatingUsers:
    """Have the admin make the other user this one's equal, and set its password last."""

    name: ClassVar[str] = "alternating-users"

    def propose(self, work: DatabaseRotation) -> Credentials:
        """The other user with a new password, once it is clear that the admin can make it."""
        twin = work.engine.twin_name(work.current.username)
        limit = work.settings.username_limit
        if limit is not None and len(twin) > limit:
            raise PairRefused(
                f"the other user of {work.current.source} would be '{twin}', a name of {len(twin)} characters",
                f"USERNAME_CHARACTER_LIMIT allows {limit}: raise it, or give the secret's user a shorter name",
            )
        if _PROXY in work.current.host:
            # testSecret would have to log in with a password that the proxy learns of only by the promotion.
            raise PairRefused(
                f"{work.current.source} goes through RDS Proxy ({work.current.host}), which knows the user of "
                "AWSCURRENT only",
                "put the database's own endpoint as 'host' into the secret, or rotate it as a single user",
            )
        if work.admin.username == twin:
            raise PairRefused(
                f"the other user of {work.current.source} would be the admin '{twin}' itself",
                "name another admin, or rotate this secret as a single user",
            )
        self._prove_current(work)
        with work.connect_admin() as session:
            session.check_rotatable()
            if work.settings.adopt_twin:
                _keeper(session).check_user(twin)
            else:
                _maker(session).check_twin(work.current.username, twin, lambda: _held_before(work, twin))
        return work.current.replace(username=twin, password=work.new_password())

    def apply(self, work: DatabaseRotation) -> None:
        """Level the pair, then set the pending user's password."""
        if work.rotation.promoted:
            # testSecret shows whether it works; the user of AWSPREVIOUS does in any case.
            logger.info("the pending user is current already")
            return
        user, twin = work.current.username, work.pending.username
        if twin != work.engine.twin_name(user) or not work.pending.same_server(work.current, work.engine.default_port):
            raise PendingUnusable(
                f"{work.pending.source} is not the other user of AWSCURRENT, which was edited meanwhile",
                "nothing was changed; the next rotation makes a new pending version",
            )
        if work.admin.username == twin:
            raise PairRefused(f"the other user of {work.current.source} is the admin itself", "name another admin")
        self._prove_current(work)
        with work.connect_admin() as session:
            try:
                if work.settings.adopt_twin:
                    _keeper(session).set_password(twin, work.pending.password)
                else:
                    _maker(session).ensure_twin(user, twin, work.pending.password)
            except PasswordRefused:
                # A server that remembers passwords refuses the one that an attempt that broke off has set already.
                if not work.pending_logs_in():
                    raise
        logger.info("the pending user is ready", user=twin)

    def _prove_current(self, work: DatabaseRotation) -> None:
        """The secret's own password must work before the admin acts for it.

        Otherwise whoever may edit the secret could have the admin hand over any user of the server
        (https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html).
        """
        try:
            with work.connect(work.current) as session:
                session.check_rotatable()
        except LoginRefused as error:
            if not work.settings.allow_admin_reset:
                raise LoginRefused(
                    f"AWSCURRENT of secret {work.rotation.secret_id} no longer logs in: {error.what}",
                    "set the user's password to the one in AWSCURRENT, or put the right one there; or let the admin "
                    "repair it with ALLOW_ADMIN_RESET=true; if it happens again, another secret or person changes "
                    "the same user's password",
                ) from None
            logger.warning("AWSCURRENT does not log in; the admin repairs the secret", reason=error.what)


def _held_before(work: DatabaseRotation, twin: str) -> bool:
    return work.previous is not None and work.previous.username == twin


def _maker(session: Session) -> TwinMaker:
    if not isinstance(session, TwinMaker):
        raise ConfigurationError(
            "this engine can't make a user the equal of another", "set ROTATION_STRATEGY=single-user"
        )
    return session


def _keeper(session: Session) -> OtherPassword:
    if not isinstance(session, OtherPassword):
        raise ConfigurationError(
            "this engine's admin can't set another user's password", "set ROTATION_STRATEGY=single-user"
        )
    return session
