"""One user, one password: from one commit on the new password is accepted and the old one refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from rotators.engines.base import (
    AccountAdmin,
    SelfServiceCheck,
    SelfServicePassword,
    Session,
    SiblingAccounts,
    TransactionalPassword,
    WrongPasswordLimit,
)
from rotators.errors import (
    EditedMeanwhile,
    LoginRefused,
    PasswordExpired,
    PasswordRefused,
    PendingUnusable,
    PermissionRefused,
    ServiceError,
    UserNotRotatable,
)
from rotators.logs import logger
from rotators.strategies.admin import Acting, Proof, acting, may_reset, prove
from rotators.strategies.base import require, transaction_of

if TYPE_CHECKING:
    from rotators.credentials import Credentials
    from rotators.strategies.base import DatabaseRotation, Login

# Left for taking the label back, should the database stay silent.
_TIME_TO_DEMOTE = 2.0


class SingleUser:
    """Change the user's own password.

    Where the database can, the label AWSCURRENT moves inside the transaction that changes the password, just
    before its commit: a client that reads the secret and logs in is refused only in the moment of the commit.
    """

    name: ClassVar[str] = "single-user"

    def propose(self, context: DatabaseRotation) -> Credentials:
        """The same user with a new password, once it is clear that it can be changed."""
        try:
            login = context.login(pending=False)
        except LoginRefused as error:
            if may_reset(context):
                self._check_admin(context, None)
            elif not _renews_itself(context, error):
                raise
        else:
            with login.session as session:
                session.check_rotatable()
                if not self._changes_itself(context, login):
                    self._check_admin(context, prove(context, login.credentials, own_host=True, session=session))
        return context.current.replace(password=context.new_password())

    def apply(self, context: DatabaseRotation) -> None:
        """Set the password and promote."""
        try:
            self.require_unedited(context)
        except PendingUnusable as error:
            if not _promoted_before(context):
                raise
            self._complete(context)
            raise error.reworded(
                error.what,
                "AWSCURRENT has the pending version's password, which the database has, too; the next rotation makes a "
                "new pending version",
            ) from None
        try:
            login = context.login(pending=True)
        except LoginRefused as error:
            if may_reset(context):
                self._by_admin(context, None, label_first=False)
            elif _renews_itself(context, error):
                context.renew()
                context.rotation.promote()
            else:
                raise
            return
        with login.session as session:
            if login.credentials.password == context.pending.password:
                logger.info("the user has the pending password already", stage=login.stage)
                context.rotation.promote()
                return
            session.check_rotatable()
            try:
                self.change(context, login)
            except PasswordRefused:
                # A server that remembers passwords refuses the one that an interrupted attempt has set already.
                if not context.pending_logs_in():
                    raise
                context.rotation.promote()

    def require_unedited(self, context: DatabaseRotation) -> None:
        """Compare AWSCURRENT and the pending version, which may be the only record of the password that is valid."""
        moved = context.pending.username != context.current.username or not context.pending.same_server(
            context.current, context.engine.default_port
        )
        edited = context.edited_keys
        if not moved and not edited:
            return
        if moved:
            what = f"{context.pending.source} is for another user or server than AWSCURRENT"
        else:
            what = f"AWSCURRENT of secret {context.rotation.secret_id} has another {', '.join(edited)} than AWSPENDING"
        if context.current.password != context.pending.password and self._in_force(context):
            raise EditedMeanwhile(
                f"{what}: it was edited meanwhile, and the database has the pending password already",
                "both versions are kept: undo the edit in AWSCURRENT, let Secrets Manager repeat the rotation, and "
                "edit the secret when it is done",
            )
        if moved and _promoted_before(context) and not context.pending_logs_in():
            raise EditedMeanwhile(
                f"{what}: it was edited meanwhile, and the database does not have their password yet",
                "both versions are kept: undo the edit in AWSCURRENT, let Secrets Manager repeat the rotation, and "
                "edit the secret when it is done",
            )
        raise PendingUnusable(
            f"{what}, which was edited meanwhile",
            "the database was not changed; the next rotation makes a new pending version",
        )

    def _complete(self, context: DatabaseRotation) -> None:
        """Give the user the pending password, which AWSCURRENT has as well: an attempt was killed before its commit.

        Raises:
            LoginRefused: no password of the secret is accepted, and the admin may not reset it.
        """
        try:
            login = context.login(pending=True)
        except LoginRefused:
            if not may_reset(context):
                raise
            self._by_admin(context, None, label_first=False, promotes=False)
            return
        with login.session as session:
            if login.credentials.password != context.pending.password:
                session.check_rotatable()
                self._swap(context, login, promotes=False)

    def change(self, context: DatabaseRotation, login: Login) -> None:
        """Bring the user who is logged in to the pending password, and promote."""
        self._swap(context, login)

    def _swap(self, context: DatabaseRotation, login: Login, *, promotes: bool = True) -> None:
        if not isinstance(login.session, SelfServicePassword) or self._siblings(context, login):
            self._change_by_admin(context, login, promotes=promotes)
            return
        old = login.credentials

        def change(session: Session) -> None:
            own = require(
                session, SelfServicePassword, "the user can't change its own password", "name an admin secret"
            )
            own.set_own_password(context.pending.password, old.password)

        try:
            swap = PasswordSwap(context, change, lambda: context.connect(old))
            swap.run(login.session, label_first=_label_first(login), promotes=promotes)
        except PermissionRefused:
            if not may_reset(context):
                raise
            self._change_by_admin(context, login, promotes=promotes)

    def _change_by_admin(self, context: DatabaseRotation, login: Login, *, promotes: bool = True) -> None:
        """Have the admin bring the user who is logged in to the pending password, and promote."""
        proof = prove(context, login.credentials, own_host=False, session=login.session)
        self._by_admin(context, proof, label_first=_label_first(login), promotes=promotes)

    def _changes_itself(self, context: DatabaseRotation, login: Login) -> bool:
        """Whether the user who is logged in will change its own password; else the admin will.

        Raises:
            PermissionRefused: it may not, and nobody may do it instead.
            UserNotRotatable: it would change one of its accounts only, or could be blocked by the repetition of a
                rotation that broke, and nobody may do it instead.
        """
        session = login.session
        if self._siblings(context, login):
            return False
        self._check_wrong_passwords(context, session)
        if isinstance(session, SelfServiceCheck):
            try:
                session.check_can_set_own_password()
            except PermissionRefused:
                if not may_reset(context):
                    raise
                return False
        return isinstance(session, SelfServicePassword)

    def _siblings(self, context: DatabaseRotation, login: Login) -> list[str]:
        """The user's accounts on other hosts that have the password which logged in: the admin changes them as well.

        Raises:
            UserNotRotatable: there are some, and no admin may set their passwords.
        """
        session = login.session
        if not isinstance(session, SiblingAccounts):
            return []
        found = session.siblings(session.account, login.credentials.password)
        if found is None and may_reset(context):
            proof = prove(context, login.credentials, own_host=False, session=session)
            found = self._siblings_of(context, proof, proof.password)
        if found is None:
            logger.info(
                "the user changes its own account, and can't see whether it has others",
                hint="where it logs in from several hosts by several accounts, name an admin secret, and set "
                "ROTATION_STRATEGY=dual-password or alternating-users",
            )
        if found and not may_reset(context):
            raise UserNotRotatable(
                f"'{login.credentials.username}' has further accounts with the password of {login.credentials.source}: "
                f"{', '.join(found)}; a user by itself changes the one that it is logged in to",
                "name an admin secret, which changes them together, and set ROTATION_STRATEGY=dual-password or "
                "alternating-users; or give them passwords and secrets of their own",
            )
        return found or []

    @staticmethod
    def _siblings_of(context: DatabaseRotation, proof: Proof, password: str) -> list[str] | None:
        with acting(context, proof) as act:
            session = act.session
            return session.siblings(act.account, password) if isinstance(session, SiblingAccounts) else []

    def _in_force(self, context: DatabaseRotation) -> bool:
        """Whether the database has the pending password already, on any of the user's accounts."""
        if context.pending_logs_in():
            return True
        if not may_reset(context):
            return False
        port = context.engine.default_port
        for version in (context.current, context.previous):
            if version is None or version.username != context.pending.username:
                continue
            if version.same_server(context.pending, port):
                try:
                    proof = prove(context, version, own_host=False)
                except LoginRefused:
                    continue
                return bool(self._siblings_of(context, proof, context.pending.password))
        return False

    def _check_wrong_passwords(self, context: DatabaseRotation, session: Session) -> None:
        """Make sure that one wrong password locks nobody out: an attempt after an interruption tries the old one first.

        Raises:
            UserNotRotatable: it does, and no admin may repair that.
        """
        if may_reset(context) or not isinstance(session, WrongPasswordLimit) or session.wrong_passwords_allowed() != 1:
            return
        raise UserNotRotatable(
            f"one wrong password blocks '{context.current.username}' at {context.current.host}: were this rotation "
            "broken, its repetition would do that",
            "allow two or more in a row, or name an admin secret and set ROTATION_STRATEGY=dual-password or "
            "alternating-users, where no password is tried in vain",
        )

    def _check_admin(self, context: DatabaseRotation, proof: Proof | None) -> None:
        with acting(context, proof) as act:
            act.admin.check_can_set_password(act.account)

    def _by_admin(
        self, context: DatabaseRotation, proof: Proof | None, *, label_first: bool, promotes: bool = True
    ) -> None:
        logger.info("the admin sets the password", user=context.current.username)
        with acting(context, proof) as act:
            act.admin.check_can_set_password(act.account)
            swap = PasswordSwap(
                context, _set_by_admin(context, act), lambda: context.connect(context.admin, admin=True)
            )
            swap.run(act.session, label_first=label_first, promotes=promotes)


