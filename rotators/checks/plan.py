"""What the next rotation would do: run and rolled back if the database can, described in words if not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rotators.checks.finding import Finding
from rotators.checks.rolled_back import set_and_roll_back
from rotators.engines.base import AccountAdmin, SelfServiceCheck, SelfServicePassword, Session, TransactionalPassword
from rotators.engines.inspection import ExplainsSync, RecordsStatements
from rotators.errors import PermissionRefused, RotationError
from rotators.logs import redactor
from rotators.strategies.admin import acting, may_reset, prove
from rotators.strategies.alternating_users import AlternatingUsers, clone_admin, pair_of, second_of_two
from rotators.strategies.dual_password import DualPassword

if TYPE_CHECKING:
    from rotators.strategies.base import DatabaseRotation, Strategy

STEPS_IN_WORDS = (
    "createSecret: make a new value from AWSCURRENT, and store it as AWSPENDING",
    "setSecret: make the new value work",
    "testSecret: show that it works",
    "finishSecret: move AWSCURRENT to the new version; what was current becomes AWSPREVIOUS",
)
_SINGLE = (
    "createSecret: store a new password for the same user as AWSPENDING",
    "setSecret: set the password, and move AWSCURRENT to the new version with it",
    "testSecret: log in with the new password, and read",
    "finishSecret: nothing is left to do",
)
_DUAL = (
    "createSecret: store a new password for the same user as AWSPENDING",
    "setSecret: add the password; the present one stays valid until the next rotation",
    "testSecret: log in with the new password, and read",
    "finishSecret: move AWSCURRENT to the new version",
)
_ALTERNATING = (
    "createSecret: store a new password for the second user as AWSPENDING",
    "setSecret: as the admin, make the second user the equal of the first, and set its password last",
    "testSecret: log in as the second user, and read",
    "finishSecret: move AWSCURRENT to the new version; the first user's password stays valid",
)

_MASKED = "PASSWORD '***'"


@dataclass(frozen=True)
class Plan:
    """What a rotation would do.

    Args:
        strategy: the strategy's name.
        user: the user whose password would be set.
        steps: the four steps in words.
        statements: what setSecret would run, passwords masked.
        exact: whether the statements were run and rolled back, so that none is missing. Otherwise they are what is
            known without running them.
        findings: what would stop the rotation.
    """

    strategy: str = ""
    user: str = ""
    steps: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    exact: bool = False
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {
            "strategy": self.strategy,
            "user": self.user,
            "steps": list(self.steps),
            "statements": list(self.statements),
            "exact": self.exact,
            "findings": [found.to_json() for found in self.findings],
        }

    def redacted(self, redact: Callable[[str], str]) -> Plan:
        """The plan without secret values."""
        return replace(
            self,
            steps=tuple(map(redact, self.steps)),
            statements=tuple(map(redact, self.statements)),
            findings=tuple(found.redacted(redact) for found in self.findings),
        )


def plan(context: DatabaseRotation, strategy: Strategy) -> Plan:
    """Plan a database secret's next rotation, without a change.

    Args:
        context: the rotation.
        strategy: its strategy.

    Raises:
        RotationError: something would stop the rotation.
    """
    current = context.current
    if isinstance(strategy, AlternatingUsers):
        other = context.engine.other_name(current.username)
        redactor.show([other])
        made = Plan(strategy.name, other, _ALTERNATING)
        return _or_why_not(made, lambda: _second_user(context, made))
    made = Plan(strategy.name, current.username, _DUAL if isinstance(strategy, DualPassword) else _SINGLE)
    return _or_why_not(made, lambda: _own_password(context, made))


def _or_why_not(made: Plan, look: Callable[[], Plan]) -> Plan:
    try:
        return look()
    except RotationError as error:
        return replace(made, findings=(Finding.of("rotation", error),))


def _second_user(context: DatabaseRotation, made: Plan) -> Plan:
    proof = prove(context, context.current, own_host=True)
    with acting(context, proof) as act:
        if context.settings.passwords_only:
            account = second_of_two(context, act, made.user)
            act.admin.check_can_set_password(account)
            return replace(made, statements=(f"set the password of {account}: '***'",))
        admin = clone_admin(act)
        pair = pair_of(context, act, admin, made.user)
        if isinstance(act.session, RecordsStatements):
            recorded = act.session.record()
            admin.check_can_sync(pair)
            statements = tuple(_in_order(recorded))
            if statements and statements[-1].endswith(_MASKED):
                return replace(made, statements=statements, exact=True)
            return replace(made, statements=(*statements, f"set the password of '{made.user}': '***'"))
        admin.check_can_sync(pair)
        if isinstance(act.session, ExplainsSync):
            found = act.session.explain_sync(pair)
            return replace(made, statements=(*found, f"set the password of '{made.user}': '***'"))
        return replace(
            made, statements=(f"the difference between {pair.current} and '{made.user}', then its password",)
        )


def _in_order(recorded: list[str]) -> Iterator[str]:
    """The statements in a rotation's order. A rehearsal may set the password earlier; a rotation sets it last."""
    passwords = [one for one in recorded if one.endswith(_MASKED)]
    yield from (one for one in recorded if one not in passwords)
    yield from passwords[-1:]


def _own_password(context: DatabaseRotation, made: Plan) -> Plan:
    with context.login(pending=False).session as session:
        session.check_rotatable()
        if isinstance(session, SelfServiceCheck) and not may_reset(context):
            session.check_can_set_own_password()
        if not isinstance(session, SelfServicePassword):
            return _by_admin(context, made, session)
        if isinstance(session, RecordsStatements) and isinstance(session, TransactionalPassword):
            recorded = session.record()
            try:
                set_and_roll_back(session, session, context.new_password(), context.current.password)
            except PermissionRefused:
                return _by_admin(context, made, session)
            return replace(made, statements=tuple(recorded), exact=True)
        return replace(made, statements=(f"set the password of {session.account}, as that user: '***'",))


def _by_admin(context: DatabaseRotation, made: Plan, session: Session) -> Plan:
    with acting(context, prove(context, context.current, own_host=True, session=session)) as act:
        admin: AccountAdmin = act.admin
        admin.check_can_set_password(act.account)
        return replace(made, statements=(f"set the password of {act.account}, as the admin: '***'",))
