"""One user with two passwords: the new one is added, and the present one lives on until the next rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import OtherSecondPassword, SecondPassword
from rotators.errors import PermissionRefused, ServiceFailed, UserNotRotatable
from rotators.logs import logger
from rotators.strategies.single_user import SingleUser

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.strategies.base import DatabaseRotation, Login


class DualPassword(SingleUser):
    """Add a password, by the user itself or by the admin; refuse nobody.

    Args:
        forced: it was asked for by name: where it can't be had, that is an error. Otherwise the user is rotated as a
            single one, and a line in the log says what would change that.
    """

    name: ClassVar[str] = "dual-password"

    def __init__(self, *, forced: bool) -> None:
        self._forced = forced

    def propose(self, work: DatabaseRotation) -> Credentials:
        """The same user with a new password, once it is clear that it can be added."""
        proposed = super().propose(work)
        if self._forced and work.admin_arn is not None:
            with work.connect_admin() as session:
                _adding(session).check_user(work.current.username)
        elif self._forced:
            with work.login(pending=False).session as session:
                obstacle = _obstacle(session)
            if obstacle is not None:
                raise PermissionRefused(f"'{work.current.username}' can't have two passwords", obstacle)
        return proposed

    def change(self, work: DatabaseRotation, login: Login) -> None:
        """Add the password; the label is left to finishSecret, since both are good."""
        if self._forced and work.admin_arn is not None:
            self._by_the_admin(work, login)
            return
        session = login.session
        obstacle = _obstacle(session)
        if obstacle is not None or not isinstance(session, SecondPassword):
            logger.info("the user is rotated with one password", hint=obstacle)
            super().change(work, login)
            return
        try:
            session.add_own_password(work.pending.password, login.credentials.password)
        except ServiceFailed:
            # An attempt that broke off may have added it: then the old one is no longer the first.
            if not work.pending_logs_in():
                raise
        logger.info("the new password is in force beside the present one")

    def _by_the_admin(self, work: DatabaseRotation, login: Login) -> None:
        with work.connect_admin() as session:
            adding = _adding(session)
            # The one login of a healthy rotation that is refused: an attempt that broke off may have added it.
            if not adding.adding_repeats and work.pending_logs_in():
                return
            adding.add_password(work.pending.username, work.pending.password, login.credentials.password)
        logger.info("the admin added the new password beside the present one")


def _obstacle(session: object) -> str | None:
    if not isinstance(session, SecondPassword):
        return "this engine keeps one password per user"
    return session.second_password_obstacle()


def _adding(session: object) -> OtherSecondPassword:
    if not isinstance(session, OtherSecondPassword):
        raise UserNotRotatable("this engine keeps one password per user", "set ROTATION_STRATEGY=single-user")
    return session