def _promoted_before(context: DatabaseRotation) -> bool:
    """Whether AWSCURRENT has the pending password: an attempt has moved the label before, and may not have committed.

    Where servers count refused logins, nobody finds that out by one: there the password comes before the label.
    """
    return context.current.password == context.pending.password and not context.engine.blocks_users


def _label_first(login: Login) -> bool:
    """Whether the label may move before the password changes: only from the password that is valid.

    Moving it from another would take AWSPREVIOUS off the one version that still logs in, should we be killed before
    the commit.
    """
    return login.stage == "AWSCURRENT"


def _renews_itself(context: DatabaseRotation, error: LoginRefused) -> bool:
    """Whether a refused user may still set a password: one that has expired allows that, and nothing else."""
    renews = isinstance(error, PasswordExpired) and context.can_renew
    if renews:
        logger.warning("the user's password has expired; the user sets the new one with it", reason=error.what)
    return renews


def _set_by_admin(context: DatabaseRotation, act: Acting) -> Callable[[Session], None]:
    def change(session: Session) -> None:
        admin = require(session, AccountAdmin, "this engine's admin can't set a password", "name no admin secret")
        admin.set_password(act.account, context.pending.password)

    return change


class PasswordSwap:
    """Changes the password and moves the label, as close together as the database allows.

    ::

        transaction:  change -> promote -> commit ──answered──> done
                                             └──lost──> ask the database: valid -> done
                                                          not yet -> change again, or take the label back
        otherwise:    change -> promote -> done

    Args:
        context: the rotation.
        change: sets the pending password in a session.
        reconnect: opens another session in which it can be set.
    """

    def __init__(
        self, context: DatabaseRotation, change: Callable[[Session], None], reconnect: Callable[[], Session]
    ) -> None:
        self._context = context
        self._change = change
        self._reconnect = reconnect

    def run(self, session: Session, *, label_first: bool, promotes: bool = True) -> None:
        """Do it.

        Args:
            session: one in which the password can be set.
            label_first: the label moves before the commit, not after it.
            promotes: the label moves at all; else another version is AWSCURRENT, with the same password.

        Raises:
            ServiceError: the database refused, or gave no answer; the label is on a password that is valid.
        """
        rotation = self._context.rotation
        if not (promotes and label_first and isinstance(session, TransactionalPassword)):
            self._set(session)
            if promotes:
                rotation.promote()
            return
        promoted = False
        try:
            with session.transaction():
                self._change(session)
                rotation.promote()
                promoted = True
        except ServiceError as error:
            if not promoted:
                raise
            logger.warning("the commit's answer is missing; asking the database", reason=str(error))
            self._settle(error)

    def _set(self, session: Session) -> None:
        with transaction_of(session):
            self._change(session)

    def _settle(self, error: ServiceError) -> None:
        """The label has moved and the commit is in doubt: finish the change, or take the label back."""
        rotation = self._context.rotation
        known_old = False
        pause = 0.02
        while rotation.time_left > _TIME_TO_DEMOTE:
            try:
                self._context.connect(self._context.pending).close()
            except LoginRefused:
                known_old = True
            except ServiceError as silence:
                logger.warning("the database can't be asked yet", reason=str(silence))
            else:
                logger.info("the new password is valid")
                return
            if known_old:
                try:
                    with self._reconnect() as session:
                        self._set(session)
                except (PermissionRefused, PasswordRefused, UserNotRotatable):
                    break
                except ServiceError as failure:
                    # A refused login or a concurrent update: the commit may just have become visible. Ask again.
                    logger.warning("the change could not be repeated yet", reason=str(failure))
                else:
                    logger.info("the change was repeated; the new password is valid")
                    return
            time.sleep(pause)
            pause = min(2 * pause, 1.0)
        if known_old:
            rotation.demote()
            logger.warning("AWSCURRENT was moved back to the password that is valid")
        raise error
