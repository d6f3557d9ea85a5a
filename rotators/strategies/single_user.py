"""One user, one password: what was refused until now is accepted from one commit on, and the other way round."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import OtherPassword, OwnPassword, Session, Staged
from rotators.errors import (
    LoginRefused,
    PasswordRefused,
    PendingUnusable,
    PermissionRefused,
    ServiceError,
    UserNotRotatable,
)
from rotators.logs import logger

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.strategies.base import DatabaseRotation, Login

# Left for taking the label back, should the database stay silent.
_TIME_TO_DEMOTE = 2.0


class SingleUser:
    """Change the user's own password.

    Where the database can, the label AWSCURRENT moves inside the transaction that changes the password, just
    before its commit: who reads the secret and logs in is refused only in the moment of the commit.
    """

    name: ClassVar[str] = "single-user"

    def propose(self, work: DatabaseRotation) -> Credentials:
        """The same user with a new password, once it is clear that it can be changed."""
        try:
            login = work.login(pending=False)
        except LoginRefused:
            if not _admin_may_reset(work):
                raise
            self._check_admin(work)
        else:
            with login.session as session:
                session.check_rotatable()
                by_itself = isinstance(session, OwnPassword)
            if not by_itself:
                self._check_admin(work)
        return work.current.replace(password=work.new_password())

    def apply(self, work: DatabaseRotation) -> None:
        """Set the password and promote."""
        if work.pending.username != work.current.username or not work.pending.same_server(
            work.current, work.engine.default_port
        ):
            raise PendingUnusable(
                f"{work.pending.source} is for another user or server than AWSCURRENT, which was edited meanwhile",
                "nothing was changed; the next rotation makes a new pending version",
            )
        try:
            login = work.login(pending=True)
        except LoginRefused:
            if not _admin_may_reset(work):
                raise
            self._by_admin(work, label_first=False)
            return
        with login.session as session:
            if login.credentials.password == work.pending.password:
                logger.info("the user has the pending password already", stage=login.stage)
                work.rotation.promote()
                return
            session.check_rotatable()
            self.change(work, login)

    def change(self, work: DatabaseRotation, login: Login) -> None:
        """Bring the user who is logged in to the pending password, and promote."""
        old = login.credentials
        if not isinstance(login.session, OwnPassword):
            self._by_admin(work, label_first=login.stage == "AWSCURRENT")
            return

        def change(session: Session) -> None:
            if isinstance(session, OwnPassword):
                session.set_own_password(work.pending.password, old.password)

        try:
            # The label may go first only from the password that is in force: moving it from another would take
            # AWSPREVIOUS off the one version that still logs in, should we be killed before the commit.
            _swap(work, login.session, change, lambda: work.connect(old), label_first=login.stage == "AWSCURRENT")
        except PermissionRefused:
            if not _admin_may_reset(work):
                raise
            self._by_admin(work, label_first=login.stage == "AWSCURRENT")

    def _check_admin(self, work: DatabaseRotation) -> None:
        with work.connect_admin() as session:
            _admin(session).check_user(work.current.username)

    def _by_admin(self, work: DatabaseRotation, *, label_first: bool) -> None:
        logger.info("the admin sets the password", user=work.current.username)

        def change(session: Session) -> None:
            _admin(session).set_password(work.pending.username, work.pending.password)

        with work.connect_admin() as session:
            _swap(work, session, change, work.connect_admin, label_first=label_first)


def _admin_may_reset(work: DatabaseRotation) -> bool:
    return work.settings.allow_admin_reset and work.admin_arn is not None


def _admin(session: Session) -> OtherPassword:
    if not isinstance(session, OtherPassword):
        raise UserNotRotatable("this engine's admin can't set another user's password", "name no admin secret")
    return session


def _swap(
    work: DatabaseRotation,
    session: Session,
    change: Callable[[Session], None],
    reconnect: Callable[[], Session],
    *,
    label_first: bool,
) -> None:
    """Change the password and move the label, as close together as the database allows."""
    if not (label_first and isinstance(session, Staged)):
        _make(session, change)
        work.rotation.promote()
        return
    promoted = False
    try:
        with session.staged():
            change(session)
            work.rotation.promote()
            promoted = True
    except ServiceError as error:
        if not promoted:
            raise
        logger.warning("the commit's answer is missing; asking the database", reason=str(error))
        _settle(work, error, change, reconnect)


def _settle(
    work: DatabaseRotation,
    error: ServiceError,
    change: Callable[[Session], None],
    reconnect: Callable[[], Session],
) -> None:
    """The label has moved and the commit is in doubt: find out, then finish the change or take the label back."""
    known_old = False
    pause = 0.02
    while work.rotation.time_left > _TIME_TO_DEMOTE:
        try:
            work.connect(work.pending).close()
        except LoginRefused:
            known_old = True
        except ServiceError as silence:
            logger.warning("the database can't be asked yet", reason=str(silence))
        else:
            logger.info("the new password is in force")
            return
        if known_old:
            try:
                with reconnect() as session:
                    _make(session, change)
            except (PermissionRefused, PasswordRefused, UserNotRotatable):
                break
            except ServiceError as failure:
                # A refused login or a concurrent update: the commit may just have become visible. Ask again.
                logger.warning("the change could not be repeated yet", reason=str(failure))
            else:
                logger.info("the change was repeated, and is in force")
                return
        time.sleep(pause)
        pause = min(2 * pause, 1.0)
    if known_old:
        work.rotation.demote()
        logger.warning("AWSCURRENT was moved back to the password that is in force")
    raise error


def _make(session: Session, change: Callable[[Session], None]) -> None:
    with session.staged() if isinstance(session, Staged) else nullcontext():
        change(session)
