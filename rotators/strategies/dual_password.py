"""One user with two passwords: the new one is added, and the current one stays valid until the next rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import SecondPassword, SecondPasswordAdmin, Session
from rotators.errors import CurrentPasswordMismatch, PasswordRefused, PermissionRefused
from rotators.logs import logger
from rotators.strategies.admin import acting, prove
from rotators.strategies.base import require
from rotators.strategies.single_user import SingleUser

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.strategies.base import DatabaseRotation, Login


class DualPassword(SingleUser):
    """Add a password, by the user itself or by the admin. No login is refused.

    Args:
        forced: whether ROTATION_STRATEGY names this strategy. Then it is an error if it is not possible. Otherwise the
            user is rotated as a single user, and a log line says what would change that.
    """

    name: ClassVar[str] = "dual-password"

    def __init__(self, *, forced: bool) -> None:
        self._forced = forced

    def propose(self, context: DatabaseRotation) -> Credentials:
        """The same user with a new password, after checking that it can be added."""
        proposed = super().propose(context)
        if self._forced and context.admin_arn is not None:
            login = context.login(pending=False)
            with login.session as session:
                proof = prove(context, login.credentials, own_host=True, session=session)
            with acting(context, proof) as act:
                _adding(act.session).check_can_add_password(act.account)
        elif self._forced:
            with context.login(pending=False).session as session:
                obstacle = _why_not(session)
            if obstacle is not None:
                raise PermissionRefused(f"'{context.current.username}' can't have two passwords", obstacle)
        return proposed

    def change(self, context: DatabaseRotation, login: Login) -> None:
        """Add the password. finishSecret moves the staging label, because both passwords are valid."""
        if self._forced and context.admin_arn is not None:
            self._by_the_admin(context, login)
            return
        session = login.session
        obstacle = _why_not(session)
        if obstacle is not None or not isinstance(session, SecondPassword):
            logger.info("the user is rotated with one password", hint=obstacle)
            super().change(context, login)
            return
        if self._siblings(context, login):
            logger.info("the user is rotated with one password", hint="its accounts on other hosts are the admin's")
            self._change_by_admin(context, login)
            return
        try:
            session.add_own_password(context.pending.password, login.credentials.password)
        except PasswordRefused:
            # A server with a password history refuses the one that an interrupted attempt already added.
            if not context.pending_logs_in():
                raise
        except CurrentPasswordMismatch as error:
            # An interrupted attempt may have added it: then the current one is no longer the primary password.
            if not context.pending_logs_in() and not self._after_another(context, login, session):
                raise error.reworded(
                    error.what,
                    "the first of the user's two passwords is in no version of the secret: have an admin set the "
                    "user's password to the one in AWSCURRENT",
                ) from None
        logger.info("the new password is valid beside the present one")

    def _siblings(self, context: DatabaseRotation, login: Login) -> list[str]:
        """See the base class; the admin of a forced rotation changes them all by itself."""
        return [] if self._forced and context.admin_arn is not None else super()._siblings(context, login)

    def _check_wrong_passwords(self, context: DatabaseRotation, session: Session) -> None:
        """See the base class: with two passwords, no wrong one is tried."""
        if _why_not(session) is not None and not (self._forced and context.admin_arn is not None):
            super()._check_wrong_passwords(context, session)

    def _after_another(self, context: DatabaseRotation, login: Login, session: SecondPassword) -> bool:
        """Add it if another of the secret's passwords is the primary one, for example after a label was moved by hand.

        First, AWSCURRENT's password is made the primary one again, so that it stays valid.
        """
        present = login.credentials.password
        others = [one for one in (context.previous, context.current) if one is not None and one.password != present]
        for first in others:
            try:
                session.add_own_password(present, first.password)
            except CurrentPasswordMismatch:
                continue
            except PasswordRefused:
                # The server has a password history and accepts none twice. Then the current one becomes invalid with
                # this change, and the label moves at once.
                session.add_own_password(context.pending.password, first.password)
                context.rotation.promote()
                return True
            session.add_own_password(context.pending.password, present)
            return True
        return False

    def _by_the_admin(self, context: DatabaseRotation, login: Login) -> None:
        with acting(context, prove(context, login.credentials, own_host=False, session=login.session)) as act:
            adding = _adding(act.session)
            adding.add_password(act.account, context.pending.password, login.credentials.password)
        logger.info("the admin added the new password beside the present one")


def _why_not(session: object) -> str | None:
    if not isinstance(session, SecondPassword):
        return "this engine keeps one password per user"
    return session.why_no_second_password()


def _adding(session: Session) -> SecondPasswordAdmin:
    return require(
        session,
        SecondPasswordAdmin,
        "this engine's admin can't give a user a second password",
        "set ROTATION_STRATEGY=single-user or alternating-users",
    )
